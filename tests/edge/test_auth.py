"""Tokens that the edge accepts, and forgeries that it refuses."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from edge.app import create_app
from edge.auth import FETCH_INTERVAL, FRESH, USABLE, Keyring, Verifier
from edge.errors import EdgeError
from stack.keys import Keys
from tests.edge.support import (
    ISSUER,
    NOWHERE,
    PUBLISHABLE_KEY,
    USER_ID,
    Refused,
    Upstream,
    claims,
    listening,
    serving,
    settings_for,
)

Forge = Callable[[Keys], str]


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(keys: Keys) -> str:
    header = {"alg": "none", "typ": "JWT", "kid": keys.current.kid}
    return f"{segment(header)}.{segment(claims())}."


def signed_with_the_public_key(keys: Keys) -> str:
    secret = (
        keys.current.private()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    signing = f"{segment({'alg': 'HS256', 'typ': 'JWT', 'kid': keys.current.kid})}.{segment(claims())}"
    signature = base64.urlsafe_b64encode(hmac.digest(secret, signing.encode(), hashlib.sha256)).rstrip(b"=")
    return f"{signing}.{signature.decode()}"


def signed_by_another(keys: Keys) -> str:
    other = Keys.generate().current.private()
    return jwt.encode(claims(), other, algorithm="ES256", headers={"kid": keys.current.kid})


def without_kid(keys: Keys) -> str:
    return jwt.encode(claims(), keys.current.private(), algorithm="ES256")


def with_a_number_as_kid(keys: Keys) -> str:
    signing = f"{segment({'alg': 'ES256', 'kid': 7})}.{segment(claims())}"
    return f"{signing}.{keys.sign(claims()).rpartition('.')[2]}"


def tampered(keys: Keys) -> str:
    header, _, signature = keys.sign(claims()).split(".")
    return f"{header}.{segment(claims(sub='00000000-0000-4000-8000-000000000000'))}.{signature}"


def nested(_keys: Keys) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"ES256","kid":' + b"[" * 9000).rstrip(b"=").decode()
    return f"{header}.{segment(claims())}.AAAA"


def with_claims(**changes: Any) -> Forge:
    return lambda keys: keys.sign(claims(**changes))


def at(seconds: int, claim: str) -> Forge:
    return lambda keys: keys.sign(claims(**{claim: int(time.time()) + seconds}))


FORGERIES: dict[str, Forge] = {
    "alg none": unsigned,
    "HS256 with the public key": signed_with_the_public_key,
    "another key under a known kid": signed_by_another,
    "an unknown kid": lambda _keys: Keys.generate().sign(claims()),
    "no kid": without_kid,
    "a kid that is no string": with_a_number_as_kid,
    "tampered claims": tampered,
    "a header nested without end": nested,
    "expired, just beyond the skew": at(-30, "exp"),
    "no exp": with_claims(exp=None),
    "an exp that is no number": with_claims(exp="tomorrow"),
    "not yet valid": at(60, "nbf"),
    "issued in the future": at(60, "iat"),
    "another audience": with_claims(aud="anon"),
    "other audiences": with_claims(aud=["a", "b"]),
    "no audience": with_claims(aud=None),
    "another issuer": with_claims(iss=f"{ISSUER}/"),
    "no issuer": with_claims(iss=None),
    "role postgres": with_claims(role="postgres"),
    "role supabase_admin": with_claims(role="supabase_admin"),
    "role service_role": with_claims(role="service_role"),
    "role anon": with_claims(role="anon"),
    "no role": with_claims(role=None),
    "a role in a list": with_claims(role=["authenticated"]),
    "a subject that is no uuid": with_claims(sub="admin"),
    "no subject": with_claims(sub=None),
    "the legacy anon key": lambda keys: keys.anon,
    "the legacy service key": lambda keys: keys.service_role,
    "the publishable key": lambda keys: keys.publishable,
    "garbage": lambda _keys: "a.b.c",
    "two tokens": lambda keys: f"{keys.sign(claims())} {keys.sign(claims())}",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_is_refused(name: str, edge: httpx.Client, upstream: Upstream, refused: Refused) -> None:
    identifier = upstream.certificate()
    forged = FORGERIES[name](upstream.keys)

    answer = edge.get(f"/certificates/{identifier}/pdf", headers={"authorization": f"Bearer {forged}"})

    refused(answer, 401, "unauthorized")
    assert upstream.asked == []


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic dXNlcjpwYXNz", "token"])
def test_no_token_is_refused(
    authorization: str | None, edge: httpx.Client, upstream: Upstream, refused: Refused
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}

    refused(edge.get(f"/certificates/{upstream.certificate()}/pdf", headers=headers), 401, "unauthorized")
    assert upstream.asked == []


ACCEPTED: dict[str, Forge] = {
    "plain": with_claims(),
    "an audience in a list": with_claims(aud=["authenticated"]),
    "expired within the skew": at(-25, "exp"),
    "ahead within the skew": at(25, "iat"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_users_token_goes_on_to_postgrest_unchanged(name: str, edge: httpx.Client, upstream: Upstream) -> None:
    token = ACCEPTED[name](upstream.keys)

    answer = edge.get(
        f"/certificates/{upstream.certificate()}/pdf",
        headers={"authorization": f"bearer {token}", "x-request-id": "a-request-of-mine"},
    )

    assert answer.status_code == 200
    [(_path, headers)] = upstream.asked
    assert headers["authorization"] == f"Bearer {token}"
    assert headers["apikey"] == PUBLISHABLE_KEY
    assert headers["x-request-id"] == "a-request-of-mine"


def test_keys_that_cannot_be_had_are_a_503(upstream: Upstream, token: str, refused: Refused) -> None:
    # An edge from which everything is away, which says so and lives.
    app = create_app(settings_for(NOWHERE))
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        path = f"/certificates/{upstream.certificate()}/pdf"
        refused(client.get(path, headers={"authorization": f"Bearer {token}"}), 503, "auth_unavailable")
        # What no key could make valid is refused all the same.
        refused(client.get(path, headers={"authorization": "Bearer a.b.c"}), 401, "unauthorized")
        assert client.get("/health").json() == {"status": "ok"}
        assert refused(client.get("/ready"), 503, "not_ready")["details"] == "Not reachable: database, rest, auth."
    assert upstream.asked == []


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now


@pytest.fixture
def auth() -> Iterator[Upstream]:
    """Auth's keys with an address of their own, so that fetches can be counted."""
    with listening() as upstream:
        yield upstream


