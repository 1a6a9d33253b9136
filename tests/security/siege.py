"""Attacks on every table and function of the API, generated from the catalog, from everybody's place.

Every request is real HTTP to a real PostgREST whose transactions are rolled back at their end: each attack meets the
same world. What comes out is a list of lines that people have reviewed (behaviour.txt), and what must hold whatever
that list says: no way of reading shows a row that a plain select does not.
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import msgspec

from tests.security.schema import Function, Table
from tests.security.world import World

Row = dict[str, Any]

SAMPLES: dict[str, Any] = {"answer": True, "text": "x", "jsonb": {}, "int4": 1, "int8": 1, "bool": True}
"""What a function is given, by the name of the argument or its type, where it asks for no row and no enumeration."""
STRANGE: tuple[Any, ...] = (None, "", "\0", [], {}, [None], [[1]], -(10**30), "9" * 300, "infinity", "\U0001f600")
"""What nobody expects as an argument."""


UNSEEN = "unseen"
"""What is written and may not be read by who wrote it."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """Where the siege takes place."""

    database: str
    http: httpx.Client
    """A PostgREST that commits nothing."""
    tokens: dict[str, str | None]
    """By person; `anon`, the first, has none."""
    world: World
    tables: dict[str, Table]
    functions: dict[str, Function]
    labels: dict[str, list[str]]
    """Of each enumeration."""


class Outcome(msgspec.Struct, kw_only=True):
    """What came of one kind of attack: on which rows it worked, and with what it was refused."""

    worked: Counter[str] = msgspec.field(default_factory=Counter)
    refused: set[str] = msgspec.field(default_factory=set)

    def __str__(self) -> str:
        done = [label if count == 1 else f"{label}*{count}" for label, count in sorted(self.worked.items()) if count]
        parts = [" ".join(done), f"refused {' '.join(sorted(self.refused))}" if self.refused else ""]
        return "; ".join(part for part in parts if part) or "nothing"


class Siege:
    """One person's attacks."""

    def __init__(self, field: Field, person: str) -> None:
        self.field = field
        token = field.tokens[person]
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.label = field.world.label
        self.seen: dict[str, set[tuple[str, ...]]] = {}
        self.leaks: list[str] = []
        """What must never be."""

    # Reading

    def select(self, table: Table) -> Outcome:
        """Everything, plainly. What it shows is the measure of every other way."""
        outcome = Outcome()
        rows = self._rows(self._get(table), outcome)
        outcome.worked.update(self.label(row) for row in rows)
        self.seen[table.name] = {table.identity(row) for row in rows}
        return outcome

    def read_otherwise(self, table: Table) -> None:
        """Every other way to the same rows; whatever it shows beyond a plain select is a leak."""
        seen = self.seen[table.name]
        self._expect(table, "count", self._counted(table), len(seen))
        self._expect(table, "csv", _lines(self._get(table, accept="text/csv")), len(seen))
        ordered = self._get(table, order=",".join(f"{column}.desc" for column in table.columns))
        self._compare(table, "order", self._rows(ordered))
        hidden = [row for row in table.rows if table.identity(row) not in seen]
        for row in hidden[:1]:
            known = {name: f"eq.{value}" for name, value in row.items() if isinstance(value, str | int | bool)}
            self._expect(table, "filter", self._counted(table, **known), 0)
        if hidden:
            keys = (f"and({','.join(f'{c}.eq.{row[c]}' for c in table.primary_key)})" for row in hidden)
            self._expect(table, "or", self._counted(table, **{"or": f"({','.join(keys)})"}), 0)
        for constraint, name in table.neighbours.items():
            other = self.field.tables[name]
            for start, end in ((table, other), (other, table)):
                columns = ",".join(end.primary_key)
                outer = self._rows(self._get(start, select=f"met:{end.name}!{constraint}({columns})"))
                self._compare(end, f"embed in {start.name}", (row for each in outer for row in _listed(each["met"])))

    # Writing

    def insert(self, table: Table) -> Outcome:
        """A row like each that there is, with all the columns that a client may name: in another's name, too."""
        outcome = Outcome()
        for row in self._samples(table):
            body = _fresh(table, {column: row[column] for column in table.insertable or table.columns})
            self._write(outcome, table, "POST", body)
        return outcome

    def assign(self, table: Table) -> Outcome:
        """Every column of a row at once, the conclusions of the database among them."""
        outcome = Outcome()
        for row in self._samples(table):
            body = {column: row[column] for column in table.columns}
            self._write(outcome, table, "POST", _fresh(table, body))
            self._write(outcome, table, "PATCH", body, table.same(row))
        return outcome

    def update(self, table: Table) -> Outcome:
        """A harmless column of all rows at once."""
        plain = [c for c in table.updatable if c not in table.unique_columns and c not in table.references]
        column = (plain or table.columns)[0]
        outcome = Outcome()
        self._write(outcome, table, "PATCH", {column: table.rows[0][column]})
        return outcome

    def move(self, table: Table) -> Outcome:
        """Each reference of a row that a client may change, to every row that it could refer to instead."""
        outcome = Outcome()
        for column in (column for column in table.updatable if column in table.references):
            name, key = table.references[column]
            for target in self._samples(self.field.tables[name]):
                body, goal = {column: target[key]}, f"->{self.label(target)}"
                self._write(outcome, table, "PATCH", body, label=f"all{goal}")
                for row in self._samples(table):
                    if target[key] != row[column]:
                        self._write(outcome, table, "PATCH", body, table.same(row), label=f"{self.label(row)}{goal}")
        return outcome

    def delete(self, table: Table) -> Outcome:
        """One row of each owner."""
        outcome = Outcome()
        for row in self._samples(table):
            self._write(outcome, table, "DELETE", None, table.same(row))
        return outcome

    def wipe(self, table: Table) -> Outcome:
        """All rows at once, without a filter."""
        outcome = Outcome()
        self._write(outcome, table, "DELETE", None)
        return outcome

    def upsert(self, table: Table) -> Outcome:
        """Each row over itself, by every key that a client may name, else by the primary key."""
        outcome = Outcome()
        named = [columns for columns in table.keys.values() if set(columns) <= set(table.insertable)]
        for row in self._samples(table):
            for key in named or [table.primary_key]:
                body = {column: row[column] for column in dict.fromkeys([*key, *table.insertable])}
                target = {"on_conflict": ",".join(key)}
                self._write(outcome, table, "POST", body, target, prefer=",resolution=merge-duplicates")
        return outcome

    # Calling

    def call(self, function: Function) -> Iterator[tuple[str, Outcome]]:
        """A function with each row that it may be about; yields the label of an enumeration that it was given."""
        choice = next((name for name, kind in function.required.items() if kind in self.field.labels), None)
        for chosen in self.field.labels[function.required[choice]] if choice else [""]:
            outcome = Outcome()
            for row, arguments in self._subjects(function):
                if choice:
                    arguments[choice] = chosen
                if self._judge(self._rpc(function, arguments), outcome):
                    outcome.worked[self.label(row)] += 1
            yield chosen, outcome

    def fuzz(self, function: Function) -> None:
        """A function with what it does not expect, which must not be more than it can bear."""
        for name in function.arguments:
            _, usual = self._subjects(function)[-1]
            for value in STRANGE:
                self._judge(self._rpc(function, {**usual, name: value}), Outcome())

    # Help

    def _subjects(self, function: Function) -> list[tuple[Row, Row]]:
        """Each row that a call may be about, by its id or by a word that is a key, and the arguments for that."""
        usual = {
            name: SAMPLES.get(name) or self.field.labels.get(kind, [None])[0] or SAMPLES.get(kind)
            for name, kind in function.required.items()
        }
        for argument in function.required:
            stem = argument.removesuffix("_id")
            about = self.field.tables.get({"user": "profiles", "quiz": "quizzes"}.get(stem, f"{stem}s"))
            if about is not None:
                return [(row, {**usual, argument: row["id"]}) for row in self._samples(about)]
            for table in self.field.tables.values():
                if [argument] in table.keys.values():
                    return [(row, {**usual, argument: row[argument]}) for row in self._samples(table)]
        return [({}, usual)]

    def _samples(self, table: Table) -> list[Row]:
        """One row of each label, the newest."""
        return list({self.label(row): row for row in table.rows}.values())

    def _get(self, table: Table, accept: str = "application/json", **query: str) -> httpx.Response:
        return self.field.http.get(f"/{table.name}", params=query, headers={**self.headers, "Accept": accept})

    def _counted(self, table: Table, **query: str) -> int:
        # No HEAD: PostgREST 12 hangs up after it without a word, and the next request of the connection is lost.
        headers = {**self.headers, "Prefer": "count=exact"}
        answer = self.field.http.get(f"/{table.name}", params={**query, "limit": "0"}, headers=headers)
        return _total(answer) if answer.is_success else 0

    def _rpc(self, function: Function, arguments: Row) -> httpx.Response:
        return self.field.http.post(f"/rpc/{function.name}", json=arguments, headers=self.headers)

    def _write(
        self,
        outcome: Outcome,
        table: Table,
        method: str,
        body: Row | None,
        query: dict[str, str] | None = None,
        *,
        label: str = "",
        prefer: str = "",
    ) -> None:
        """Write in silence, which asks for the least, and where that works again, for what is shown of it.

        A statement that reads nothing, not even to answer, is not held to what its caller may select.
        """
        request = self.field.http.build_request(method, f"/{table.name}", params=query, json=body, headers=self.headers)
        request.headers["Prefer"] = f"return=minimal,count=exact{prefer}"
        answer = self.field.http.send(request)
        if not self._judge(answer, outcome):
            return
        request.headers["Prefer"] = f"return=representation,count=exact{prefer}"
        shown = self._rows(self.field.http.send(request))
        if method != "POST" and not set(body or ()) & set(table.primary_key):
            self._compare(table, method, shown)
        outcome.worked.update(label or self.label(row) for row in shown)
        outcome.worked[UNSEEN] += _total(answer) - len(shown)

    def _judge(self, answer: httpx.Response, outcome: Outcome) -> bool:
        """Whether a request succeeded; notes the refusal. A fault of the server is a leak of its own kind."""
        if answer.is_success:
            return True
        request, error = answer.request, answer.json()
        if answer.status_code >= 500:
            self.leaks.append(f"{request.method} {request.url} {request.content!r} is answered {answer.text}")
        outcome.refused.add(error["message"] if error["code"].startswith("PT") else error["code"])
        return False

    def _rows(self, answer: httpx.Response, outcome: Outcome | None = None) -> list[Row]:
        rows: list[Row] = answer.json() if self._judge(answer, outcome or Outcome()) else []
        return rows

    def _expect(self, table: Table, way: str, actual: int, expected: int) -> None:
        if actual != expected:
            self.leaks.append(f"{table.name}: {way} gives {actual} rows where {expected} are to be seen")

    def _compare(self, table: Table, way: str, rows: Iterable[Row]) -> None:
        strange = {table.identity(row) for row in rows} - self.seen[table.name]
        if strange:
            self.leaks.append(f"{table.name}: {way} shows what a select does not: {strange}")


