"""Which domain owns each table and function, and which domains name the objects of others.

A domain owns what its migrations make: `<14 digits>_<domain>_<what>.sql`. The order in which domains first appear among
the migrations is the order of the domains.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import psycopg

from stack.tools.reference.pages import table

MIGRATION = re.compile(r"\d{14}_([a-z]+)_\w+\.sql")
CREATE = re.compile(
    r"^create (?:or replace )?(?:unlogged )?(?:table|view|materialized view|function|procedure|type|domain)"
    r'\s+((?:public|private)\.(?:\w+|"[^"]+"))',
    re.MULTILINE,
)
EXPOSE = re.compile(r"select private\.expose\(\s*'(?:private|public)\.(\w+)\((?:[^']*)'(.*?)\);", re.DOTALL)
EXPOSED_NAME = re.compile(r"'([a-z_]+)'\s*$")
NAME = re.compile(r"\b(?:public|private)\.\w+")
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
SEALED = "policies"
"""The word of the sealed migration's name that is no domain."""

FOREIGN_KEYS = """
    select conrelid::regclass::text, confrelid::regclass::text
    from pg_catalog.pg_constraint where contype = 'f' and connamespace::regnamespace::text in ('public', 'private')
"""
FUNCTIONS = """
    select format('%s.%s', n.nspname, p.proname), p.prosrc
    from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname in ('public', 'private')
"""
VIEWS = """
    select format('%s.%s', n.nspname, c.relname), pg_catalog.pg_get_viewdef(c.oid)
    from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('public', 'private') and c.relkind in ('v', 'm')
"""
TRIGGERS = """
    select format('%s.%s', p.pronamespace::regnamespace, p.proname),
        format('%s.%s', r.relnamespace::regnamespace, r.relname)
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_class as r on r.oid = t.tgrelid
    join pg_catalog.pg_proc as p on p.oid = t.tgfoid
    where not t.tgisinternal and p.pronamespace::regnamespace::text in ('public', 'private')
"""
POLICIES = """
    select format('%s.%s', n.nspname, c.relname),
        concat_ws(' ', pg_catalog.pg_get_expr(p.polqual, c.oid), pg_catalog.pg_get_expr(p.polwithcheck, c.oid))
    from pg_catalog.pg_policy as p
    join pg_catalog.pg_class as c on c.oid = p.polrelid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('public', 'private')
"""
KINDS = ("functions", "views", "triggers", "foreign keys", "policies")


class Domains(msgspec.Struct, frozen=True, kw_only=True):
    """The domains in their order, and the domain of each table, view and function by its qualified name."""

    names: tuple[str, ...]
    owners: Mapping[str, str]

    def of(self, name: str) -> str | None:
        """The domain of an object; None for what no migration of ours makes, such as an extension's function."""
        return self.owners.get(name)


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """That objects of one domain name objects of another, with the number of pairs of each kind."""

    source: str
    target: str
    counts: Mapping[str, int]


def read_domains(migrations: Path, policies: Path) -> Domains:
    """The domains of a project, from the names and the text of its files.

    Args:
        migrations: the folder `supabase/migrations`.
        policies: the folder `policies`, whose `functions.sql` name the functions that `private.expose` makes.
    """
    names: dict[str, None] = {}
    owners: dict[str, str] = {}
    for file in sorted(migrations.glob("*.sql")):
        found = MIGRATION.fullmatch(file.name)
        if found is None or found[1] == SEALED:
            continue
        names[found[1]] = None
        for name in CREATE.findall(file.read_text()):
            owners.setdefault(name, found[1])
    for domain in names:
        functions = policies / domain / "functions.sql"
        if functions.exists():
            for function, rest in EXPOSE.findall(functions.read_text()):
                named = EXPOSED_NAME.search(rest)
                is_renamed = named is not None and rest.count("'") >= 6  # roles, tier and name are quoted
                owners.setdefault(f"public.{named[1] if named and is_renamed else function}", domain)
    return Domains(names=tuple(names), owners=owners)


def dependencies(connection: psycopg.Connection, domains: Domains) -> list[Dependency]:
    """Every pair of domains of which the first names the second, in the order of the domains.

    Args:
        connection: to a migrated database, as a role that reads every schema.
        domains: whose objects these are.
    """
    rank = {name: number for number, name in enumerate(domains.names)}
    counts: dict[tuple[str, str], Counter[str]] = {}
    with connection.transaction():
        connection.execute("set local search_path = ''")  # Postgres then writes every name with its schema
        named = set(_named(connection))
    for source, target, kind in named:
        first, second = domains.of(source), domains.of(target)
        if first is None or second is None or first == second:
            continue
        if kind in {"triggers", "foreign keys", "policies"} and rank[first] < rank[second]:
            first, second = second, first  # the later domain wrote it, on a table of the earlier one
        counts.setdefault((first, second), Counter())[kind] += 1
    return [
        Dependency(source=source, target=target, counts=dict(found))
        for (source, target), found in sorted(counts.items(), key=lambda each: (rank[each[0][0]], rank[each[0][1]]))
    ]


def _named(connection: psycopg.Connection) -> Iterator[tuple[str, str, str]]:
    """Each object, an object that it names, and how. Of a trigger: its function and its table."""
    for kind, query in (("foreign keys", FOREIGN_KEYS), ("triggers", TRIGGERS)):
        for source, target in connection.execute(query).fetchall():
            yield source, target, kind
    for kind, query in (("functions", FUNCTIONS), ("views", VIEWS), ("policies", POLICIES)):
        for source, text in connection.execute(query).fetchall():
            for target in NAME.findall(COMMENT.sub("", text)):
                yield source, target, kind


def diagram(domains: Domains, found: list[Dependency]) -> str:
    """A Mermaid flowchart of the domains, and a table of how often each names each.

    The first domain is drawn without arrows, because every other one uses it.
    """
    base = domains.names[0]
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"    {name}" for name in domains.names[1:]]
    for each in found:
        if base not in (each.source, each.target):
            lines.append(f"    {each.source} --> {each.target}")
    lines += ["```", "", _matrix(found)]
    return "\n".join(lines)


def _matrix(found: list[Dependency]) -> str:
    return table(
        ("domain", "names", *KINDS),
        [(each.source, each.target, *(str(each.counts.get(kind) or "") for kind in KINDS)) for each in found],
    )
