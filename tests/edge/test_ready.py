"""The edge on the real stack: readiness, the privileges of its role, and calls of functions."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import structlog
from psycopg import sql

from edge.database import Database
from edge.errors import EdgeError
from tests.conftest import Stack

FUNCTIONS = {
    "private.add_course_views(jsonb)",
    "private.apply_stripe_object(jsonb,timestamp with time zone)",
    "private.begin_media_check(uuid,uuid)",
    "private.bind_payout_account(uuid,text)",
    "private.bind_session(text,uuid,text)",
    "private.bind_stripe_object(text,text,uuid)",
    "private.checkout_payload(uuid)",
    "private.drop_stripe_id(text,text)",
    "private.find_public_media(text,text)",
    "private.finish_media_check(uuid,uuid,text,jsonb,text)",
    "private.make_media_link(uuid,uuid,text,bytea,text,integer)",
    "private.open_media_link(bytea)",
    "private.payout_account_payload(uuid)",
    "private.receive_webhook(text,text,text,jsonb,boolean)",
    "private.renew_stripe_attempt(text,text,integer)",
    "private.require_active_account(uuid)",
    "private.record_stripe_price(jsonb)",
    "private.require_price_binder(uuid)",
    "private.require_resumable(uuid,uuid)",
    "private.schema_version()",
    "private.stripe_attempt(text,text)",
    "private.stripe_id_of(text,uuid)",
    "private.stripe_observed_at(text)",
    "private.take_token(text,text)",
}
"""The functions that the role `edge` may call. A new one is added by hand, after review."""
OURS = ["public", "private", "auth", "storage"]

PROBE = """
create schema private;
create function private.add(p_a integer, p_b integer) returns integer language sql set search_path = ''
    return p_a + p_b;
create function private.echo(p_value jsonb, p_name text) returns jsonb language sql set search_path = ''
    return jsonb_build_object('value', p_value, 'name', p_name);
create function private.refuse() returns void language plpgsql set search_path = '' as $$
begin
    raise sqlstate 'PT409' using message = 'seat_taken', detail = 'The seat is taken.', hint = 'Choose another.';
end $$;
create function private.fail() returns void language plpgsql set search_path = '' as $$
begin
    raise exception 'a-secret-of-ours' using detail = 'a-secret-of-ours';
end $$;
create function private.wait() returns void language sql set search_path = '' return pg_catalog.pg_sleep(5);
create function private.request() returns text language sql set search_path = ''
    return current_setting('guildhall.request_id', true);
create function private.backend() returns integer language sql set search_path = '' return pg_catalog.pg_backend_pid();
"""


def test_the_edge_is_ready(stack: Stack) -> None:
    assert httpx.get(f"{stack.edge_url}/health").json() == {"status": "ok"}
    answer = httpx.get(f"{stack.edge_url}/ready")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"status": "ready", "checks": ["database", "rest", "auth"]}


def test_the_role_may_call_the_listed_functions_and_nothing_else(db: psycopg.Connection) -> None:
    found = db.execute(
        """
        select p.oid::regprocedure::text, p.prosecdef
        from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where n.nspname = any(%(schemas)s)
            and has_schema_privilege('edge', n.oid, 'usage') and has_function_privilege('edge', p.oid, 'execute')
        """,
        {"schemas": OURS},
    ).fetchall()
    assert {name for name, _definer in found if name.startswith("private.")} == FUNCTIONS
    # EXECUTE for PUBLIC in Supabase's own schemas gives no power where the function acts as its caller.
    assert {name for name, definer in found if definer} <= FUNCTIONS


def test_the_role_has_no_privilege_on_any_table(db: psycopg.Connection) -> None:
    found = db.execute(
        """
        with tables as (
            select c.oid
            from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
            where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
        )
        select t.oid::regclass::text,
            has_table_privilege('edge', t.oid, 'select, insert, update, delete, truncate, references, trigger')
            or has_any_column_privilege('edge', t.oid, 'select, insert, update, references')
        from tables t
        """,
        {"schemas": OURS},
    ).fetchall()
    assert len(found) > 10, "hardly anything was looked at"
    assert [name for name, may in found if may] == []


def test_the_role_has_no_attributes_and_no_memberships(db: psycopg.Connection) -> None:
    powers = db.execute(
        """
        select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolinherit, rolcanlogin
        from pg_catalog.pg_roles where rolname = 'edge'
        """
    ).fetchone()
    assert powers == (False, False, False, False, False, False, True)
    member_of = db.execute("select count(*) from pg_catalog.pg_auth_members where member = 'edge'::regrole").fetchone()
    assert member_of == (0,)


@pytest.fixture(scope="module")
def probe_url(stack: Stack) -> Iterator[str]:
    """A database of the test's own, whose functions fail in every way."""
    name = f"edge_probe_{uuid4().hex}"
    url = f"{stack.db_url.rpartition('/')[0]}/{name}"
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        with psycopg.connect(url, autocommit=True) as probe:
            probe.execute(PROBE.encode())
        yield url
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def with_database(url: str, scenario: Callable[[Database], Awaitable[None]]) -> None:
    async def run() -> None:
        database = Database(url, name="edge", max_connections=10)
        await database.open()
        try:
            await scenario(database)
        finally:
            await database.aclose()

    asyncio.run(run())


