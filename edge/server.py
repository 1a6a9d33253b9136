"""The HTTP server: uvicorn, with our errors where a request is none, bounds on its head, and a stop in two steps."""

import asyncio
import signal
import sys
import time
from types import FrameType
from typing import Any

import structlog
import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from edge.errors import EdgeError
from edge.settings import Settings

log = structlog.get_logger()

KEEP_ALIVE = 75
"""Seconds: longer than the gateway keeps its idle connections, so that it is never the edge that closes one in use."""
HEAD_BYTES = 64 * 1024
"""Of request line and headers together, where they do not arrive in one piece."""
HEAD_SECONDS = 10.0
"""What a client gets to send them."""


class Protocol(HttpToolsProtocol):
    """One connection. uvicorn's own bounds neither the size of a request's head nor the time that it takes."""

    _is_in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let go who connects and says nothing, like who says nothing more."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and refuse a head that is too large."""
        was_in_head = self._is_in_head
        super().data_received(data)
        if not self._is_in_head:
            self._stop_timer()
        elif not was_in_head:
            self._head_bytes = 0
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)
        else:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(EdgeError(431, "headers_too_large", "The request's headers are too large."))

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head has ended."""
        self._is_in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  ours tells as much
        """Refuse what is not HTTP."""
        self._refuse(EdgeError(400, "invalid_request", "This is not HTTP as it should be."))

    def _give_up(self) -> None:
        self._refuse(EdgeError(408, "request_timeout", "The request took too long to arrive."))

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, error: EdgeError) -> None:
        """Answer what has not become a request, and close."""
        self._is_in_head = False
        self._stop_timer()
        if self.transport.is_closing():
            return
        headers, body = error.encoded()
        lines = [name + b": " + value + b"\r\n" for name, value in [*headers, (b"connection", b"close")]]
        self.transport.write(b"".join([STATUS_LINE[error.status], *lines, b"\r\n", body]))
        self.transport.close()


class Server(uvicorn.Server):
    """One process of the edge.

    At SIGTERM it first only says on `/ready` that it will go, and serves on, so that a balancer sends nobody any more;
    then it closes its door, and lets the requests that are inside come to their end. A second signal, or Ctrl-C, skips
    the first step.
    """

    def __init__(self, app: Litestar, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                loop="uvloop",
                http=Protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                forwarded_allow_ips=list(settings.trusted_proxies),
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=settings.grace_seconds,
            )
        )
        self._app = app
        self._drain_seconds = settings.drain_seconds
        self._closes_at: float | None = None

    def run(self, sockets: Any = None) -> None:
        """Serve until told to stop. Exits with 1 where it could not start."""
        super().run(sockets)
        if not self.started:
            sys.exit(1)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  the signature of a handler
        """Take a signal. uvicorn's own would raise it again at the end, and the process would not exit with 0."""
        is_first = not self._app.state.draining
        self._app.state.draining = True
        if sig == signal.SIGINT and self.should_exit:
            self.force_exit = True
        elif sig == signal.SIGINT or not is_first:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Close the door when its time has come."""
        now = time.monotonic()
        if self._app.state.draining and self._closes_at is None:
            self._closes_at = now + self._drain_seconds
            log.info("draining", seconds=self._drain_seconds)
        if self._closes_at is not None and now >= self._closes_at:
            self.should_exit = True
        return await super().on_tick(counter)
