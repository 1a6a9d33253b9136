"""What the catalog says of people, tables, policies and functions."""

import re
from typing import Any, Literal, LiteralString

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from stack.errors import StackError
from stack.explain.report import Function, Holds, Person, Policy, Verb
from stack.explain.request import levels, split

PERSON = """
select
    u.id::text as user_id,
    u.email,
    coalesce(u.is_anonymous, false) as is_anonymous,
    case
        when a.user_id is null then 'without an account'
        when a.status = 'suspended' and a.suspended_until <= now() then 'active'
        when a.suspended_until is not null then format('suspended until %%s', a.suspended_until)
        else a.status::text
    end as standing,
    array(select r.role::text from public.user_roles as r where r.user_id = u.id order by r.role) as roles
from auth.users as u
left join public.accounts as a on a.user_id = u.id
where lower(u.email) = lower(%(name)s) or u.id::text = lower(%(name)s)
order by u.is_sso_user
limit 1
"""

TABLE = """
select
    c.oid,
    c.relname as name,
    c.relkind = 'v' as is_view,
    c.relrowsecurity as has_row_security,
    array(
        select a.attname::text from pg_catalog.pg_index as i
        join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        where i.indrelid = c.oid and i.indisprimary
    ) as key,
    coalesce((
        select json_object_agg(a.attname, (
            select json_agg(v.verb) from unnest(array['select', 'insert', 'update']) as v (verb)
            where has_column_privilege(%(role)s, c.oid, a.attnum, v.verb)
        ) order by a.attnum)
        from pg_catalog.pg_attribute as a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ), '{}') as columns,
    array(
        select v.verb from unnest(array['select', 'insert', 'update', 'delete']) as v (verb)
        where has_table_privilege(%(role)s, c.oid, v.verb)
    ) as privileges,
    array(
        select distinct b.relname::text
        from pg_catalog.pg_rewrite as w
        join pg_catalog.pg_depend as d
            on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
            and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> c.oid
        join pg_catalog.pg_class as b on b.oid = d.refobjid and b.relnamespace = c.relnamespace
        where w.ev_class = c.oid and c.relkind = 'v'
    ) as beneath
from pg_catalog.pg_class as c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and c.relname = %(name)s
"""

REFERENCED = """
select f.relname
from pg_catalog.pg_constraint as o
join pg_catalog.pg_class as f on f.oid = case when o.conrelid = %(oid)s then o.confrelid else o.conrelid end
where o.contype = 'f' and %(oid)s in (o.conrelid, o.confrelid) and (
    o.conname = %(name)s
    or (o.conrelid = %(oid)s and o.conkey = (
        select array[a.attnum] from pg_catalog.pg_attribute as a
        where a.attrelid = o.conrelid and a.attname = %(name)s
    ))
)
limit 1
"""

POLICIES = """
select
    p.polname as name,
    p.polpermissive as is_permissive,
    coalesce(
        case when %(is_check)s then pg_get_expr(p.polwithcheck, p.polrelid) end,
        pg_get_expr(p.polqual, p.polrelid),
        'true'
    ) as expression
from pg_catalog.pg_policy as p
where p.polrelid = %(oid)s
    and p.polcmd in (%(command)s, '*')
    and (p.polroles @> '{0}' or exists (
        select from unnest(p.polroles) as r (role) where r.role <> 0 and pg_has_role(%(role)s, r.role, 'usage')
    ))
order by p.polpermissive desc, p.polname
"""

FUNCTIONS = """
select
    p.oid::regprocedure::text as signature,
    has_function_privilege(%(role)s, p.oid, 'execute') as may_execute,
    case when p.prosecdef then 'owner' else 'caller' end as runs_as,
    obj_description(p.oid, 'pg_proc') as about
from pg_catalog.pg_proc as p
where p.pronamespace = 'public'::regnamespace and p.prokind = 'f' and p.proname = %(name)s
order by 1
"""

COMMANDS: dict[Verb, str] = {"select": "r", "insert": "a", "update": "w", "delete": "d"}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view, and what one role may do with it."""

    oid: int
    name: str
    is_view: bool
    has_row_security: bool
    key: list[str]
    columns: dict[str, list[Verb] | None]
    """What the role may do with each."""
    privileges: list[Verb]
    """What it may do with the whole."""
    beneath: list[str]
    """The tables that a view reads."""


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, and what to ask the database about it."""

    policy: Policy
    expression: str
    terms: tuple[str, ...]


