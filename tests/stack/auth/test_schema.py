"""Schema `auth`: what migrations, seeds and policies can use, as on Supabase."""

from uuid import uuid4

import psycopg
import pytest

from stack.database import bootstrap
from tests.stack.auth.support import (
    Database,
)

TABLES = {
    "audit_log_entries", "known_networks", "flow_state", "identities", "instances", "mfa_amr_claims",
    "mfa_challenges", "mfa_factors", "one_time_tokens", "refresh_tokens", "schema_migrations", "sessions", "totp_steps",
    "users",
}  # fmt: skip
USER_COLUMNS = {
    "instance_id", "id", "aud", "role", "email", "encrypted_password", "email_confirmed_at", "invited_at",
    "confirmation_token", "confirmation_sent_at", "recovery_token", "recovery_sent_at", "email_change_token_new",
    "email_change_token_current", "email_change", "email_change_sent_at", "email_change_confirm_status",
    "last_sign_in_at", "raw_app_meta_data", "raw_user_meta_data", "is_super_admin", "created_at", "updated_at", "phone",
    "phone_confirmed_at", "phone_change", "phone_change_token", "phone_change_sent_at", "confirmed_at", "banned_until",
    "reauthentication_token", "reauthentication_sent_at", "is_sso_user", "deleted_at", "is_anonymous",
}  # fmt: skip
API_ROLES = ("anon", "authenticated", "service_role")
CLAIMS = '{"sub": "0b4bd0c2-9b0e-4b77-9a4c-3a6a2b1f5a11", "role": "authenticated", "email": "ada@example.com"}'


def test_tables_belong_to_the_auth_server_and_have_no_policies(database: Database) -> None:
    rows = database.query(
        "select relname, pg_get_userbyid(relowner), relrowsecurity from pg_class "
        "where relnamespace = 'auth'::regnamespace and relkind = 'r'"
    )
    assert {name for name, _, _ in rows} == TABLES
    assert {(owner, is_closed) for _, owner, is_closed in rows} == {("supabase_auth_admin", True)}
    assert database.query("select count(*) from pg_policies where schemaname = 'auth'") == [(0,)]
    columns = database.query(
        "select attname from pg_attribute where attrelid = 'auth.users'::regclass and attnum > 0 and not attisdropped"
    )
    assert {name for (name,) in columns} == USER_COLUMNS


@pytest.mark.parametrize("role", API_ROLES)
def test_api_roles_can_call_the_functions_and_read_no_table(database: Database, role: str) -> None:
    with psycopg.connect(database.url("authenticator"), autocommit=True) as connection:
        connection.execute(f"set role {role}".encode())
        for table in TABLES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select from auth.{table}".encode())
        assert connection.execute("select auth.uid(), auth.role(), auth.email(), auth.jwt()").fetchone() == (None,) * 4
        connection.execute("select set_config('request.jwt.claims', %s, false)", [CLAIMS])
        seen = connection.execute("select auth.uid()::text, auth.role(), auth.email(), auth.jwt() ->> 'sub'").fetchone()
        sub = "0b4bd0c2-9b0e-4b77-9a4c-3a6a2b1f5a11"
        assert seen == (sub, "authenticated", "ada@example.com", sub)
        connection.execute("select set_config('request.jwt.claim.role', 'anon', false)")
        assert connection.execute("select auth.role()").fetchone() == ("anon",)
        connection.execute("select set_config('request.jwt.claims', '', false)")
        assert connection.execute("select auth.uid()").fetchone() == (None,)


def test_public_cannot_call_the_functions(database: Database) -> None:
    rows = database.query(
        "select p.proname from pg_proc as p, aclexplode(p.proacl) as a "
        "where p.pronamespace = 'auth'::regnamespace and a.grantee = 0"
    )
    assert rows == []


def test_migrations_can_reference_users_and_add_triggers(database: Database) -> None:
    user_id = uuid4()
    with psycopg.connect(database.url("postgres")) as connection:
        connection.execute(
            """
            create table public.followers (
                id uuid primary key references auth.users (id) on delete cascade,
                email text
            );
            create function public.tg_follow() returns trigger
            language plpgsql security definer set search_path = ''
            as $$
            begin
                if tg_op = 'DELETE' then
                    return old;
                end if;
                insert into public.followers values (new.id, new.email)
                on conflict (id) do update set email = excluded.email;
                return new;
            end
            $$;
            create trigger follow after insert or update or delete on auth.users
            for each row execute function public.tg_follow()
            """
        )
        # As seeds do it.
        connection.execute(
            "insert into auth.users (id, email, encrypted_password) "
            "values (%s, 'a@example.com', extensions.crypt('x', extensions.gen_salt('bf')))",
            [user_id],
        )
        connection.execute("update auth.users set email = 'b@example.com' where id = %s", [user_id])
        assert connection.execute("select email from public.followers").fetchone() == ("b@example.com",)
        connection.execute("delete from auth.users where id = %s", [user_id])
        assert connection.execute("select count(*) from public.followers").fetchone() == (0,)
        connection.rollback()


def test_an_email_address_has_one_account(database: Database) -> None:
    with psycopg.connect(database.url("postgres")) as connection:
        insert = "insert into auth.users (id, email, is_sso_user) values (gen_random_uuid(), 'same@example.com', %s)"
        connection.execute(insert, [False])
        connection.execute(insert, [True])
        with pytest.raises(psycopg.errors.UniqueViolation) as twice:
            connection.execute(insert, [False])
        assert twice.value.diag.constraint_name == "users_email_partial_key"
        connection.rollback()


def test_the_bootstrap_can_be_repeated(database: Database) -> None:
    before = database.query("select relname, relacl::text from pg_class where relnamespace = 'auth'::regnamespace")
    bootstrap(database.cluster.url(), {})
    after = database.query("select relname, relacl::text from pg_class where relnamespace = 'auth'::regnamespace")
    assert sorted(map(str, before)) == sorted(map(str, after))
