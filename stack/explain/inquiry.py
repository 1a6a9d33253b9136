"""How an explanation is found: by the request itself, then by the policies of each of its tables."""

import time
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import msgspec
import psycopg

from stack.errors import StackError
from stack.explain.catalog import Catalog, Clause, Table
from stack.explain.report import Answer, Check, Person, Relation, Report, Result, Row, Verb
from stack.explain.request import Embed, Request, read
from stack.explain.servers import MAX_ROWS, Servers, running
from stack.keys import Keys
from stack.postgres import SUPERUSER
from stack.project import Project
from stack.state import Folder

VERBS: dict[str, Verb] = {"GET": "select", "POST": "insert", "PATCH": "update", "DELETE": "delete"}
TOKEN_SECONDS = 60
MAX_WRITTEN = 100
"""Rows that are examined as they would be written. Their keys must fit into a URL."""

Record = dict[str, Any]


def explain(project: Project, folder: Folder, *, caller: str, method: str, path: str, body: str | None) -> Report:
    """Make a request as a user, roll it back, and report what permitted it and what hid rows.

    Args:
        project: with the schema of the API and the query about a user.
        folder: of a stack that runs.
        caller: a user's address or id, `anon` or `service_role`.
        method: GET, POST, PATCH or DELETE.
        path: from /rest/v1, with its query.
        body: JSON, where the method takes one.

    Raises:
        StackError: nothing runs, there is no such user, or the request does not go to PostgREST.
    """
    if folder.running() is None:
        raise StackError("nothing runs: ./guildhall up starts it")
    request = read(method, path, body)
    state = folder.state()
    with psycopg.connect(state.database_url(SUPERUSER)) as connection:
        catalog = Catalog(connection, schema=project.config.api.schemas[0], user_query=project.user_query)
        person, claims = catalog.person(caller)
        with running(folder, state) as servers:
            inquiry = Inquiry(
                catalog=catalog,
                servers=servers,
                keys=folder.keys(),
                person=person,
                claims=claims,
                request=request,
            )
            report = inquiry.report(path)
        connection.rollback()
    return report


