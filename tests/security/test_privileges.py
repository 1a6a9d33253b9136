"""The privileges in the live catalog equal the reviewed lists, and every kind of change to them is noticed."""

import psycopg
import pytest

from tests.security.catalog import privileges
from tests.security.conftest import Review
from tests.security.reviewed import PRIVILEGES

CHANGES = {
    "grant truncate on public.courses to authenticated": "table public.courses authenticated: {}, truncate",
    "grant select on private.quiz_answer_keys to anon": "table private.quiz_answer_keys anon: select",
    "grant select (answer) on private.quiz_answer_keys to edge": "table private.quiz_answer_keys edge: select(answer)",
    "grant references on public.profiles to anon": "table public.profiles anon: select, references",
    "grant select on public.audit_log to public": "table public.audit_log public: select",
    "grant insert on public.enrolments to service_role": "table public.enrolments service_role: select, insert",
    "grant update (status) on public.enrolments to authenticated": "table public.enrolments {}, update(status)",
    "revoke select on public.profiles from authenticated": "table public.profiles authenticated: update({})",
    "create table public.planted (id int)": "table public.planted: nobody",
    "create view public.planted as select 1 as one": "view public.planted: nobody",
    "create materialized view public.planted as select 1 as one": "view public.planted: nobody",
    "create sequence public.planted": "sequence public.planted: nobody",
    "create function public.planted() returns int return 1": "function public.planted() public: execute",
    "grant execute on function private.slugify(text) to edge": "function private.slugify(text) edge: execute",
    "create type private.planted as enum ('a')": "type private.planted public: usage",
    "grant create on schema public to authenticated": "schema public authenticated: usage, create",
    "grant usage on schema private to supabase_storage_admin": "schema private supabase_storage_admin: usage",
    "grant usage on schema private to dashboard_user": "schema private dashboard_user: usage",
    "alter role edge bypassrls": "role edge: bypassrls, login",
    "grant service_role to edge": "role edge: login, may become service_role",
    "grant pg_read_all_data to authenticated": "role authenticated: may become pg_read_all_data",
    "alter role edge inherit; grant pg_read_all_data to edge": "table public.accounts edge: select",
}
"""A change, and the line that it adds."""


def test_privileges_are_those_reviewed(live: psycopg.Connection, review: Review) -> None:
    review(PRIVILEGES, privileges(live))


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_noticed(scratch: psycopg.Connection, change: str) -> None:
    before = privileges(scratch)
    scratch.execute(change.encode())
    start, _, end = CHANGES[change].partition("{}")
    assert [line for line in privileges(scratch) - before if line.startswith(start) and line.endswith(end)]


@pytest.mark.parametrize(
    "made",
    [
        "table {} (id int generated always as identity)",
        "view {} as select 1 as one",
        "sequence {}",
        "function {}() returns int language sql as 'select 1'",
    ],
)
@pytest.mark.parametrize("schema", ["public", "private"])
def test_what_a_migration_creates_is_closed(scratch: psycopg.Connection, made: str, schema: str) -> None:
    scratch.execute("set role postgres")
    scratch.execute(f"create {made.format(f'{schema}.planted')}".encode())
    scratch.execute("reset role")
    kind = made.partition(" ")[0]
    assert f"{kind} {schema}.planted{'()' if kind == 'function' else ''}: nobody" in privileges(scratch)
