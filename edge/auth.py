"""Who calls: verification of Supabase access tokens against Auth's public keys."""

import asyncio
import time
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

from edge.errors import EdgeError, unauthorized

log = structlog.get_logger()

ALGORITHMS = ("ES256",)
"""The only signatures accepted. A token's own `alg` never widens this."""
CURVES = {"ES256": "P-256"}
AUDIENCE = "authenticated"
ROLE = "authenticated"
"""A user's role. API keys are tokens too, of role anon and service_role: they are nobody."""
SKEW = 30
"""Seconds by which clocks may differ."""

FETCH_INTERVAL = 2.0
"""Seconds between two fetches of the keys, however many tokens name an unknown one."""
FRESH = 60.0
"""Seconds after which the keys are fetched again, so that a revoked key goes."""
USABLE = 3600.0
"""Seconds for which known keys serve while Auth is away: as long as a token lives."""


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

    def verifies(self) -> str | None:
        """The accepted algorithm whose signatures this key verifies, if any."""
        for algorithm in ALGORITHMS:
            fits = self.kty == "EC" and self.crv == CURVES[algorithm] and self.alg in {None, algorithm}
            if fits and self.kid and self.use in {None, "sig"}:
                return algorithm
        return None


class _JwkSet(msgspec.Struct, frozen=True, kw_only=True):
    keys: list[msgspec.Raw]


class Keyring:
    """Auth's public keys, fetched when needed, kept, and fetched at most once per FETCH_INTERVAL."""

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
        """The key of this id, or None where Auth has no such key.

        Raises:
            EdgeError: 503 `auth_unavailable`, the keys are not known and cannot be had.
        """
        if kid in self._keys and self._age() <= FRESH:
            return self._keys[kid]
        fetch = self._start_fetch()
        if kid not in self._keys or self._age() > USABLE:
            # Shielded: one caller who hangs up must not take the fetch from all the others.
            await asyncio.shield(fetch)
        key = self._keys.get(kid) if self._age() <= USABLE else None
        if key is None and self._failed:
            raise EdgeError(503, "auth_unavailable", "The keys that sign tokens cannot be had just now.")
        return key

    async def is_loaded(self) -> bool:
        """Whether tokens can be verified now; fetches the keys where they are not known yet."""
        if self._age() > USABLE:
            await asyncio.shield(self._start_fetch())
        return self._age() <= USABLE

    async def aclose(self) -> None:
        """Stop a fetch that is under way."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait([self._fetch])

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _start_fetch(self) -> asyncio.Task[None]:
        """The fetch under way, or the last one where the interval is not over, or a new one."""
        if self._fetch is None or (self._fetch.done() and self._clock() - self._attempted_at >= FETCH_INTERVAL):
            self._attempted_at = self._clock()
            self._fetch = asyncio.create_task(self._load())
        return self._fetch

    async def _load(self) -> None:
        try:
            response = await self._http.get(self._url)
            response.raise_for_status()
            keys = _usable_keys(response.content)
        except (httpx.HTTPError, ValueError) as error:
            self._failed = True
            log.warning("jwks_fetch_failed", error=type(error).__name__)
            return
        self._failed = not keys
        if keys:
            self._keys = keys
            self._fetched_at = self._clock()
        else:
            log.warning("jwks_without_usable_key")


class Verifier:
    """Verifies access tokens."""

    def __init__(self, keyring: Keyring, issuer: str) -> None:
        self._keyring = keyring
        self._issuer = issuer

    async def verify(self, token: str) -> Caller:
        """The user whose valid access token this is.

        Raises:
            EdgeError: 401 `unauthorized`, or 503 `auth_unavailable` while the keys cannot be had.
        """
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise unauthorized("The access token is not a JSON web token.") from None
        kid = header.get("kid")
        if header.get("alg") not in ALGORITHMS or not isinstance(kid, str):
            raise unauthorized("The access token is not signed as Auth signs.")
        key = await self._keyring.find(kid)
        if key is None:
            raise unauthorized("The access token is signed by an unknown key.")
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
            raise unauthorized("The access token has expired.") from None
        except (jwt.InvalidTokenError, msgspec.ValidationError, RecursionError):
            raise unauthorized("The access token is not valid here.") from None
        if claims.role != ROLE:
            raise unauthorized("The access token is no user's.")
        return Caller(user_id=claims.sub, token=token)


async def require_caller(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Guard of routes for signed-in users: sets `request.user`, once.

    Raises:
        EdgeError: 401 `unauthorized`, or 503 `auth_unavailable`.
    """
    if connection.scope.get("user") is not None:
        return
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("This needs a signed-in user.")
    verifier: Verifier = connection.app.state.verifier
    connection.scope["user"] = await verifier.verify(token.strip())


async def provide_caller(request: Request[Caller, object, State]) -> Caller:
    """Dependency `caller` of the routes that `require_caller` guards."""
    return request.user


def _usable_keys(content: bytes) -> dict[str, jwt.PyJWK]:
    """The keys of a JWKS that verify an accepted algorithm, by id. Others are none of our business.

    Raises:
        ValueError: this is no JWKS.
    """
    keys = {}
    for raw in msgspec.json.decode(content, type=_JwkSet).keys:
        try:
            entry = msgspec.json.decode(raw, type=_Jwk)
            algorithm = entry.verifies()
            if algorithm is not None:
                parts = {"kty": entry.kty, "crv": entry.crv, "x": entry.x, "y": entry.y, "kid": entry.kid}
                keys[entry.kid] = jwt.PyJWK(parts, algorithm=algorithm)
        except (ValueError, jwt.PyJWTError) as error:
            log.warning("jwks_key_ignored", error=type(error).__name__)
    return keys