class Inquiry:
    """One request of one user."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        servers: Servers,
        keys: Keys,
        person: Person,
        claims: Record | None,
        request: Request,
    ) -> None:
        self._catalog = catalog
        self._servers = servers
        self._person = person
        self._claims = claims or {"role": person.role}
        self._request = request
        expires = {"exp": int(time.time()) + TOKEN_SECONDS}
        self._bound = {"Authorization": f"Bearer {keys.sign(claims | expires)}"} if claims else {}
        # The same user, so that defaults and triggers work as usual, but in a role that no policy binds.
        self._unbound = {"Authorization": f"Bearer {keys.sign(self._claims | expires | {'role': SUPERUSER})}"}

    def report(self, path: str) -> Report:
        """The whole explanation."""
        request = self._request
        return Report(
            method=request.method,
            path=path,
            person=self._person,
            answer=_answer(self._send()),
            relations=tuple(self._relations()),
            functions=tuple(self._catalog.functions(request.function, self._person.role) if request.function else ()),
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        request = self._request
        if request.function:
            found = self._catalog.functions(request.function, self._person.role)
            if not found:
                yield f"There is no function {self._catalog.schema}.{request.function}."
            for function in found:
                if missing := [name for name in function.required if name not in request.arguments]:
                    where = "in the query" if request.method == "GET" else "in a JSON object as the body"
                    yield f"{function.signature} needs {', '.join(missing)}, {where}."
                extra = request.arguments.difference(function.required, function.optional)
                if request.method != "GET" and extra:
                    yield f"{function.signature} has no argument {', '.join(sorted(extra))}."
            yield "What a function reads and writes inside is not explained."
        elif request.table and self._catalog.table(request.table, self._person.role) is None:
            yield f"There is no table or view {self._catalog.schema}.{request.table}."
        yield "Everything was rolled back: nothing has changed."

    def _send(self) -> httpx.Response:
        request = self._request
        prefer = "count=exact" if request.function else "return=minimal,count=exact"
        return self._servers.bound.request(
            request.method,
            request.path,
            params=request.query,
            json=request.body,
            headers={**self._bound, "Prefer": prefer},
        )

    # The tables

    def _relations(self) -> Iterator[Relation]:
        request = self._request
        table = self._catalog.table(request.table, self._person.role) if request.table else None
        if table is None:
            return
        if request.method == "GET":
            yield from self._read(table)
        else:
            yield self._written(table)

    def _read(self, table: Table) -> Iterator[Relation]:
        """The table that is read, and the tables embedded in its rows."""
        query = [("select", self._keys_only(table, self._request.embeds)), *self._request.filters]
        matching = self._get(self._servers.unbound, table, query, self._unbound)
        visible = self._get(self._servers.bound, table, query, self._bound)
        notes = () if matching.is_success else (f"Even without policies it is refused: {_message(matching)}",)
        answered = _rows_of(visible) if visible.is_success else None
        rows = _rows_of(matching) if matching.is_success else []
        yield self._relation(table, "requested", "select", rows, answered, matching=_total(matching), notes=notes)
        yield from self._underlying(table)
        yield from self._embedded(table, self._request.embeds, rows)

    def _embedded(self, parent: Table, embeds: tuple[Embed, ...], rows: list[Record]) -> Iterator[Relation]:
        for embed in embeds:
            table = self._catalog.embedded(parent, embed.target, self._person.role)
            inner = [found for row in rows for found in _embedded_rows(row.get(embed.name))]
            if table is None:
                note = f"{embed.target} is neither a table nor a foreign key of {parent.name}: it is not explained."
                yield Relation(
                    schema=parent.schema,
                    name=embed.target,
                    role=f"embedded in {parent.name}",
                    grants=(),
                    lacking=(),
                    notes=(note,),
                )
                continue
            yield self._relation(table, f"embedded in {parent.name}", "select", inner, None)
            yield from self._underlying(table)
            yield from self._embedded(table, embed.embeds, inner)

    def _underlying(self, view: Table) -> Iterator[Relation]:
        for name in view.underlying:
            table = self._catalog.table(name, self._person.role)
            if table is not None:
                yield self._relation(table, f"underlying {view.name}", "select", [], None)

    def _written(self, table: Table) -> Relation:
        """The table that is written, with its rows as they are and as they would be."""
        request, verb = self._request, VERBS[self._request.method]
        rows: list[Record] = []
        checks = []
        notes: tuple[str, ...] = ()
        matching = None
        if table.is_view:
            return self._described(table, "requested", verb, (), matching=None, notes=())
        if verb != "insert":
            query = [("select", ",".join(table.key)), *request.filters]
            answer = self._get(self._servers.unbound, table, query, self._unbound)
            matching = _total(answer)
            rows = self._distinct_rows(table, _rows_of(answer)) if answer.is_success else []
            checks.append(self._check(table, "select", "using", rows))
            checks.append(self._check(table, verb, "using", rows))
            passing = [row.key for row in checks[1].rows if row.passes][:MAX_WRITTEN]
        if verb == "insert" or (verb == "update" and passing):
            new = self._write_unbound(table, None if verb == "insert" else passing)
            if new.is_success:
                checks.append(self._check(table, verb, "with check", _rows_of(new)))
                # A written row must be visible to a caller who asks for it back, and to any update.
                checks.append(self._check(table, "select", "with check", _rows_of(new)))
            else:
                notes = (f"Even without policies it is refused: {_message(new)}",)
        return self._described(table, "requested", verb, tuple(checks), matching=matching, notes=notes)

    def _write_unbound(self, table: Table, keys: list[Record] | None) -> httpx.Response:
        """The rows as they would be written, with triggers and defaults; of an update only those with these keys."""
        query = [(name, value) for name, value in self._request.query if name in {"columns", "on_conflict"}]
        if keys is not None:
            alternatives = ",".join(
                f"and({','.join(f'{name}.eq.{_quoted(value)}' for name, value in key.items())})" for key in keys
            )
            query.append(("or", f"({alternatives})"))
        return self._servers.unbound.request(
            self._request.method,
            f"/{table.name}",
            params=[*query, ("select", "*")],
            json=self._request.body,
            headers={**self._unbound, "Prefer": "return=representation"},
        )

    def _relation(
        self,
        table: Table,
        role: str,
        verb: Verb,
        keys: list[Record],
        answered: list[Record] | None,
        *,
        matching: int | None = None,
        notes: tuple[str, ...] = (),
    ) -> Relation:
        check = self._check(table, verb, "using", self._distinct_rows(table, keys), answered)
        return self._described(table, role, verb, (check,), matching=matching, notes=notes)

    def _described(
        self,
        table: Table,
        role: str,
        verb: Verb,
        checks: tuple[Check, ...],
        *,
        matching: int | None,
        notes: tuple[str, ...],
    ) -> Relation:
        if table.is_view:
            checks, notes = (), (*notes, "A view has no policies: those of its underlying tables decide.")
        elif matching is not None and matching > MAX_ROWS:
            notes = (*notes, f"The policies were evaluated for the first {MAX_ROWS} rows.")
        grants, lacking = _grants(table, verb, self._person.role, self._request.written_columns)
        return Relation(
            schema=table.schema,
            name=table.name,
            role=role,
            grants=grants,
            lacking=lacking,
            is_open=not table.is_view and not table.has_row_security,
            matching=matching,
            checks=checks,
            notes=notes,
        )

    # The policies

    def _check(
        self,
        table: Table,
        verb: Verb,
        kind: Literal["using", "with check"],
        rows: list[Record],
        answered: list[Record] | None = None,
    ) -> Check:
        """The results of the policies for one verb."""
        clauses = self._catalog.clauses(table, verb, kind, self._person.role)
        binds = table.has_row_security and not self._person.bypasses_policies
        results = self._catalog.evaluate(table, clauses if binds else [], rows, self._person, self._claims)
        known = None if answered is None else {_identity(table, row) for row in answered}
        return Check(
            verb=verb,
            kind=kind,
            policies=tuple(clause.policy for clause in clauses) if binds else (),
            rows=tuple(
                self._row(table, clauses, row, values, binds=binds, answered=known)
                for row, values in zip(rows, results, strict=True)
            ),
        )

    @staticmethod
    def _row(
        table: Table,
        clauses: list[Clause],
        row: Record,
        results: list[Result],
        *,
        binds: bool,
        answered: set[str] | None,
    ) -> Row:
        policies: dict[str, Result] = {}
        terms: dict[str, tuple[Result, ...]] = {}
        values = iter(results)
        for clause in clauses if binds else []:
            policies[clause.policy.name] = next(values)
            terms[clause.policy.name] = tuple(next(values) for _ in clause.terms)
        permits = any(policies[c.policy.name] is True for c in clauses if binds and c.policy.is_permissive)
        restricts = any(policies[c.policy.name] is not True for c in clauses if binds and not c.policy.is_permissive)
        return Row(
            key={name: row.get(name) for name in table.key},
            passes=not binds or (permits and not restricts),
            policies=policies,
            terms=terms,
            is_answered=None if answered is None else _identity(table, row) in answered,
        )

    # PostgREST

    def _keys_only(self, table: Table, embeds: tuple[Embed, ...]) -> str:
        """A select of the keys of a table and of the tables embedded in its rows."""
        parts = list(table.key)
        for embed in embeds:
            inner = self._catalog.embedded(table, embed.target, self._person.role)
            parts.append(f"{embed.prefix}({'' if inner is None else self._keys_only(inner, embed.embeds)})")
        return ",".join(parts) or "*"

    @staticmethod
    def _get(
        client: httpx.Client, table: Table, query: list[tuple[str, str]], headers: dict[str, str]
    ) -> httpx.Response:
        return client.get(f"/{table.name}", params=tuple(query), headers={**headers, "Prefer": "count=exact"})

    def _distinct_rows(self, table: Table, keys: list[Record]) -> list[Record]:
        """The rows with these keys, each once, in their order."""
        if not table.key or not keys:
            return []
        distinct = {_identity(table, key): {name: key[name] for name in table.key} for key in keys}
        found = {_identity(table, row): row for row in self._catalog.rows(table, list(distinct.values()))}
        return [found[identity] for identity in distinct if identity in found]


def _grants(table: Table, verb: Verb, role: str, columns: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A role's privileges on a table, and those that a request needs and lacks."""
    grants, lacking = [], []
    for needed in dict.fromkeys((verb, "select") if verb in {"update", "delete"} else (verb,)):
        some = [name for name, verbs in table.columns.items() if needed in (verbs or ())]
        if needed in table.privileges:
            grants.append(f"{role} may {needed}")
        elif some:
            grants.append(f"{role} may {needed} ({', '.join(some)})")
        else:
            lacking.append(f"{role} may not {needed}")
        if some and needed == verb and verb in {"insert", "update"}:
            lacking += [
                f"{role} may not {verb} the column {name}" if name in table.columns else f"there is no column {name}"
                for name in columns
                if name not in some
            ]
    return tuple(grants), tuple(lacking)


