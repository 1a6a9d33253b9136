"""The caller of a request, and the tokens of signed URLs.

The two kinds of token never replace one another. A user's JWT, which auth signs with ES256, carries a role. A signed
URL's token, signed here with HS256 and a key of its own, carries a path and a scope, and no role of a caller. One that
reads an object names who signed it: the policies are asked for them again when it is used.
"""

import re
import time
import uuid
from collections.abc import Sequence
from typing import Any, Literal

import jwt
import msgspec

from stack.access_tokens import AccessTokens
from stack.keys import KeyFile
from stack.storage.errors import access_denied, invalid_signature, invalid_token, token_flaw

ROLES = ("anon", "authenticated", "service_role")
URL_ALGORITHM = "HS256"
UPLOAD_SECONDS = 2 * 3600
BEARER = re.compile(r"bearer(\s+|$)", re.IGNORECASE)

Scope = Literal["download", "upload"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The role and claims of a request in the database."""

    role: str
    claims: dict[str, Any]

    @classmethod
    def of(cls, signed: "SignedUrl") -> "Caller":
        """Who signed a URL, as policies see them when it is used."""
        role = signed.signed_as or "anon"
        claims = {"role": role, "sub": signed.owner, "aal": signed.aal}
        return cls(role=role, claims={name: value for name, value in claims.items() if value is not None})

    @property
    def owner_id(self) -> str | None:
        """The owner of the objects that the caller writes."""
        subject = self.claims.get("sub")
        return subject if isinstance(subject, str) and subject else None


class SignedUrl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The claims of a signed URL's token."""

    url: str
    """Bucket and object name."""
    scope: Scope
    iat: int
    exp: int
    owner: str | None = None
    """Who signed it: the owner of the object that an upload makes. A download asks what they may read."""
    signed_as: str | None = None
    """Of a download: the role of who signed it. Not named `role`, which only tokens of callers have."""
    aal: str | None = None
    """Of a download: whether the session of who signed it had used a second factor, which policies may ask for."""
    upsert: bool = False
    """Of an upload: whether it may replace an object."""


class Tokens:
    """Verifies callers' tokens, and signs and verifies those of URLs. It follows the key file."""

    def __init__(self, key_file: KeyFile, extra_roles: Sequence[str] = ()) -> None:
        """Args: the key file, and the roles that a project adds to those of every Supabase project."""
        self._roles = (*ROLES, *extra_roles)
        self._access_tokens = AccessTokens(key_file)

    def caller(self, authorization: str | None) -> Caller:
        """The caller in an Authorization header.

        Raises:
            StorageError: AccessDenied, where there is no token, or it is not one of this stack, has expired, or names
            another role.
        """
        try:
            claims = self._access_tokens.claims(BEARER.sub("", authorization or "", count=1).strip())
        except jwt.InvalidTokenError as error:
            raise access_denied(token_flaw(error)) from error
        role = claims.get("role")
        if role not in self._roles:
            raise access_denied("The token's role is not one that may call Storage")
        return Caller(role=role, claims=claims)

    def sign(self, path: str, scope: Scope, seconds: int, signer: Caller, *, upsert: bool = False) -> str:
        """The token of a URL that permits one action on one path for some seconds."""
        now = int(time.time())
        signed = SignedUrl(
            url=path,
            scope=scope,
            iat=now,
            exp=now + seconds,
            owner=signer.owner_id,
            signed_as=signer.role if scope == "download" else None,
            aal=signer.claims.get("aal") if scope == "download" else None,
            upsert=upsert,
        )
        return jwt.encode(msgspec.to_builtins(signed), self._access_tokens.keys().storage, algorithm=URL_ALGORITHM)

    def verify(self, token: str, path: str, scope: Scope) -> SignedUrl:
        """The claims of a URL's token for this path.

        Raises:
            StorageError: InvalidJWT, where it is not one of this stack, has expired or has another scope;
            InvalidSignature, where it is for another path.
        """
        try:
            claims = jwt.decode(
                token, self._access_tokens.keys().storage, algorithms=[URL_ALGORITHM], options={"require": ["exp"]}
            )
            signed = msgspec.convert(claims, SignedUrl)
        except (jwt.PyJWTError, msgspec.ValidationError) as error:
            raise invalid_token(token_flaw(error)) from error
        if signed.scope != scope or signed.signed_as not in (None, *self._roles):
            raise invalid_token(f"The token is not for a {scope}")
        if signed.url != path:
            raise invalid_signature()
        return signed


def owner_uuid(owner_id: str | None) -> uuid.UUID | None:
    """The value of the older column `owner`, which holds only uuids."""
    try:
        return uuid.UUID(owner_id) if owner_id else None
    except ValueError:
        return None
