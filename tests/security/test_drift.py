"""The sealed migration equals policies/, and a database equals what the migrations make."""

import psycopg
import pytest

from stack.paths import ROOT
from stack.tools import policies
from stack.tools.policies import POLICIES
from tests.security.catalog import shape

ACCESS = """
select 'policy', p.schemaname, p.tablename, to_jsonb(p)::text from pg_catalog.pg_policies as p
union all
select 'table', '', c.oid::regclass::text, c.relrowsecurity || (
    select array_agg(i::text order by i::text) from unnest(c.relacl) as i
)::text
from pg_catalog.pg_class as c where c.relacl is not null
union all
select 'column', a.attname, a.attrelid::regclass::text, (
    select array_agg(i::text order by i::text) from unnest(a.attacl) as i
)::text
from pg_catalog.pg_attribute as a where a.attacl is not null
union all
select 'function', '', p.oid::regprocedure::text, (
    select array_agg(i::text order by i::text) from unnest(p.proacl) as i
)::text
from pg_catalog.pg_proc as p where p.proacl is not null
union all
select 'schema', '', n.nspname, (select array_agg(i::text order by i::text) from unnest(n.nspacl) as i)::text
from pg_catalog.pg_namespace as n where n.nspacl is not null
"""
"""Every policy and every access list of the database."""


def access(connection: psycopg.Connection) -> set[tuple[str, ...]]:
    return set(connection.execute(ACCESS.encode()).fetchall())


def reapply(connection: psycopg.Connection) -> None:
    """Run the compiled policies as the role that deploys."""
    connection.execute("reset search_path")
    connection.execute("set role postgres")
    connection.execute(policies.compiled())
    connection.execute("reset role")


def test_sealed_migration_is_the_folder_byte_for_byte() -> None:
    assert policies.is_sealed(), "run ./guildhall policies"


def test_every_table_has_its_file_which_closes_it_first(live: psycopg.Connection) -> None:
    tables = live.execute(
        "select n.nspname, c.relname from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n"
        " on n.oid = c.relnamespace where n.nspname in ('public', 'private') and c.relkind in ('r', 'p', 'v', 'm')"
    ).fetchall()
    assert tables
    problems = []
    for schema, table in tables:
        closing = f"select private.close_table('{schema}.{table}');"
        found = list(POLICIES.glob(f"*/{table}.sql"))
        if len(found) != 1:
            problems.append(f"{schema}.{table} has {len(found)} files policies/<domain>/{table}.sql, and needs one")
        elif closing != next(line for line in found[0].read_text().splitlines() if line and not line.startswith("--")):
            problems.append(f"{found[0].relative_to(ROOT)} does not begin with: {closing}")
    assert not problems, "\n".join(problems)


def test_reapplying_changes_nothing(scratch: psycopg.Connection) -> None:
    before = access(scratch)
    reapply(scratch)
    assert access(scratch) == before


def test_running_stack_is_what_the_migrations_make(scratch: psycopg.Connection, live: psycopg.Connection) -> None:
    replayed, running = shape(scratch), shape(live)
    assert len(running) > 500
    changed = [f"- {line}" for line in sorted(replayed - running)] + [
        f"+ {line}" for line in sorted(running - replayed)
    ]
    assert not changed, "\n".join(["the running database differs from the migrations:", *changed])


STRAYS = [
    "create policy stray on public.quiz_attempts for select to authenticated using (true)",
    "create policy stray on private.quiz_answer_keys for select to authenticated using (true)",
    "alter policy courses_select_anon on public.courses using (true)",
    "drop policy enrolments_select_party on public.enrolments",
    "alter policy profiles_update_owner_or_admin on public.profiles to anon",
    "alter table public.certificates disable row level security",
    "alter table public.accounts disable row level security",
    "drop policy objects_select_user_or_moderator on storage.objects;"
    " create policy objects_select_user_or_moderator on storage.objects for select to anon using (true)",
    "grant all on public.certificates to authenticated",
    "grant update (holder_name) on public.certificates to authenticated",
    "grant select on private.quiz_answer_keys to anon",
    "grant select (answer) on private.quiz_answer_keys to service_role",
    "grant select on public.audit_log to edge, supabase_auth_admin, public",
    "grant usage on sequence private.mail_outbox_id_seq to anon",
    "grant execute on function private.issue_certificate(public.enrolments, uuid) to public",
    "grant execute on all functions in schema private to edge, supabase_auth_admin",
    "grant create on schema private to authenticated",
    "grant usage on schema private to public",
    "revoke select on public.courses from anon",
    "revoke execute on function public.enrol(uuid) from authenticated",
]


@pytest.mark.parametrize("stray", STRAYS)
def test_stray_is_noticed(scratch: psycopg.Connection, stray: str) -> None:
    intended = shape(scratch)
    scratch.execute(stray.encode())
    assert shape(scratch) != intended


def test_reapplying_removes_all_strays(scratch: psycopg.Connection) -> None:
    intended = shape(scratch)
    for stray in STRAYS:
        scratch.execute(stray.encode())
    reapply(scratch)
    assert sorted(shape(scratch) ^ intended) == []


@pytest.mark.parametrize(
    "edit",
    [
        "comment on table public.courses is 'edited'",
        "alter table public.courses alter column language set default 'fr'",
        "alter table public.enrolments drop constraint enrolments_student_id_course_id_key cascade",
        "alter table public.courses disable trigger _100_check_transition",
        "drop trigger guildhall_create_profile on auth.users",
        "create or replace function private.is_active() returns boolean language sql return true",
        "alter function private.is_active() reset all",
        "delete from private.status_transitions where to_status = 'revoked'",
        "update storage.buckets set public = not public",
        "alter type public.app_role add value 'planted'",
        "drop index public.courses_search_idx",
        "drop policy objects_insert_user on storage.objects",
    ],
)
def test_edit_by_hand_is_noticed(scratch: psycopg.Connection, edit: str) -> None:
    before = shape(scratch)
    scratch.execute(edit.encode())
    assert shape(scratch) != before
