"""The one translator of exceptions into answers."""

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from edge.errors import JSON, EdgeError, ErrorBody, error

log = structlog.get_logger()

FRAMEWORK_TOKENS = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}
"""The token of an error that the framework raises by itself, by its status; every other one is `invalid_request`."""


def answer(request: Request[Any, Any, Any], exception: Exception) -> Response[ErrorBody]:
    """Translate any exception into an answer. One that nothing foresaw is logged whole and answered as a bare 500."""
    match exception:
        case EdgeError():
            known = exception
        case HTTPException() if exception.status_code < 500:
            known = _translate_framework_error(exception)
        case _:
            log.error("unhandled_error", path=request.scope.get("path_template"), exc_info=exception)
            known = error("internal_error")
    headers = dict(known.headers)
    if known.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(known.body, status_code=known.status, headers=headers, media_type=JSON)


def _translate_framework_error(exception: HTTPException) -> EdgeError:
    token = FRAMEWORK_TOKENS.get(exception.status_code)
    if token is not None:
        return error(token, headers=exception.headers)
    problems: list[str] = []
    if isinstance(exception.extra, list):
        problems = [
            f"{item['key']}: {item['message']}" for item in exception.extra if {"key", "message"} <= item.keys()
        ]
    return error("invalid_request", "; ".join(problems) or exception.detail, headers=exception.headers)
