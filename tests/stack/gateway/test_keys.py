"""API keys and tokens."""

import base64
import hashlib
import http.client
import json
import time
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stack.keys import Keys
from stack.ports import LOOPBACK
from tests.stack.gateway.support import WAIT_SECONDS, Gateway, Upstream, assert_refused, claims_of, headers_of


def test_opaque_keys_become_the_token_of_their_role(gateway: Gateway) -> None:
    for key, role in ((gateway.keys.publishable, "anon"), (gateway.keys.secret, "service_role")):
        for path in ("/rest/v1/x", "/auth/v1/user", "/storage/v1/x", "/functions/v1/x"):
            for extra in ({}, {"Authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key}"}):
                echo = gateway.http.get(path, headers={"apikey": key, **extra})
                assert claims_of(echo)["role"] == role
                assert key not in echo.text
                assert "apikey" not in headers_of(echo)


def test_apikey_takes_precedence_over_a_key_in_authorization(gateway: Gateway) -> None:
    sent = {**gateway.publishable, "Authorization": f"Bearer {gateway.keys.secret}"}
    assert claims_of(gateway.http.get("/rest/v1/x", headers=sent))["role"] == "anon"


def test_a_users_token_is_passed_on(gateway: Gateway) -> None:
    for value in ("Bearer eyJ.user.token", "bearer x", "Basic dTpw", "Bearer eyJsb_x"):
        echo = gateway.http.get("/rest/v1/x", headers={**gateway.secret, "Authorization": value})
        assert headers_of(echo)["authorization"] == value


def test_legacy_keys_are_accepted(gateway: Gateway) -> None:
    for key, role in ((gateway.keys.anon, "anon"), (gateway.keys.service_role, "service_role")):
        for _ in range(2):  # the second time from the cache
            assert claims_of(gateway.http.get("/rest/v1/x", headers={"apikey": key}))["role"] == role


def test_a_key_in_the_query_is_accepted_and_removed(gateway: Gateway) -> None:
    for query in ("apikey=KEY&select=*&a=%2B", "select=*&apikey=KEY&a=%2B", "select=*&a=%2B&api%6Bey=KEY"):
        echo = gateway.http.get("/rest/v1/x?" + query.replace("KEY", gateway.keys.secret))
        assert echo.json()["target"] == "/x?select=*&a=%2B"
        assert claims_of(echo)["role"] == "service_role"
    echo = gateway.http.get(f"/functions/v1/x?apikey={gateway.keys.secret}")
    assert gateway.keys.secret not in echo.text


def invalid_keys(keys: Keys) -> dict[str, str]:
    """Keys that differ little from valid ones, by what is wrong with them."""
    key = keys.current
    claims = {"role": "service_role", "exp": int(time.time()) + 3600}
    other_key = ec.generate_private_key(ec.SECP256R1())
    public = key.private().public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    def with_mac(header: object) -> str:
        text = f"{encoded(header)}.{encoded(claims)}"
        mac = hashlib.sha256(pem + text.encode()).digest()
        return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    return {
        "longer": keys.secret + "x",
        "shorter": keys.secret[:-1],
        "case": keys.secret.swapcase(),
        "prefix": "sb_secret_",
        "other prefix": keys.publishable.replace("publishable", "secret"),
        "unicode": keys.secret.replace("s", "\u0455", 1),
        "null": keys.secret + "%00",
        "word": "anon",
        "none": f"{encoded({'alg': 'none', 'kid': key.kid})}.{encoded(claims)}.",
        "hs256 of the public key": with_mac({"alg": "HS256", "typ": "JWT", "kid": key.kid}),
        "another key": jwt.encode(claims, other_key, algorithm="ES256", headers={"kid": key.kid}),
        "unknown kid": jwt.encode(claims, key.private(), algorithm="ES256", headers={"kid": "0"}),
        "no kid": jwt.encode(claims, key.private(), algorithm="ES256"),
        "kid of another type": with_mac({"alg": "ES256", "kid": ["x"]}),
        "expired": keys.sign({**claims, "exp": int(time.time()) - 60}),
        "no expiry": keys.sign({"role": "service_role"}),
        "other role": keys.sign({**claims, "role": "postgres"}),
        "no role": keys.sign({"exp": claims["exp"]}),
        "a session": keys.sign({**claims, "role": "authenticated", "sub": "7"}),
        "a session of role service_role": keys.sign({**claims, "sub": "7"}),
        "tampered": keys.anon[:-4] + ("AAAA" if keys.anon[-4:] != "AAAA" else "BBBB"),
    }


