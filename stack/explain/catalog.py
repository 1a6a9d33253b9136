"""Users, tables, policies and functions, as the database's catalog describes them."""

import re
from typing import Any, Literal, LiteralString

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from stack.errors import StackError
from stack.explain.report import Function, Person, Policy, Result, Verb
from stack.explain.request import levels, split

USER = """
select u.id::text as user_id, u.email, coalesce(u.is_anonymous, false) as is_anonymous
from auth.users as u
where lower(u.email) = lower(%(name)s) or u.id::text = lower(%(name)s)
order by u.is_sso_user
limit 1
"""

TABLE = """
select
    c.oid,
    n.nspname as schema,
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
    ) as underlying
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind in ('r', 'p', 'v') and c.relname = %(name)s
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
    obj_description(p.oid, 'pg_proc') as about,
    coalesce(p.proargnames[:p.pronargs - p.pronargdefaults], '{}') as required,
    coalesce(p.proargnames[p.pronargs - p.pronargdefaults + 1:p.pronargs], '{}') as optional
from pg_catalog.pg_proc as p
join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
where n.nspname = %(schema)s and p.prokind = 'f' and p.proname = %(name)s
order by 1
"""

COMMANDS: dict[Verb, str] = {"select": "r", "insert": "a", "update": "w", "delete": "d"}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view, and the privileges of one role on it."""

    oid: int
    schema: str
    name: str
    is_view: bool
    has_row_security: bool
    key: list[str]
    columns: dict[str, list[Verb] | None]
    """The role's privileges on each."""
    privileges: list[Verb]
    """The role's privileges on the whole."""
    underlying: list[str]
    """The tables that a view reads."""


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, and the SQL to evaluate for it."""

    policy: Policy
    expression: str
    terms: tuple[str, ...]


class Catalog:
    """The catalog, read as the superuser in a transaction that cannot write."""

    def __init__(self, connection: psycopg.Connection, *, schema: str, user_query: str | None = None) -> None:
        """Begin to read.

        Args:
            connection: of the superuser, in no transaction yet.
            schema: the schema of the API.
            user_query: as in `Project`.
        """
        self._connection = connection
        self.schema = schema
        self._user_query = user_query
        connection.execute("set transaction read only")
        connection.execute("set local search_path = ''")
        connection.execute("set local statement_timeout = '8s'")

    def person(self, name: str) -> tuple[Person, dict[str, Any] | None]:
        """A user, and the claims of a token of theirs; None for `anon`, who has no token.

        Args:
            name: an address or id, `anon` or `service_role`.

        Raises:
            StackError: there is no such user.
        """
        if name in {"anon", "service_role"}:
            return Person(name=name, role=name, bypasses_policies=name == "service_role"), (
                {"role": name} if name == "service_role" else None
            )
        found = self._rows(USER, name=name)
        if not found:
            raise StackError(f"there is no user {name}: --as takes a user's address or id, anon or service_role")
        user = found[0]
        described = self._describe(user["user_id"])
        person = Person(
            name=name,
            role="authenticated",
            bypasses_policies=False,
            user_id=user["user_id"],
            status=described.get("status"),
            roles=tuple(described.get("roles", ())),
        )
        return person, {
            "sub": person.user_id,
            "role": person.role,
            "aud": "authenticated",
            "email": user["email"] or "",
            "is_anonymous": user["is_anonymous"],
        }

    def _describe(self, user_id: str) -> dict[str, Any]:
        if self._user_query is None:
            return {}
        [described] = self._rows(_trusted(self._user_query), user_id=user_id)
        return described

    def table(self, name: str, role: str) -> Table | None:
        """A table or view of the API; None where there is none of the name."""
        found = self._rows(TABLE, name=name, role=role, schema=self.schema)
        return msgspec.convert(found[0], Table) if found else None

    def embedded(self, parent: Table, target: str, role: str) -> Table | None:
        """What a request embeds in a table's rows, by a table's name or by the foreign key that leads to it."""
        found = self.table(target, role)
        if found is None:
            referenced = self._rows(REFERENCED, oid=parent.oid, name=target)
            found = self.table(referenced[0]["relname"], role) if referenced else None
        return found

    def clauses(self, table: Table, verb: Verb, kind: Literal["using", "with check"], role: str) -> list[Clause]:
        """The policies that apply to a role and a verb."""
        found = self._rows(POLICIES, oid=table.oid, command=COMMANDS[verb], role=role, is_check=kind == "with check")
        return [_clause(**row) for row in found]

    def functions(self, name: str, role: str) -> list[Function]:
        """Every function of the API of this name."""
        return [
            msgspec.convert(row, Function) for row in self._rows(FUNCTIONS, name=name, role=role, schema=self.schema)
        ]

    def rows(self, table: Table, keys: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The whole rows with these keys, as JSON."""
        query = sql.SQL(
            "select to_jsonb(t) as row from jsonb_populate_recordset(null::{table}, %(keys)s) as k"
            " join {table} as t using ({key})"
        ).format(table=sql.Identifier(table.schema, table.name), key=_list(table.key))
        return [found["row"] for found in self._rows(query, keys=Jsonb(keys))]

    def evaluate(
        self, table: Table, clauses: list[Clause], rows: list[dict[str, Any]], person: Person, claims: dict[str, Any]
    ) -> list[list[Result]]:
        """Evaluate policies as a user, for rows as they are or would be.

        Returns:
            For each row: of each clause its result, then the results of its terms.
        """
        expressions = [text for clause in clauses for text in (clause.expression, *clause.terms)]
        if not expressions or not rows:
            return [[] for _ in rows]
        with self._connection.transaction(force_rollback=True):
            self._connection.execute("select set_config('request.jwt.claims', %s, true)", [_json(claims)])
            self._connection.execute(sql.SQL("set local role {}").format(sql.Identifier(person.role)))
            columns = self._results(table, expressions, rows) or [
                (self._results(table, [text], rows) or [["it cannot be evaluated"] * len(rows)])[0]
                for text in expressions
            ]
        return [list(row) for row in zip(*columns, strict=True)]

    def _results(self, table: Table, expressions: list[str], rows: list[dict[str, Any]]) -> list[list[Result]] | None:
        """The results of each expression for each row. An error is the result of a single one; of several, None."""
        # The record has the table's name and type, so that the expression means here what it means in the policy.
        query = sql.SQL("select array[{}] as results from jsonb_populate_recordset(null::{}, %(rows)s) as {}").format(
            sql.SQL(", ").join(sql.SQL("({})::boolean").format(sql.SQL(_escaped(text))) for text in expressions),
            sql.Identifier(table.schema, table.name),
            sql.Identifier(table.name),
        )
        try:
            with self._connection.transaction():
                found = self._rows(query, rows=Jsonb(rows))
        except psycopg.Error as error:
            return [[error.diag.message_primary or str(error)] * len(rows)] if len(expressions) == 1 else None
        return [[row["results"][index] for row in found] for index in range(len(expressions))]

    def _rows(self, query: LiteralString | sql.Composed, **parameters: Any) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, parameters).fetchall()


