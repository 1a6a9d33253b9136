"""docs/schema.md: for each domain its tables and views with their comments, and an entity diagram of its tables."""

import re
from collections.abc import Iterable, Sequence

import msgspec
import psycopg

from stack.tools.reference.domains import Domains
from stack.tools.reference.pages import table

RELATIONS = """
    select format('%s.%s', n.nspname, c.relname), c.relkind in ('v', 'm'),
        coalesce(obj_description(c.oid, 'pg_class'), '')
    from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('public', 'private') and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
    order by n.nspname = 'private', c.relname
"""
COLUMNS = """
    select format('%s.%s', n.nspname, c.relname), a.attname, t.typname, not a.attnotnull,
        t.typtype = 'e' or a.attname = 'status'
    from pg_catalog.pg_attribute as a
    join pg_catalog.pg_class as c on c.oid = a.attrelid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    join pg_catalog.pg_type as t on t.oid = a.atttypid
    where n.nspname in ('public', 'private') and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
    order by c.oid, a.attnum
"""
KEYS = """
    select format('%s.%s', n.nspname, c.relname), k.contype::text,
        array(select a.attname::text from unnest(k.conkey) with ordinality as u (number, position)
            join pg_catalog.pg_attribute as a on a.attrelid = k.conrelid and a.attnum = u.number order by u.position),
        case when k.contype = 'f' then (
            select format('%s.%s', rn.nspname, r.relname)
            from pg_catalog.pg_class as r join pg_catalog.pg_namespace as rn on rn.oid = r.relnamespace
            where r.oid = k.confrelid
        ) end
    from pg_catalog.pg_constraint as k
    join pg_catalog.pg_class as c on c.oid = k.conrelid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('public', 'private') and k.contype in ('p', 'u', 'f')
    order by k.conname
"""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a table. `is_state` says that it holds a status or another enum."""

    name: str
    type: str
    is_nullable: bool
    is_state: bool


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A primary (`p`), unique (`u`) or foreign (`f`) key; `target` is the table that a foreign key refers to."""

    kind: str
    columns: tuple[str, ...]
    target: str | None


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view with its comment. A view has no columns and no keys here."""

    name: str
    is_view: bool
    comment: str
    columns: tuple[Column, ...] = ()
    keys: tuple[Key, ...] = ()

    def is_unique(self, columns: Iterable[str]) -> bool:
        """Whether at most one row has the same values in these columns."""
        return any(key.kind in "pu" and set(key.columns) <= set(columns) for key in self.keys)


def relations(connection: psycopg.Connection) -> list[Relation]:
    """Every table and view of ours, those of `public` first.

    Args:
        connection: to a migrated database, as a role that reads every schema.
    """
    columns: dict[str, list[Column]] = {}
    for relation, name, kind, is_nullable, is_state in connection.execute(COLUMNS).fetchall():
        column = Column(name=name, type=kind, is_nullable=is_nullable, is_state=is_state)
        columns.setdefault(relation, []).append(column)
    keys: dict[str, list[Key]] = {}
    for relation, kind, names, target in connection.execute(KEYS).fetchall():
        keys.setdefault(relation, []).append(Key(kind=kind, columns=tuple(names), target=target))
    return [
        Relation(
            name=name,
            is_view=is_view,
            comment=comment,
            columns=tuple(columns.get(name, ())),
            keys=tuple(keys.get(name, ())),
        )
        for name, is_view, comment in connection.execute(RELATIONS).fetchall()
    ]


def page(domains: Domains, found: Sequence[Relation]) -> str:
    """The generated part of docs/schema.md."""
    parts = []
    for domain in domains.names:
        own = [each for each in found if domains.of(each.name) == domain]
        if own:
            rows = [(f"`{_short(each.name)}`", _kind(each), " ".join(each.comment.split())) for each in own]
            parts += [f"## {domain}", _diagram(own), table(("name", "kind", "what it holds"), rows)]
    return "\n\n".join(parts)


def _kind(relation: Relation) -> str:
    return "view" if relation.is_view else "table"


def _short(name: str) -> str:
    return name.removeprefix("public.")


def _diagram(own: Sequence[Relation]) -> str:
    """Tables with their keys and states. A foreign key within the domain is a line, one to another domain a remark."""
    tables = [each for each in own if not each.is_view]
    names = {each.name for each in tables}
    lines = ["```mermaid", "erDiagram"]
    for each in tables:
        lines.append(f'    "{_short(each.name)}" {{')
        lines += [f"        {line}" for line in _columns(each, names)]
        lines.append("    }")
    for each in tables:
        lines += [f"    {line}" for line in _lines(each, names)]
    return "\n".join([*lines, "```"])


def _columns(relation: Relation, drawn: set[str]) -> list[str]:
    primary = {name for key in relation.keys if key.kind == "p" for name in key.columns}
    unique = {key.columns[0] for key in relation.keys if key.kind == "u" and len(key.columns) == 1}
    foreign = {name: key.target for key in _foreign(relation) for name in key.columns}
    lines = []
    for column in relation.columns:
        marks = [
            mark
            for mark, is_so in (
                ("PK", column.name in primary),
                ("FK", column.name in foreign),
                ("UK", column.name in unique and column.name not in primary),
            )
            if is_so
        ]
        if marks or column.is_state:
            kind = re.sub(r"\W+", "_", column.type).strip("_")
            line = f"{kind} {column.name} {', '.join(marks)}".strip()
            target = foreign.get(column.name)
            lines.append(line if target is None or target in drawn else f'{line} "{_short(target)}"')
    return lines


def _lines(relation: Relation, drawn: set[str]) -> list[str]:
    nullable = {column.name for column in relation.columns if column.is_nullable}
    lines = []
    for key in _foreign(relation):
        if key.target in drawn:
            one = "|o" if nullable & set(key.columns) else "||"
            many = "o|" if relation.is_unique(key.columns) else "o{"
            lines.append(f'"{_short(key.target)}" {one}--{many} "{_short(relation.name)}" : {key.columns[0]}')
    return sorted(set(lines))


def _foreign(relation: Relation) -> list[Key]:
    """The foreign keys without those that only keep copied columns equal.

    Such a key refers to the same table as a narrower one, by its columns and more.
    """
    keys = sorted((key for key in relation.keys if key.kind == "f"), key=lambda key: len(key.columns))
    kept: list[Key] = []
    for key in keys:
        if not any(other.target == key.target and set(other.columns) <= set(key.columns) for other in kept):
            kept.append(key)
    return kept
