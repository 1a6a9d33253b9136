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
from edge.auth import FETCH_INTERVAL, FRESH, LONGEST_KEPT, SKEW, USABLE, Keyring, Verifier
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

    refused(answer, 401, "sign_in_required")
    assert upstream.requests == []


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic dXNlcjpwYXNz", "token"])
def test_no_token_is_refused(
    authorization: str | None, edge: httpx.Client, upstream: Upstream, refused: Refused
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}

    refused(edge.get(f"/certificates/{upstream.certificate()}/pdf", headers=headers), 401, "sign_in_required")
    assert upstream.requests == []


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
    [(_path, headers)] = upstream.requests
    assert headers["authorization"] == f"Bearer {token}"
    assert headers["apikey"] == PUBLISHABLE_KEY
    assert headers["x-request-id"] == "a-request-of-mine"


def test_unreachable_keys_are_503(upstream: Upstream, token: str, refused: Refused) -> None:
    # An edge that reaches nothing still answers.
    app = create_app(settings_for(NOWHERE))
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        path = f"/certificates/{upstream.certificate()}/pdf"
        refused(client.get(path, headers={"authorization": f"Bearer {token}"}), 503, "auth_unavailable")
        # A token that no key could make valid is refused without the keys.
        refused(client.get(path, headers={"authorization": "Bearer a.b.c"}), 401, "sign_in_required")
        assert client.get("/health").json() == {"status": "ok"}
        assert refused(client.get("/ready"), 503, "not_ready")["details"] == "Not ready: database, rest, auth."
    assert upstream.requests == []


class Clock:
    """A clock that stands still until a test moves it."""

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


def test_many_unknown_kids_cause_one_fetch_per_interval(auth: Upstream) -> None:
    async def scenario(keyring: Keyring, clock: Clock) -> None:
        for interval in range(1, 4):
            found = await asyncio.gather(*(keyring.find(f"unknown-{number}") for number in range(300)))
            assert found == [None] * 300
            assert await keyring.find("one-more") is None
            assert auth.jwks_fetches == interval
            clock.now += FETCH_INTERVAL
        # A known key is found without a fetch.
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
        with pytest.raises(EdgeError) as refusal:
            await verifier.verify(before)
        assert (refusal.value.status, refusal.value.body.message) == (401, "sign_in_required")

    with_keyring(auth, scenario)


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signature was verified, each time that it was."""
    verified: list[str] = []
    decode = jwt.decode

    def counting(token: str, *arguments: Any, **options: Any) -> Any:
        verified.append(token)
        return decode(token, *arguments, **options)

    monkeypatch.setattr(jwt, "decode", counting)
    return verified


def test_a_signature_is_verified_once_for_each_fetch_of_the_keys(auth: Upstream, verifications: list[str]) -> None:
    async def scenario(keyring: Keyring, clock: Clock) -> None:
        verifier = Verifier(keyring, ISSUER)
        token = auth.keys.sign(claims())
        callers = [await verifier.verify(token) for _ in range(5)]
        assert {(caller.user_id, caller.token) for caller in callers} == {(USER_ID, token)}
        assert verifications == [token]
        # A copy that differs in one character is another token.
        with pytest.raises(EdgeError):
            await verifier.verify(f"{token[:-8]}AAAAAAAA")

        clock.now += FRESH - 1
        await verifier.verify(token)  # starts a fetch, and does not wait for it
        assert verifications.count(token) == 1
        await refreshed(keyring)
        await verifier.verify(token)
        assert verifications.count(token) == 2

    with_keyring(auth, scenario)


async def refreshed(keyring: Keyring) -> None:
    """Wait for the fetch that is in progress."""
    assert keyring._fetch is not None
    await keyring._fetch


@pytest.mark.parametrize("change", ["the key is gone", "another key has its id"])
def test_a_verified_token_of_a_revoked_key_is_refused(auth: Upstream, change: str) -> None:
    async def scenario(keyring: Keyring, clock: Clock) -> None:
        verifier = Verifier(keyring, ISSUER)
        token = auth.keys.sign(claims())
        for _ in range(2):
            assert (await verifier.verify(token)).user_id == USER_ID
        [old] = auth.keys.jwks()["keys"]
        [new] = Keys.generate().jwks()["keys"]
        auth.jwks = {"keys": [new if change == "the key is gone" else new | {"kid": old["kid"]}]}
        assert FRESH <= 5
        clock.now += FRESH + 1
        with pytest.raises(EdgeError) as refusal:
            await verifier.verify(token)
        assert refusal.value.status == 401

    with_keyring(auth, scenario)


def test_a_verified_token_is_refused_from_the_second_in_which_it_expires(auth: Upstream) -> None:
    async def scenario(keyring: Keyring, _clock: Clock) -> None:
        verifier = Verifier(keyring, ISSUER)
        expires_at = int(time.time()) + 2
        token = auth.keys.sign(claims(exp=expires_at - SKEW))
        assert (await verifier.verify(token)).user_id == USER_ID
        await asyncio.sleep(expires_at - time.time() - 0.2)
        assert (await verifier.verify(token)).user_id == USER_ID
        await asyncio.sleep(expires_at - time.time())
        with pytest.raises(EdgeError) as refusal:
            await verifier.verify(token)
        assert refusal.value.body.details == "The access token has expired."

    with_keyring(auth, scenario)


def test_few_and_short_tokens_are_remembered(
    auth: Upstream, verifications: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.auth.KEPT_TOKENS", 2)

    async def scenario(keyring: Keyring, _clock: Clock) -> None:
        verifier = Verifier(keyring, ISSUER)
        first, second, third = (auth.keys.sign(claims(session_id=name)) for name in ("a", "b", "c"))
        long = auth.keys.sign(claims(padding="x" * LONGEST_KEPT))
        for token in (first, second, first, third, first, long, long):
            await verifier.verify(token)
        # The second was used longest ago when the third came; the long one is verified each time.
        assert verifications == [first, second, third, long, long]
        await verifier.verify(second)
        assert verifications[-1] == second
        assert len(verifier._verified) == 2

    with_keyring(auth, scenario)


def test_known_keys_serve_while_auth_is_away(auth: Upstream) -> None:
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


def test_a_failed_fetch_delays_nobody_twice(auth: Upstream) -> None:
    async def scenario(keyring: Keyring, clock: Clock) -> None:
        kid = auth.keys.current.kid
        assert await keyring.find(kid) is not None
        auth.jwks_status = 500
        clock.now += FRESH + 1
        assert await keyring.find(kid) is not None  # waits for the fetch, which fails
        clock.now += FETCH_INTERVAL
        assert await keyring.find(kid) is not None  # starts a fetch, and does not wait for it
        assert keyring._fetch is not None
        assert not keyring._fetch.done()
        auth.jwks_status = 200
        auth.jwks = {"keys": Keys.generate().jwks()["keys"]}
        await refreshed(keyring)
        assert await keyring.find(kid) is None

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
def test_an_answer_without_usable_keys_counts_as_a_failure(answer: Any, auth: Upstream) -> None:
    async def scenario(keyring: Keyring, _clock: Clock) -> None:
        auth.jwks = answer
        with pytest.raises(EdgeError) as refusal:
            await keyring.find("a")
        assert refusal.value.body.message == "auth_unavailable"

    with_keyring(auth, scenario)
