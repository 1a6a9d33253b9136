"""Attacks on every table and function of the API, generated from the catalog, from everybody's place.

Every request is real HTTP to a real PostgREST whose transactions are rolled back at their end: each attack meets the
same world. What comes out is a list of lines that people have reviewed (behaviour.txt), and what must hold whatever
that list says: no way of reading shows a row that a plain select does not.
"""

import csv
import io
import json
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from tests.security.schema import Function, Table
from tests.security.wire import Answer, Wire
from tests.security.world import World

Row = dict[str, Any]

SAMPLES: dict[str, Any] = {
    "answer": True,
    "email": "new@secret.example",
    "text": "x",
    "citext": "x",
    "jsonb": {},
    "int2": 1,
    "int4": 1,
    "int8": 1,
    "numeric": 1,
    "bool": True,
    "uuid": "00000000-0000-4000-8000-000000000000",
    "date": "2030-01-01",
    "timestamptz": "2030-01-01T00:00:00Z",
    "interval": "1 hour",
    "inet": "192.0.2.1",
}
"""What a function is given, by the name of the argument or its type, where it asks for no row and no enumeration."""
STRANGE: tuple[Any, ...] = (None, "", "\0", [], {}, [None], [[1]], -(10**30), "9" * 300, "infinity", "\U0001f600")
"""What nobody expects as an argument."""


