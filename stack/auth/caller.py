"""Whom the token of a request speaks for."""

import re
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request

from stack.auth import sessions, users
from stack.auth.database import Connection
from stack.auth.errors import AuthError
from stack.auth.signing import Signer
from stack.auth.users import User

BEARER = re.compile(r"[Bb]earer (\S+)")
ADMIN_ROLE = "service_role"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in user at work."""

    user: User
    session_id: UUID | None
    """None in a token that belongs to no session."""


def _claims(request: Request[Any, Any, Any], signer: Signer) -> dict[str, Any]:
    bearer = BEARER.fullmatch(request.headers.get("authorization", ""))
    if bearer is None:
        raise AuthError(401, "no_authorization", "This endpoint requires a Bearer token")
    return signer.verify(bearer[1])


def _uuid(claims: dict[str, Any], name: str) -> UUID:
    try:
        return UUID(claims[name])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise AuthError(403, "bad_jwt", f"invalid claim: {name} must be a UUID") from error


def require_admin(request: Request[Any, Any, Any], signer: Signer) -> None:
    """Let only the holder of the service key pass.

    Raises:
        AuthError: `no_authorization`, `bad_jwt`, `not_admin`.
    """
    if _claims(request, signer).get("role") != ADMIN_ROLE:
        raise AuthError(403, "not_admin", "User not allowed")


async def require_user(
    request: Request[Any, Any, Any], signer: Signer, connection: Connection, *, issuer: str, lock: bool = False
) -> Caller:
    """The user whose token this is, whose session must still be there.

    Args:
        request: the request.
        signer: verifies the token.
        connection: where to look the user up.
        issuer: who must have issued the token: ourselves.
        lock: whether nobody else may change the user until the transaction ends.

    Raises:
        AuthError: `no_authorization`, `bad_jwt`, `user_not_found`, `session_not_found`.
    """
    claims = _claims(request, signer)
    user_id = _uuid(claims, "sub")
    if claims.get("iss") != issuer:
        raise AuthError(403, "bad_jwt", "invalid claim: another server issued this token")
    user = await users.by_id(connection, user_id, lock=lock)
    if user is None:
        raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
    if claims.get("session_id") is None:
        return Caller(user=user, session_id=None)
    session = await sessions.find(connection, _uuid(claims, "session_id"))
    if session is None or session.user_id != user.id:
        raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return Caller(user=user, session_id=session.id)
