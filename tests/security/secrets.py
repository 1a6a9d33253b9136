"""What nobody may learn: every telling word of the database, and who may know it.

A word is telling where it is eight letters or more and no plain word: an id, an address, an instant. Into every text
that the world holds a word of its own is planted, so that a text that shows anywhere gives itself away, and nobody has
to remember to make it do so. Whoever sees a word by a plain select may know it; all others may not, by whatever way.
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
from tests.security.schema import Table
from tests.security.siege import Field, Siege
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
"""Columns that hold words, and by which nothing is found."""
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
    """The telling words of a text."""
    return set(WORD.findall(text.lower()))


def words_of(value: Any) -> set[str]:
    """The telling words of everything in a row."""
    if isinstance(value, dict):
        return words_of(list(value.values()))
    if isinstance(value, list):
        return set().union(*map(words_of, value))
    # A range of instants is written without their T: what were left of it are bare dates, which other rows have, too.
    return words(value) if isinstance(value, str) and not RANGE.fullmatch(value) else set()


def plant(connection: psycopg.Connection, made: Iterable[str]) -> int:
    """Put a word of its own into each text of the tables that the world filled. Returns into how many columns.

    Args:
        connection: as the superuser.
        made: those tables, as `schema.name`: what migrations filled are settings, which must stay what they are.
    """
    done = 0
    made = set(made)
    with connection.transaction():
        # No trigger looks: this is the past, not an act.
        connection.execute("set local session_replication_role = replica")
        for schema, table, column, kind in connection.execute(COLUMNS.encode()).fetchall():
            if f"{schema}.{table}" in made:
                done += any(_changed(connection, sql.Identifier(schema, table), column, way) for way in WAYS[kind])
    return done


NEW: LiteralString = "'planted' || encode(extensions.gen_random_bytes(6), 'hex')"
TEXT_WAYS: tuple[LiteralString, ...] = (f"coalesce({{0}} || ' ', '') || {NEW}", f"{{0}} || ' ' || {NEW}")
WAYS: dict[str, tuple[LiteralString, ...]] = {
    "text": TEXT_WAYS,
    "character varying": TEXT_WAYS,
    # An answer to a question, for example, is any JSON; what is not taken, a constraint refuses.
    "jsonb": (f"{{0}} || jsonb_build_object('planted', {NEW})", f"to_jsonb({NEW})"),
}
"""How a word is put into a column, the best way first."""


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


class Secrets:
    """Who may know which words."""

    def __init__(self, field: Field, databases: Databases, people: Iterable[str], settings: set[str]) -> None:
        """Read the whole database, except some tables of settings, and look at it as each of some people."""
        self._all: set[str] = set()
        self._known: dict[str, set[str]] = {}
        self._told: dict[tuple[str, str], set[str]] = {}
        self._visible: dict[tuple[str, str], int] = {}
        with psycopg.connect(databases.url(field.database), autocommit=True) as connection:
            for table in sorted(filled(connection) - settings):
                rows = connection.execute(
                    sql.SQL("select to_jsonb(t) from {} as t").format(sql.Identifier(*table.split(".")))
                )
                self._all |= words_of([row for (row,) in rows])
            [public] = connection.execute(WORDS_OF_THE_SCHEMA.encode()).fetchone() or [""]
        self._all -= words(public)
        with ThreadPoolExecutor() as threads:
            for _ in threads.map(lambda person: self._look_as(field, person), people):
                pass

    def _look_as(self, field: Field, person: str) -> None:
        with _Hearing(field.wire.port) as wire:
            siege = _Thorough(msgspec.structs.replace(field, wire=wire), person)
            for each in field.tables.values():
                self._visible[person, f"/{each.name}"] = siege.select(each).worked.total()
            self._known[person] = wire.heard()
            for function in field.functions.values():
                for _ in siege.call(function):
                    pass
                self._told[person, function.name] = wire.heard()

    def hidden_from(self, person: str) -> set[str]:
        """The words that a person may not learn by reading."""
        return self._all - self._known[person]

    def overcounted(self, person: str, answer: Answer) -> bool:
        """Whether reading a table gives more rows, or an exact count of more, than the person may see of it."""
        request = answer.request
        visible = self._visible.get((person, request.target.partition("?")[0]))
        if visible is None or request.method != "GET" or not answer.is_success:
            return False
        # Of two ways to count, the first that is named holds.
        is_exact = request.headers.get("Prefer", "").partition("count=")[2].startswith("exact")
        total = answer.headers.get("content-range", "*/*").partition("/")[2]
        rows = json.loads(answer.body) if "json" in answer.headers["content-type"] else None
        return (is_exact and total.isdecimal() and int(total) > visible) or (
            isinstance(rows, list) and len(rows) > visible
        )

    def leaked(self, person: str, answer: Answer) -> set[str]:
        """The words in an answer that the person may not know and did not say."""
        found = words(answer.text) & self._all
        found |= words(" ".join(answer.headers.values())) & self._all
        found -= self._known[person]
        if not found:
            return found
        request = answer.request
        # What a function tells when it is called as it should be, people have reviewed (behaviour.txt).
        _, _, called = request.target.partition("?")[0].partition("/rpc/")
        found -= self._told.get((person, called), set())
        said = f"{unquote(request.target)} {(request.body or b'').decode('utf-8', 'replace')}".lower()
        return {word for word in found if word not in said}


class _Thorough(Siege):
    """Calls each function about every row, not one of each label."""

    def _samples(self, table: Table) -> list[dict[str, Any]]:
        return table.rows


class _Hearing(Wire):
    """A wire that remembers what comes over it."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._heard: set[str] = set()

    def send(self, request: Request) -> Answer:
        answer = super().send(request)
        self._heard |= words(answer.text)
        return answer

    def heard(self) -> set[str]:
        """The telling words since the last time that this was asked."""
        heard, self._heard = self._heard, set()
        return heard
