"""Finds in answers the words of the database that the caller may not know.

A word counts where it identifies something: eight characters or more with a digit or an @, such as an id, an address
or an instant. A unique word is planted in every text of the test world, so that any text that leaks is recognised. A
person may know the words that a plain select shows to them, and no others.
"""

import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString
from urllib.parse import unquote

import msgspec
import psycopg
from psycopg import sql

from tests.databases import Databases
from tests.security.access_probe import Probe, ProbeDatabase
from tests.security.schema import Table
from tests.security.wire import Answer, Request, Wire

WORD = re.compile(r"(?=[a-z_.+-]*[0-9@])[a-z0-9][a-z0-9_@.+-]{7,}")
RANGE = re.compile(r'[\[(]"[^"]*","[^"]*"[\])]')
SCHEMAS = ["public", "private", "auth", "storage", "procrastinate"]
COLUMNS = """
select n.nspname, c.relname, a.attname, a.atttypid::regtype::text
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname in ('public', 'private') and c.relkind in ('r', 'p') and a.attgenerated = '' and a.attidentity = ''
    and a.atttypid in ('text'::regtype, 'varchar'::regtype, 'jsonb'::regtype)
    and not exists (
        select from pg_catalog.pg_constraint as o
        where o.contype in ('f', 'p', 'u')
            and (c.oid, a.attnum) in (
                select o.conrelid, unnest(o.conkey) union all select o.confrelid, unnest(o.confkey)
            )
    )
order by 1, 2, a.attnum
"""
"""Columns of text that are part of no key."""
WORDS_OF_THE_SCHEMA = """
select string_agg(distinct word, ' ') from (
    select relname::text as word from pg_catalog.pg_class union all
    select attname::text from pg_catalog.pg_attribute union all
    select proname::text from pg_catalog.pg_proc union all
    select unnest(proargnames) from pg_catalog.pg_proc union all
    select conname::text from pg_catalog.pg_constraint union all
    select typname::text from pg_catalog.pg_type union all
    select rolname::text from pg_catalog.pg_roles union all
    select enumlabel::text from pg_catalog.pg_enum
) as words
"""


def words(text: str) -> set[str]:
    """The identifying words of a text."""
    return set(WORD.findall(text.lower()))


def words_of(value: Any) -> set[str]:
    """The identifying words of everything in a row."""
    if isinstance(value, dict):
        return words_of(list(value.values()))
    if isinstance(value, list):
        return set().union(*map(words_of, value))
    # A range of instants is written without their T, which would leave bare dates that other rows have too.
    return words(value) if isinstance(value, str) and not RANGE.fullmatch(value) else set()


def plant(connection: psycopg.Connection, tables: Iterable[str]) -> int:
    """Put a unique word into each text of some tables. Returns the number of columns that took one.

    Args:
        connection: as the superuser.
        tables: the tables as `schema.name`, without those that migrations fill: settings must stay what they are.
    """
    done = 0
    tables = set(tables)
    with connection.transaction():
        # Without triggers, which would refuse most of these writes.
        connection.execute("set local session_replication_role = replica")
        for schema, table, column, kind in connection.execute(COLUMNS.encode()).fetchall():
            if f"{schema}.{table}" in tables:
                done += any(_changed(connection, sql.Identifier(schema, table), column, way) for way in WAYS[kind])
    return done


NEW: LiteralString = "'planted' || encode(extensions.gen_random_bytes(6), 'hex')"
TEXT_WAYS: tuple[LiteralString, ...] = (f"coalesce({{0}} || ' ', '') || {NEW}", f"{{0}} || ' ' || {NEW}")
WAYS: dict[str, tuple[LiteralString, ...]] = {
    "text": TEXT_WAYS,
    "character varying": TEXT_WAYS,
    # Some columns take any JSON, such as answers; a constraint refuses what a column does not take.
    "jsonb": (f"{{0}} || jsonb_build_object('planted', {NEW})", f"to_jsonb({NEW})"),
}
"""The expressions that put a word into a column, the preferred one first."""


def _changed(connection: psycopg.Connection, table: sql.Identifier, column: str, way: LiteralString) -> bool:
    name = sql.Identifier(column)
    statement = sql.SQL("update {} set {} = {}").format(table, name, sql.SQL(way).format(name))
    try:
        with connection.transaction():
            return connection.execute(statement).rowcount > 0
    except psycopg.errors.IntegrityError:
        return False


