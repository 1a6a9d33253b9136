"""Who calls, and what a signed URL permits.

Two kinds of token that never stand for one another: a user's JWT, signed by auth with ES256, carries a role; a signed
URL's token, signed here with HS256 and a key of its own, carries a path and a scope and no role.
"""

import re
import time
import uuid
from typing import Any, Literal

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from stack.keys import ALGORITHM, KeyFile, Keys
from stack.storage.errors import access_denied, invalid_signature, invalid_token

AUDIENCE = "authenticated"
ROLES = ("anon", "authenticated", "service_role")
URL_ALGORITHM = "HS256"
UPLOAD_SECONDS = 2 * 3600
BEARER = re.compile(r"bearer\s+", re.IGNORECASE)

Scope = Literal["download", "upload"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a call acts as in the database."""

    role: str
    claims: dict[str, Any]

    @property
    def owner_id(self) -> str | None:
        """What the caller's objects bear as owner."""
        subject = self.claims.get("sub")
        return subject if isinstance(subject, str) and subject else None


ANONYMOUS = Caller(role="anon", claims={"role": "anon"})


class SignedUrl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the token of a signed URL says."""

    url: str
    """Bucket and object name."""
    scope: Scope
    iat: int
    exp: int
    owner: str | None = None
    """Of an upload: who becomes the object's owner."""
    upsert: bool = False
    """Of an upload: whether it may replace an object."""


class Tokens:
    """Verifies callers' tokens, signs and verifies those of URLs, with the keys that the key file holds now."""

    def __init__(self, key_file: KeyFile) -> None:
        self._key_file = key_file
        self._keys: Keys | None = None
        self._public: dict[str, ec.EllipticCurvePublicKey] = {}

    def caller(self, authorization: str | None) -> Caller:
        """Whom an Authorization header names; nobody's is anonymous.

        Raises:
            StorageError: AccessDenied, where the token is not one of ours, has expired, or names another role.
        """
        token = BEARER.sub("", authorization or "", count=1).strip()
        if not token:
            return ANONYMOUS
        try:
            header = jwt.get_unverified_header(token)
            key = self._public_keys().get(header.get("kid", ""))
            if key is None:
                raise access_denied("The token's key is not known")
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=[ALGORITHM], audience=AUDIENCE, options={"require": ["exp", "aud"]}
            )
        except jwt.PyJWTError as error:
            raise access_denied(f"The token is not valid: {error}") from error
        role = claims.get("role")
        if role not in ROLES:
            raise access_denied("The token's role is not one that may call Storage")
        return Caller(role=role, claims=claims)

    def sign(self, path: str, scope: Scope, seconds: int, *, owner: str | None = None, upsert: bool = False) -> str:
        """The token of a URL that permits one thing on one path for some seconds."""
        now = int(time.time())
        signed = SignedUrl(url=path, scope=scope, iat=now, exp=now + seconds, owner=owner, upsert=upsert)
        return jwt.encode(msgspec.to_builtins(signed), self._key_file.read().storage, algorithm=URL_ALGORITHM)

    def verify(self, token: str, path: str, scope: Scope) -> SignedUrl:
        """What a URL's token permits on this path.

        Raises:
            StorageError: InvalidJWT, where it is not ours, has expired or is for the other scope; InvalidSignature,
                where it is for another path.
        """
        try:
            claims = jwt.decode(
                token, self._key_file.read().storage, algorithms=[URL_ALGORITHM], options={"require": ["exp"]}
            )
            signed = msgspec.convert(claims, SignedUrl)
        except (jwt.PyJWTError, msgspec.ValidationError) as error:
            raise invalid_token(f"The token is not valid: {error}") from error
        if signed.scope != scope:
            raise invalid_token(f"The token is not for a {scope}")
        if signed.url != path:
            raise invalid_signature()
        return signed

    def _public_keys(self) -> dict[str, ec.EllipticCurvePublicKey]:
        keys = self._key_file.read()
        if keys is not self._keys:
            self._public = {key.kid: key.private().public_key() for key in keys.signing}
            self._keys = keys
        return self._public


def owner_uuid(owner_id: str | None) -> uuid.UUID | None:
    """The owner as the older column `owner` wants it, where the id is a uuid."""
    try:
        return uuid.UUID(owner_id) if owner_id else None
    except ValueError:
        return None
