"""The errors of the auth server, and the translation of exceptions into answers.

Clients that send `X-Supabase-Api-Version` get `{code: <token>, message}`, others `{code: <status>, error_code, msg}`.
The official clients take 500 to 504 for an outage and retry, so a refusal never has one of these.
"""

import re
from typing import Any

import psycopg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from psycopg import errors as pg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

HEADERS = {
    "Cache-Control": "no-store",  # answers hold tokens, which no cache may keep
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer."""
VERSION_HEADER = "X-Supabase-Api-Version"
VERSION = "2024-01-01"
VERSION_DATE = re.compile(r"2\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
TOKEN = re.compile(r"[a-z][a-z0-9_]{2,60}")
CUSTOM_STATUS = re.compile(r"PT([45]\d\d)")
EMAIL_CONSTRAINTS = {"users_email_partial_key"}
HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}

log = structlog.get_logger("auth")


class AuthError(Exception):
    """A refusal: its HTTP status, its stable token, and a sentence for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        extra: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Make a refusal.

        Args:
            status: of HTTP.
            code: the token.
            message: the sentence.
            extra: further fields of the answer.
            retry_after: seconds after which the caller may retry.
        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.extra = extra or {}
        self.retry_after = retry_after


def invalid(message: str) -> AuthError:
    """The request is invalid."""
    return AuthError(400, "validation_failed", message)


def weak_password(message: str, reasons: list[str]) -> AuthError:
    """The password is too easy to guess."""
    return AuthError(422, "weak_password", message, extra={"weak_password": {"reasons": reasons}})


def invalid_credentials() -> AuthError:
    """There is no such user, or the password is wrong. The answer does not show which."""
    return AuthError(400, "invalid_credentials", "Invalid login credentials")


def otp_expired(message: str = "Email link is invalid or has expired") -> AuthError:
    """The link or code was never sent, was used, or is too old. The answer does not show which."""
    return AuthError(403, "otp_expired", message)


def code_expired() -> AuthError:
    """The code was never sent, was used, or is too old. Clients compare the sentence."""
    return otp_expired("Token has expired or is invalid")


def email_exists() -> AuthError:
    """Another user has the address. Only for callers who may know that."""
    return AuthError(422, "email_exists", "A user with this email address has already been registered")


def factor_not_found() -> AuthError:
    """The user has no such second factor."""
    return AuthError(404, "mfa_factor_not_found", "Factor not found")


def insufficient_aal(status: int, message: str) -> AuthError:
    """The session has not used a second factor, which the user has."""
    return AuthError(status, "insufficient_aal", message)


def phone_disabled(message: str = "Phone logins are disabled") -> AuthError:
    """This stack sends no text messages."""
    return AuthError(400, "phone_provider_disabled", message)


def bad_jwt(reason: str) -> AuthError:
    """The access token cannot be used. Clients compare the sentences."""
    return AuthError(403, "bad_jwt", f"invalid JWT: unable to parse or verify signature, {reason}")


def is_taken_email(error: psycopg.Error) -> bool:
    """Whether the database refused a second account for one address."""
    return isinstance(error, pg.UniqueViolation) and error.diag.constraint_name in EMAIL_CONSTRAINTS


def token_or(message: str, default: str) -> str:
    """The message itself if it is a stable token, as the project's SQL raises them."""
    return message if TOKEN.fullmatch(message) else default


def from_database(error: psycopg.Error) -> AuthError:  # noqa: PLR0911 (a table)
    """The refusal for a failure of the database.

    A trigger on `auth.users` may refuse with `PTnnn`, as in PostgREST. The answer has the database's message, which the
    developer needs, but not its detail, which holds the values of rows.
    """
    primary = error.diag.message_primary or ""
    custom = CUSTOM_STATUS.fullmatch(error.sqlstate or "")
    if custom is not None:
        return AuthError(int(custom[1]), token_or(primary, "unexpected_failure"), error.diag.message_detail or primary)
    match error:
        case pg.QueryCanceled() | pg.LockNotAvailable():
            return AuthError(504, "request_timeout", "The database did not answer in time")
        case PoolTimeout() | PoolClosed() | TooManyRequests() | psycopg.OperationalError() | psycopg.InterfaceError():
            message = "The database is not available, try again in a moment"
            return AuthError(503, "database_unavailable", message, retry_after=1)
        case _ if is_taken_email(error):
            return email_exists()
        case psycopg.DataError():
            return invalid("The request holds a value that the database cannot store")
        case psycopg.IntegrityError():
            return AuthError(409, "conflict", f"The database refused: {primary}")
        case pg.RaiseException():
            return AuthError(400, token_or(primary, "unexpected_failure"), f"The database refused: {primary}")
        case _:
            return AuthError(500, "unexpected_failure", f"Database error: {primary}")


def translate(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """The answer to a request that raised."""
    return respond(request, as_auth_error(error, path=request.url.path))


def as_auth_error(error: Exception, *, path: str) -> AuthError:
    """The refusal for an exception. An unexpected exception is logged."""
    match error:
        case AuthError():
            return error
        case psycopg.Error():
            refusal = from_database(error)
            if refusal.status >= 500:
                # Not the whole exception: its detail may hold a token.
                log.error("database_error", path=path, sqlstate=error.sqlstate, message=error.diag.message_primary)
            return refusal
        case HTTPException() if error.status_code < 500:
            code = HTTP_CODES.get(error.status_code, "validation_failed")
            return AuthError(error.status_code, code, error.detail)
        case _:
            log.error("unexpected_failure", path=path, exc_info=error)
            return AuthError(500, "unexpected_failure", "Unexpected failure, see the log of the auth server")


def respond(request: Request[Any, Any, Any], error: AuthError) -> Response[dict[str, Any]]:
    """A refusal in the form that the caller's client knows."""
    headers = {**HEADERS, "x-sb-error-code": error.code}
    mail_request = request.headers.get(VERSION_HEADER, "")
    body: dict[str, Any]
    if VERSION_DATE.fullmatch(mail_request) and mail_request >= VERSION:
        headers[VERSION_HEADER] = VERSION
        body = {"code": error.code, "message": error.message}
    else:
        body = {"code": error.status, "error_code": error.code, "msg": error.message}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return Response({**body, **error.extra}, status_code=error.status, headers=headers)
