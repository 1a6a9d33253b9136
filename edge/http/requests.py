"""What every request gets, whether or not a route takes it: an id, a line in the log, a count, and its bounds."""

import asyncio
import time
from typing import Any, cast
from uuid import uuid4

import structlog
from litestar import Request
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.exceptions import ClientException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from edge.errors import EdgeError, error
from edge.http.cors import Cors
from edge.http.metrics import Metrics
from edge.request_id import HEADER, VALID

log = structlog.get_logger()

BODY_SECONDS = 30.0
"""Within which a body must arrive: a client that sends it drop by drop would else hold a place for ever."""
NO_SNIFFING = (b"x-content-type-options", b"nosniff")
IS_HEAD = "guildhall.is_head"
"""In the scope where the client wants no body: a route that streams need not open what nobody reads."""
OPERATIONS = frozenset({"/health", "/ready", "/metrics"})
"""Paths that are served however busy the edge is."""


class EdgeRequest(Request[Any, Any, State]):
    """A request whose body, where it is not JSON at all, is the sender's fault in every case."""

    async def json(self) -> Any:
        """The body, decoded.

        Raises:
            ClientException: 400, it is not text or nested too deeply, which the framework takes for a fault of ours.
        """
        try:
            return await super().json()
        except (UnicodeDecodeError, RecursionError):
            raise ClientException("The body is not JSON.") from None


class RequestMiddleware:
    """Wraps the whole application: an id for each request, CORS, bounds, a count and a line in the log at the end.

    Litestar's own middleware runs only after a route is found, and would miss every 404 and 405.
    """

    def __init__(self, app: ASGIApp, *, cors: Cors, metrics: Metrics, max_requests: int) -> None:
        """Wrap an application.

        Args:
            app: the application.
            cors: which pages may call.
            metrics: where requests are counted.
            max_requests: how many are served at once.
        """
        self._app = app
        self._cors = cors
        self._metrics = metrics
        self._max_requests = max_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        sent = RequestHeaders(scope)
        headers = [(HEADER.encode(), sent.request_id.encode()), NO_SNIFFING, *self._cors.headers(sent.origin)]
        method = scope["method"]
        status = 500
        is_begun = False

        async def answer(message: Message) -> None:
            nonlocal status, is_begun
            if message["type"] == "http.response.start":
                status, is_begun = message["status"], True
                message["headers"] = [*message["headers"], *headers]
                if status == 405 or method == "OPTIONS":
                    message["headers"] = [_with_head(name, value) for name, value in message["headers"]]
            elif method == "HEAD" and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        if method == "HEAD":
            # Routes know GET alone. A copy, for the server must remember that the client wants no body.
            scope = cast("HTTPScope", {**scope, "method": "GET", IS_HEAD: True})
        self._metrics.in_flight += 1
        with structlog.contextvars.bound_contextvars(request_id=sent.request_id):
            try:
                await self._serve(sent, scope, receive, answer)
            except asyncio.CancelledError:
                if not is_begun:
                    await _refuse(error("stopping"), answer)
                raise
            finally:
                self._metrics.in_flight -= 1
                seconds = time.perf_counter() - began
                # The template, never the path or query: those may hold what must not be logged.
                route = scope.get("path_template")
                caller = scope.get("user")
                self._metrics.answered(method, route, status, seconds)
                log.info(
                    "request",
                    method=method,
                    path=route,
                    status=status,
                    ms=round(seconds * 1000, 2),
                    user_id=str(caller.user_id) if caller is not None else None,
                )

    async def _serve(self, sent: "RequestHeaders", scope: HTTPScope, receive: Receive, answer: Send) -> None:
        if sent.is_preflight(scope["method"]):
            if not self._cors.allows(sent.origin):
                await _refuse(error("origin_not_allowed"), answer)
                return
            headers = self._cors.preflight(sent.wanted_headers)
            await answer({"type": "http.response.start", "status": 204, "headers": headers})
            await answer({"type": "http.response.body", "body": b"", "more_body": False})
        elif self._metrics.in_flight > self._max_requests and scope["path"] not in OPERATIONS:
            await _refuse(error("overloaded", headers={"retry-after": "1"}), answer)
        else:
            await self._app(scope, _within(BODY_SECONDS, receive) if sent.has_body else receive, answer)


class RequestHeaders:
    """The headers of a request that the middleware uses, found in one pass."""

    __slots__ = ("has_body", "origin", "request_id", "wanted_headers", "wanted_method")

    def __init__(self, scope: HTTPScope) -> None:
        self.origin: bytes | None = None
        self.has_body = False
        self.wanted_method = b""
        self.wanted_headers = b""
        offered_id = ""
        for name, value in scope["headers"]:
            match name:
                case b"x-request-id":
                    offered_id = value.decode("latin-1")
                case b"origin":
                    self.origin = value
                case b"content-length" | b"transfer-encoding":
                    self.has_body = True
                case b"access-control-request-method":
                    self.wanted_method = value
                case b"access-control-request-headers":
                    self.wanted_headers = value
        self.request_id = offered_id if VALID.fullmatch(offered_id) else str(uuid4())

    def is_preflight(self, method: str) -> bool:
        """Whether a browser asks if a page may send a request; every other OPTIONS is the route's."""
        return method == "OPTIONS" and self.origin is not None and self.wanted_method != b""


def _with_head(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A header; where it lists the methods of a route, which knows GET alone, with HEAD after it."""
    return (name, value.replace(b"GET", b"GET, HEAD", 1)) if name.lower() == b"allow" else (name, value)


def _within(seconds: float, receive: Receive) -> Receive:
    """Bound the time in which the body arrives."""
    deadline = asyncio.get_running_loop().time() + seconds
    has_arrived = False

    async def receive_in_time() -> Any:
        nonlocal has_arrived
        if has_arrived:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise error("request_timeout", headers={"connection": "close"}) from None
        has_arrived = not message.get("more_body", False)
        return message

    return receive_in_time


async def _refuse(refusal: EdgeError, send: Send) -> None:
    headers, body = refusal.encoded()
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