def with_keyring(auth: Upstream, scenario: Callable[[Keyring, Clock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = Clock()
        async with httpx.AsyncClient(trust_env=False) as http:
            keyring = Keyring(http, f"{auth.url}/jwks", clock=clock)
            await scenario(keyring, clock)
            await keyring.aclose()

    asyncio.run(run())


def test_a_flood_of_unknown_kids_is_one_fetch_an_interval(auth: Upstream) -> None:
    async def scenario(keyring: Keyring, clock: Clock) -> None:
        for interval in range(1, 4):
            found = await asyncio.gather(*(keyring.find(f"unknown-{number}") for number in range(300)))
            assert found == [None] * 300
            assert await keyring.find("one-more") is None
            assert auth.jwks_fetches == interval
            clock.now += FETCH_INTERVAL
        # In the midst of a flood, a known key costs nothing.
        assert await keyring.find(auth.keys.current.kid) is not None
        assert auth.jwks_fetches == 3

    with_keyring(auth, scenario)


def test_a_rotation_is_noticed_at_the_first_new_token(auth: Upstream) -> None:
    async def scenario(keyring: Keyring, clock: Clock) -> None:
        verifier = Verifier(keyring, ISSUER)
        before = auth.keys.sign(claims())
        assert (await verifier.verify(before)).user_id == USER_ID

        auth.keys = auth.keys.rotated()
        auth.jwks = auth.keys.jwks()
        clock.now += FETCH_INTERVAL
        assert (await verifier.verify(auth.keys.sign(claims()))).user_id == USER_ID
        assert (await verifier.verify(before)).user_id == USER_ID
        assert auth.jwks_fetches == 2

        auth.jwks = auth.keys.revoked().jwks()
        clock.now += FRESH + 1
        await verifier.verify(auth.keys.sign(claims()))  # starts the fetch, and does not wait for it
        for _ in range(200):
            if auth.jwks_fetches == 3 and await keyring.find(next(k.kid for k in auth.keys.signing[1:])) is None:
                break
            await asyncio.sleep(0.01)
        with pytest.raises(EdgeError) as refusal:
            await verifier.verify(before)
        assert (refusal.value.status, refusal.value.body.message) == (401, "unauthorized")

    with_keyring(auth, scenario)


def test_known_keys_outlast_an_absence_of_auth(auth: Upstream) -> None:
    async def scenario(keyring: Keyring, clock: Clock) -> None:
        kid = auth.keys.current.kid
        auth.jwks_status = 500
        for _ in range(3):
            with pytest.raises(EdgeError) as refusal:
                await keyring.find(kid)
            assert (refusal.value.status, refusal.value.body.message) == (503, "auth_unavailable")
        assert auth.jwks_fetches == 1
        assert not await keyring.is_loaded()

        auth.jwks_status = 200
        clock.now += FETCH_INTERVAL
        assert await keyring.is_loaded()
        assert await keyring.find(kid) is not None

        auth.jwks_status = 500
        clock.now += USABLE
        assert await keyring.find(kid) is not None
        clock.now += 1
        with pytest.raises(EdgeError) as refusal:
            await keyring.find(kid)
        assert refusal.value.body.message == "auth_unavailable"

    with_keyring(auth, scenario)


def test_keys_of_another_kind_are_ignored(auth: Upstream) -> None:
    async def scenario(keyring: Keyring, _clock: Clock) -> None:
        [good] = auth.keys.jwks()["keys"]
        bad = {
            "rsa": {"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "ES256"},
            "symmetric": {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
            "another-alg": good | {"alg": "ES384"},
            "hmac-alg": good | {"alg": "HS256"},
            "another-curve": good | {"crv": "P-384"},
            "for-encryption": good | {"use": "enc"},
            "no-point": good | {"x": "AAAA", "y": "AAAA"},
            "no-text": good | {"x": 7},
        }
        auth.jwks = {"keys": [*(key | {"kid": kid} for kid, key in bad.items()), good | {"kid": ""}, 7, good]}
        assert await keyring.find(good["kid"]) is not None
        assert [await keyring.find(kid) for kid in [*bad, ""]] == [None] * (len(bad) + 1)
        assert auth.jwks_fetches == 1

    with_keyring(auth, scenario)


@pytest.mark.parametrize("answer", [{"keys": []}, {}, [], "keys", {"keys": [{"kty": "RSA", "kid": "a"}]}])
def test_an_answer_without_usable_keys_is_no_answer(answer: Any, auth: Upstream) -> None:
    async def scenario(keyring: Keyring, _clock: Clock) -> None:
        auth.jwks = answer
        with pytest.raises(EdgeError) as refusal:
            await keyring.find("a")
        assert refusal.value.body.message == "auth_unavailable"

    with_keyring(auth, scenario)