def _answer(response: httpx.Response) -> Answer:
    body = _json(response)
    if response.is_success:
        return Answer(status=response.status_code, rows=_total(response), body=body)
    return Answer(status=response.status_code, error=body if isinstance(body, dict) else {"message": response.text})


def _message(response: httpx.Response) -> str:
    body = _json(response)
    return f"{body['code']}: {body['message']}" if isinstance(body, dict) else response.text


def _json(response: httpx.Response) -> Any:
    try:
        return msgspec.json.decode(response.content) if response.content else None
    except msgspec.DecodeError:
        return None


def _rows_of(response: httpx.Response) -> list[Record]:
    body: list[Record] = response.json()
    return body


def _embedded_rows(embedded: Any) -> list[Record]:
    """The rows in an embedded value: one, several, or none."""
    return embedded if isinstance(embedded, list) else [] if embedded is None else [embedded]


def _total(response: httpx.Response) -> int | None:
    """The total in Content-Range."""
    total = response.headers.get("content-range", "").partition("/")[2]
    return int(total) if total.isdecimal() else None


def _identity(table: Table, row: Record) -> str:
    return msgspec.json.encode([row.get(name) for name in table.key]).decode()


def _quoted(value: Any) -> str:
    """A value as PostgREST reads it inside a list of conditions."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
