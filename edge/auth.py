"""The caller of a request: verification of Supabase access tokens against Auth's public keys."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import jwt
import msgspec
import structlog
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from edge.errors import error

log = structlog.get_logger()

ALGORITHMS = ("ES256",)
"""The only signatures accepted. A token's own `alg` never widens this."""
CURVES = {"ES256": "P-256"}
AUDIENCE = "authenticated"
ROLE = "authenticated"
"""A user's role. API keys are tokens too, of the roles anon and service_role: they belong to no user."""
SKEW = 30
"""Seconds by which clocks may differ."""

FETCH_INTERVAL = 2.0
"""Seconds between two fetches of the keys, however many tokens name an unknown one."""
FRESH = 5.0
"""Seconds for which fetched keys are used without asking Auth again: a revoked key is refused after that."""
USABLE = 3600.0
"""Seconds for which known keys serve while Auth is away: as long as a token lives."""
KEPT_TOKENS = 4096
"""Verified tokens that are remembered; the one that was used longest ago goes first."""
LONGEST_KEPT = 4096
"""Characters of a token that is remembered: with KEPT_TOKENS, it bounds the memory."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The signed-in user of a request, and the token that proves it to PostgREST."""

    user_id: UUID
    token: str

    def __repr__(self) -> str:
        # The token must not reach a log by way of a traceback or a message.
        return f"Caller(user_id={str(self.user_id)!r})"


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    sub: UUID
    role: str


class _Jwk(msgspec.Struct, frozen=True, kw_only=True):
    kty: str = ""
    kid: str = ""
    crv: str = ""
    alg: str | None = None
    use: str | None = None
    x: str = ""
    y: str = ""

    def algorithm(self) -> str | None:
        """The accepted algorithm whose signatures this key verifies, if any."""
        for algorithm in ALGORITHMS:
            fits = self.kty == "EC" and self.crv == CURVES[algorithm] and self.alg in {None, algorithm}
            if fits and self.kid and self.use in {None, "sig"}:
                return algorithm
        return None


class _JwkSet(msgspec.Struct, frozen=True, kw_only=True):
    keys: list[msgspec.Raw]


