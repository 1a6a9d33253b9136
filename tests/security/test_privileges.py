"""Who may do what, from the live catalog, equals the reviewed list; and each kind of change to it would be seen."""

import psycopg
import pytest

from tests.security import reviewed
from tests.security.catalog import privileges

LIST = "allowlist.txt"


def test_privileges_are_those_reviewed(live: psycopg.Connection) -> None:
    wrong = reviewed.differences(privileges(live), LIST)
    assert not wrong, "\n".join(wrong)


def test_clone_is_like_the_stack(plot: psycopg.Connection, live: psycopg.Connection) -> None:
    """What is planted below is planted in a database that passes."""
    assert privileges(plot) == privileges(live)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("grant truncate on public.courses to authenticated", "table public.courses authenticated: select, {}, truncate"),
        ("grant select on private.quiz_answer_keys to anon", "table private.quiz_answer_keys anon: select"),
        ("grant select (answer) on private.quiz_answer_keys to edge", "table private.quiz_answer_keys edge: select(answer)"),
        ("grant references on public.profiles to anon", "table public.profiles anon: select, references"),
        ("grant select on public.audit_log to public", "table public.audit_log public: select"),
        ("grant insert on public.enrolments to service_role", "table public.enrolments service_role: select, insert"),
        ("grant update (status) on public.enrolments to authenticated", "table public.enrolments authenticated: select, update(status)"),
        ("revoke select on public.profiles from anon", None),
        ("create table public.planted (id int)", "table public.planted: nobody"),
        ("create view public.planted as select 1 as one", "view public.planted: nobody"),
        ("create materialized view private.planted as select 1 as one; grant select on private.planted to anon", "view private.planted anon: select"),
        ("create sequence private.planted; grant usage on sequence private.planted to anon", "sequence private.planted anon: usage"),
        ("create function public.planted() returns int language sql as 'select 1'", "function public.planted() public: execute"),
        ("grant execute on function private.audit(text, text, text, jsonb, jsonb) to edge", "function private.audit(text,text,text,jsonb,jsonb) edge: execute"),
        ("create type private.planted as enum ('a')", "type private.planted public: usage"),
        ("grant create on schema public to authenticated", "schema public authenticated: usage, create"),
        ("grant usage on schema private to supabase_storage_admin", "schema private supabase_storage_admin: usage"),
        ("grant usage on schema private to dashboard_user", "schema private dashboard_user: usage"),
        ("alter role edge bypassrls", "role edge: bypassrls, login"),
        ("grant service_role to edge", "role edge: login, may become service_role"),
        ("grant pg_read_all_data to authenticated", "table private.accounts authenticated: select"),
    ],
)  # fmt: skip
def test_change_is_seen(plot: psycopg.Connection, change: str, line: str | None) -> None:
    before = privileges(plot)
    plot.execute(change.encode())
    after = privileges(plot)
    assert after != before
    if line is not None:
        start, _, end = line.partition("{}")
        assert [new for new in after - before if new.startswith(start) and new.endswith(end)]


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("create table public.planted (id int generated always as identity)", "table public.planted: nobody"),
        ("create view public.planted as select 1 as one", "view public.planted: nobody"),
        ("create sequence public.planted", "sequence public.planted: nobody"),
        (
            "create function public.planted() returns int language sql as 'select 1'",
            "function public.planted(): nobody",
        ),
        (
            "create function private.planted() returns int language sql as 'select 1'",
            "function private.planted(): nobody",
        ),
    ],
)
def test_what_a_migration_makes_starts_closed(plot: psycopg.Connection, statement: str, line: str) -> None:
    plot.execute("set role postgres")
    plot.execute(statement.encode())
    plot.execute("reset role")
    assert line in privileges(plot)