def filled(connection: psycopg.Connection) -> set[str]:
    """The tables that hold rows."""
    found = set()
    for schema, table in connection.execute(
        "select n.nspname, c.relname from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n"
        " on n.oid = c.relnamespace where n.nspname = any(%s) and c.relkind in ('r', 'p')",
        [SCHEMAS],
    ).fetchall():
        query = sql.SQL("select exists (select from {})").format(sql.Identifier(schema, table))
        if connection.execute(query).fetchone() == (True,):
            found.add(f"{schema}.{table}")
    return found


HOUR = re.compile(r"\d{4}-\d\d-\d\dt\d\d")


class SecretWords:
    """The words of a database, and the people who may know each."""

    def __init__(self, target: ProbeDatabase, databases: Databases, people: Iterable[str], settings: set[str]) -> None:
        """Read the whole database except some tables of settings, and then as each person what a select shows."""
        self._all: set[str] = set()
        self._known: dict[str, set[str]] = {}
        self._returned: dict[tuple[str, str], set[str]] = {}
        self._visible: dict[tuple[str, str], int] = {}
        with psycopg.connect(databases.url(target.database), autocommit=True) as connection:
            for table in sorted(filled(connection) - settings):
                rows = connection.execute(
                    sql.SQL("select to_jsonb(t) from {} as t").format(sql.Identifier(*table.split(".")))
                )
                self._all |= words_of([row for (row,) in rows])
            [public] = connection.execute(WORDS_OF_THE_SCHEMA.encode()).fetchone() or [""]
        self._all -= words(public)
        # Times of rows are cut at the colon. When the hour changes while the rows are written, its name is no secret.
        self._all = {word for word in self._all if HOUR.fullmatch(word) is None}
        with ThreadPoolExecutor() as threads:
            for _ in threads.map(lambda person: self._read_as(target, person), people):
                pass

    def _read_as(self, target: ProbeDatabase, person: str) -> None:
        with _RecordingWire(target.wire.port) as wire:
            probe = _ThoroughProbe(msgspec.structs.replace(target, wire=wire), person)
            for each in target.tables.values():
                self._visible[person, f"/{each.name}"] = probe.select(each).worked.total()
            self._known[person] = wire.take_words()
            for function in target.functions.values():
                for _ in probe.call(function):
                    pass
                self._returned[person, function.name] = wire.take_words()

    def hidden_from(self, person: str) -> set[str]:
        """The words that no select shows to a person."""
        return self._all - self._known[person]

    def overcounted(self, person: str, answer: Answer) -> bool:
        """Whether reading a table gives more rows, or an exact count of more, than the person may see of it."""
        request = answer.request
        visible = self._visible.get((person, request.target.partition("?")[0]))
        if visible is None or request.method != "GET" or not answer.is_success:
            return False
        # PostgREST uses the first count that is named.
        is_exact = request.headers.get("Prefer", "").partition("count=")[2].startswith("exact")
        total = answer.headers.get("content-range", "*/*").partition("/")[2]
        rows = json.loads(answer.body) if "json" in answer.headers["content-type"] else None
        return (is_exact and total.isdecimal() and int(total) > visible) or (
            isinstance(rows, list) and len(rows) > visible
        )

    def leaked(self, person: str, answer: Answer) -> set[str]:
        """The words in an answer that the person may not know and did not send."""
        found = words(answer.text) & self._all
        found |= words(" ".join(answer.headers.values())) & self._all
        found -= self._known[person]
        if not found:
            return found
        request = answer.request
        # What a function returns to valid calls is reviewed in the access matrix.
        _, _, called = request.target.partition("?")[0].partition("/rpc/")
        found -= self._returned.get((person, called), set())
        sent = f"{unquote(request.target)} {(request.body or b'').decode('utf-8', 'replace')}".lower()
        return {word for word in found if word not in sent}


class _ThoroughProbe(Probe):
    """Calls each function about every row, not only one of each label."""

    def _samples(self, table: Table) -> list[dict[str, Any]]:
        return table.rows


class _RecordingWire(Wire):
    """A wire that records the words of its answers."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._words: set[str] = set()

    def send(self, request: Request) -> Answer:
        answer = super().send(request)
        self._words |= words(answer.text)
        return answer

    def take_words(self) -> set[str]:
        """The identifying words since the last call of this."""
        taken, self._words = self._words, set()
        return taken
