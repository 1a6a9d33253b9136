"""API keys: which role one stands for, and the token that PostgREST, auth, storage and the edge get in its place.

Publishable and secret keys are opaque words. Older clients hold a legacy key instead: a JWT of role `anon` or
`service_role` that one of our signing keys signed.
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

REMEMBERED_KEYS = 64


class ApiKeys:
    """Tells which role an API key stands for, following the key file through rotations."""

    def __init__(self, file: Path) -> None:
        self._file = KeyFile(file)
        self._keys: Keys | None = None
        self._public: dict[str, EllipticCurvePublicKey] = {}
        self._legacy: dict[str, tuple[Role, int]] = {}
        """Legacy keys already verified, with their expiry: a signature costs more than the rest of a request."""

    def read(self) -> Keys:
        """The keys of now. Raises OSError or msgspec.DecodeError where the file cannot be read."""
        keys = self._file.read()
        if keys is not self._keys:
            self._keys = keys
            self._public = {key.kid: key.private().public_key() for key in keys.signing}
            self._legacy = {}
        return keys

    def role(self, key: str) -> Role | None:
        """The role of an API key; None where it is not one of ours."""
        keys = self.read()
        given = key.encode(errors="surrogateescape")
        # Both are compared always, and in constant time, so that answers tell nothing about a key's bytes.
        is_publishable = hmac.compare_digest(given, keys.publishable.encode())
        is_secret = hmac.compare_digest(given, keys.secret.encode())
        if is_secret:
            return "service_role"
        return "anon" if is_publishable else self._legacy_role(key)

    def _legacy_role(self, key: str) -> Role | None:
        known = self._legacy.get(key)
        if known is None:
            known = self._verify(key)
            if known is None:
                return None
            if len(self._legacy) >= REMEMBERED_KEYS:
                self._legacy.clear()
            self._legacy[key] = known
        role, expires_at = known
        return role if expires_at > time.time() else None

    def _verify(self, key: str) -> tuple[Role, int] | None:
        try:
            public = self._public[jwt.get_unverified_header(key)["kid"]]
            options: Options = {"require": ["exp"], "verify_aud": False}
            claims = jwt.decode(key, public, algorithms=[ALGORITHM], options=options)
        except (jwt.InvalidTokenError, KeyError):
            return None
        # The same keys sign people's sessions; those are never API keys.
        role = claims.get("role")
        if "sub" in claims or role not in ("anon", "service_role"):
            return None
        return role, int(claims["exp"])


def take_key(headers: Sequence[str], query: str) -> tuple[str | None, str]:
    """The API key of a request, and its raw query without it: PostgREST would read `apikey` as a filter.

    Args:
        headers: the values of every `apikey` header. A header counts before the query.
        query: as the client wrote it; what is not the key keeps its bytes.

    Raises:
        GatewayError: the request carries two different keys, so that two readers could choose differently.
    """
    kept, found = [], []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if unquote_plus(name) == "apikey":
            found.append(unquote_plus(value))
        else:
            kept.append(pair)
    keys = {key for key in (headers or found) if key}
    if len(keys) > 1:
        raise GatewayError(401, "duplicate_api_key", "Duplicate API key found", "Send one apikey.")
    return next(iter(keys), None), "&".join(kept)


def is_api_key(authorization: str) -> bool:
    """Whether an Authorization header holds a publishable or secret key, which supabase-js also sends there."""
    scheme, _, token = authorization.partition(" ")
    return scheme.lower() == "bearer" and token.lstrip().startswith("sb_")
