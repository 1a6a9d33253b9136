"""Tries every read, write and call of the API as each person of the test world, generated from the catalog.

Every request is real HTTP to a real PostgREST that rolls each transaction back, so every request meets the same rows.
The result is compared with the reviewed lines in access_matrix/. One thing must hold whatever those lines say: no way
of reading shows a row that a plain select hides.
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
from tests.security.worlds import World

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
"""The value to pass for an argument, by its name or type, where it takes neither a row's key nor an enumeration."""
STRANGE: tuple[Any, ...] = (None, "", "\0", [], {}, [None], [[1]], -(10**30), "9" * 300, "infinity", "\U0001f600")
"""Unexpected values for arguments."""

KEYS_IN_A_URL = 50
"""Rows whose keys fit into one URL."""
UNSEEN = "unseen"
"""The label of a row that its writer may not read."""


class ProbeDatabase(msgspec.Struct, frozen=True, kw_only=True):
    """A database with the test world, and a PostgREST in front of it that commits nothing."""

    database: str
    wire: Wire
    tokens: dict[str, str | None]
    """The access token of each person; `anon`, the first, has none."""
    world: World
    tables: dict[str, Table]
    functions: dict[str, Function]
    labels: dict[str, list[str]]
    """The labels of each enumeration."""


DEADLOCKS = 3
"""So many in a row are no accident."""


class Outcome(msgspec.Struct, kw_only=True):
    """The result of one kind of request: the rows for which it worked, and the errors that refused it."""

    worked: Counter[str] = msgspec.field(default_factory=Counter)
    beyond: Counter[str] = msgspec.field(default_factory=Counter)
    """The rows that a function returns and a select hides."""
    refused: set[str] = msgspec.field(default_factory=set)
    closed: set[tuple[str, ...]] = msgspec.field(default_factory=set)
    """The statements for which the privilege is missing, whatever the row: one try of each is enough."""

    def __str__(self) -> str:
        parts = [_counted_labels(self.worked)]
        parts += [f"beyond a select {_counted_labels(self.beyond)}"] if self.beyond else []
        parts += [f"refused {' '.join(sorted(self.refused))}"] if self.refused else []
        return "; ".join(part for part in parts if part) or "nothing"


