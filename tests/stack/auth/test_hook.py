"""The access token hook and the password verification hook."""

from collections.abc import Iterator

import httpx
import pytest

from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Database,
    Rig,
    assert_refused,
    claims_of,
    new_email,
    session,
)
from tests.waiting import wait_until

RETURN_UNCHANGED = "begin return event; end"


def set_token_hook(database: Database, body: str) -> None:
    """Replace the body of the access token hook."""
    database.query(
        f"""
        create or replace function public.token_hook(event jsonb) returns jsonb language plpgsql as $${body}$$;
        grant execute on function public.token_hook(jsonb) to supabase_auth_admin;
        grant usage on schema public to supabase_auth_admin
        """
    )


def test_the_hook_adds_claims_and_cannot_change_the_role(hooked: AuthServer, database: Database) -> None:
    set_token_hook(
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
    made = session(hooked.post("/signup", email=new_email(), password=PASSWORD))
    claims = claims_of(made["access_token"])
    assert (claims["user_role"], claims["role"]) == ("teacher", "authenticated")
    assert claims["seen"] == {"user_id": made["user"]["id"], "authentication_method": "password"}
    again = session(hooked.post("/token?grant_type=refresh_token", refresh_token=made["refresh_token"]))
    assert claims_of(again["access_token"])["seen"]["authentication_method"] == "token_refresh"


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
def test_a_hook_that_refuses_or_fails_prevents_sign_in(
    hooked: AuthServer, database: Database, body: str, status: int, code: str
) -> None:
    set_token_hook(database, RETURN_UNCHANGED)
    email, refused_email = new_email(), new_email()
    made = session(hooked.post("/signup", email=email, password=PASSWORD))
    set_token_hook(database, body)
    sessions = "select count(*) from auth.sessions where user_id = %s"
    before = database.query(sessions, made["user"]["id"])
    assert_refused(hooked.post("/token?grant_type=password", email=email, password=PASSWORD), status, code)
    assert database.query(sessions, made["user"]["id"]) == before
    if code != "hook_timeout":  # one timeout is slow enough
        assert_refused(hooked.post("/signup", email=refused_email, password=PASSWORD), status, code)
        assert_refused(
            hooked.post("/token?grant_type=refresh_token", refresh_token=made["refresh_token"]), status, code
        )
    assert database.query("select count(*) from auth.users where email = %s", refused_email) == [(0,)]
    set_token_hook(database, RETURN_UNCHANGED)
    # The refused refresh did not use up its token.
    session(hooked.post("/token?grant_type=refresh_token", refresh_token=made["refresh_token"]))


def test_a_missing_hook_is_named(hooked: AuthServer, database: Database) -> None:
    set_token_hook(database, RETURN_UNCHANGED)
    email = hooked.create_user()["email"]
    database.query("drop function public.token_hook(jsonb)")
    answer = hooked.post("/token?grant_type=password", email=email, password=PASSWORD)
    assert_refused(answer, 500, "unexpected_failure")
    assert "public.token_hook" in answer.json()["message"]


# The password verification hook


@pytest.fixture(scope="module", name="guarded")
def guarded_fixture(rig: Rig) -> Iterator[AuthServer]:
    """A server that calls `public.password_hook` for each password attempt."""
    rig.database.query("create table if not exists public.attempts (id serial, event jsonb)")
    set_password_hook(rig.database, CONTINUE)
    server = rig.server(AUTH_HOOK_PASSWORD_ATTEMPT="public.password_hook")
    yield server
    server.close()


CONTINUE = """begin return '{"decision": "continue"}'::jsonb; end"""


def set_password_hook(database: Database, body: str) -> None:
    """Replace the body of the password verification hook."""
    database.query(
        f"""
        create or replace function public.password_hook(event jsonb) returns jsonb
        language plpgsql security definer set search_path = '' as $${body}$$;
        grant execute on function public.password_hook(jsonb) to supabase_auth_admin;
        grant usage on schema public to supabase_auth_admin
        """
    )


def try_password(server: AuthServer, email: str, password: str) -> httpx.Response:
    """Send a sign-in with a password."""
    return server.post("/token?grant_type=password", email=email, password=password)


def test_the_hook_gets_each_password_attempt_for_a_user(guarded: AuthServer, database: Database) -> None:
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
    assert_refused(try_password(guarded, new_email(), "wrong-horse"), 400, "invalid_credentials")
    assert_refused(try_password(guarded, user["email"], "wrong-horse"), 400, "invalid_credentials")
    session(try_password(guarded, user["email"], PASSWORD))
    wait_until(lambda: database.query("select count(*) from public.attempts") == [(2,)])
    events = [event for (event,) in database.query("select event from public.attempts order by event -> 'valid'")]
    assert [(event["user_id"], event["valid"]) for event in events] == [(user["id"], False), (user["id"], True)]
    assert {event["metadata"]["ip_address"] for event in events} == {"127.0.0.1"}
    assert all(event["metadata"]["user_agent"].startswith("python-httpx/") for event in events)


@pytest.mark.parametrize(("logs_out", "sessions_left"), [("true", 0), ("false", 1)])
def test_the_hook_can_reject_a_correct_password(
    guarded: AuthServer, database: Database, logs_out: str, sessions_left: int
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
    assert_refused(answer, 400, "invalid_credentials")
    assert answer.json()["message"] == "Not today"
    assert database.query("select count(*) from auth.sessions where user_id = %s", user["id"]) == [(sessions_left,)]
    # A wrong password gets the same answer as an unknown user.
    wrong, unknown = (try_password(guarded, email, "wrong-horse") for email in (user["email"], new_email()))
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
def test_a_failing_hook_does_not_prevent_sign_in_and_is_logged(
    guarded: AuthServer, database: Database, body: str
) -> None:
    set_password_hook(database, body)
    user = guarded.create_user()
    before = guarded.log.read_text().count("hook_failed")
    session(try_password(guarded, user["email"], PASSWORD))
    assert_refused(try_password(guarded, user["email"], "wrong-horse"), 400, "invalid_credentials")
    wait_until(lambda: guarded.log.read_text().count("hook_failed") == before + 2)
