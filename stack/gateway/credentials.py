"""API keys and their roles.

Publishable and secret keys are opaque strings. Older clients hold a legacy key instead: a JWT of role `anon` or
`service_role` that one of the stack's signing keys signed.
"""

import hmac
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import unquote_plus

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from jwt.types import Options

from stack.gateway.errors import GatewayError
from stack.keys import ALGORITHM, KeyFile, Keys

Role = Literal["anon", "service_role"]

CACHED_KEYS = 64


class ApiKeys:
    """Finds the role of an API key, and follows the key file through rotations."""

    def __init__(self, file: Path) -> None:
        self._file = KeyFile(file)
        self._keys: Keys | None = None
        self._public: dict[str, EllipticCurvePublicKey] = {}
        self._legacy: dict[str, tuple[Role, int]] = {}
        """Verified legacy keys with their role and expiry. Verifying one costs more than the rest of a request."""

    def read(self) -> Keys:
        """The current keys. Raises OSError or msgspec.DecodeError where the file cannot be read."""
        keys = self._file.read()
        if keys is not self._keys:
            self._keys = keys
            self._public = {key.kid: key.private().public_key() for key in keys.signing}
            self._legacy = {}
        return keys

    def role(self, key: str) -> Role | None:
        """The role of an API key; None where it is not a key of this stack."""
        keys = self.read()
        candidate = key.encode(errors="surrogateescape")
        # Both are always compared, in constant time, so that the time of an answer reveals nothing about a key.
        is_publishable = hmac.compare_digest(candidate, keys.publishable.encode())
        is_secret = hmac.compare_digest(candidate, keys.secret.encode())
        if is_secret:
            return "service_role"
        return "anon" if is_publishable else self._legacy_role(key)

    def _legacy_role(self, key: str) -> Role | None:
        verified = self._legacy.get(key)
        if verified is None:
            verified = self._verify(key)
            if verified is None:
                return None
            if len(self._legacy) >= CACHED_KEYS:
                self._legacy.clear()
            self._legacy[key] = verified
        role, expires_at = verified
        return role if expires_at > time.time() else None

    def _verify(self, key: str) -> tuple[Role, int] | None:
        try:
            public = self._public[jwt.get_unverified_header(key)["kid"]]
            options: Options = {"require": ["exp"], "verify_aud": False}
            claims = jwt.decode(key, public, algorithms=[ALGORITHM], options=options)
        except (jwt.InvalidTokenError, KeyError):
            return None
        # The same keys sign users' sessions, which are never API keys.
        role = claims.get("role")
        if "sub" in claims or role not in ("anon", "service_role"):
            return None
        return role, int(claims["exp"])


def take_key(headers: Sequence[str], query: str) -> tuple[str | None, str]:
    """The API key of a request, and its raw query without the key, which PostgREST would read as a filter.

    Args:
        headers: the values of every `apikey` header. They take precedence over the query.
        query: as the client sent it. Its other parameters are not changed.

    Raises:
        GatewayError: the request has two different keys, of which two servers could choose different ones.
    """
    other_pairs, found = [], []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if unquote_plus(name) == "apikey":
            found.append(unquote_plus(value))
        else:
            other_pairs.append(pair)
    keys = {key for key in (headers or found) if key}
    if len(keys) > 1:
        raise GatewayError(401, "duplicate_api_key", "Duplicate API key found", "Send one apikey.")
    return next(iter(keys), None), "&".join(other_pairs)


def user_of(authorization: str | None) -> str | None:
    """The user whom a token names, without a check of its signature; None where it names none."""
    if authorization is None:
        return None
    try:
        claims = jwt.decode(authorization.rpartition(" ")[2], options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return None
    user = claims.get("sub")
    return user if isinstance(user, str) else None


def is_api_key(authorization: str) -> bool:
    """Whether an Authorization header holds a publishable or secret key. supabase-js sends it there too."""
    scheme, _, token = authorization.partition(" ")
    return scheme.lower() == "bearer" and token.lstrip().startswith("sb_")
