"""Reads the tables and functions of the API from the catalog, as generated requests need them."""

import json
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

LONGEST_FILTER = 300
"""Characters of a value that fits into a URL."""

TABLES = """
with attributes as (
    select
        a.attrelid, a.attnum, a.attname, a.atttypid::regtype::text as type,
        a.attgenerated = '' and a.attidentity = '' as is_writable,
        has_column_privilege('authenticated', a.attrelid, a.attnum, 'insert') as is_insertable,
        has_column_privilege('authenticated', a.attrelid, a.attnum, 'update') as is_updatable
    from pg_catalog.pg_attribute as a
    where a.attnum > 0 and not a.attisdropped
)
select
    c.relname as name,
    c.relkind in ('v', 'm') as is_view,
    (select jsonb_object_agg(a.attname, a.type) from attributes as a where a.attrelid = c.oid) as types,
    array(
        select a.attname from attributes as a where a.attrelid = c.oid and a.is_writable order by a.attnum
    ) as columns,
    array(
        select a.attname from attributes as a
        where a.attrelid = c.oid and a.is_writable and a.is_insertable order by a.attnum
    ) as insertable,
    array(
        select a.attname from attributes as a
        where a.attrelid = c.oid and a.is_writable and a.is_updatable order by a.attnum
    ) as updatable,
    coalesce((
        select jsonb_object_agg(i.indexrelid::regclass, (
            select jsonb_agg(a.attname) from attributes as a
            where a.attrelid = c.oid and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1])
        ))
        from pg_catalog.pg_index as i
        where i.indrelid = c.oid and i.indisunique and i.indpred is null and i.indexprs is null
    ), '{}') as keys,
    array(
        select a.attname
        from pg_catalog.pg_index as i join attributes as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        where i.indrelid = c.oid and i.indisprimary order by a.attnum
    ) as primary_key,
    coalesce((
        select jsonb_agg(jsonb_build_object('name', o.conname, 'table', f.relname, 'columns', (
            select jsonb_object_agg(h.attname, t.attname)
            from unnest(o.conkey, o.confkey) as k (here, there)
            join attributes as h on h.attrelid = o.conrelid and h.attnum = k.here
            join attributes as t on t.attrelid = o.confrelid and t.attnum = k.there
        )) order by o.conname)
        from pg_catalog.pg_constraint as o join pg_catalog.pg_class as f on f.oid = o.confrelid
        where o.conrelid = c.oid and o.contype = 'f' and f.relnamespace = 'public'::regnamespace
    ), '[]') as foreign_keys
from pg_catalog.pg_class as c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
order by c.relname
"""

FUNCTIONS = """
select
    p.proname as name,
    coalesce(p.proargnames[:p.pronargs], '{}') as arguments,
    coalesce((
        select jsonb_object_agg(p.proargnames[a.place], t.typname)
        from unnest(p.proargtypes) with ordinality as a (type, place)
        join pg_catalog.pg_type as t on t.oid = a.type
    ), '{}') as types,
    p.pronargs - p.pronargdefaults as required_count,
    p.provolatile = 'v' as is_volatile,
    c.relname as shows
from pg_catalog.pg_proc as p
left join pg_catalog.pg_type as r on r.oid = p.prorettype
left join pg_catalog.pg_class as c
    on c.oid = r.typrelid and c.relnamespace = 'public'::regnamespace and c.relkind <> 'c'
where p.pronamespace = 'public'::regnamespace and p.prorettype <> 'trigger'::regtype
order by p.proname, p.pronargs
"""

LABELS = """
select t.typname, array_agg(e.enumlabel::text order by e.enumsortorder)
from pg_catalog.pg_enum as e
join pg_catalog.pg_type as t on t.oid = e.enumtypid
where t.typnamespace = 'public'::regnamespace
group by t.typname
"""


class ForeignKey(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to a table of the API."""

    name: str
    table: str
    columns: dict[str, str]
    """The column that each column refers to."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view of the API."""

    name: str
    is_view: bool
    types: dict[str, str]
    """The type of every column."""
    columns: list[str]
    """The columns that a write can name; generated ones cannot."""
    insertable: list[str]
    updatable: list[str]
    """The columns that `authenticated` may insert and update."""
    keys: dict[str, list[str]]
    """The columns of each unique index, by its name."""
    primary_key: list[str]
    """Of a view, its first column."""
    foreign_keys: list[ForeignKey]
    rows: list[dict[str, Any]]
    """All rows of the table."""

    def same(self, row: dict[str, Any]) -> dict[str, str]:
        """The filter that finds one row."""
        return {column: f"eq.{_word(value)}" for column, value in self._identifying(row).items()}

    def same_by_logic(self, row: dict[str, Any]) -> str:
        """The same filter as part of `or=(...)`, where values are quoted."""
        known = self._identifying(row).items()
        quoted = (f"{column}.eq.{json.dumps(_word(value), ensure_ascii=False)}" for column, value in known)
        return f"and({','.join(quoted)})"

    def identity(self, row: dict[str, Any]) -> tuple[str, ...]:
        """The values that distinguish a row from the others."""
        return tuple(str(row[column]) for column in self.primary_key or self.types)

    def plain(self, row: dict[str, Any]) -> dict[str, Any]:
        """The values of a row that an `eq` filter can name."""
        return {
            name: value
            for name, value in row.items()
            if isinstance(value, str | int | bool) and len(str(value)) <= LONGEST_FILTER and self.types[name] != "json"
        }

    @property
    def unique_columns(self) -> set[str]:
        """Every column of a unique index."""
        return {column for columns in self.keys.values() for column in columns}

    @property
    def referring(self) -> set[str]:
        """Every column of a foreign key."""
        return {column for key in self.foreign_keys for column in key.columns}

    def _identifying(self, row: dict[str, Any]) -> dict[str, Any]:
        return {column: row[column] for column in self.primary_key} or self.plain(row)


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the API."""

    name: str
    arguments: list[str]
    types: dict[str, str]
    """The type of every argument."""
    required_count: int
    """The number of arguments without a default; they come first."""
    is_volatile: bool
    shows: str | None
    """The table or view whose rows it returns."""

    @property
    def required(self) -> dict[str, str]:
        """The types of the arguments that have no default, by their names."""
        return {name: self.types[name] for name in self.arguments[: self.required_count]}


def tables(connection: psycopg.Connection) -> dict[str, Table]:
    """Every table and view of the API, with all rows, by name."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(TABLES.encode()).fetchall()
    query = sql.SQL("select to_jsonb(t) from public.{} as t")
    rows = {table["name"]: connection.execute(query.format(sql.Identifier(table["name"]))) for table in found}
    for table in found:
        # A view has no key; its first column distinguishes its rows.
        table["primary_key"] = table["primary_key"] or table["columns"][:1]
        table["rows"] = [row for (row,) in rows[table["name"]]]
    return {table["name"]: msgspec.convert(table, Table) for table in found}


def functions(connection: psycopg.Connection) -> dict[str, Function]:
    """Every function of the API, by name. Clients name no types, so overloads are not allowed."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = msgspec.convert(cursor.execute(FUNCTIONS.encode()).fetchall(), list[Function])
    named = {function.name: function for function in found}
    assert len(named) == len(found), "two functions of the API have the same name"
    return named


def labels(connection: psycopg.Connection) -> dict[str, list[str]]:
    """The labels of every enumeration of the API, by its bare name."""
    return dict(connection.execute(LABELS.encode()).fetchall())


def _word(value: Any) -> str:
    """A value as a filter writes it."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
