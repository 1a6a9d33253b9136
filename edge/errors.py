"""The edge's errors, in the JSON shape of PostgREST, and the one translator of exceptions into answers."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

log = structlog.get_logger()

JSON = "application/json"

TOKENS = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "rate_limited",
}
"""The token of an error that the framework raises by itself."""

SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    413: "The request's body is too large.",
    500: "Something failed on our side; the request id finds it in the logs.",
}
"""What is said where the framework has no sentence worth showing."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error as PostgREST writes it: `message` is the stable token, `details` is the sentence for people."""

    code: str
    message: str
    details: Any = None
    hint: str | None = None


class EdgeError(Exception):
    """A failure that the caller is told about: HTTP status, stable token, a sentence, and what to do."""

    def __init__(
        self,
        status: int,
        token: str,
        detail: Any = None,
        hint: str | None = None,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(token)
        self.status = status
        self.headers = dict(headers or {})
        # The same code that `raise sqlstate 'PTnnn'` gives, so that clients need one way to read errors.
        self.body = ErrorBody(code=code or f"PT{status}", message=token, details=detail, hint=hint)

    def encoded(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and body, for an answer that no framework writes."""
        body = msgspec.json.encode(self.body)
        headers = {"content-type": JSON, "content-length": str(len(body)), **self.headers}
        return [(name.encode(), value.encode()) for name, value in headers.items()], body


def unauthorized(sentence: str) -> EdgeError:
    """The refusal of a request that comes from no user."""
    return EdgeError(401, TOKENS[401], sentence, "Sign in and send the access token as Authorization: Bearer <token>.")


def database_unavailable() -> EdgeError:
    """The answer while Postgres or PostgREST cannot be reached."""
    return EdgeError(503, "database_unavailable", "The database does not answer just now.", "Try again in a moment.")


def internal_error() -> EdgeError:
    """The answer to a fault of ours, which says nothing of its cause."""
    return EdgeError(500, "internal_error", SENTENCES[500])


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    """Translate any exception into an answer. What nobody foresaw is logged whole and told as a bare 500."""
    match error:
        case EdgeError():
            known = error
        case HTTPException() if error.status_code < 500:
            known = _of_framework(error)
        case _:
            log.error("unhandled_error", path=request.scope.get("path_template"), exc_info=error)
            known = internal_error()
    headers = dict(known.headers)
    if known.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(known.body, status_code=known.status, headers=headers, media_type=JSON)


def _of_framework(error: HTTPException) -> EdgeError:
    sentence = SENTENCES.get(error.status_code) or error.detail or HTTPStatus(error.status_code).phrase
    if isinstance(error.extra, list):
        problems = [f"{item['key']}: {item['message']}" for item in error.extra if "key" in item and "message" in item]
        sentence = "; ".join(problems) or sentence
    token = TOKENS.get(error.status_code, TOKENS[400])
    return EdgeError(error.status_code, token, sentence, headers=error.headers)
