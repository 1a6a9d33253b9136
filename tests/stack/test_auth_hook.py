"""The hooks: of access tokens, and of passwords that are tried."""

from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from tests.edge.post import wait_until
from tests.stack.auth_server import (
    PASSWORD,
    AuthServer,
    Database,
    Rig,
    database_fixture,  # noqa: F401
    hooked_fixture,  # noqa: F401
    new_address,
    refused,
    rig_fixture,  # noqa: F401
    session,
)

PASS_ON = "begin return event; end"


def set_hook(database: Database, body: str) -> None:
    """Make the hook's function do this."""
    database.query(
        f"""
        create or replace function public.token_hook(event jsonb) returns jsonb language plpgsql as $${body}$$;
        grant execute on function public.token_hook(jsonb) to supabase_auth_admin;
        grant usage on schema public to supabase_auth_admin
        """
    )


def claims_of(signed_in: dict[str, Any]) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(signed_in["access_token"], options={"verify_signature": False})
    return claims


def test_claims_are_added_and_the_role_stays(hooked: AuthServer, database: Database) -> None:
    set_hook(
        database,
        """
        begin
            event := jsonb_set(event, '{claims,user_role}', '"teacher"');
            event := jsonb_set(event, '{claims,seen}', event - 'claims');
            event := jsonb_set(event, '{claims,role}', '"service_role"');
            return jsonb_build_object('claims', event -> 'claims');
        end
        """,
    )
    made = session(hooked.post("/signup", email=new_address(), password=PASSWORD))
    claims = claims_of(made)
    assert (claims["user_role"], claims["role"]) == ("teacher", "authenticated")
    assert claims["seen"] == {"user_id": made["user"]["id"], "authentication_method": "password"}
    again = session(hooked.post("/token?grant_type=refresh_token", refresh_token=made["refresh_token"]))
    assert claims_of(again)["seen"]["authentication_method"] == "token_refresh"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (
            """begin return '{"error": {"http_code": 403, "message": "account_suspended"}}'::jsonb; end""",
            403,
            "account_suspended",
        ),
        ("""begin return '{"error": {"http_code": 403, "message": "Not today."}}'::jsonb; end""", 403, "unknown"),
        ("""begin return '{"error": {"message": "Not today."}}'::jsonb; end""", 500, "unexpected_failure"),
        ("begin raise sqlstate 'PT403' using message = 'account_suspended'; end", 403, "account_suspended"),
        ("begin raise exception 'broken'; end", 500, "unexpected_failure"),
        ("begin return null; end", 500, "unexpected_failure"),
        ("begin return '{}'::jsonb; end", 500, "unexpected_failure"),
        ("begin return event #- '{claims,sub}'; end", 500, "unexpected_failure"),
        ("begin return jsonb_set(event, '{claims,exp}', '\"never\"'); end", 500, "unexpected_failure"),
        ("begin perform pg_sleep(10); return event; end", 422, "hook_timeout"),
    ],
)
def test_a_hook_that_refuses_or_fails_lets_nobody_in(
    hooked: AuthServer, database: Database, body: str, status: int, code: str
) -> None:
    set_hook(database, PASS_ON)
    email, unlucky = new_address(), new_address()
    made = session(hooked.post("/signup", email=email, password=PASSWORD))
    set_hook(database, body)
    sessions = "select count(*) from auth.sessions where user_id = %s"
    before = database.query(sessions, made["user"]["id"])
    refused(hooked.post("/token?grant_type=password", email=email, password=PASSWORD), status, code)
    assert database.query(sessions, made["user"]["id"]) == before
    if code != "hook_timeout":  # once is slow enough
        refused(hooked.post("/signup", email=unlucky, password=PASSWORD), status, code)
        refused(hooked.post("/token?grant_type=refresh_token", refresh_token=made["refresh_token"]), status, code)
    assert database.query("select count(*) from auth.users where email = %s", unlucky) == [(0,)]
    set_hook(database, PASS_ON)
    # The refused refresh did not use up its token.
    session(hooked.post("/token?grant_type=refresh_token", refresh_token=made["refresh_token"]))


def test_a_missing_hook_is_named(hooked: AuthServer, database: Database) -> None:
    set_hook(database, PASS_ON)
    email = hooked.create_user()["email"]
    database.query("drop function public.token_hook(jsonb)")
    answer = hooked.post("/token?grant_type=password", email=email, password=PASSWORD)
    refused(answer, 500, "unexpected_failure")
    assert "public.token_hook" in answer.json()["message"]


