"""How an explanation is found: the request itself, then one question after the other about its tables."""

import time
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import msgspec
import psycopg

from stack.errors import StackError
from stack.explain.catalog import Catalog, Clause, Table
from stack.explain.report import Answer, Check, Holds, Person, Relation, Report, Row, Verb
from stack.explain.request import Embed, Request, read
from stack.explain.servers import MOST_ROWS, Servers, running
from stack.keys import Keys
from stack.postgres import SUPERUSER
from stack.state import Folder

VERBS: dict[str, Verb] = {"GET": "select", "POST": "insert", "PATCH": "update", "DELETE": "delete"}
TOKEN_LIVES = 60
"""Seconds."""
MOST_WRITTEN = 100
"""Rows that are looked at as they would be written; their keys must fit into an address."""

Record = dict[str, Any]


def explain(folder: Folder, *, who: str, method: str, path: str, body: str | None) -> Report:
    """Make a request as somebody, undo it, and say what let it through, and what hid rows of it.

    Args:
        folder: of a stack that runs.
        who: a user's address or id, `anon` or `service_role`.
        method: GET, POST, PATCH or DELETE.
        path: with its query, from /rest/v1.
        body: JSON, where the method takes one.

    Raises:
        StackError: nothing runs, there is no such user, or this is no request to PostgREST.
    """
    if folder.running() is None:
        raise StackError("nothing runs: ./guildhall up starts it")
    request = read(method, path, body)
    state = folder.state()
    with psycopg.connect(state.database_url(SUPERUSER)) as connection:
        catalog = Catalog(connection)
        person, claims = catalog.person(who)
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
    """One request of one person."""

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
        expires = {"exp": int(time.time()) + TOKEN_LIVES}
        self._bound = {"Authorization": f"Bearer {keys.sign(claims | expires)}"} if claims else {}
        # The same person, so that defaults and triggers know whose row it is, in a role that no policy binds.
        self._unbound = {"Authorization": f"Bearer {keys.sign(self._claims | expires | {'role': SUPERUSER})}"}

    def report(self, path: str) -> Report:
        """The whole explanation."""
        request = self._request
        return Report(
            method=request.method,
            path=path,
            person=self._person,
            answer=_answer(self._as_asked()),
            relations=tuple(self._relations()),
            functions=tuple(self._catalog.functions(request.function, self._person.role) if request.function else ()),
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        request = self._request
        if request.function:
            if not self._catalog.functions(request.function, self._person.role):
                yield f"There is no function public.{request.function}."
            yield "What a function reads and writes inside is not taken apart here."
        elif request.table and self._catalog.table(request.table, self._person.role) is None:
            yield f"There is no table or view public.{request.table}."
        yield "Everything was rolled back: nothing has changed."

    def _as_asked(self) -> httpx.Response:
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
        """The table that is read, and those that are embedded in its rows."""
        query = [("select", self._keys_only(table, self._request.embeds)), *self._request.filters]
        fitting = self._ask_postgrest(self._servers.unbound, table, query, self._unbound)
        seen = self._ask_postgrest(self._servers.bound, table, query, self._bound)
        notes = () if fitting.is_success else (f"Even where no policy binds, it is refused: {_message(fitting)}",)
        answered = _listed(seen) if seen.is_success else None
        rows = _listed(fitting) if fitting.is_success else []
        yield self._relation(table, "asked", "select", rows, answered, matching=_total(fitting), notes=notes)
        yield from self._beneath(table)
        yield from self._embedded(table, self._request.embeds, rows)

    def _embedded(self, parent: Table, embeds: tuple[Embed, ...], rows: list[Record]) -> Iterator[Relation]:
        for embed in embeds:
            table = self._catalog.embedded(parent, embed.target, self._person.role)
            inner = [found for row in rows for found in _within(row.get(embed.name))]
            if table is None:
                note = f"{embed.target} is neither a table nor a foreign key of {parent.name}: it is not explained."
                yield Relation(
                    name=embed.target, role=f"embedded in {parent.name}", grants=(), lacking=(), notes=(note,)
                )
                continue
            yield self._relation(table, f"embedded in {parent.name}", "select", inner, None)
            yield from self._beneath(table)
            yield from self._embedded(table, embed.embeds, inner)

    def _beneath(self, view: Table) -> Iterator[Relation]:
        for name in view.beneath:
            table = self._catalog.table(name, self._person.role)
            if table is not None:
                yield self._relation(table, f"beneath {view.name}", "select", [], None)

    def _written(self, table: Table) -> Relation:
        """The table that is written: rows as they are, and as they would be."""
        request, verb = self._request, VERBS[self._request.method]
        rows: list[Record] = []
        checks = []
        notes: tuple[str, ...] = ()
        matching = None
        if table.is_view:
            return self._described(table, "asked", verb, (), matching=None, notes=())
        if verb != "insert":
            query = [("select", ",".join(table.key)), *request.filters]
            fitting = self._ask_postgrest(self._servers.unbound, table, query, self._unbound)
            matching = _total(fitting)
            rows = self._whole(table, _listed(fitting)) if fitting.is_success else []
            checks.append(self._check(table, "select", "using", rows))
            checks.append(self._check(table, verb, "using", rows))
            passing = [row.key for row in checks[1].rows if row.passes][:MOST_WRITTEN]
        if verb == "insert" or (verb == "update" and passing):
            new = self._write_unbound(table, None if verb == "insert" else passing)
            if new.is_success:
                checks.append(self._check(table, verb, "with check", _listed(new)))
                # What is written must be shown to who asks for it back, and to an update in any case.
                checks.append(self._check(table, "select", "with check", _listed(new)))
            else:
                notes = (f"Even where no policy binds, it is refused: {_message(new)}",)
        return self._described(table, "asked", verb, tuple(checks), matching=matching, notes=notes)

    def _write_unbound(self, table: Table, keys: list[Record] | None) -> httpx.Response:
        """The rows as they would be written, triggers and defaults included; of those that are there, these only."""
        query = [(name, value) for name, value in self._request.query if name in {"columns", "on_conflict"}]
        if keys is not None:
            one_of = ",".join(
                f"and({','.join(f'{name}.eq.{_quoted(value)}' for name, value in key.items())})" for key in keys
            )
            query.append(("or", f"({one_of})"))
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
        check = self._check(table, verb, "using", self._whole(table, keys), answered)
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
            checks, notes = (), (*notes, "A view has no policies: those of the tables beneath it decide.")
        elif matching is not None and matching > MOST_ROWS:
            notes = (*notes, f"The policies were asked about the first {MOST_ROWS} rows.")
        grants, lacking = _grants(table, verb, self._person.role, self._request.written_columns)
        return Relation(
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
        """What the policies of one verb say of rows."""
        clauses = self._catalog.clauses(table, verb, kind, self._person.role)
        binds = table.has_row_security and not self._person.bypasses_policies
        marks = self._catalog.ask(table, clauses if binds else [], rows, self._person, self._claims)
        known = None if answered is None else {_identity(table, row) for row in answered}
        return Check(
            verb=verb,
            kind=kind,
            policies=tuple(clause.policy for clause in clauses) if binds else (),
            rows=tuple(
                self._row(table, clauses, row, mark, binds=binds, answered=known)
                for row, mark in zip(rows, marks, strict=True)
            ),
        )

    @staticmethod
    def _row(
        table: Table, clauses: list[Clause], row: Record, marks: list[Holds], *, binds: bool, answered: set[str] | None
    ) -> Row:
        policies: dict[str, Holds] = {}
        terms: dict[str, tuple[Holds, ...]] = {}
        place = 0
        for clause in clauses if binds else []:
            policies[clause.policy.name] = marks[place]
            terms[clause.policy.name] = tuple(marks[place + 1 : place + 1 + len(clause.terms)])
            place += 1 + len(clause.terms)
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
        """A select of the keys of a table and of what is embedded in its rows."""
        parts = list(table.key)
        for embed in embeds:
            inner = self._catalog.embedded(table, embed.target, self._person.role)
            parts.append(f"{embed.written}({'' if inner is None else self._keys_only(inner, embed.embeds)})")
        return ",".join(parts) or "*"

    @staticmethod
    def _ask_postgrest(
        client: httpx.Client, table: Table, query: list[tuple[str, str]], headers: dict[str, str]
    ) -> httpx.Response:
        return client.get(f"/{table.name}", params=tuple(query), headers={**headers, "Prefer": "count=exact"})

    def _whole(self, table: Table, keys: list[Record]) -> list[Record]:
        """The rows of these keys, each once, in their order."""
        if not table.key or not keys:
            return []
        once = {_identity(table, key): {name: key[name] for name in table.key} for key in keys}
        found = {_identity(table, row): row for row in self._catalog.rows(table, list(once.values()))}
        return [found[identity] for identity in once if identity in found]


def _grants(table: Table, verb: Verb, role: str, columns: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a role may do with a table, and what of it a request lacks."""
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


def _listed(response: httpx.Response) -> list[Record]:
    body: list[Record] = response.json()
    return body


def _within(embedded: Any) -> list[Record]:
    """The rows that a row embeds: one, several, or none."""
    return embedded if isinstance(embedded, list) else [] if embedded is None else [embedded]


def _total(response: httpx.Response) -> int | None:
    """The number after the slash of Content-Range."""
    total = response.headers.get("content-range", "").partition("/")[2]
    return int(total) if total.isdecimal() else None


def _identity(table: Table, row: Record) -> str:
    return msgspec.json.encode([row.get(name) for name in table.key]).decode()


def _quoted(value: Any) -> str:
    """A value as PostgREST reads it within a list of conditions."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