FEW = 50
"""Rows whose keys fit into one address."""
UNSEEN = "unseen"
"""What is written and may not be read by who wrote it."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """Where the siege takes place."""

    database: str
    wire: Wire
    """To a PostgREST that commits nothing."""
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
    beyond: Counter[str] = msgspec.field(default_factory=Counter)
    """The rows that a function shows and a select does not."""
    refused: set[str] = msgspec.field(default_factory=set)
    closed: set[tuple[str, ...]] = msgspec.field(default_factory=set)
    """The statements for which the privilege is missing, whatever row they are about: one try of each is enough."""

    def __str__(self) -> str:
        parts = [_told(self.worked)]
        parts += [f"beyond a select {_told(self.beyond)}"] if self.beyond else []
        parts += [f"refused {' '.join(sorted(self.refused))}"] if self.refused else []
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
            known = {name: f"eq.{value}" for name, value in table.plain(row).items()}
            self._expect(table, "filter", self._counted(table, **known), 0)
        if hidden:
            keys = ",".join(table.same_by_logic(row) for row in hidden[:FEW])
            self._expect(table, "or", self._counted(table, **{"or": f"({keys})"}), 0)
        for key in table.foreign_keys:
            other = self.field.tables[key.table]
            for start, end in ((table, other), (other, table)):
                columns = ",".join(end.primary_key)
                outer = self._rows(self._get(start, select=f"met:{end.name}!{key.name}({columns})"))
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
        plain = [c for c in table.updatable if c not in table.unique_columns | table.referring]
        column = next(iter(plain or table.columns or table.types))
        outcome = Outcome()
        for row in table.rows[:1]:
            self._write(outcome, table, "PATCH", {column: row[column]})
        return outcome

    def move(self, table: Table) -> Outcome:
        """Each reference of a row that a client may change, to every row that it could refer to instead."""
        outcome = Outcome()
        for key in table.foreign_keys:
            named = {here: there for here, there in key.columns.items() if here in table.updatable}
            for target in self._samples(self.field.tables[key.table]) if named else []:
                body, goal = {here: target[there] for here, there in named.items()}, f"->{self.label(target)}"
                if not self._write(outcome, table, "PATCH", body, label=f"all{goal}"):
                    continue
                for row in self._samples(table):
                    if body != {here: row[here] for here in body}:
                        self._write(outcome, table, "PATCH", body, table.same(row), label=f"{self.label(row)}{goal}")
        return outcome

    def delete(self, table: Table) -> Outcome:
        """One row of each owner."""
        outcome = Outcome()
        for row in self._samples(table) if self._write(Outcome(), table, "DELETE", None) else []:
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
            for key in named or ([table.primary_key] if table.primary_key else []):
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
            for label, arguments in self._subjects(function):
                if choice:
                    arguments[choice] = chosen
                answer = self._rpc(function, arguments)
                if self._judge(answer, outcome, f"permission denied for function {function.name}"):
                    if function.is_volatile and not outcome.worked:
                        self._expect_refusal_of_get(function, arguments)
                    outcome.worked[label] += 1
                    self._hold_to_select(function, answer, outcome)
                elif outcome.closed:
                    break
            yield chosen, outcome

    def fuzz(self, function: Function) -> None:
        """A function with what it does not expect, which must not be more than it can bear."""
        for name in function.arguments:
            _, usual = self._subjects(function)[-1]
            for value in STRANGE:
                self._judge(self._rpc(function, {**usual, name: value}), Outcome())

    # Help

    def _subjects(self, function: Function) -> list[tuple[str, Row]]:
        """Each row, or pair of rows, that a call may be about, by ids or by a word that is a key; and the arguments."""
        usual = {
            name: SAMPLES.get(name) or self.field.labels.get(kind, [None])[0] or SAMPLES.get(kind)
            for name, kind in function.required.items()
        }
        # What it must be told comes first, and then what it may be told.
        named = ((argument, self._named_by(argument)) for argument in function.arguments)
        about = [(argument, *found) for argument, found in named if found is not None]
        if not about:
            return [("row", usual)]
        argument, table, column = about[0]
        subjects = [(self.label(row), {**usual, argument: row[column]}) for row in self._samples(table)]
        for argument, table, column in about[1:2]:
            if argument in function.required and argument.endswith("_id"):
                subjects = [
                    (f"{label}/{self.label(row)}", {**arguments, argument: row[column]})
                    for label, arguments in subjects
                    for row in self._samples(table)
                ]
        return subjects

    def _named_by(self, argument: str) -> tuple[Table, str] | None:
        """The table and the column that an argument is about, by the name of the table, of a reference or of a key."""
        stem = argument.removesuffix("_id")
        plural = {"user": "profiles", "quiz": "quizzes"}.get(stem, f"{stem}s")
        alike = [table for name, table in self.field.tables.items() if name.endswith(f"_{plural}")]
        table = self.field.tables.get(plural) or (alike[0] if len(alike) == 1 else None)
        if table is not None and "id" in table.types:
            return table, "id"
        for other in self.field.tables.values():
            for key in other.foreign_keys:
                if argument in key.columns:
                    return self.field.tables[key.table], key.columns[argument]
            if [argument] in other.keys.values():
                return other, argument
        return None

    def _samples(self, table: Table) -> list[Row]:
        """One row of each label, the newest."""
        return list({self.label(row): row for row in table.rows}.values())

    def _get(self, table: Table, accept: str = "application/json", **query: str) -> Answer:
        return self.field.wire.ask("GET", f"/{table.name}", query=query, headers={**self.headers, "Accept": accept})

    def _counted(self, table: Table, **query: str) -> int:
        # No HEAD: PostgREST 12 hangs up after it without a word, and the next request of the connection is lost.
        headers = {**self.headers, "Prefer": "count=exact"}
        answer = self.field.wire.ask("GET", f"/{table.name}", query={**query, "limit": "0"}, headers=headers)
        return _total(answer) if answer.is_success else 0

    def _rpc(self, function: Function, arguments: Row) -> Answer:
        return self.field.wire.ask("POST", f"/rpc/{function.name}", body=arguments, headers=self.headers)

    def _expect_refusal_of_get(self, function: Function, arguments: Row) -> None:
        """A link, an image, a prefetch: none may make a signed-in browser write."""
        query = {name: as_text(value) for name, value in arguments.items()}
        answer = self.field.wire.ask("GET", f"/rpc/{function.name}", query=query, headers=self.headers)
        if answer.status != 405:
            self.leaks.append(f"{function.name}() is volatile, and answers a GET:\n{answer}")

    def _hold_to_select(self, function: Function, answer: Answer, outcome: Outcome) -> None:
        """Note the rows that a reading function shows and a select does not. What writes shows what it wrote."""
        if function.is_volatile or function.shows is None or not answer.body:
            return
        table = self.field.tables[function.shows]
        for row in _listed(answer.json()):
            if row is not None and any(row.values()) and table.identity(row) not in self.seen[table.name]:
                outcome.beyond[self.label(row)] += 1

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
    ) -> bool:
        """Write in silence, which asks for the least, and where that works again, for what is shown of it.

        A statement that reads nothing, not even to answer, is not held to what its caller may select.

        Returns:
            Whether the same with a narrower filter could do anything but nothing.
        """
        statement = (method, *(body or ()), (query or {}).get("on_conflict", ""))
        if statement in outcome.closed:
            return True

        def write(shown: str) -> Answer:
            headers = {**self.headers, "Prefer": f"return={shown},count=exact{prefer}"}
            return self.field.wire.ask(method, f"/{table.name}", query=query, body=body, headers=headers)

        answer = write("minimal")
        denied = f"permission denied for {'view' if table.is_view else 'table'} {table.name}"
        if not self._judge(answer, outcome, denied, statement):
            return True
        if method != "POST" and _total(answer) == 0:
            return False
        shown = self._rows(write("representation"))
        if method != "POST" and not set(body or ()) & set(table.primary_key):
            self._compare(table, method, shown)
        outcome.worked.update(label or self.label(row) for row in shown)
        outcome.worked[UNSEEN] += _total(answer) - len(shown)
        return True

    def _judge(self, answer: Answer, outcome: Outcome, denied: str = "", statement: tuple[str, ...] = ()) -> bool:
        """Whether a request succeeded; notes the refusal. A fault of the server is a leak of its own kind.

        Args:
            answer: to the request.
            outcome: where to note.
            denied: how Postgres says that the privilege is missing for all of what was asked about.
            statement: what then need not be tried again.
        """
        if answer.is_success:
            return True
        if answer.status >= 500:
            self.leaks.append(str(answer))
        error = answer.json()
        if error["message"] == denied:
            outcome.closed.add(statement)
        outcome.refused.add(error["message"] if error["code"].startswith("PT") else error["code"])
        return False

    def _rows(self, answer: Answer, outcome: Outcome | None = None) -> list[Row]:
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
            field.tokens, threads.map(attack, (Siege(field, person) for person in field.tokens)), strict=True
        ):
            for note in notes:
                outcomes[note].append(person)
            leaks += [f"{person}: {leak}" for leak in strange]
    everybody = {tuple(field.tokens): "everybody", tuple(field.tokens)[1:]: "members"}
    return {
        f"{about} {everybody.get(tuple(people), ', '.join(people))}: {outcome}"
        for (about, outcome), people in outcomes.items()
    }, leaks


def attack(siege: Siege, about: Container[str] | None = None) -> tuple[list[tuple[str, str]], list[str]]:
    """What comes of each of one person's attacks, and what must never be.

    Args:
        siege: the person's.
        about: the tables and functions to attack; all where it is None.
    """
    tables = list(siege.field.tables.values())
    # What anything else shows is held to what these show.
    seen = {table.name: str(siege.select(table)) for table in tables}
    attacked = [table for table in tables if about is None or table.name in about]
    notes = [(f"{table.name} select", seen[table.name]) for table in attacked]
    for table in attacked:
        siege.read_otherwise(table)
        notes += [(f"{table.name} {attack.__name__}", str(attack(siege, table))) for attack in ATTACKS]
    for function in siege.field.functions.values():
        if about is None or function.name in about:
            notes += [(f"{function.name}() {chosen or 'call'}", str(done)) for chosen, done in siege.call(function)]
    return notes, siege.leaks


def _fresh(table: Table, body: Row) -> Row:
    """The same with new values where a key allows none twice, and the value is not one of a few."""
    free = {name for name in body if name in table.unique_columns and name not in table.referring}
    return body | {name: NEW[table.types[name]]() for name in free if table.types[name] in NEW}


def _word() -> str:
    return uuid.uuid4().hex[:20]


def _number() -> int:
    return random.randrange(1000, 32_000)


NEW: dict[str, Callable[[], Any]] = {
    "uuid": lambda: str(uuid.uuid4()),
    "text": _word,
    "extensions.citext": _word,
    "character varying": _word,
    "smallint": _number,
    "integer": _number,
    "bigint": _number,
}
"""How to make a value that no row has yet, by type."""


def as_text(value: Any) -> str:
    """A value as an address writes it."""
    if isinstance(value, list):
        return "{" + ",".join(as_text(item) for item in value) + "}"
    return json.dumps(value) if isinstance(value, dict | bool) or value is None else str(value)


def _total(answer: Answer) -> int:
    """The number after the slash of Content-Range."""
    return int(answer.headers["content-range"].partition("/")[2])


def _lines(answer: Answer) -> int:
    """Rows of a CSV, which has a line of names before them."""
    return max(0, len(list(csv.reader(io.StringIO(answer.text)))) - 1) if answer.is_success else 0


def _told(labels: Counter[str]) -> str:
    """Labels in their order, and how often each."""
    return " ".join(label if count == 1 else f"{label}*{count}" for label, count in sorted(labels.items()) if count)


def _listed(embedded: Any) -> list[Row]:
    """An embedded row or list of rows, as a list."""
    if embedded is None:
        return []
    return embedded if isinstance(embedded, list) else [embedded]