def _clause(name: str, is_permissive: bool, expression: str) -> Clause:
    """A policy, split into terms where it is a list of alternatives or of conditions."""
    inner = _without_parentheses(expression)
    joined_by: Literal["any", "all"] = "any"
    terms = split(inner, " OR ")
    if len(terms) == 1:
        joined_by, terms = "all", split(inner, " AND ")
    return Clause(
        policy=Policy(name=name, is_permissive=is_permissive, joined_by=joined_by, terms=tuple(map(_readable, terms))),
        expression=expression,
        terms=tuple(terms),
    )


def _without_parentheses(expression: str) -> str:
    """An expression without the parentheses that enclose it as a whole."""
    while (
        re.match(r"\((?!\s*SELECT\b)", expression, re.IGNORECASE)
        and expression[-1] == ")"
        and 0 not in levels(expression)[:-1]
    ):
        expression = expression[1:-1]
    return expression


def _readable(term: str) -> str:
    """A term much as its author wrote it. The catalog adds a name to every `(select f())`."""
    plain = re.sub(r"\( SELECT ([\w.]+\([^()]*\)) AS \w+\)", r"(select \1)", term)
    return re.sub(r"\s+", " ", _without_parentheses(plain))


def _escaped(expression: str) -> LiteralString:
    """An expression from the catalog, with its percent signs kept from psycopg."""
    return _trusted(expression.replace("%", "%%"))


def _trusted(text: str) -> LiteralString:
    """SQL from the catalog or the project, as psycopg's type for trusted text."""
    return text


def _list(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