class Catalog:
    """The catalog, read as the superuser in a transaction that cannot write."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        connection.execute("set transaction read only")
        connection.execute("set local search_path = ''")
        connection.execute("set local statement_timeout = '8s'")

    def person(self, name: str) -> tuple[Person, dict[str, Any] | None]:
        """Somebody, and the claims of a token of his, if he has one.

        Raises:
            StackError: there is no such user.
        """
        if name in {"anon", "service_role"}:
            return Person(name=name, role=name, bypasses_policies=name == "service_role"), (
                {"role": name} if name == "service_role" else None
            )
        found = self._rows(PERSON, name=name)
        if not found:
            raise StackError(f"there is no user {name}: --as takes a user's address or id, anon or service_role")
        user = found[0]
        person = Person(
            name=name,
            role="authenticated",
            bypasses_policies=False,
            user_id=user["user_id"],
            standing=user["standing"],
            roles=tuple(user["roles"]),
        )
        return person, {
            "sub": person.user_id,
            "role": person.role,
            "aud": "authenticated",
            "email": user["email"] or "",
            "is_anonymous": user["is_anonymous"],
        }

    def table(self, name: str, role: str) -> Table | None:
        """A table or view of the API."""
        found = self._rows(TABLE, name=name, role=role)
        return msgspec.convert(found[0], Table) if found else None

    def embedded(self, parent: Table, target: str, role: str) -> Table | None:
        """What a request embeds in a table's rows: a table by its name, or by the foreign key that leads to it."""
        found = self.table(target, role)
        if found is None:
            referenced = self._rows(REFERENCED, oid=parent.oid, name=target)
            found = self.table(referenced[0]["relname"], role) if referenced else None
        return found

    def clauses(self, table: Table, verb: Verb, kind: Literal["using", "with check"], role: str) -> list[Clause]:
        """The policies that decide a question for a role."""
        found = self._rows(POLICIES, oid=table.oid, command=COMMANDS[verb], role=role, is_check=kind == "with check")
        return [_clause(**row) for row in found]

    def functions(self, name: str, role: str) -> list[Function]:
        """Every function of the API of this name."""
        return [msgspec.convert(row, Function) for row in self._rows(FUNCTIONS, name=name, role=role)]

    def rows(self, table: Table, keys: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The whole rows that have these keys, as JSON."""
        query = sql.SQL(
            "select to_jsonb(t) as row from jsonb_populate_recordset(null::{table}, %(keys)s) as k"
            " join {table} as t using ({key})"
        ).format(table=sql.Identifier("public", table.name), key=_list(table.key))
        return [found["row"] for found in self._rows(query, keys=Jsonb(keys))]

    def ask(
        self, table: Table, clauses: list[Clause], rows: list[dict[str, Any]], person: Person, claims: dict[str, Any]
    ) -> list[list[Holds]]:
        """Evaluate policies as a person, about rows as they are or would be.

        Returns:
            For each row: of each clause, whether it holds, then whether each of its terms does.
        """
        expressions = [text for clause in clauses for text in (clause.expression, *clause.terms)]
        if not expressions or not rows:
            return [[] for _ in rows]
        with self._connection.transaction(force_rollback=True):
            self._connection.execute("select set_config('request.jwt.claims', %s, true)", [_json(claims)])
            self._connection.execute(sql.SQL("set local role {}").format(sql.Identifier(person.role)))
            columns = self._holds(table, expressions, rows) or [
                (self._holds(table, [text], rows) or [["it cannot be evaluated"] * len(rows)])[0]
                for text in expressions
            ]
        return [list(row) for row in zip(*columns, strict=True)]

    def _holds(self, table: Table, expressions: list[str], rows: list[dict[str, Any]]) -> list[list[Holds]] | None:
        """Of each expression, what it gives for each row. A single one may end in an error, several give none then."""
        # The record has the table's name and type, so that the expression means here what it means in the policy.
        query = sql.SQL("select array[{}] as marks from jsonb_populate_recordset(null::{}, %(rows)s) as {}").format(
            sql.SQL(", ").join(sql.SQL("({})::boolean").format(sql.SQL(_trusted(text))) for text in expressions),
            sql.Identifier("public", table.name),
            sql.Identifier(table.name),
        )
        try:
            with self._connection.transaction():
                found = self._rows(query, rows=Jsonb(rows))
        except psycopg.Error as error:
            return [[error.diag.message_primary or str(error)] * len(rows)] if len(expressions) == 1 else None
        return [[row["marks"][place] for row in found] for place in range(len(expressions))]

    def _rows(self, query: LiteralString | sql.Composed, **parameters: Any) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, parameters).fetchall()


def _clause(name: str, is_permissive: bool, expression: str) -> Clause:
    """A policy, taken apart where it is a list of alternatives or of conditions."""
    inner = _bare(expression)
    joined_by: Literal["any", "all"] = "any"
    terms = split(inner, " OR ")
    if len(terms) == 1:
        joined_by, terms = "all", split(inner, " AND ")
    return Clause(
        policy=Policy(name=name, is_permissive=is_permissive, joined_by=joined_by, terms=tuple(map(_readable, terms))),
        expression=expression,
        terms=tuple(terms),
    )


def _bare(expression: str) -> str:
    """An expression without parentheses around the whole of it."""
    while (
        re.match(r"\((?!\s*SELECT\b)", expression, re.IGNORECASE)
        and expression[-1] == ")"
        and 0 not in levels(expression)[:-1]
    ):
        expression = expression[1:-1]
    return expression


def _readable(term: str) -> str:
    """A term as its author wrote it, more or less: the catalog gives a name to every `(select f())`."""
    plain = re.sub(r"\( SELECT ([\w.]+\([^()]*\)) AS \w+\)", r"(select \1)", term)
    return re.sub(r"\s+", " ", _bare(plain))


def _trusted(text: str) -> LiteralString:
    """An expression out of the catalog, which Postgres itself wrote, as psycopg takes it."""
    return text.replace("%", "%%")


def _list(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
