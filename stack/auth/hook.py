"""The hooks: functions of the project that auth calls.

The custom access token hook may change a token's claims before it is signed. It runs in the token's transaction: if it
refuses or fails, the sign-in is refused and no refresh token is used up.

The password verification attempt hook gets each attempt to sign in to a user's account with a password, and may reject
a correct one. A failure of the hook is logged, and does not prevent the sign-in.
"""

from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg import errors as pg
from psycopg import sql

from stack.auth.client import Client
from stack.auth.database import Connection, jsonb
from stack.auth.errors import CUSTOM_STATUS, AuthError, from_database, token_or

TIMEOUT = "2s"
REQUIRED_CLAIMS: dict[str, type | tuple[type, ...]] = {
    "aud": (str, list),
    "exp": int,
    "iat": int,
    "sub": str,
    "email": str,
    "phone": str,
    "role": str,
    "aal": str,
    "session_id": str,
    "is_anonymous": bool,
}
"""The types of the claims that a hook must return, as on Supabase."""

log = structlog.get_logger("auth")


async def custom_access_token(
    connection: Connection, function: tuple[str, str], *, user_id: UUID, claims: dict[str, Any], method: str
) -> dict[str, Any]:
    """The claims as the project's function returns them. `role`, which decides what the database allows, never changes.

    Raises:
        AuthError: the function refused (with its own status), failed, or returned no claims.
    """
    event = {"user_id": str(user_id), "claims": claims, "authentication_method": method}
    name = ".".join(function)
    try:
        answer = await _call(connection, function, event)
    except psycopg.Error as error:
        raise _failed(name, error) from error
    if not isinstance(answer, dict):
        raise _broken(name, "it did not return an object")
    if isinstance(answer.get("error"), dict):
        raise _refused(answer["error"])
    changed = answer.get("claims")
    if not isinstance(changed, dict):
        raise _broken(name, "it returned no claims")
    changed = {**changed, "role": claims["role"]}
    wrong = [claim for claim, kind in REQUIRED_CLAIMS.items() if not isinstance(changed.get(claim), kind)]
    if wrong:
        raise _broken(name, f"these claims are missing or of another type: {', '.join(wrong)}")
    return changed


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the password verification attempt hook, with Supabase's names and defaults."""

    decision: Literal["continue", "reject"]
    message: str = "Further password verification attempts will be rejected."
    should_logout_user: bool = True


async def password_verification_attempt(
    connection: Connection, function: tuple[str, str], *, user_id: UUID, valid: bool, client: Client
) -> Verdict:
    """The project's verdict on an attempt to sign in to a user's account with a password.

    Raises:
        psycopg.Error: the function failed.
        msgspec.ValidationError: it returned no verdict.
    """
    event = {
        "user_id": str(user_id),
        "valid": valid,
        "metadata": {"ip_address": client.ip, "user_agent": client.user_agent},
    }
    return msgspec.convert(await _call(connection, function, event), Verdict)


async def _call(connection: Connection, function: tuple[str, str], event: dict[str, Any]) -> Any:
    await connection.execute("select set_config('statement_timeout', %s, true)", [TIMEOUT])
    row = await (
        await connection.execute(sql.SQL("select {}(%s) as answer").format(sql.Identifier(*function)), [jsonb(event)])
    ).fetchone()
    await connection.execute("set local statement_timeout to default")
    return row["answer"] if row else None


def _refused(error: dict[str, Any]) -> AuthError:
    status = error.get("http_code")
    message = error.get("message")
    message = message if isinstance(message, str) and message else "The custom access token hook refused"
    if not isinstance(status, int) or isinstance(status, bool) or not 400 <= status <= 599:
        status = 500
    return AuthError(status, token_or(message, "unexpected_failure" if status == 500 else "unknown"), message)


def _failed(name: str, error: psycopg.Error) -> AuthError:
    if isinstance(error, pg.QueryCanceled):
        log.error("hook_timeout", hook=name)
        return AuthError(422, "hook_timeout", f"The hook {name} took longer than {TIMEOUT}")
    if CUSTOM_STATUS.fullmatch(error.sqlstate or "") or error.sqlstate is None:
        return from_database(error)
    return _broken(name, error.diag.message_primary or type(error).__name__)


def _broken(name: str, reason: str) -> AuthError:
    log.error("hook_failed", hook=name, reason=reason)
    return AuthError(500, "unexpected_failure", f"Error running hook {name}: {reason}")
