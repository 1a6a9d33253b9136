"""Both forms of errors, malformed requests, published settings and keys, and missing features."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack.auth.app import ROUTES
from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Rig,
    assert_refused,
    bearer,
    new_email,
)

OTHER_ROUTES = ("/token?grant_type=pkce", "/resend", "/admin/users", "/admin/generate_link", "/invite")
PUBLIC_ROUTES = (
    "/signup",
    "/token?grant_type=password",
    "/token?grant_type=refresh_token",
    "/recover",
    "/otp",
    "/verify",
)


def test_errors_have_the_form_of_the_version_that_the_client_sends(auth: AuthServer) -> None:
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


@pytest.mark.parametrize("path", PUBLIC_ROUTES)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 10_000, b'{"email": 1}', b'{"email": "\\ud800"}']
)
def test_a_body_that_is_no_json_object_is_refused(auth: AuthServer, path: str, body: bytes) -> None:
    answer = auth.http.post(path, content=body)
    if body == b'{"email": 1}' and "refresh" in path:
        assert_refused(answer, 400, "validation_failed")  # this route ignores the field
    else:
        assert_refused(answer, 400, "bad_json")


def test_unknown_fields_and_nulls_are_ignored(auth: AuthServer) -> None:
    security = {"gotrue_meta_security": {"captcha_token": "x"}, "phone": None, "data": None, "code_challenge": None}
    assert auth.post("/signup", email=new_email(), password=PASSWORD, **security).status_code == 200


def test_values_that_the_database_cannot_store_are_refused(auth: AuthServer) -> None:
    nul = "a\0b"
    assert_refused(
        auth.post("/signup", email=new_email(), password=PASSWORD, data={"x": nul}), 400, "validation_failed"
    )
    assert_refused(auth.post("/token?grant_type=password", email=nul, password=PASSWORD), 400, "validation_failed")
    assert_refused(auth.post("/token?grant_type=refresh_token", refresh_token=nul), 400, "validation_failed")
    assert_refused(auth.post("/token?grant_type=pkce", auth_code=nul, code_verifier=nul), 400, "validation_failed")
    assert_refused(auth.post("/verify", type="signup", token_hash=nul), 400, "validation_failed")
    assert_refused(
        auth.post("/signup", email=new_email(), password=PASSWORD, data={"x": "y" * 300_000}),
        413,
        "payload_too_large",
    )


@settings(max_examples=40, deadline=None)
@given(
    path=st.sampled_from([*PUBLIC_ROUTES, *OTHER_ROUTES]),
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
def test_no_body_causes_a_server_error(auth: AuthServer, path: str, body: dict[str, Any]) -> None:
    answer = auth.http.post(path, content=json.dumps(body), headers=auth.admin)
    assert answer.status_code < 500, (path, body, answer.text)
    assert answer.status_code < 300 or isinstance(answer.json()["code"], str)


def test_health_settings_and_keys_are_published(auth: AuthServer) -> None:
    assert auth.http.get("/health").json()["name"] == "auth"
    published = auth.http.get("/settings").json()
    assert published["external"]["email"] is True
    assert published["external"]["anonymous_users"] is True
    assert published["external"]["google"] is False
    assert (published["disable_signup"], published["mailer_autoconfirm"]) == (False, False)
    keys = auth.http.get("/.well-known/jwks.json")
    # A cache on the way must not keep a revoked key.
    assert keys.headers["cache-control"] == "public, max-age=5"
    assert [key["alg"] for key in keys.json()["keys"]] == ["ES256"]


def test_answers_with_tokens_are_not_cached(auth: AuthServer) -> None:
    answer = auth.post("/token?grant_type=password", email=auth.create_user()["email"], password=PASSWORD)
    assert answer.headers["cache-control"] == "no-store"


def test_missing_features_have_their_own_codes(auth: AuthServer) -> None:
    get, post, delete = auth.http.get, auth.post, auth.http.delete
    assert_refused(get("/authorize?provider=google"), 400, "validation_failed")
    assert_refused(get("/callback"), 400, "bad_oauth_callback")
    assert_refused(post("/sso"), 404, "saml_provider_disabled")
    assert_refused(post("/token?grant_type=id_token"), 400, "provider_disabled")
    assert_refused(post("/token?grant_type=web3"), 422, "web3_provider_disabled")
    assert_refused(get("/moon"), 404, "not_found")
    assert_refused(auth.http.patch("/user"), 405, "method_not_allowed")

    headers = bearer(auth.sign_in_new_user()["access_token"])
    unknown_id = uuid4()
    for body, code in (
        ({"factor_type": "phone"}, "mfa_phone_enroll_not_enabled"),
        ({"factor_type": "webauthn"}, "mfa_webauthn_enroll_not_enabled"),
    ):
        assert_refused(auth.http.post("/factors", json=body, headers=headers), 422, code)
    assert_refused(auth.http.post("/factors", json={"factor_type": "moon"}, headers=headers), 400, "validation_failed")
    assert_refused(post("/factors", factor_type="totp"), 401, "no_authorization")
    assert_refused(get("/user/identities/authorize?provider=google", headers=headers), 404, "manual_linking_disabled")
    assert_refused(delete(f"/user/identities/{unknown_id}", headers=headers), 404, "manual_linking_disabled")


def test_every_route_is_documented() -> None:
    assert all(handler.fn.__doc__ for handler in ROUTES)


def test_the_log_contains_no_secret(rig: Rig) -> None:
    auth = rig.auth
    signed_in = auth.sign_in_new_user()
    auth.http.get("/verify", params={"token": "a" * 56, "type": "signup"})
    auth.http.get("/user", headers=bearer(signed_in["access_token"]))
    log = auth.log.read_text()
    secrets = (PASSWORD, signed_in["access_token"], signed_in["refresh_token"], "a" * 56, auth.keys.service_role)
    assert [secret for secret in secrets if secret in log] == []
    assert all(isinstance(json.loads(line), dict) for line in log.splitlines())