class Keyring:
    """Auth's public keys: fetched when needed, kept, and fetched at most once per FETCH_INTERVAL."""

    def __init__(self, http: httpx.AsyncClient, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._url = url
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._attempted_at = float("-inf")
        self._failed = True
        self._fetch: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """The key of this id, or None where Auth has no such key. A fetch makes every key another object.

        Raises:
            EdgeError: 503 `auth_unavailable`, the keys are not known and cannot be fetched.
        """
        if kid in self._keys and self._age() <= FRESH / 2:
            return self._keys[kid]
        fetch = self._start_fetch()
        # Under load the fetch ends before the keys are stale, and nobody waits. While Auth is away, known keys serve.
        if kid not in self._keys or self._age() > (USABLE if self._failed else FRESH):
            # Shielded: a caller who hangs up must not cancel the fetch for all the others.
            await asyncio.shield(fetch)
        key = self._keys.get(kid) if self._age() <= USABLE else None
        if key is None and self._failed:
            raise error("auth_unavailable")
        return key

    async def is_loaded(self) -> bool:
        """Whether tokens can be verified now; fetches the keys where they are not known yet."""
        if self._age() > USABLE:
            await asyncio.shield(self._start_fetch())
        return self._age() <= USABLE

    async def aclose(self) -> None:
        """Stop a fetch that is in progress."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait([self._fetch])

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _start_fetch(self) -> asyncio.Task[None]:
        """The fetch in progress, or the last one where the interval is not over, or a new one."""
        if self._fetch is None or (self._fetch.done() and self._clock() - self._attempted_at >= FETCH_INTERVAL):
            self._attempted_at = self._clock()
            self._fetch = asyncio.create_task(self._load())
        return self._fetch

    async def _load(self) -> None:
        try:
            response = await self._http.get(self._url)
            response.raise_for_status()
            keys = _usable_keys(response.content)
        except (httpx.HTTPError, ValueError) as failure:
            self._failed = True
            log.warning("jwks_fetch_failed", error=type(failure).__name__)
            return
        self._failed = not keys
        if keys:
            self._keys = keys
            self._fetched_at = self._clock()
        else:
            log.warning("jwks_without_usable_key")


class _Verified(msgspec.Struct, frozen=True):
    """A token whose signature was right, and what can make it invalid since."""

    caller: Caller
    kid: str
    key: jwt.PyJWK
    expires_at: float
    """Seconds since 1970, the clocks' skew included."""


class Verifier:
    """Verifies access tokens.

    The signature of a token is verified once: afterwards the token is valid until it expires, as long as the keyring
    has the very key that verified it. Each fetch of the keys makes new ones, so every token is then verified again.
    """

    def __init__(self, keyring: Keyring, issuer: str) -> None:
        self._keyring = keyring
        self._issuer = issuer
        self._verified: OrderedDict[str, _Verified] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """The user whose valid access token this is.

        Raises:
            EdgeError: 401 `sign_in_required`, or 503 `auth_unavailable` while the keys cannot be fetched.
        """
        known = self._verified.pop(token, None)
        if known is None or await self._keyring.find(known.kid) is not known.key or time.time() >= known.expires_at:
            known = await self._verify(token)
        if len(token) <= LONGEST_KEPT:
            self._verified[token] = known
            if len(self._verified) > KEPT_TOKENS:
                self._verified.popitem(last=False)
        return known.caller

    async def _verify(self, token: str) -> _Verified:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise error("sign_in_required", "The access token is not a JSON web token.") from None
        kid = header.get("kid")
        if header.get("alg") not in ALGORITHMS or not isinstance(kid, str):
            raise error("sign_in_required", "The access token is not signed as Auth signs.")
        key = await self._keyring.find(kid)
        if key is None:
            raise error("sign_in_required", "The access token is signed by an unknown key.")
        try:
            decoded = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=SKEW,
                options={"require": ["exp", "aud", "iss", "sub"]},
            )
            claims = msgspec.convert(decoded, _Claims)
        except jwt.ExpiredSignatureError:
            raise error("sign_in_required", "The access token has expired.") from None
        except (jwt.InvalidTokenError, msgspec.ValidationError, RecursionError):
            raise error("sign_in_required", "The access token is not valid here.") from None
        if claims.role != ROLE:
            raise error("sign_in_required", "The access token is no user's.")
        caller = Caller(user_id=claims.sub, token=token)
        return _Verified(caller=caller, kid=kid, key=key, expires_at=int(decoded["exp"]) + SKEW)


async def require_caller(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Guard of routes for signed-in users: sets `request.user`, once.

    Raises:
        EdgeError: 401 `sign_in_required`, or 503 `auth_unavailable`.
    """
    if connection.scope.get("user") is not None:
        return
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise error("sign_in_required", "This needs a signed-in user.")
    verifier: Verifier = connection.app.state.verifier
    connection.scope["user"] = await verifier.verify(token.strip())


async def provide_caller(request: Request[Caller, object, State]) -> Caller:
    """Dependency `caller` of the routes that `require_caller` guards."""
    return request.user


def _usable_keys(content: bytes) -> dict[str, jwt.PyJWK]:
    """The keys of a JWKS that verify an accepted algorithm, by id. Others are ignored.

    Raises:
        ValueError: this is no JWKS.
    """
    keys = {}
    for raw in msgspec.json.decode(content, type=_JwkSet).keys:
        try:
            entry = msgspec.json.decode(raw, type=_Jwk)
            algorithm = entry.algorithm()
            if algorithm is not None:
                parts = {"kty": entry.kty, "crv": entry.crv, "x": entry.x, "y": entry.y, "kid": entry.kid}
                keys[entry.kid] = jwt.PyJWK(parts, algorithm=algorithm)
        except (ValueError, jwt.PyJWTError) as failure:
            log.warning("jwks_key_ignored", error=type(failure).__name__)
    return keys