def test_a_function_is_called_by_name(probe_url: str) -> None:
    async def scenario(database: Database) -> None:
        assert await database.call("add", p_b=40_000, p_a=2) == 40_002
        name = "'; drop schema private cascade; --%s"
        value = {"a": [1, None, "ü"]}
        assert await database.call("echo", p_value=value, p_name=name) == {"value": value, "name": name}

    with_database(probe_url, scenario)


FAILURES: list[tuple[str, dict[str, Any], int, str]] = [
    ("refuse", {}, 409, "seat_taken"),
    ("fail", {}, 500, "internal_error"),
    ("wait", {}, 503, "database_unavailable"),
    ("absent", {}, 500, "internal_error"),
    ("add", {"p_a": "many", "p_b": 1}, 400, "invalid_request"),
    ("echo", {"p_value": {}, "p_name": "\u0000"}, 400, "invalid_request"),
    ("add(1, 2); drop schema private cascade; --", {}, 500, "internal_error"),
]


def test_a_failure_has_its_status_and_reveals_nothing(probe_url: str) -> None:
    async def scenario(database: Database) -> None:
        for function, parameters, status, token in FAILURES:
            with pytest.raises(EdgeError) as failure:
                await database.call(function, **parameters)
            body = failure.value.body
            assert (failure.value.status, body.code, body.message) == (status, f"PT{status}", token), function
            assert "a-secret-of-ours" not in f"{body}"
            if function == "refuse":
                assert (body.details, body.hint) == ("The seat is taken.", "Choose another.")
        assert await database.call("add", p_a=1, p_b=1) == 2

    with_database(f"{probe_url}?options=-cstatement_timeout%3D200", scenario)


def test_the_requests_id_reaches_the_transaction_and_stays_in_it(probe_url: str) -> None:
    async def scenario(database: Database) -> None:
        name = "'; select 1; --%s"
        for request_id in ("one", "two", name):
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                assert await database.call("request") == request_id
        # Outside of any request the call gets a new id, and none of an earlier request.
        assert UUID(await database.call("request"))
        async with database.pool.connection() as connection:
            cursor = await connection.execute("select coalesce(current_setting('guildhall.request_id', true), '')")
            assert await cursor.fetchone() == ("",)

    with_database(probe_url, scenario)


def test_a_connection_that_died_is_replaced(probe_url: str) -> None:
    async def scenario(database: Database) -> None:
        with psycopg.connect(probe_url, autocommit=True) as connection:
            for _ in range(3):
                backend = await database.call("backend")
                connection.execute("select pg_terminate_backend(%s, 5000)", [backend])
        assert await database.call("add", p_a=1, p_b=1) == 2

    with_database(probe_url, scenario)
