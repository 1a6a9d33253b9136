"""The edge's errors: rows of the same shape as `private.errors`, and the exception that carries one to the caller.

    raise error("url_foreign", "success_url")

What only one package raises is defined in its own `errors` module. Answers have the JSON shape of PostgREST.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from edge import packages

JSON = "application/json"
DATABASE_ERRORS = Path(__file__).parent / "http" / "database_errors.json"
"""What `./guildhall reference` reads from the database's catalog."""


class ErrorDefinition(msgspec.Struct, frozen=True):
    """An error as the catalogue has it."""

    token: str
    """The stable word for programs: `message` of the answer."""
    status: int
    """Of HTTP."""
    meaning: str
    """When it is raised, as a sentence for people: `details` of the answer, unless `detail` says more."""
    hint: str
    """What the caller can do: `hint` of the answer."""
    detail: str | None = None
    """The sentence with a %s for each argument of `error`; None where it takes none."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error as PostgREST writes it: `message` is the stable token, `details` is the sentence for people."""

    code: str
    message: str
    details: Any = None
    hint: str | None = None


class EdgeError(Exception):
    """A refusal or failure to answer with: an HTTP status, a body, and headers."""

    def __init__(self, status: int, body: ErrorBody, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body.message)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})

    def encoded(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and body, for an answer that no framework writes."""
        body = msgspec.json.encode(self.body)
        headers = {"content-type": JSON, "content-length": str(len(body)), **self.headers}
        return [(name.encode(), value.encode()) for name, value in headers.items()], body


class DatabaseErrors(msgspec.Struct, frozen=True, kw_only=True):
    """What the database can raise: its errors by token, and by function the tokens that a call can end in."""

    errors: dict[str, dict[str, Any]]
    functions: dict[str, tuple[str, ...]]


def error(token: str, *arguments: object, headers: Mapping[str, str] | None = None) -> EdgeError:
    """The error of a token, to raise.

    Args:
        token: of the edge's catalogue, or of the database's.
        arguments: one for each %s of the definition's `detail`.
        headers: more headers of the answer.
    """
    known = find_definition(token)
    details = known.meaning if known.detail is None else known.detail % arguments
    # The same code that private.refuse gives, so that clients need one way to read errors.
    body = ErrorBody(code=f"PT{known.status}", message=token, details=details, hint=known.hint)
    return EdgeError(known.status, body, headers)


def find_definition(token: str) -> ErrorDefinition:
    """The definition of a token: the edge's own where it has one, else the database's.

    Raises:
        KeyError: neither has it.
    """
    if token in catalogue():
        return catalogue()[token]
    return ErrorDefinition(token=token, **database_errors().errors[token])


@cache
def catalogue() -> Mapping[str, ErrorDefinition]:
    """The edge's own errors, by token."""
    definitions = [*COMMON, *packages.errors()]
    found = {each.token: each for each in definitions}
    if len(found) < len(definitions):
        raise ValueError("two packages define the same token")
    return found


@cache
def database_errors() -> DatabaseErrors:
    """The errors of the database, as `./guildhall reference` found them."""
    return msgspec.json.decode(DATABASE_ERRORS.read_bytes(), type=DatabaseErrors)


COMMON = (
    ErrorDefinition(
        "invalid_request",
        400,
        "The address, the query or the body is not what this route takes; `details` says what is wrong.",
        "Correct the request.",
        detail="%s",
    ),
    ErrorDefinition(
        "signature_invalid",
        400,
        "The body is not signed by the provider, or was signed more than five minutes ago; it had no effect.",
        "For the provider: sign the raw body with the secret of the endpoint.",
    ),
    ErrorDefinition(
        "sign_in_required",
        401,
        "There is no access token, or it is expired, badly signed, or no user's.",
        "Sign in and send the access token as Authorization: Bearer <token>.",
        detail="%s",
    ),
    ErrorDefinition(
        "origin_not_allowed",
        403,
        "Pages of this origin may not call the edge.",
        "The operator lists the origin in EDGE_CORS_ORIGINS.",
    ),
    ErrorDefinition("not_found", 404, "There is nothing at this address.", "Look it up in /functions/v1/schema."),
    ErrorDefinition(
        "method_not_allowed",
        405,
        "This address does not take this method.",
        "Use one that the header Allow names.",
    ),
    ErrorDefinition("request_timeout", 408, "The request took too long to arrive.", "Send it again, faster."),
    ErrorDefinition("payload_too_large", 413, "The request's body is too large.", "Send less."),
    ErrorDefinition(
        "url_refused",
        422,
        "The address is not fetched: it is not plain http or https, names a user, has an unusual port, or its host is"
        " not public or does not exist.",
        "Check the address.",
        detail="%s",
    ),
    ErrorDefinition(
        "fetch_too_large",
        422,
        "What is at the address is larger than the route takes.",
        "Choose something smaller.",
        detail="No more than %s bytes are taken.",
    ),
    ErrorDefinition(
        "fetch_type_refused",
        422,
        "What is at the address is of a type that the route does not take.",
        "Choose something else.",
        detail="Only %s is taken.",
    ),
    ErrorDefinition(
        "rate_limited",
        429,
        "Too many requests in a short time, failed ones included.",
        "Wait as long as the header Retry-After says.",
        detail="Too many requests: the next one is served in %s seconds.",
    ),
    ErrorDefinition("headers_too_large", 431, "The request's headers are too large.", "Send less."),
    ErrorDefinition(
        "internal_error",
        500,
        "Something failed on our side.",
        "Tell the operator the X-Request-Id of the answer: it finds the cause in the logs.",
    ),
    ErrorDefinition(
        "fetch_failed",
        502,
        "The address does not give it: no answer, another status than 200, too many redirects, or a damaged answer.",
        "Check that a browser can open the address.",
        detail="%s",
    ),
    ErrorDefinition(
        "auth_unavailable",
        503,
        "The keys that sign access tokens cannot be fetched now, so no caller can be recognised.",
        "Try again in a moment.",
    ),
    ErrorDefinition("database_unavailable", 503, "The database does not answer now.", "Try again in a moment."),
    ErrorDefinition(
        "provider_not_configured",
        503,
        "The installation has no key of the provider that this needs; `details` names the setting.",
        "Ask the operator.",
        detail="%s is not set.",
    ),
    ErrorDefinition(
        "not_ready",
        503,
        "Something that this process needs does not answer, or the process is being stopped.",
        "Wait.",
        detail="%s",
    ),
    ErrorDefinition("overloaded", 503, "The edge serves as many requests as it may at once.", "Try again in a moment."),
    ErrorDefinition(
        "stopping",
        503,
        "The edge was stopped before it was done; the request may have had an effect.",
        "Look at what it changed before you repeat it.",
    ),
    ErrorDefinition(
        "storage_unavailable", 503, "Storage does not answer now, so nothing was done.", "Try again in a moment."
    ),
    ErrorDefinition(
        "webhook_failed",
        503,
        "The event is stored; its effect failed and was undone.",
        "For the provider: send the event again later.",
    ),
    ErrorDefinition("fetch_timeout", 504, "The address took too long to answer.", "Try again."),
)
"""The errors that are not of one package."""