ATTACKS: tuple[Callable[[Siege, Table], Outcome], ...] = (
    Siege.insert,
    Siege.assign,
    Siege.update,
    Siege.move,
    Siege.delete,
    Siege.wipe,
    Siege.upsert,
)


def lay(field: Field) -> tuple[set[str], list[str]]:
    """Attack everything as everybody.

    Returns:
        What came of it, as lines `<table or function> <attack> <people>: <outcome>`, and what must never be.
    """
    outcomes: dict[tuple[str, str], list[str]] = defaultdict(list)
    leaks = []
    # In threads, because PostgREST and Postgres work while the next request is made.
    with ThreadPoolExecutor(max_workers=4) as threads:
        for person, (notes, strange) in zip(
            field.tokens, threads.map(partial(_besiege, field), field.tokens), strict=True
        ):
            for note in notes:
                outcomes[note].append(person)
            leaks += [f"{person}: {leak}" for leak in strange]
    everybody = {tuple(field.tokens): "everybody", tuple(field.tokens)[1:]: "members"}
    return {
        f"{about} {everybody.get(tuple(people), ', '.join(people))}: {outcome}"
        for (about, outcome), people in outcomes.items()
    }, leaks


def _besiege(field: Field, person: str) -> tuple[list[tuple[str, str]], list[str]]:
    """What comes of each of one person's attacks, and what must never be."""
    siege = Siege(field, person)
    notes = [(f"{table.name} select", str(siege.select(table))) for table in field.tables.values()]
    for table in field.tables.values():
        siege.read_otherwise(table)
        notes += [(f"{table.name} {attack.__name__}", str(attack(siege, table))) for attack in ATTACKS]
    for function in field.functions.values():
        notes += [(f"{function.name}() {chosen or 'call'}", str(done)) for chosen, done in siege.call(function)]
    return notes, siege.leaks


def _fresh(table: Table, body: Row) -> Row:
    """The same with new values where a key allows none twice."""
    new = {name for name in body if name in table.unique_columns and name not in table.references}
    return body | {name: str(uuid.uuid4()) if name == "id" else uuid.uuid4().hex[:20] for name in new}


def _total(answer: httpx.Response) -> int:
    """The number after the slash of Content-Range."""
    return int(answer.headers["Content-Range"].partition("/")[2])


def _lines(answer: httpx.Response) -> int:
    """Rows of a CSV, which has a line of names before them; no value of this world holds a line break."""
    return max(0, len(answer.text.splitlines()) - 1) if answer.is_success else 0


def _listed(embedded: Any) -> list[Row]:
    """An embedded row or list of rows, as a list."""
    if embedded is None:
        return []
    return embedded if isinstance(embedded, list) else [embedded]
