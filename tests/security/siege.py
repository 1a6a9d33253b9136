"""Attacks on every table and function of the API, generated from the catalog, from everybody's place.

Every request is real HTTP to a real PostgREST whose transactions are rolled back at their end: each attack meets the same
world. What comes out is a list of lines that people have reviewed (behaviour.txt), and what must hold whatever
that list says: no way of reading shows a row that a plain select does not.
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
import msgspec

from tests.security.schema import Function, Table
from tests.security.world import World

Row = dict[str, Any]

REPRESENTATION = {"Prefer": "return=representation,count=exact"}
SAMPLES: dict[str, Any] = {"answer": True, "text": "x", "jsonb": {}, "int4": 1, "int8": 1, "bool": True}
"""What a function is given, by the name of the argument or its type, where it is about no row and no enumeration."""


class Outcome(msgspec.Struct, kw_only=True):
    """What came of one kind of attack: on which rows it worked, and with what it was refused."""

    worked: Counter[str] = msgspec.field(default_factory=Counter)
    refused: set[str] = msgspec.field(default_factory=set)

    def __str__(self) -> str:
        done = [label if count == 1 else f"{label}*{count}" for label, count in sorted(self.worked.items())]
        parts = [" ".join(done), f"refused {' '.join(sorted(self.refused))}" if self.refused else ""]
        return "; ".join(part for part in parts if part) or "nothing"


class Siege:
    """One person's attacks."""

    def __init__(self, http: httpx.Client, token: str | None, world: World, tables: Iterable[Table]) -> None:
        self.http = http
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.world = world
        self.tables = {table.name: table for table in tables}
        self.seen: dict[str, set[tuple[str, ...]]] = {}
        self.leaks: list[str] = []

    # Reading

    def select(self, table: Table) -> Outcome:
        """Everything, plainly. What it shows is the measure of every other way."""
        outcome = Outcome()
        self.seen[table.name] = set()
        for row in self._rows(self._get(table.name), outcome):
            outcome.worked[self.world.label(row)] += 1
            self.seen[table.name].add(table.identity(row))
        return outcome

    def read_otherwise(self, table: Table) -> None:
        """Every other way to the same rows; whatever it shows beyond a plain select is a leak."""
        key = ",".join(table.primary_key)
        hidden = [row for row in table.rows if table.identity(row) not in self.seen[table.name]]
        self._expect(table, "count", self._count(self._counted(table.name)), len(self.seen[table.name]))
        self._expect(table, "csv", self._lines(self._get(table.name, accept="text/csv")), len(self.seen[table.name]))
        ordered = self._get(table.name, select=key, order=",".join(f"{column}.desc" for column in table.columns))
        self._compare(table, "order", self._rows(ordered))
        if hidden:
            # One filter for each column, which together know everything about a hidden row.
            for row in hidden[:1]:
                known = {name: f"eq.{value}" for name, value in row.items() if isinstance(value, str | int | bool)}
                self._expect(table, "filter", self._count(self._counted(table.name, **known)), 0)
            keys = ",".join(f"and({','.join(f'{c}.eq.{row[c]}' for c in table.primary_key)})" for row in hidden)
            self._expect(table, "or", self._count(self._counted(table.name, **{"or": f"({keys})"})), 0)
        for constraint, name in table.neighbours.items():
            other = self.tables[name]
            for start, end in ((table, other), (other, table)):
                columns = ",".join(end.primary_key)
                found = self._rows(self._get(start.name, select=f"met:{end.name}!{constraint}({columns})"))
                self._compare(end, f"embed in {start.name}", (row for outer in found for row in _listed(outer["met"])))

    # Writing

    def insert(self, table: Table) -> Outcome:
        """A row like each that there is, with all the columns that a client may name: in another's name, too."""
        outcome = Outcome()
        for row in self._samples(table):
            body = self._fresh(table, {column: row[column] for column in table.insertable or table.columns})
            self._write(table, "POST", {}, body, outcome)
        return outcome

    def assign(self, table: Table) -> Outcome:
        """Every column of a row at once, the conclusions of the database among them."""
        outcome = Outcome()
        for row in self._samples(table):
            body = {column: row[column] for column in table.columns}
            self._write(table, "POST", {}, self._fresh(table, body), outcome)
            self._write(table, "PATCH", table.same(row), body, outcome)
        return outcome

    def update(self, table: Table) -> Outcome:
        """A harmless column of all rows at once."""
        plain = [c for c in table.updatable if c not in table.unique_columns and c not in table.references]
        column = (plain or table.columns)[0]
        outcome = Outcome()
        self._write(table, "PATCH", {}, {column: table.rows[0][column]}, outcome)
        return outcome

    def move(self, table: Table) -> Outcome:
        """Each reference of a row that a client may change, to every row that it could refer to instead."""
        outcome = Outcome()
        for column in (column for column in table.updatable if column in table.references):
            other, key = table.references[column]
            targets = self._samples(self.tables[other])
            for row in self._samples(table):
                for target in targets:
                    if target[key] != row[column]:
                        moved = f"{self.world.label(row)}->{self.world.label(target)}"
                        self._write(table, "PATCH", table.same(row), {column: target[key]}, outcome, moved)
        return outcome

    def delete(self, table: Table) -> Outcome:
        """One row of each owner."""
        outcome = Outcome()
        for row in self._samples(table):
            self._write(table, "DELETE", table.same(row), None, outcome)
        return outcome

    def upsert(self, table: Table) -> Outcome:
        """Each row over itself, by every key that a client may name, else by the primary key."""
        outcome = Outcome()
        named = [columns for columns in table.keys.values() if set(columns) <= set(table.insertable)]
        for row in self._samples(table):
            for key in named or [table.primary_key]:
                body = {column: row[column] for column in dict.fromkeys([*key, *table.insertable])}
                target = {"on_conflict": ",".join(key)}
                self._write(table, "POST", target, body, outcome, prefer="resolution=merge-duplicates")
        return outcome

    def call(self, function: Function, labels: dict[str, list[str]]) -> Iterator[tuple[str, Outcome]]:
        """A function with each row that it may be about; yields the label of an enumeration that it was given."""
        about, subjects = self._subjects(function)
        choice = next((name for name, kind in function.required.items() if kind in labels), None)
        for chosen in labels[function.required[choice]] if choice else [""]:
            outcome = Outcome()
            for row, value in subjects:
                arguments = {
                    name: value if name == about else chosen if name == choice else SAMPLES.get(name) or SAMPLES[kind]
                    for name, kind in function.required.items()
                }
                self._judge(self._rpc(function, arguments), outcome, self.world.label(row))
            yield chosen, outcome

    def fuzz(self, function: Function) -> None:
        """A function with what it does not expect, which must not be more than it can bear."""
        for name in function.required:
            values: tuple[Any, ...] = (None, "", "\0", [], {}, [None], -(10**30), 1e308, "9" * 300, "\U0001f600"):
                _, subjects = self._subjects(function)
                usual = dict.fromkeys(function.required, subjects[0][1])
                self._judge(self._rpc(function, {**usual, name: value}), Outcome())

    # Help

    def _rpc(self, function: Function, arguments: Row) -> httpx.Response:
        return self.http.post(f"/rpc/{function.name}", json=arguments, headers=self.headers)

    def _subjects(self, function: Function) -> tuple[str, list[tuple[Row, Any]]]:
        """The argument that says which row a call is about, and its values: an id, or a word that is a key."""
        for argument in function.required:
            stem = argument.removesuffix("_id")
            name = {"user": "profiles", "quiz": "quizzes"}.get(stem, f"{stem}s")
            if name in self.tables:
                return argument, [(row, row["id"]) for row in self._samples(self.tables[name])]
            for table in self.tables.values():
                if [argument] in table.keys.values():
                    return argument, [(row, row[argument]) for row in self._samples(table)]
        return "", [({}, None)]

    def _samples(self, table: Table) -> list[Row]:
        """One row of each label, the newest."""
        return list({self.world.label(row): row for row in table.rows}.values())

    @staticmethod
    def _fresh(table: Table, body: Row) -> Row:
        """The same with new words where a key allows none twice."""
        new = {c: uuid.uuid4().hex[:20] for c in body if c in table.unique_columns and c not in table.references}
        return {**body, **{c: str(uuid.uuid4()) if c == "id" else value for c, value in new.items()}}

    def _write(
        self,
        table: Table,
        method: str,
        where: dict[str, str],
        body: Row | None,
        outcome: Outcome,
        label: str = "",
        *,
        prefer: str = "",
    ) -> None:
        headers = {**self.headers, "Prefer": f"{REPRESENTATION['Prefer']},{prefer}".rstrip(",")}
        answer = self.http.request(method, f"/{table.name}", params=where, json=body, headers=headers)
        if not self._judge(answer, outcome):
            return
        rows = answer.json()
        self._expect(table, f"{method} counted", self._count(answer), len(rows))
        if method != "POST":
            self._compare(table, f"{method} shown", rows)
        for changed in rows:
            outcome.worked[label or self.world.label(changed)] += 1

    def _judge(self, answer: httpx.Response, outcome: Outcome, label: str | None = None) -> bool:
        """Note what came of a request. A fault of the server is a leak of its own kind."""
        if answer.status_code >= 500:
            self.leaks.append(
                f"{answer.request.method} {answer.request.url} answered {answer.status_code} {answer.text}"
            )
        if answer.is_success:
            if label is not None:
                outcome.worked[label] += 1
            return True
        error = answer.json()
        outcome.refused.add(error["message"] if error["code"].startswith("PT") else error["code"])
        return False

    def _get(self, name: str, accept: str = "application/json", **query: str) -> httpx.Response:
        return self.http.get(f"/{name}", params=query, headers={**self.headers, "Accept": accept})

    def _counted(self, name: str, **query: str) -> httpx.Response:
        # No HEAD: PostgREST 12 hangs up after it without a word, and the next request of the connection is lost.
        headers = {**self.headers, "Prefer": "count=exact"}
        return self.http.get(f"/{name}", params={**query, "limit": "0"}, headers=headers)

    def _rows(self, answer: httpx.Response, outcome: Outcome | None = None) -> list[Row]:
        rows: list[Row] = answer.json() if self._judge(answer, outcome or Outcome()) else []
        return rows

    @staticmethod
    def _count(answer: httpx.Response) -> int:
        """The number after the slash of Content-Range; 0 of a refusal."""
        return int(answer.headers["Content-Range"].partition("/")[2]) if answer.is_success else 0

    @staticmethod
    def _lines(answer: httpx.Response) -> int:
        """Rows of a CSV, which has a line of names before them; no value of this world holds a line break."""
        return max(0, len(answer.text.splitlines()) - 1) if answer.is_success else 0

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
    Siege.upsert,
)


