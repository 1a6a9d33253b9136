"""What a domain names of a later one.

Domains have one order: a later one may name an earlier one, never the other way. A table, view, function, type, foreign
key or trigger belongs to the domain in the name of its migration, and a policy to the one of its folder.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg

from stack.tools.reference.domains import COMMENT, Domains, read_domains

ORDER = (
    "foundation", "identity", "catalog", "learning", "live", "media",
    "commerce", "community", "growth", "ai", "deployments", "operations",
)  # fmt: skip
MIGRATION = re.compile(r"\d{14}_([a-z]+)_\w+")
CONSTRAINT = re.compile(r"\bconstraint (\w+_fkey)\b")
TRIGGER = re.compile(r"^create (?:constraint )?trigger (\w+)\s[^;]*?\son ([a-z_]+\.\w+)", re.MULTILINE)
POLICY = re.compile(r"^create policy (\w+) on ([a-z_]+\.\w+)", re.MULTILINE)
NAMED = re.compile(r'\b((?:public|private)\.(?:\w+|"[^"]+"))')

DEFINITIONS = """
    select 'function', format('%s.%s', n.nspname, p.proname), pg_catalog.pg_get_functiondef(p.oid)
    from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname in ('public', 'private') and p.prokind = 'f'
    union all
    select 'view', format('%s.%I', v.schemaname, v.viewname), v.definition
    from pg_catalog.pg_views as v where v.schemaname in ('public', 'private')
    union all
    select 'foreign key', c.conname, pg_catalog.pg_get_constraintdef(c.oid)
    from pg_catalog.pg_constraint as c
    where c.contype = 'f' and c.connamespace in ('public'::regnamespace, 'private'::regnamespace)
    union all
    select 'trigger', format('%s on %s', t.tgname, t.tgrelid::regclass), pg_catalog.pg_get_triggerdef(t.oid)
    from pg_catalog.pg_trigger as t join pg_catalog.pg_proc as p on p.oid = t.tgfoid
    where not t.tgisinternal and p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
    union all
    select 'policy', format('%s on %s', p.polname, p.polrelid::regclass), concat_ws(
        ' ', pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
    )
    from pg_catalog.pg_policy as p
    order by 1, 2
"""


class Owners(msgspec.Struct, frozen=True, kw_only=True):
    """The domain of each object, by its kind and name."""

    domains: Domains
    """Of tables, views, functions and types."""
    others: dict[tuple[str, str], str]
    """Of foreign keys, triggers and policies."""

    def of(self, kind: str, name: str) -> str | None:
        """The domain of an object; None for one that no file creates."""
        return self.domains.of(name) if kind in ("function", "view") else self.others.get((kind, name))


def read_owners(root: Path) -> Owners:
    """Read the domains of all objects from the files of a project."""
    others: dict[tuple[str, str], str] = {}
    for file in sorted((root / "supabase" / "migrations").glob("*.sql")):
        found = MIGRATION.fullmatch(file.stem)
        if found is not None:
            text = file.read_text()
            others.update({("foreign key", name): found[1] for name in CONSTRAINT.findall(text)})
            others.update({("trigger", f"{name} on {table}"): found[1] for name, table in TRIGGER.findall(text)})
    for file in sorted((root / "policies").glob("*/*.sql")):
        for name, table in POLICY.findall(file.read_text()):
            others["policy", f"{name} on {table}"] = file.parent.name
    return Owners(domains=read_domains(root / "supabase" / "migrations", root / "policies"), others=others)


def misplaced(connection: psycopg.Connection, owners: Owners) -> Iterator[str]:
    """One line for each name of a later domain in an object of an earlier one, and for each object of no domain."""
    connection.execute("set search_path = ''")
    for kind, name, definition in connection.execute(DEFINITIONS).fetchall():
        domain = owners.of(kind, name)
        if domain is None:
            yield f"{kind} {name} is in no migration or policy file of a domain"
            continue
        for named in sorted(set(NAMED.findall(COMMENT.sub("", definition)))):
            other = owners.domains.of(named)
            if other is not None and ORDER.index(other) > ORDER.index(domain):
                yield f"{domain}: {kind} {name} names {named} of {other}"
