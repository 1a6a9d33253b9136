"""Both forms of errors, malformed requests, what the server says about itself and what it does not have."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack.auth.app import ROUTES
from tests.stack.auth_server import (
    PASSWORD,
    AuthServer,
    Rig,
    auth_fixture,  # noqa: F401
    bearer,
    new_address,
    refused,
    rig_fixture,  # noqa: F401
)

ERRANDS = ("/token?grant_type=pkce", "/resend", "/admin/users", "/admin/generate_link", "/invite")
BODIES = ("/signup", "/token?grant_type=password", "/token?grant_type=refresh_token", "/recover", "/otp", "/verify")


def test_errors_have_the_form_that_the_client_knows(auth: AuthServer) -> None:
    with httpx.Client(base_url=auth.url) as http:
        old = http.get("/user")
        assert (old.status_code, old.headers["x-sb-error-code"]) == (401, "no_authorization")
        assert (old.json()["code"], old.json()["error_code"]) == (401, "no_authorization")
        assert old.json()["msg"]
        assert "x-supabase-api-version" not in old.headers
        assert http.get("/user", headers={"X-Supabase-Api-Version": "2023-12-31"}).json()["code"] == 401
        assert http.get("/user", headers={"X-Supabase-Api-Version": "latest"}).json()["code"] == 401
        new = http.get("/user", headers={"X-Supabase-Api-Version": "2025-01-01"})
    assert new.headers["x-supabase-api-version"] == "2024-01-01"
    assert new.headers["x-sb-error-code"] == "no_authorization"
    assert new.json().keys() == {"code", "message"}
    assert new.json()["code"] == "no_authorization"


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 10_000, b'{"email": 1}', b'{"email": "\\ud800"}']
)
def test_a_body_that_is_no_json_object_is_refused(auth: AuthServer, path: str, body: bytes) -> None:
    answer = auth.http.post(path, content=body)
    if body == b'{"email": 1}' and "refresh" in path:
        refused(answer, 400, "validation_failed")  # a field that this errand does not read
    else:
        refused(answer, 400, "bad_json")


def test_unknown_fields_and_nulls_are_passed_over(auth: AuthServer) -> None:
    security = {"gotrue_meta_security": {"captcha_token": "x"}, "phone": None, "data": None, "code_challenge": None}
    assert auth.post("/signup", email=new_address(), password=PASSWORD, **security).status_code == 200


def test_what_the_database_cannot_store_is_the_callers_fault(auth: AuthServer) -> None:
    nul = "a\0b"
    refused(auth.post("/signup", email=new_address(), password=PASSWORD, data={"x": nul}), 400, "validation_failed")
    refused(auth.post("/token?grant_type=password", email=nul, password=PASSWORD), 400, "validation_failed")
    refused(auth.post("/token?grant_type=refresh_token", refresh_token=nul), 400, "validation_failed")
    refused(auth.post("/token?grant_type=pkce", auth_code=nul, code_verifier=nul), 400, "validation_failed")
    refused(auth.post("/verify", type="signup", token_hash=nul), 400, "validation_failed")
    refused(
        auth.post("/signup", email=new_address(), password=PASSWORD, data={"x": "y" * 300_000}),
        413,
        "payload_too_large",
    )


@settings(max_examples=40, deadline=None)
@given(
    path=st.sampled_from([*BODIES, *ERRANDS]),
    body=st.dictionaries(
        st.sampled_from(
            ["email", "password", "type", "token", "token_hash", "data", "refresh_token", "auth_code", "code_verifier",
             "code_challenge", "code_challenge_method", "id", "role", "ban_duration", "user_metadata", "password_hash"]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=40)
        | st.sampled_from(["a@b.co", "signup", "s256", "1h", "x" * 64])
        | st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.floats(allow_nan=False), max_size=3),
        max_size=6,
    ),
)  # fmt: skip
def test_no_body_is_a_failure_of_ours(auth: AuthServer, path: str, body: dict[str, Any]) -> None:
    answer = auth.http.post(path, content=json.dumps(body), headers=auth.admin)
    assert answer.status_code < 500, (path, body, answer.text)
    assert answer.status_code < 300 or isinstance(answer.json()["code"], str)


def test_health_settings_and_keys(auth: AuthServer) -> None:
    assert auth.http.get("/health").json()["name"] == "auth"
    told = auth.http.get("/settings").json()
    assert told["external"]["email"] is True
    assert told["external"]["anonymous_users"] is True
    assert told["external"]["google"] is False
    assert (told["disable_signup"], told["mailer_autoconfirm"]) == (False, False)
    keys = auth.http.get("/.well-known/jwks.json")
    assert "max-age" in keys.headers["cache-control"]
    assert [key["alg"] for key in keys.json()["keys"]] == ["ES256"]


def test_answers_with_tokens_are_not_cached(auth: AuthServer) -> None:
    answer = auth.post("/token?grant_type=password", email=auth.create_user()["email"], password=PASSWORD)
    assert answer.headers["cache-control"] == "no-store"


def test_what_there_is_not_says_so(auth: AuthServer) -> None:
    get, post, delete = auth.http.get, auth.post, auth.http.delete
    refused(get("/authorize?provider=google"), 400, "validation_failed")
    refused(get("/callback"), 400, "bad_oauth_callback")
    refused(post("/sso"), 404, "saml_provider_disabled")
    refused(post("/token?grant_type=id_token"), 400, "provider_disabled")
    refused(post("/token?grant_type=web3"), 422, "web3_provider_disabled")
    refused(get("/moon"), 404, "not_found")
    refused(auth.http.patch("/user"), 405, "method_not_allowed")

    headers = bearer(auth.signed_in()["access_token"])
    some = uuid4()
    for body, code in (
        ({"factor_type": "totp"}, "mfa_totp_enroll_not_enabled"),
        ({"factor_type": "phone"}, "mfa_phone_enroll_not_enabled"),
        ({"factor_type": "webauthn"}, "mfa_webauthn_enroll_not_enabled"),
    ):
        refused(auth.http.post("/factors", json=body, headers=headers), 422, code)
    refused(auth.http.post("/factors", json={"factor_type": "moon"}, headers=headers), 400, "validation_failed")
    refused(post("/factors", factor_type="totp"), 401, "no_authorization")
    for step in ("challenge", "verify"):
        refused(auth.http.post(f"/factors/{some}/{step}", headers=headers), 422, "mfa_totp_verify_not_enabled")
    refused(delete(f"/factors/{some}", headers=headers), 404, "mfa_factor_not_found")
    refused(get("/user/identities/authorize?provider=google", headers=headers), 404, "manual_linking_disabled")
    refused(delete(f"/user/identities/{some}", headers=headers), 404, "manual_linking_disabled")
    assert get(f"/admin/users/{some}/factors", headers=auth.admin).json() == []
    refused(delete(f"/admin/users/{some}/factors/{some}", headers=auth.admin), 404, "mfa_factor_not_found")


def test_every_route_is_documented() -> None:
    assert all(handler.fn.__doc__ for handler in ROUTES)


def test_the_log_holds_no_secret(rig: Rig) -> None:
    auth = rig.auth
    signed_in = auth.signed_in()
    auth.http.get("/verify", params={"token": "a" * 56, "type": "signup"})
    auth.http.get("/user", headers=bearer(signed_in["access_token"]))
    log = auth.log.read_text()
    secrets = (PASSWORD, signed_in["access_token"], signed_in["refresh_token"], "a" * 56, auth.keys.service_role)
    assert [secret for secret in secrets if secret in log] == []
    assert all(isinstance(json.loads(line), dict) for line in log.splitlines())
