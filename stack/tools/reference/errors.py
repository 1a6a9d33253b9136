"""The errors that the database raises, read from its catalog: each row of `private.errors`, and what can raise it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import msgspec
import psycopg

REFUSAL = re.compile(r"\bprivate\.(?:refuse|error_of)\(\s*'([a-z0-9_]+)'")
CALL = re.compile(r"\b(?:public|private)\.\w+(?=\()")
CATCHES_ALL = "\nexception when others then\n"
"""The handler of a function's outermost block."""
REGISTERED = re.compile(r"\bprivate\.registered_functions\('(\w+)'\)")
"""A shared point, whose functions the source calls by their names at run time."""
FAMILY = re.compile(r"private\.%I\([^']*\)',\s*'([a-z_]+_)' \|\| [\w.]+\)")
"""A call of one of the functions whose names begin alike, such as `private.fulfil_<fulfilment>`."""
WRITE = re.compile(r"\b(insert into|update|delete from)\s+((?:public|private|auth)\.\w+)")
EVENTS = {"insert into": 4, "delete from": 8, "update": 16}
"""The bit of `pg_trigger.tgtype` that each kind of statement sets."""
EVERYWHERE = frozenset(
    {"sign_in_required", "account_inactive", "mfa_required", "token_invalid", "rate_limited", "setting_missing"}
)
"""Errors of nearly every function: the pages name them once."""

SOURCES = """
    select format('%s.%s', n.nspname, p.proname), string_agg(p.prosrc, E'\\n')
    from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname in ('public', 'private')
    group by 1
"""
TRIGGERS = """
    select format('%s.%s', r.nspname, c.relname), format('%s.%s', n.nspname, p.proname), t.tgtype::integer
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_class as c on c.oid = t.tgrelid
    join pg_catalog.pg_namespace as r on r.oid = c.relnamespace
    join pg_catalog.pg_proc as p on p.oid = t.tgfoid
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where not t.tgisinternal and n.nspname in ('public', 'private')
"""


CONSTRAINTS = """
    select c.relname, e.token, e.status, e.meaning
    from private.error_catalogue() as e
    join pg_catalog.pg_constraint as o on o.conname = e.token and o.connamespace = 'public'::regnamespace
    join pg_catalog.pg_class as c on c.oid = o.conrelid
    where e.kind = 'constraint'
    order by c.relname, e.token
"""


class DatabaseError(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `private.errors`, with the functions of the API and the tables whose triggers can raise it."""

    token: str
    status: int
    meaning: str
    hint: str
    functions: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


def database_errors(connection: psycopg.Connection) -> list[DatabaseError]:
    """Every error of the database, by status and token.

    Args:
        connection: to a migrated database, as a role that reads every schema.
    """
    raised = tokens_by_function(connection)
    tables = defaultdict(set)
    for table, function, _ in connection.execute(TRIGGERS).fetchall():
        for token in raised[function]:
            tables[token].add(table.removeprefix("public."))
    public = {name.removeprefix("public."): found for name, found in raised.items() if name.startswith("public.")}
    return [
        DatabaseError(
            token=token,
            status=status,
            meaning=meaning,
            hint=hint,
            functions=tuple(sorted(name for name, found in public.items() if token in found)),
            tables=tuple(sorted(tables[token])),
        )
        for token, status, meaning, hint in connection.execute(
            "select token, status, meaning, hint from private.errors order by status, token"
        ).fetchall()
    ]


def functions_of_role(connection: psycopg.Connection, role: str) -> dict[str, frozenset[str]]:
    """The private functions that a login role may call, and the tokens that each can raise.

    Args:
        connection: to a migrated database, as a role that reads every schema.
        role: such as `edge`.
    """
    raised = tokens_by_function(connection)
    callable_functions = connection.execute(
        "select proname from pg_catalog.pg_proc"
        " where pronamespace = 'private'::regnamespace and has_function_privilege(%s, oid, 'execute')",
        [role],
    ).fetchall()
    return {name: raised[f"private.{name}"] for (name,) in callable_functions}


def constraints(connection: psycopg.Connection) -> list[tuple[str, str, int, str]]:
    """The table, name, status and meaning of each constraint that a write by a client can break."""
    return connection.execute(CONSTRAINTS).fetchall()


def calls_by_function(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """The functions that each function calls, triggers left out."""
    return {name: set(_called(source, sources)) for name, source in sources.items()}


def tokens_by_function(connection: psycopg.Connection, *, with_triggers: bool = False) -> dict[str, frozenset[str]]:
    """The tokens that each function of ours can raise, by itself or through the functions that it calls.

    The answer comes from the source text. Of the calls that a function builds at run time, it has those of registered
    functions, and of all functions whose names begin alike. A function that catches every error lets none out.

    Args:
        connection: to a migrated database, as a role that reads every schema.
        with_triggers: also those of triggers on the tables that a function writes, whether or not its columns fire
            them: everything that a caller might meet.
    """
    sources: dict[str, str] = dict(connection.execute(SOURCES).fetchall())
    triggers = defaultdict(list)
    if with_triggers:
        for table, function, kind in connection.execute(TRIGGERS).fetchall():
            triggers[table].append((function, kind))
    calls = {
        name: set() if CATCHES_ALL in source else set(_called(source, sources, triggers))
        for name, source in sources.items()
    }
    own = {name: set(REFUSAL.findall(source)) for name, source in sources.items()}
    return {name: frozenset().union(*(own[each] for each in closure(name, calls))) for name in sources}


def _called(
    source: str, sources: Mapping[str, str], triggers: Mapping[str, Iterable[tuple[str, int]]] | None = None
) -> Iterator[str]:
    yield from (name for name in CALL.findall(source) if name in sources)
    for point in REGISTERED.findall(source):
        yield from (name for name in sources if name.startswith(f"private.{point}__"))
    for beginning in FAMILY.findall(source):
        yield from (name for name in sources if name.startswith(f"private.{beginning}"))
    for statement, table in WRITE.findall(source):
        for function, kind in (triggers or {}).get(table, ()):
            if kind & EVENTS[statement] and function in sources:
                yield function


def closure(name: str, calls: Mapping[str, set[str]]) -> set[str]:
    """A function and all that it calls, directly or through others."""
    found, new = {name}, {name}
    while new:
        new = {called for each in new for called in calls[each]} - found
        found |= new
    return found
