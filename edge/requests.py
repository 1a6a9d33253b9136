"""What every request gets, whether or not a route takes it: an id, a line in the log, and a safe content type."""

import re
import time
from typing import Any
from uuid import uuid4

import structlog
from litestar import Request
from litestar.datastructures import Headers, MutableScopeHeaders, State
from litestar.enums import ScopeType
from litestar.exceptions import ClientException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

HEADER = "x-request-id"
SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Ids that may go into logs and headers as they came."""


def current_request_id() -> str:
    """The id of the request at hand; a new one outside of any request."""
    known = structlog.contextvars.get_contextvars().get("request_id")
    return known if isinstance(known, str) else str(uuid4())


class EdgeRequest(Request[Any, Any, State]):
    """A request whose body, when it is no JSON at all, is the sender's fault in every case."""

    async def json(self) -> Any:
        """The body, decoded.

        Raises:
            ClientException: 400, it is not text or nested without end, which the framework takes for a fault of ours.
        """
        try:
            return await super().json()
        except (UnicodeDecodeError, RecursionError):
            raise ClientException("The body is not JSON.") from None


class RequestLog:
    """Wraps the whole application: names each request, answers the name, and logs one line when it is done.

    Litestar's own middleware runs only after a route is found, and would miss every 404 and 405.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        offered = Headers.from_scope(scope).get(HEADER, "")
        request_id = offered if SANE.fullmatch(offered) else str(uuid4())
        status = 500
        began = time.perf_counter()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableScopeHeaders.from_message(message)
                headers[HEADER] = request_id
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_named)
            finally:
                caller = scope.get("user")
                log.info(
                    "request",
                    method=scope["method"],
                    # The template, never the path or query: those may hold what must not be logged.
                    path=scope.get("path_template"),
                    status=status,
                    ms=round((time.perf_counter() - began) * 1000, 2),
                    user_id=str(caller.user_id) if caller is not None else None,
                )