# The password verification attempt hook


@pytest.fixture(scope="module", name="guarded")
def guarded_fixture(rig: Rig) -> Iterator[AuthServer]:
    """A server that tells `public.password_hook` of each password that is tried."""
    rig.database.query("create table if not exists public.attempts (id serial, event jsonb)")
    set_password_hook(rig.database, CONTINUE)
    server = rig.server(AUTH_HOOK_PASSWORD_ATTEMPT="public.password_hook")
    yield server
    server.close()


CONTINUE = """begin return '{"decision": "continue"}'::jsonb; end"""


def set_password_hook(database: Database, body: str) -> None:
    """Make the hook's function do this, and write down what it heard where it gets so far."""
    database.query(
        f"""
        create or replace function public.password_hook(event jsonb) returns jsonb
        language plpgsql security definer set search_path = '' as $${body}$$;
        grant execute on function public.password_hook(jsonb) to supabase_auth_admin;
        grant usage on schema public to supabase_auth_admin
        """
    )


def try_password(server: AuthServer, email: str, password: str) -> httpx.Response:
    """Try to sign in."""
    return server.post("/token?grant_type=password", email=email, password=password)


def test_the_hook_hears_of_each_password_that_is_tried_for_a_user(guarded: AuthServer, database: Database) -> None:
    set_password_hook(
        database,
        """
        begin
            insert into public.attempts (event) values (event);
            return '{"decision": "continue"}'::jsonb;
        end
        """,
    )
    user = guarded.create_user()
    refused(try_password(guarded, new_address(), "wrong-horse"), 400, "invalid_credentials")
    refused(try_password(guarded, user["email"], "wrong-horse"), 400, "invalid_credentials")
    session(try_password(guarded, user["email"], PASSWORD))
    wait_until(lambda: database.query("select count(*) from public.attempts") == [(2,)])
    heard = [event for (event,) in database.query("select event from public.attempts order by event -> 'valid'")]
    assert [(event["user_id"], event["valid"]) for event in heard] == [(user["id"], False), (user["id"], True)]
    assert {event["metadata"]["ip_address"] for event in heard} == {"127.0.0.1"}
    assert all(event["metadata"]["user_agent"].startswith("python-httpx/") for event in heard)


@pytest.mark.parametrize(("logs_out", "left"), [("true", 0), ("false", 1)])
def test_the_hook_may_reject_a_right_password(
    guarded: AuthServer, database: Database, logs_out: str, left: int
) -> None:
    set_password_hook(database, CONTINUE)
    user = guarded.create_user()
    session(try_password(guarded, user["email"], PASSWORD))
    set_password_hook(
        database,
        f"""
        begin
            return '{{"decision": "reject", "message": "Not today", "should_logout_user": {logs_out}}}'::jsonb;
        end
        """,
    )
    answer = try_password(guarded, user["email"], PASSWORD)
    refused(answer, 400, "invalid_credentials")
    assert answer.json()["message"] == "Not today"
    assert database.query("select count(*) from auth.sessions where user_id = %s", user["id"]) == [(left,)]
    # Whoever does not know the password learns nothing of it.
    wrong, unknown = (try_password(guarded, email, "wrong-horse") for email in (user["email"], new_address()))
    assert wrong.json() == unknown.json()


@pytest.mark.parametrize(
    "body",
    [
        "begin raise exception 'broken'; end",
        "begin raise sqlstate 'PT403' using message = 'locked_out'; end",
        "begin return null; end",
        """begin return '{"decision": "perhaps"}'::jsonb; end""",
        "begin perform pg_sleep(10); return null; end",
    ],
    ids=["broken", "refusing", "silent", "undecided", "slow"],
)
def test_a_broken_hook_locks_nobody_out_and_is_told_of(guarded: AuthServer, database: Database, body: str) -> None:
    set_password_hook(database, body)
    user = guarded.create_user()
    before = guarded.log.read_text().count("hook_failed")
    session(try_password(guarded, user["email"], PASSWORD))
    refused(try_password(guarded, user["email"], "wrong-horse"), 400, "invalid_credentials")
    wait_until(lambda: guarded.log.read_text().count("hook_failed") == before + 2)