def test_invalid_keys_are_refused_everywhere(gateway: Gateway, upstream: Upstream) -> None:
    before = upstream.requests["echo"]
    for name, key in invalid_keys(gateway.keys).items():
        for path in ("/rest/v1/x", "/auth/v1/user", "/storage/v1/x", "/functions/v1/x"):
            response = gateway.http.get(path, headers=[(b"apikey", key.encode())])
            assert (name, response.json()["code"]) == (name, "invalid_api_key")
            assert_refused(response, 401, "invalid_api_key")
        assert_refused(gateway.http.get(f"/rest/v1/x?apikey={quote(key)}"), 401, "invalid_api_key")
    assert upstream.requests["echo"] == before


def test_routes_that_need_a_key(gateway: Gateway) -> None:
    for path in ("/rest/v1/x", "/rest/v1", "/rest/v1/x?apikey=", "/auth/v1/user", "/auth/v1/settings"):
        assert_refused(gateway.http.get(path), 401, "no_api_key")
        assert_refused(gateway.http.get(path, headers={"apikey": ""}), 401, "no_api_key")
        assert_refused(gateway.http.get(path, headers={"Authorization": "Bearer token"}), 401, "no_api_key")
    for path in ("/storage/v1/object/public/a/b", "/functions/v1/webhooks/x"):
        assert "authorization" not in headers_of(gateway.http.get(path))
        # A key in place of a token neither makes the caller anonymous nor is passed on.
        response = gateway.http.get(path, headers={"Authorization": f"Bearer {gateway.keys.secret}"})
        assert_refused(response, 401, "no_api_key")


def test_routes_that_need_no_key(gateway: Gateway) -> None:
    for path in ("/verify?token=x", "/callback?code=1", "/authorize", "/.well-known/jwks.json", "/health"):
        for sent in ({}, {"apikey": "wrong"}, {"Authorization": f"Bearer {gateway.keys.secret}"}):
            echo = gateway.http.get("/auth/v1" + path, headers=sent)
            assert echo.json()["target"] == path
            assert "authorization" not in headers_of(echo)
    for similar in (
        "/verify/",
        "/verify/../admin/users",
        "/verify%2f..",
        "/verifyx",
        "/Verify",
        "/health/x",
        "//verify",
    ):
        connection = http.client.HTTPConnection(LOOPBACK, gateway.port, timeout=WAIT_SECONDS)
        connection.request("GET", "/auth/v1" + similar)
        assert connection.getresponse().status == 401
        connection.close()
    assert_refused(gateway.http.get("/rest/v1/verify"), 401, "no_api_key")


def test_the_schema_needs_the_secret_key(gateway: Gateway) -> None:
    for path in (
        "/rest/v1/",
        "/rest/v1",
        "/rest/v1/?select=*",
        "/rest/v1//",
        "/rest/v1/.",
        "/rest/v1/%2F",
        "/rest/v1/%2e/",
    ):
        connection = http.client.HTTPConnection(LOOPBACK, gateway.port, timeout=WAIT_SECONDS)
        for key, status in ((gateway.keys.publishable, 401), (gateway.keys.anon, 401), (gateway.keys.secret, 200)):
            for method in ("GET", "HEAD"):
                connection.request(method, path, headers={"apikey": key})
                response = connection.getresponse()
                response.read()
                assert (path, method, response.status) == (path, method, status)
        connection.close()
    sent = {**gateway.publishable, "Authorization": f"Bearer {gateway.keys.service_role}"}
    assert_refused(gateway.http.get("/rest/v1/", headers=sent), 401, "secret_key_required")


def test_two_keys_or_two_tokens_are_refused(gateway: Gateway) -> None:
    both = [("apikey", gateway.keys.publishable), ("apikey", gateway.keys.secret)]
    assert_refused(gateway.http.get("/rest/v1/x", headers=both), 401, "duplicate_api_key")
    query = f"apikey={gateway.keys.publishable}&apikey={gateway.keys.secret}"
    assert_refused(gateway.http.get(f"/rest/v1/x?{query}"), 401, "duplicate_api_key")
    tokens = [("apikey", gateway.keys.publishable), ("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    assert_refused(gateway.http.get("/rest/v1/x", headers=tokens), 400, "duplicate_authorization")
