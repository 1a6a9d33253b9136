"""Invalid tokens are refused, by PostgREST itself and through the gateway."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from stack.keys import Keys
from tests.conftest import Stack
from tests.people import Academy
from tests.security.conftest import School

SKEW = 30
"""Seconds of clock skew that PostgREST allows."""

Ask = Callable[[str], httpx.Response]


@pytest.fixture(params=["postgrest", "gateway"])
def ask(request: pytest.FixtureRequest, stack: Stack, academy: Academy) -> Ask:
    """Reads the caller's roles with a token, past the gateway or through it."""
    port = httpx.URL(stack.api_url).port
    assert port is not None
    base = f"{stack.api_url}/rest/v1" if request.param == "gateway" else f"http://127.0.0.1:{port + 8}"

    def read(token: str) -> httpx.Response:
        headers = {"apikey": academy.publishable_key, "Authorization": f"Bearer {token}"}
        return httpx.get(f"{base}/profiles", params={"select": "id", "limit": "1"}, headers=headers)

    return read


def claims_of(school: School, **changes: Any) -> dict[str, Any]:
    """The claims that auth signs for the stranger, with changes; `...` leaves a claim out."""
    now = int(time.time())
    usual = {"sub": school.stranger.id, "role": "authenticated", "aud": "authenticated", "iat": now, "exp": now + 60}
    return {name: value for name, value in (usual | changes).items() if value is not ...}


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Header and claims of a token, without a signature."""
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims))
    return ".".join(parts)


def test_good_token_is_accepted(ask: Ask, school: School, academy: Academy) -> None:
    """Shows that the refusals below are due to what they change."""
    for changes in ({}, {"aud": ["authenticated"]}, {"exp": time.time() - SKEW + 10}):
        answer = ask(academy.keys.sign(claims_of(school, **changes)))
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": ...},
        {"exp": None},
        {"sub": ...},
        {"sub": None},
        {"sub": "not-a-uuid"},
        {"aud": ...},
        {"aud": None},
        {"aud": "anon"},
        {"aud": ["authenticated", "other"]},
    ],
    ids=str,
)
def test_token_that_lacks_something_is_invalid(
    ask: Ask, school: School, academy: Academy, changes: dict[str, Any]
) -> None:
    answer = ask(academy.keys.sign(claims_of(school, **changes)))
    assert answer.status_code == 401, answer.text
    assert answer.json()["message"] == "token_invalid"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": int(time.time()) - SKEW - 5}, id="expired"),
        {"exp": 0},
        pytest.param({"nbf": int(time.time()) + 86_400}, id="not yet"),
        {"role": "postgres"},
        {"role": "supabase_admin"},
        {"role": "supabase_auth_admin"},
        {"role": "authenticator"},
        {"role": "edge"},
        {"role": "pg_read_all_data"},
        {"role": "nobody-there"},
        {"role": "authenticated; set role postgres"},
        {"role": 'authenticated", "request.jwt.claims'},
        {"role": ["service_role"]},
        {"role": {"name": "service_role"}},
        {"exp": "tomorrow"},
        {"exp": 1e400},
        {"aud": []},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_token_with_wrong_claims_is_refused(
    ask: Ask, school: School, academy: Academy, changes: dict[str, Any]
) -> None:
    answer = ask(academy.keys.sign(claims_of(school, **changes)))
    assert answer.status_code in {400, 401, 403}, answer.text
    assert answer.json()["code"]


def test_token_that_nobody_signed_is_refused(ask: Ask, school: School, academy: Academy) -> None:
    claims = claims_of(school, role="service_role")
    key = academy.keys.current
    for header in ({"alg": "none"}, {"alg": "None", "typ": "JWT"}, {"alg": "none", "kid": key.kid}, {"alg": "ES256"}):
        for signature in ("", base64.urlsafe_b64encode(bytes(64)).rstrip(b"=").decode(), "AA"):
            assert ask(f"{unsigned(header, claims)}.{signature}").status_code == 401


def test_public_key_is_no_shared_secret(ask: Ask, school: School, academy: Academy) -> None:
    """Algorithm confusion: an HMAC whose secret is the public key."""
    key = academy.keys.current
    pem = (
        key.private()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    jwk = key.jwk()
    for secret in (
        pem,
        pem.strip(),
        json.dumps(academy.keys.jwks()).encode(),
        jwk["x"].encode(),
        b"",
        key.kid.encode(),
    ):
        for header in ({"alg": "HS256", "typ": "JWT"}, {"alg": "HS256", "kid": key.kid}):
            body = unsigned(header, claims_of(school, role="service_role"))
            signature = jwt.get_algorithm_by_name("HS256").sign(body.encode(), secret)
            token = f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
            assert ask(token).status_code == 401


def test_foreign_key_is_refused(ask: Ask, school: School, academy: Academy) -> None:
    stranger = Keys.generate()
    ours = academy.keys.current
    for kid in (stranger.current.kid, ours.kid, "", None):
        headers = {"kid": kid} if kid is not None else {}
        token = jwt.encode(claims_of(school), stranger.current.private(), algorithm="ES256", headers=headers)
        assert ask(token).status_code == 401
    embedded = jwt.encode(
        claims_of(school), stranger.current.private(), algorithm="ES256", headers={"jwk": stranger.current.jwk()}
    )
    assert ask(embedded).status_code == 401


def test_changed_token_is_refused(ask: Ask, school: School, academy: Academy) -> None:
    header, body, signature = academy.keys.sign(claims_of(school)).split(".")
    claims = (
        base64.urlsafe_b64encode(json.dumps(claims_of(school, sub=school.teacher.id)).encode()).rstrip(b"=").decode()
    )
    for token in (
        f"{header}.{claims}.{signature}",
        f"{header}.{body}.{signature[:-4]}",
        f"{header}.{body}.{signature[::-1]}",
        f"{header}.{body}.",
        f"{header}.{body}",
        f"{header}.{body}.{signature}.{signature}",
        "null",
        "a.b.c",
        "." * 3,
        "x" * 5000,
    ):
        assert ask(token).status_code == 401, token


def test_signature_in_another_form_is_refused(ask: Ask, school: School, academy: Academy) -> None:
    """A signature in DER is not one in the form of JWS."""
    body = unsigned({"alg": "ES256", "kid": academy.keys.current.kid}, claims_of(school))
    der = academy.keys.current.private().sign(body.encode(), ec.ECDSA(hashes.SHA256()))
    assert decode_dss_signature(der)
    assert ask(f"{body}.{base64.urlsafe_b64encode(der).rstrip(b'=').decode()}").status_code == 401


def test_token_is_not_an_api_key(school: School, academy: Academy, stack: Stack) -> None:
    """A token does not become an API key in the apikey header, whatever its role."""
    for claims in (claims_of(school), claims_of(school, role="service_role"), claims_of(school, role="anon", exp=...)):
        token = academy.keys.sign(claims)
        assert httpx.get(f"{stack.api_url}/rest/v1/profiles", headers={"apikey": token}).status_code == 401


def test_secret_key_works_only_in_the_apikey_header(academy: Academy, stack: Stack) -> None:
    audit = f"{stack.api_url}/rest/v1/audit_log"
    headers = {"apikey": academy.publishable_key, "Authorization": f"Bearer {academy.secret_key}"}
    assert httpx.get(audit, headers=headers).status_code == 401
    assert httpx.get(audit, headers={"apikey": academy.secret_key}).status_code == 200
    for wrong in (academy.secret_key[:-1], academy.secret_key + "x", academy.secret_key.upper(), "sb_secret_", ""):
        assert httpx.get(audit, headers={"apikey": wrong}).status_code == 401
