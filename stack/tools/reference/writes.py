"""The functions of the API that write the columns which clients may read and not write."""

import re
from collections import defaultdict
from collections.abc import Iterator

import msgspec
import psycopg

from stack.tools.reference.errors import SOURCES, calls_by_function, closure

INSERT = re.compile(r"\binsert into (public\.\w+)(?: as \w+)?\s*\(([^)]*)\)")
UPDATE = re.compile(
    r"\bupdate (public\.\w+)(?: as \w+)?\s+set\b(.*?)(?:\n\s*from\b|\bwhere\b|\breturning\b|;|$)", re.DOTALL
)
DELETE = re.compile(r"\bdelete from (public\.\w+)")
ASSIGNED = re.compile(r"(?:^|,)\s*(\w+)\s*=")
COMMENT = re.compile(r"--[^\n]*")
WHOLE_ROW = "(row)"
"""Stands for creating or deleting rows."""

# Without the audit log, which nobody calls a function to write.
CLOSED = """
    select format('public.%s', c.relname), a.attname
    from pg_catalog.pg_class as c
    join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'audit_log'
        and has_column_privilege('authenticated', c.oid, a.attnum, 'select')
        and not has_column_privilege('authenticated', c.oid, a.attnum, 'insert')
        and not has_column_privilege('authenticated', c.oid, a.attnum, 'update')
    union all
    select format('public.%s', c.relname), '(row)'
    from pg_catalog.pg_class as c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'audit_log'
        and has_any_column_privilege('authenticated', c.oid, 'select')
        and not has_any_column_privilege('authenticated', c.oid, 'insert')
        and not has_table_privilege('authenticated', c.oid, 'delete')
"""


class Writers(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of a table that the same functions of the API write."""

    table: str
    columns: tuple[str, ...]
    functions: tuple[str, ...]


def writers(connection: psycopg.Connection) -> list[Writers]:
    """The functions that write each column that signed-in clients may read and neither insert nor update.

    Columns that no function of the API writes are left out: triggers, the edge and the worker write those. Functions
    that write a table only through a trigger are left out, too.

    Args:
        connection: to a migrated database, as a role that reads every schema.
    """
    sources: dict[str, str] = dict(connection.execute(SOURCES).fetchall())
    own = {name: set(written(source)) for name, source in sources.items()}
    calls = calls_by_function(sources)
    functions = defaultdict(set)
    for name in sources:
        if name.startswith("public."):
            for column in set().union(*(own[each] for each in closure(name, calls))):
                functions[column].add(name.removeprefix("public."))
    columns = defaultdict(list)
    for table, column in connection.execute(CLOSED).fetchall():
        if functions[table, column]:
            columns[table, tuple(sorted(functions[table, column]))].append(column)
    return [
        Writers(table=table.removeprefix("public."), columns=tuple(sorted(names)), functions=by)
        for (table, by), names in sorted(columns.items(), key=lambda item: (item[0][0], sorted(item[1])))
    ]


def written(source: str) -> Iterator[tuple[str, str]]:
    """The tables and columns that statements in the source of a function write."""
    source = COMMENT.sub("", source)
    for table, columns in INSERT.findall(source):
        yield table, WHOLE_ROW
        yield from ((table, column) for column in re.findall(r"\w+", columns))
    for table, assignments in UPDATE.findall(source):
        yield from ((table, column) for column in ASSIGNED.findall(assignments))
    for table in DELETE.findall(source):
        yield table, WHOLE_ROW