def lay(
    http: httpx.Client,
    tokens: dict[str, str | None],
    world: World,
    tables: list[Table],
    functions: list[Function],
    labels: dict[str, list[str]],
) -> tuple[set[str], list[str]]:
    """Attack everything as everybody.

    Returns:
        What came of it, as lines `<table> <attack> <people>: <outcome>`, and what must never be.
    """
    outcomes: dict[tuple[str, str], list[str]] = defaultdict(list)
    leaks = []
    for person, token in tokens.items():
        siege = Siege(http, token, world, tables)

        def note(about: str, outcome: Outcome, person: str = person) -> None:
            outcomes[about, str(outcome)].append(person)

        for table in tables:
            note(f"{table.name} select", siege.select(table))
        for table in tables:
            siege.read_otherwise(table)
            for attack in ATTACKS:
                note(f"{table.name} {attack.__name__}", attack(siege, table))
        for function in functions:
            for chosen, outcome in siege.call(function, labels):
                note(f"{function.name}() call {chosen}".rstrip(), outcome)
        leaks += [f"{person}: {leak}" for leak in siege.leaks]
    return {f"{about} {', '.join(people)}: {outcome}" for (about, outcome), people in outcomes.items()}, leaks


def _listed(embedded: Any) -> list[Row]:
    """An embedded row or list of rows, as a list."""
    if embedded is None:
        return []
    return embedded if isinstance(embedded, list) else [embedded]
