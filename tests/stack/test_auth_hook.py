"""The custom access token hook."""

from typing import Any

import jwt
import pytest

from tests.stack.auth_server import (
    PASSWORD,
    AuthServer,
    Database,
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
