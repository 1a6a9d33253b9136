"""A SQL session as one of our roles can run more statements than the API, and has no more power."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.databases import Databases
from tests.people import Academy, Person
from tests.security.conftest import School
from tests.security.reviewed import PRIVILEGES

CLIENTS = ("anon", "authenticated", "service_role")
DENIED = psycopg.errors.InsufficientPrivilege


@contextmanager
def acting(connection: psycopg.Connection, role: str, claims: str | None = None) -> Iterator[psycopg.Connection]:
    """Become a role as PostgREST does for a request, in a transaction that is rolled back."""
    with connection.transaction(force_rollback=True):
        if claims is not None:
            connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        connection.execute(f"set local role {role}".encode())
        yield connection


AVATARS = "select name from storage.objects where bucket_id = 'avatars'"


@pytest.fixture(scope="module")
def edge(databases: Databases) -> Iterator[psycopg.Connection]:
    """A session of the edge's login role."""
    with psycopg.connect(databases.url("postgres", "edge"), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def authenticator(databases: Databases) -> Iterator[psycopg.Connection]:
    """A session of PostgREST's login role."""
    with psycopg.connect(databases.url("postgres", "authenticator"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def session(admin_db_url: str) -> Iterator[psycopg.Connection]:
    """A session that can become any role."""
    with psycopg.connect(admin_db_url, autocommit=True) as connection:
        yield connection


# Guards without claims

NO_CLAIMS = [None, "", "{}", '{"sub": null}', '{"role": "authenticated"}', '{"sub": ""}']


@pytest.mark.parametrize("claims", NO_CLAIMS)
@pytest.mark.parametrize("role", ["authenticated", "service_role"])
def test_a_caller_without_claims_is_a_stranger(session: psycopg.Connection, role: str, claims: str | None) -> None:
    """Without claims the caller is nobody: neither everybody, nor the owner of rows without an owner."""
    with acting(session, role, claims) as caller:
        if claims == '{"sub": ""}':
            with pytest.raises(psycopg.errors.InvalidTextRepresentation):
                caller.execute("select private.is_active()")
            return
        found = caller.execute(
            "select private.is_active(), private.has_role('superadmin'), private.has_role(null),"
            " private.my_course_ids(), private.my_taught_course_ids()"
        ).fetchone()
        assert found == (False, False, False, [], [])


@pytest.mark.parametrize("claims", NO_CLAIMS[:5])
@pytest.mark.parametrize(
    "call",
    [
        "public.enrol(null)",
        "public.publish_course(null)",
        "public.unpublish_course(null)",
        "public.grant_role(null, 'admin')",
        "public.revoke_role(null, null)",
        "public.set_account_status(null, 'active')",
        "public.apply_to_teach(null)",
        "public.withdraw_teacher_application()",
        "public.decide_teacher_application(null, null)",
        "public.create_user(null)",
        "public.verify_email(null)",
        "public.send_password_reset(null)",
        "public.delete_user(null)",
        "public.delete_account(false)",
        "public.personal_files(null)",
        "public.search_accounts(null)",
        "public.export_user_accounts()",
        "public.export_my_data()",
        "public.record_progress(null)",
        "public.submit_quiz(null, null)",
        "public.save_quiz_question(null, null, null, null)",
        "public.quiz_answer_keys(null)",
    ],
)
def test_functions_refuse_a_caller_without_claims(session: psycopg.Connection, call: str, claims: str | None) -> None:
    with acting(session, "authenticated", claims) as caller, pytest.raises(psycopg.Error) as refusal:
        caller.execute(f"select {call}".encode())
    assert (refusal.value.sqlstate, refusal.value.diag.message_primary) == ("PT401", "sign_in_required")


@pytest.mark.parametrize("claims", NO_CLAIMS[:5])
def test_tables_show_and_take_nothing_without_claims(
    session: psycopg.Connection, school: School, claims: str | None
) -> None:
    with acting(session, "authenticated", claims) as caller:
        for table in ("enrolments", "quiz_attempts", "user_settings", "lesson_progress", "user_roles", "audit_log"):
            assert caller.execute(f"select * from public.{table}".encode()).fetchall() == []  # noqa: S608
        assert caller.execute("update public.profiles set bio = 'x'").rowcount == 0
        assert caller.execute("delete from public.courses").rowcount == 0
        hidden = caller.execute("select from public.courses where id = %s", [school.draft.id]).fetchall()
        assert hidden == []
        with pytest.raises(DENIED):
            caller.execute("insert into public.courses (title) values ('x')")


@pytest.mark.parametrize(
    "claims",
    [None, "", "{}", '{"sub": "5eed0000-0000-4000-8000-000000000001", "aud": "authenticated"}'],
)
def test_pre_request_refuses_tokens_without_claims(session: psycopg.Connection, claims: str | None) -> None:
    with acting(session, "authenticated", claims) as caller, pytest.raises(psycopg.Error) as refusal:
        caller.execute("select private.check_request()")
    assert (refusal.value.sqlstate, refusal.value.diag.message_primary) == ("PT401", "token_invalid")


@pytest.mark.parametrize("audience", ['"authenticated"', '["authenticated"]'])
def test_pre_request_accepts_users(session: psycopg.Connection, audience: str) -> None:
    claims = f'{{"sub": "5eed0000-0000-4000-8000-000000000001", "exp": 1, "aud": {audience}}}'
    with acting(session, "authenticated", claims) as caller:
        caller.execute("select private.check_request()")


# Statements that the API cannot send


@pytest.mark.parametrize("role", CLIENTS)
def test_nobody_empties_a_table(session: psycopg.Connection, role: str) -> None:
    tables = session.execute(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p')"
        " and relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'auth'::regnamespace,"
        " 'storage'::regnamespace)"
    ).fetchall()
    assert len(tables) > 30
    for (table,) in tables:
        with acting(session, role) as caller, pytest.raises(DENIED):
            caller.execute(f"truncate {table} cascade".encode())


def test_not_even_the_owner_rewrites_the_audit_log(session: psycopg.Connection) -> None:
    for statement in (
        "update public.audit_log set action = 'a.b'",
        "delete from public.audit_log",
        "truncate public.audit_log",
    ):
        with session.transaction(force_rollback=True):
            session.execute("set local role postgres")
            session.execute(
                "insert into public.audit_log (action, target_table, target_id) values ('test.made', 'x', 'y')"
            )
            with pytest.raises(psycopg.Error) as refusal:
                session.execute(statement.encode())
        assert refusal.value.diag.message_primary == "append_only"


@pytest.mark.parametrize("role", [*CLIENTS, "edge"])
@pytest.mark.parametrize(
    "statement",
    [
        "create table public.mine (id int)",
        "create table private.mine (id int)",
        "create function public.mine() returns int language sql return 1",
        "create temporary table courses (id uuid)",
        "create function pg_temp.mine() returns int language sql return 1",
        "create schema mine",
        "alter table public.courses disable row level security",
        "create policy mine on public.courses using (true)",
        "create rule mine as on select to public.courses do instead select 1",
        "grant select on private.mail_outbox to anon",
        "set role postgres",
        "set session authorization postgres",
        "alter role edge bypassrls",
        "copy public.profiles to program 'cat'",
        "select pg_read_file('/etc/passwd')",
        "select lo_import('/etc/passwd')",
        "select * from pg_authid",
        "select * from auth.users",
        "select * from auth.refresh_tokens",
        "select * from storage.migrations",
        "select * from supabase_migrations.schema_migrations",
    ],
)
def test_session_gives_no_more_power(
    authenticator: psycopg.Connection, edge: psycopg.Connection, role: str, statement: str
) -> None:
    with acting(edge if role == "edge" else authenticator, role) as caller, pytest.raises(DENIED):
        caller.execute(statement.encode())


# Objects that shadow ours


HIJACK = """
    create function pg_temp.steal(pg_catalog.uuid) returns boolean language plpgsql as $$
    begin
        raise notice 'run as %', current_user;
        return true;
    end
    $$;
    create domain pg_temp.uuid as pg_catalog.uuid check (pg_temp.steal(value));
"""


def test_temporary_type_would_be_run_by_definer_functions(databases: Databases, clone: str) -> None:
    """Shows why TEMPORARY is revoked: a temporary type runs code with the owner's power."""
    with psycopg.connect(databases.url(clone)) as connection:
        said: list[str | None] = []
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary))
        connection.execute(f"grant temporary on database {clone} to authenticated".encode())
        with acting(connection, "authenticated", '{"sub": "5eed0000-0000-4000-8000-000000000001"}') as caller:
            caller.execute(HIJACK.encode())
            caller.execute("select private.is_active()")
        assert "run as postgres" in said
        connection.rollback()


@pytest.mark.parametrize("role", [*CLIENTS, "edge"])
def test_temporary_type_cannot_be_made(authenticator: psycopg.Connection, edge: psycopg.Connection, role: str) -> None:
    with acting(edge if role == "edge" else authenticator, role) as caller, pytest.raises(DENIED):
        caller.execute(HIJACK.encode())


def test_functions_ignore_shadows(databases: Databases, clone: str) -> None:
    """Our functions ignore temporary tables and functions of the same names, whatever the search path."""
    with psycopg.connect(databases.url(clone)) as connection:
        connection.execute(f"grant temporary on database {clone} to authenticated".encode())
        claims = '{"sub": "5eed0000-0000-4000-8000-000000000001"}'
        with acting(connection, "authenticated", claims) as caller:
            caller.execute(
                "create temporary table accounts as"
                " select '5eed0000-0000-4000-8000-000000000001'::uuid as user_id, 'active' as status"
            )
            caller.execute("create temporary table user_roles as select user_id, 'superadmin' as role from accounts")
            for name, kind in {"now": "timestamptz", "is_active": "boolean", "uid": "uuid"}.items():
                caller.execute(
                    f"create function pg_temp.{name}() returns {kind} language sql return null::{kind}".encode()
                )
            caller.execute("set local search_path = pg_temp, private, public, auth")
            found = caller.execute("select private.is_active(), private.has_role('superadmin')").fetchone()
            assert found == (False, False)
        connection.rollback()


# The edge


def test_edge_has_exactly_its_functions(edge: psycopg.Connection) -> None:
    may = edge.execute(
        "select p.oid::pg_catalog.regprocedure::text from pg_catalog.pg_proc as p"
        " join pg_catalog.pg_namespace as n on n.oid = p.pronamespace"
        " where n.nspname not in ('pg_catalog', 'information_schema')"
        " and pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_function_privilege(p.oid, 'execute')"
    ).fetchall()
    listed = {line.removeprefix("function ") for line in PRIVILEGES.lines() if line.endswith(" edge: execute")}
    assert {f"{name} edge: execute" for (name,) in may} == listed
    assert edge.execute("select private.schema_version()").fetchone() is not None


def test_edge_has_no_table(edge: psycopg.Connection) -> None:
    may = edge.execute(
        "select c.oid::pg_catalog.regclass::text from pg_catalog.pg_class as c"
        " join pg_catalog.pg_namespace as n on n.oid = c.relnamespace"
        " where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relkind in ('r', 'p', 'v', 'm')"
        " and pg_catalog.has_schema_privilege(n.oid, 'usage')"
        " and pg_catalog.has_any_column_privilege(c.oid, 'select, insert, update')"
    ).fetchall()
    assert may == []


def test_edge_becomes_no_other_role(edge: psycopg.Connection) -> None:
    roles = [name for (name,) in edge.execute("select rolname from pg_catalog.pg_roles where rolname <> 'edge'")]
    assert len(roles) > 10
    for role in roles:
        with pytest.raises(DENIED):
            edge.execute(f'set role "{role}"'.encode())


def test_claims_give_the_edge_nothing(edge: psycopg.Connection, school: School) -> None:
    """The edge can set claims in its own session, and gains nothing by it."""
    with edge.transaction(force_rollback=True):
        edge.execute(
            "select pg_catalog.set_config('request.jwt.claims', %s, true)", [json.dumps({"sub": school.teacher.id})]
        )
        for call in ("private.is_active()", "private.require_active()", "private.my_taught_course_ids()"):
            with pytest.raises(DENIED), edge.transaction():
                edge.execute(f"select {call}".encode())


# The roles of auth and storage


def test_auth_touches_nothing_of_ours_but_its_hook(databases: Databases) -> None:
    with psycopg.connect(databases.url("postgres", "supabase_auth_admin"), autocommit=True) as connection:
        for statement in ("select * from public.profiles", "insert into public.user_roles values (null, 'admin')"):
            with pytest.raises(DENIED):
                connection.execute(statement.encode())
        [claims] = connection.execute("select private.custom_access_token('{\"claims\": {}}')").fetchone() or [None]
        assert claims == {"claims": {"user_role": "student"}}


# Stored files


def claims(person: Person) -> str:
    """The claims that PostgREST and storage set for a request of a user."""
    return json.dumps({"sub": person.id, "role": "authenticated"})


def put(caller: psycopg.Connection, bucket: str, name: str | None) -> None:
    """Add a stored object."""
    caller.execute("insert into storage.objects (bucket_id, name) values (%s, %s)", [bucket, name])


def test_avatar_lies_in_its_owners_folder(session: psycopg.Connection, school: School) -> None:
    own, other = school.stranger.id, school.rival.id
    with acting(session, "authenticated", claims(school.stranger)) as caller:
        put(caller, "avatars", f"{own}/me.png")
        assert caller.execute(AVATARS).fetchall() == [(f"{own}/me.png",)]
        for bucket, name in (
            ("avatars", f"{other}/me.png"),
            ("avatars", "me.png"),
            ("avatars", own),
            ("avatars", f"/{own}/me.png"),
            ("avatars", f"x/{own}/me.png"),
            ("avatars", f"{own.upper()}/me.png"),
            ("avatars", None),
            ("others", f"{own}/me.png"),
        ):
            with pytest.raises(DENIED), caller.transaction():
                put(caller, bucket, name)
            with pytest.raises(DENIED), caller.transaction():
                caller.execute("update storage.objects set bucket_id = %s, name = %s", [bucket, name])
    with acting(session, "anon") as caller, pytest.raises(DENIED):
        put(caller, "avatars", f"{own}/me.png")


def test_avatars_are_listed_and_removed_by_their_owner_and_moderators_only(
    session: psycopg.Connection, school: School
) -> None:
    with session.transaction(force_rollback=True):
        put(session, "avatars", f"{school.stranger.id}/me.png")
        session.execute("set local storage.allow_delete_query = 'true'")
        for role, who in (
            ("anon", None),
            ("authenticated", claims(school.rival)),
        ):
            with acting(session, role, who) as caller:
                assert caller.execute(AVATARS).fetchall() == []
                assert caller.execute("select from storage.buckets").fetchall() == []
                assert caller.execute("update storage.objects set metadata = '{}'").rowcount == 0
                assert caller.execute("delete from storage.objects").rowcount == 0
        # The owner removes all they can see; the moderator, who also sees files of other tests, only this one.
        with acting(session, "authenticated", claims(school.stranger)) as caller:
            assert caller.execute("delete from storage.objects").rowcount == 1
        with acting(session, "authenticated", claims(school.moderator)) as caller:
            removed = caller.execute("delete from storage.objects where name = %s", [f"{school.stranger.id}/me.png"])
            assert removed.rowcount == 1
        with acting(session, "authenticated", claims(school.moderator)) as caller:
            assert caller.execute("update storage.objects set metadata = '{}'").rowcount == 0


def test_suspended_account_stores_nothing(session: psycopg.Connection, academy: Academy) -> None:
    person = academy.member()
    with session.transaction(force_rollback=True):
        put(session, "avatars", f"{person.id}/me.png")
        session.execute("update public.accounts set status = 'suspended' where user_id = %s", [person.id])
        session.execute("set local storage.allow_delete_query = 'true'")
        with acting(session, "authenticated", claims(person)) as caller:
            with pytest.raises(DENIED), caller.transaction():
                put(caller, "avatars", f"{person.id}/other.png")
            assert caller.execute("update storage.objects set metadata = '{}'").rowcount == 0
            assert caller.execute("delete from storage.objects").rowcount == 0