class Probe:
    """The requests of one person."""

    def __init__(self, target: ProbeDatabase, person: str) -> None:
        self.target = target
        token = target.tokens[person]
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.label = target.world.label
        self.seen: dict[str, set[tuple[str, ...]]] = {}
        """The identities of the rows that a plain select shows, by table."""
        self.leaks: list[str] = []
        """Results that must never occur, whatever the reviewed lines say."""

    # Reading

    def select(self, table: Table) -> Outcome:
        """Select all rows. Every other way of reading is compared with this."""
        outcome = Outcome()
        rows = self._rows(self._get(table), outcome)
        outcome.worked.update(self.label(row) for row in rows)
        self.seen[table.name] = {table.identity(row) for row in rows}
        return outcome

    def read_otherwise(self, table: Table) -> None:
        """Read the same rows in every other way. A row that a plain select hides is a leak."""
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
            keys = ",".join(table.same_by_logic(row) for row in hidden[:KEYS_IN_A_URL])
            self._expect(table, "or", self._counted(table, **{"or": f"({keys})"}), 0)
        for key in table.foreign_keys:
            other = self.target.tables[key.table]
            for start, end in ((table, other), (other, table)):
                columns = ",".join(end.primary_key)
                outer = self._rows(self._get(start, select=f"met:{end.name}!{key.name}({columns})"))
                self._compare(end, f"embed in {start.name}", (row for each in outer for row in _listed(each["met"])))

    # Writing

    def insert(self, table: Table) -> Outcome:
        """Insert a copy of each row with every column that a client may name, including rows of other people."""
        outcome = Outcome()
        for row in self._samples(table):
            body = _fresh(table, {column: row[column] for column in table.insertable or table.columns})
            self._write(outcome, table, "POST", body)
        return outcome

    def assign(self, table: Table) -> Outcome:
        """Insert and update with every column, including those that only the database writes."""
        outcome = Outcome()
        for row in self._samples(table):
            body = {column: row[column] for column in table.columns}
            self._write(outcome, table, "POST", _fresh(table, body))
            self._write(outcome, table, "PATCH", body, table.same(row))
        return outcome

    def update(self, table: Table) -> Outcome:
        """Update a column without constraints on all rows."""
        plain = [c for c in table.updatable if c not in table.unique_columns | table.referring]
        column = next(iter(plain or table.columns or table.types))
        outcome = Outcome()
        for row in table.rows[:1]:
            self._write(outcome, table, "PATCH", {column: row[column]})
        return outcome

    def move(self, table: Table) -> Outcome:
        """Change each reference that a client may change to every other row it could refer to."""
        outcome = Outcome()
        for key in table.foreign_keys:
            named = {here: there for here, there in key.columns.items() if here in table.updatable}
            for target in self._samples(self.target.tables[key.table]) if named else []:
                body, goal = {here: target[there] for here, there in named.items()}, f"->{self.label(target)}"
                if not self._write(outcome, table, "PATCH", body, label=f"all{goal}"):
                    continue
                for row in self._samples(table):
                    if body != {here: row[here] for here in body}:
                        self._write(outcome, table, "PATCH", body, table.same(row), label=f"{self.label(row)}{goal}")
        return outcome

    def delete(self, table: Table) -> Outcome:
        """Delete one row of each owner."""
        outcome = Outcome()
        for row in self._samples(table) if self._write(Outcome(), table, "DELETE", None) else []:
            self._write(outcome, table, "DELETE", None, table.same(row))
        return outcome

    def wipe(self, table: Table) -> Outcome:
        """Delete all rows, without a filter."""
        outcome = Outcome()
        self._write(outcome, table, "DELETE", None)
        return outcome

    def upsert(self, table: Table) -> Outcome:
        """Upsert each row over itself, by every key that a client may name, otherwise by the primary key."""
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
        """Call a function with each row it may be about; yields the enumeration label passed, and the outcome."""
        choice = next((name for name, kind in function.required.items() if kind in self.target.labels), None)
        for chosen in self.target.labels[function.required[choice]] if choice else [""]:
            outcome = Outcome()
            for label, arguments in self._subjects(function):
                if choice:
                    arguments[choice] = chosen
                answer = self._rpc(function, arguments)
                if self._accept(answer, outcome, f"permission denied for function {function.name}"):
                    if function.is_volatile and not outcome.worked:
                        self._expect_refusal_of_get(function, arguments)
                    outcome.worked[label] += 1
                    self._hold_to_select(function, answer, outcome)
                elif outcome.closed:
                    break
            yield chosen, outcome

    def fuzz(self, function: Function) -> None:
        """Call a function with unexpected arguments, which must not make the server fail."""
        for name in function.arguments:
            _, usual = self._subjects(function)[-1]
            for value in STRANGE:
                self._accept(self._rpc(function, {**usual, name: value}), Outcome())

    # Help

    def _subjects(self, function: Function) -> list[tuple[str, Row]]:
        """The arguments for each row, or pair of rows, that a call may be about, with the label of the rows."""
        usual = {
            name: SAMPLES.get(name) or self.target.labels.get(kind, [None])[0] or SAMPLES.get(kind)
            for name, kind in function.required.items()
        }
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
        """The table and column whose values an argument takes, by the name of the table, a reference or a key."""
        stem = argument.removesuffix("_id")
        plural = {"user": "profiles", "quiz": "quizzes"}.get(stem, f"{stem}s")
        alike = [table for name, table in self.target.tables.items() if name.endswith(f"_{plural}")]
        table = self.target.tables.get(plural) or (alike[0] if len(alike) == 1 else None)
        if table is not None and "id" in table.types:
            return table, "id"
        for other in self.target.tables.values():
            for key in other.foreign_keys:
                if argument in key.columns:
                    return self.target.tables[key.table], key.columns[argument]
            if [argument] in other.keys.values():
                return other, argument
        return None

    def _samples(self, table: Table) -> list[Row]:
        """One row for each label, the newest."""
        return list({self.label(row): row for row in table.rows}.values())

    def _get(self, table: Table, accept: str = "application/json", **query: str) -> Answer:
        return self.target.wire.ask("GET", f"/{table.name}", query=query, headers={**self.headers, "Accept": accept})

    def _counted(self, table: Table, **query: str) -> int:
        # Not HEAD: PostgREST 12 closes the connection after it without saying so, and the next request is lost.
        headers = {**self.headers, "Prefer": "count=exact"}
        answer = self.target.wire.ask("GET", f"/{table.name}", query={**query, "limit": "0"}, headers=headers)
        return _total(answer) if answer.is_success else 0

    def _rpc(self, function: Function, arguments: Row) -> Answer:
        return self._ask_again_after_deadlock("POST", f"/rpc/{function.name}", body=arguments, headers=self.headers)

    def _ask_again_after_deadlock(self, method: str, path: str, **request: Any) -> Answer:
        """The answer to a write. The probes of several people write the same rows at the same time, in any order."""
        for _ in range(DEADLOCKS):
            answer = self.target.wire.ask(method, path, **request)
            if b'"40P01"' not in answer.body:
                return answer
        return self.target.wire.ask(method, path, **request)

    def _expect_refusal_of_get(self, function: Function, arguments: Row) -> None:
        """A volatile function must refuse GET, or a link or an image could make a signed-in browser write."""
        query = {name: as_text(value) for name, value in arguments.items()}
        answer = self.target.wire.ask("GET", f"/rpc/{function.name}", query=query, headers=self.headers)
        if answer.status != 405:
            self.leaks.append(f"{function.name}() is volatile and answers a GET:\n{answer}")

    def _hold_to_select(self, function: Function, answer: Answer, outcome: Outcome) -> None:
        """Record the rows that a function returns and a select hides. Volatile functions return what they wrote."""
        if function.is_volatile or function.shows is None or not answer.body:
            return
        table = self.target.tables[function.shows]
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
        """Write with `return=minimal`, and where that works again with `return=representation`.

        The first needs no privilege to select, so it succeeds where the second may be refused.

        Returns:
            Whether the same write with a narrower filter can have another outcome.
        """
        statement = (method, *(body or ()), (query or {}).get("on_conflict", ""))
        if statement in outcome.closed:
            return True

        def write(shown: str) -> Answer:
            headers = {**self.headers, "Prefer": f"return={shown},count=exact{prefer}"}
            return self._ask_again_after_deadlock(method, f"/{table.name}", query=query, body=body, headers=headers)

        answer = write("minimal")
        denied = f"permission denied for {'view' if table.is_view else 'table'} {table.name}"
        if not self._accept(answer, outcome, denied, statement):
            return True
        if method != "POST" and _total(answer) == 0:
            return False
        shown = self._rows(write("representation"))
        if method != "POST" and not set(body or ()) & set(table.primary_key):
            self._compare(table, method, shown)
        outcome.worked.update(label or self.label(row) for row in shown)
        outcome.worked[UNSEEN] += _total(answer) - len(shown)
        return True

    def _accept(self, answer: Answer, outcome: Outcome, denied: str = "", statement: tuple[str, ...] = ()) -> bool:
        """Whether a request succeeded. Records a refusal in the outcome, and a 5xx as a leak.

        Args:
            answer: the answer to the request.
            outcome: where to record a refusal.
            denied: the message with which Postgres refuses the statement for every row.
            statement: the statement that need not be tried again after that message.
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
        rows: list[Row] = answer.json() if self._accept(answer, outcome or Outcome()) else []
        return rows

    def _expect(self, table: Table, way: str, actual: int, expected: int) -> None:
        if actual != expected:
            self.leaks.append(f"{table.name}: {way} gives {actual} rows where a select shows {expected}")

    def _compare(self, table: Table, way: str, rows: Iterable[Row]) -> None:
        strange = {table.identity(row) for row in rows} - self.seen[table.name]
        if strange:
            self.leaks.append(f"{table.name}: {way} shows rows that a select hides: {strange}")


WRITES: tuple[Callable[[Probe, Table], Outcome], ...] = (
    Probe.insert,
    Probe.assign,
    Probe.update,
    Probe.move,
    Probe.delete,
    Probe.wipe,
    Probe.upsert,
)


def probe_all(target: ProbeDatabase) -> tuple[set[str], list[str]]:
    """Try everything as everybody.

    Returns:
        Lines `<table or function> <request> <people>: <outcome>`, and the leaks.
    """
    outcomes: dict[tuple[str, str], list[str]] = defaultdict(list)
    leaks = []
    # In threads, so that PostgREST and Postgres work while the next request is made.
    with ThreadPoolExecutor(max_workers=4) as threads:
        probes = (Probe(target, person) for person in target.tokens)
        for person, (found, leaked) in zip(target.tokens, threads.map(probe_as, probes), strict=True):
            for outcome in found:
                outcomes[outcome].append(person)
            leaks += [f"{person}: {leak}" for leak in leaked]
    everybody = {tuple(target.tokens): "everybody", tuple(target.tokens)[1:]: "members"}
    return {
        f"{about} {everybody.get(tuple(people), ', '.join(people))}: {outcome}"
        for (about, outcome), people in outcomes.items()
    }, leaks


def probe_as(probe: Probe, about: Container[str] | None = None) -> tuple[list[tuple[str, str]], list[str]]:
    """Try everything as one person.

    Args:
        probe: the person's probe.
        about: the tables and functions to try; all where it is None.

    Returns:
        Pairs of `<table or function> <request>` and outcome, and the leaks.
    """
    tables = list(probe.target.tables.values())
    # All tables are selected first: the other requests are compared with what a select shows.
    seen = {table.name: str(probe.select(table)) for table in tables}
    probed = [table for table in tables if about is None or table.name in about]
    outcomes = [(f"{table.name} select", seen[table.name]) for table in probed]
    for table in probed:
        probe.read_otherwise(table)
        outcomes += [(f"{table.name} {write.__name__}", str(write(probe, table))) for write in WRITES]
    for function in probe.target.functions.values():
        if about is None or function.name in about:
            outcomes += [(f"{function.name}() {chosen or 'call'}", str(done)) for chosen, done in probe.call(function)]
    return outcomes, probe.leaks


def _fresh(table: Table, body: Row) -> Row:
    """The same row with new values in its unique columns, except those that refer to another row."""
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
"""Makes a value that no row has yet, by type."""


def as_text(value: Any) -> str:
    """A value as a URL's query writes it."""
    if isinstance(value, list):
        return "{" + ",".join(as_text(item) for item in value) + "}"
    return json.dumps(value) if isinstance(value, dict | bool) or value is None else str(value)


def _total(answer: Answer) -> int:
    """The number after the slash of Content-Range."""
    return int(answer.headers["content-range"].partition("/")[2])


def _lines(answer: Answer) -> int:
    """The number of rows in a CSV, without its header."""
    return max(0, len(list(csv.reader(io.StringIO(answer.text)))) - 1) if answer.is_success else 0


def _counted_labels(labels: Counter[str]) -> str:
    """The labels in order, each with its count where it is more than one."""
    return " ".join(label if count == 1 else f"{label}*{count}" for label, count in sorted(labels.items()) if count)


def _listed(embedded: Any) -> list[Row]:
    """An embedded row or list of rows, as a list."""
    if embedded is None:
        return []
    return embedded if isinstance(embedded, list) else [embedded]
