"""Tables and functions of the API, as the catalog tells of them: what a generated attack must know."""

from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

TABLES = """
select
    c.relname as name,
    array(
        select a.attname from pg_catalog.pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = ''
        order by a.attnum
    ) as columns,
    array(
        select a.attname from pg_catalog.pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and has_column_privilege('authenticated', c.oid, a.attnum, 'insert')
        order by a.attnum
    ) as insertable,
    array(
        select a.attname from pg_catalog.pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and has_column_privilege('authenticated', c.oid, a.attnum, 'update')
        order by a.attnum
    ) as updatable,
    coalesce((
        select jsonb_object_agg(i.indexrelid::regclass, (
            select jsonb_agg(a.attname) from pg_catalog.pg_attribute as a
            where a.attrelid = c.oid and a.attnum = any(i.indkey)
        ))
        from pg_catalog.pg_index as i where i.indrelid = c.oid and i.indisunique and i.indpred is null
    ), '{}') as keys,
    array(
        select a.attname
        from pg_catalog.pg_index as i join pg_catalog.pg_attribute as a
            on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        where i.indrelid = c.oid and i.indisprimary order by a.attnum
    ) as primary_key,
    coalesce((
        select jsonb_object_agg(o.conname, o.confrelid::regclass::text)
        from pg_catalog.pg_constraint as o join pg_catalog.pg_class as f on f.oid = o.confrelid
        where o.conrelid = c.oid and o.contype = 'f' and f.relnamespace = 'public'::regnamespace
    ), '{}') as neighbours,
    coalesce((
        select jsonb_object_agg(a.attname, jsonb_build_array(o.confrelid::regclass::text, f.attname))
        from pg_catalog.pg_constraint as o
        cross join lateral unnest(o.conkey, o.confkey) as k (here, there)
        join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = k.here
        join pg_catalog.pg_attribute as f on f.attrelid = o.confrelid and f.attnum = k.there
        where o.conrelid = c.oid and o.contype = 'f'
    ), '{}') as references
from pg_catalog.pg_class as c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
order by c.relname
"""

FUNCTIONS = """
select p.proname, p.proargnames[:p.pronargs], (
    select coalesce(jsonb_object_agg(p.proargnames[a.place], t.typname), '{}')
    from unnest(p.proargtypes) with ordinality as a (type, place)
    join pg_catalog.pg_type as t on t.oid = a.type
    where a.place <= p.pronargs - p.pronargdefaults
)
from pg_catalog.pg_proc as p
where p.pronamespace = 'public'::regnamespace and p.prorettype <> 'trigger'::regtype
order by p.proname
"""

LABELS = """
select t.typname, array_agg(e.enumlabel::text order by e.enumsortorder)
from pg_catalog.pg_enum as e
join pg_catalog.pg_type as t on t.oid = e.enumtypid
where t.typnamespace = 'public'::regnamespace
group by t.typname
"""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view of the API."""

    name: str
    columns: list[str]
    """Those that a statement may name in a write, whoever may."""
    insertable: list[str]
    updatable: list[str]
    """Those that `authenticated` may write."""
    keys: dict[str, list[str]]
    """The columns of each unique index, by its name."""
    primary_key: list[str]
    neighbours: dict[str, str]
    """The tables that foreign keys lead to, by the constraint's name."""
    references: dict[str, tuple[str, str]]
    """The table and the column that each column of a foreign key refers to."""
    rows: list[dict[str, Any]]
    """All there are."""

    def same(self, row: dict[str, Any]) -> dict[str, str]:
        """The filter that finds one row."""
        return {column: f"eq.{row[column]}" for column in self.primary_key}

    def identity(self, row: dict[str, Any]) -> tuple[str, ...]:
        """What tells a row from the others."""
        return tuple(str(row[column]) for column in self.primary_key)

    @property
    def unique_columns(self) -> set[str]:
        """Every column of a unique index."""
        return {column for columns in self.keys.values() for column in columns}


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the API."""

    name: str
    arguments: list[str]
    required: dict[str, str]
    """The types of the arguments that have no default, by their names."""


def tables(connection: psycopg.Connection) -> dict[str, Table]:
    """Every table and view of the API, with all rows, by name."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(TABLES.encode()).fetchall()
    query = sql.SQL("select to_jsonb(t) from public.{} as t")
    rows = {table["name"]: connection.execute(query.format(sql.Identifier(table["name"]))) for table in found}
    return {
        table["name"]: msgspec.convert({**table, "rows": [row for (row,) in rows[table["name"]]]}, Table)
        for table in found
    }


def functions(connection: psycopg.Connection) -> dict[str, Function]:
    """Every function of the API, by name."""
    return {
        name: Function(name=name, arguments=arguments or [], required=required)
        for name, arguments, required in connection.execute(FUNCTIONS.encode())
    }


def labels(connection: psycopg.Connection) -> dict[str, list[str]]:
    """The labels of every enumeration of the API, by its bare name."""
    return dict(connection.execute(LABELS.encode()).fetchall())
