"""Access tokens (JWT) that requests carry: verified with every public key that the key file lists."""

from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from stack.keys import ALGORITHM, KeyFile, Keys

AUDIENCE = "authenticated"
SERVER_ROLES = ("anon", "service_role", "supabase_admin")
"""Roles of API keys and of servers, which sign tokens for themselves."""


class UnknownKeyError(jwt.InvalidTokenError):
    """The token names no key of this stack."""

    def __init__(self, kid: object, algorithm: object) -> None:
        super().__init__(f"unrecognized JWT kid {kid} for algorithm {algorithm}")


class AccessTokens:
    """Verifies tokens. It follows the key file, so that a rotation needs no restart."""

    def __init__(self, file: KeyFile) -> None:
        """Use this key file."""
        self._file = file
        self._read: Keys | None = None
        self._public: dict[object, ec.EllipticCurvePublicKey] = {}

    def keys(self) -> Keys:
        """The current keys."""
        keys = self._file.read()
        if keys is not self._read:
            self._public = {key.kid: key.private().public_key() for key in keys.signing}
            self._read = keys
        return keys

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that one of the keys signed and that has not expired.

        A user's token must have an end and an audience. As on Supabase, a server's token needs neither: who holds the
        signing key could write both.

        Raises:
            jwt.InvalidTokenError: it is none.
        """
        self.keys()
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        key = self._public.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise UnknownKeyError(kid, header.get("alg"))
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[ALGORITHM], options={"verify_aud": False})
        role = claims.get("role")
        if not (isinstance(role, str) and role in SERVER_ROLES):
            for name in ("exp", "aud"):
                if claims.get(name) is None:
                    raise jwt.MissingRequiredClaimError(name)
        audience = claims.get("aud", AUDIENCE)
        if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            raise jwt.InvalidAudienceError("Audience doesn't match")
        return claims
