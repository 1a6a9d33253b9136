"""The user of a request's token."""

import re
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request

from stack.auth import sessions, users
from stack.auth.database import Connection
from stack.auth.errors import AuthError
from stack.auth.sessions import AAL2, Session
from stack.auth.signing import Signer
from stack.auth.users import User

BEARER = re.compile(r"[Bb]earer (\S+)")
ADMIN_ROLES = ("service_role", "supabase_admin")


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in user who makes a request."""

    user: User
    session: Session | None
    """None for a token that belongs to no session."""

    @property
    def session_id(self) -> UUID | None:
        """The id of the session, if any."""
        return self.session.id if self.session else None

    @property
    def has_used_second_factor(self) -> bool:
        """Whether the session is at level `aal2` now, whatever the token says."""
        return self.session is not None and self.session.aal == AAL2

    def require_session(self) -> Session:
        """The session. Raises AuthError `session_not_found` for a token that belongs to none."""
        if self.session is None:
            raise AuthError(403, "session_not_found", "The JWT belongs to no session")
        return self.session


def _claims(request: Request[Any, Any, Any], signer: Signer) -> dict[str, Any]:
    bearer = BEARER.fullmatch(request.headers.get("authorization", ""))
    if bearer is None:
        raise AuthError(401, "no_authorization", "This endpoint requires a Bearer token")
    return signer.verify(bearer[1])


def _uuid(claims: dict[str, Any], name: str, *, status: int = 403) -> UUID:
    if not claims.get(name):
        raise AuthError(403, "bad_jwt", f"invalid claim: missing {name} claim")
    try:
        return UUID(claims[name])
    except (ValueError, TypeError, AttributeError) as error:
        raise AuthError(status, "bad_jwt", f"invalid claim: {name} claim must be a UUID") from error


def require_admin(request: Request[Any, Any, Any], signer: Signer) -> None:
    """Admit only the holder of the service key.

    Raises:
        AuthError: `no_authorization`, `bad_jwt`, `not_admin`.
    """
    if _claims(request, signer).get("role") not in ADMIN_ROLES:
        raise AuthError(403, "not_admin", "User not allowed")


async def require_user(
    request: Request[Any, Any, Any], signer: Signer, connection: Connection, *, issuer: str, lock: bool = False
) -> Caller:
    """The user of a request's token, whose session must still exist.

    Args:
        request: the request.
        signer: verifies the token.
        connection: finds the user.
        issuer: this server, which must have issued the token.
        lock: whether to keep others from changing the user until the transaction ends.

    Raises:
        AuthError: `no_authorization`, `bad_jwt`, `user_not_found`, `session_not_found`.
    """
    claims = _claims(request, signer)
    user_id = _uuid(claims, "sub", status=400)
    if claims.get("iss") != issuer:
        raise AuthError(403, "bad_jwt", "invalid claim: another server issued this token")
    user = await users.by_id(connection, user_id, lock=lock)
    if user is None:
        raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
    if claims.get("session_id") is None:
        return Caller(user=user, session=None)
    session = await sessions.find(connection, _uuid(claims, "session_id"))
    if session is None or session.user_id != user.id:
        raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return Caller(user=user, session=session)
