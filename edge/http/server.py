"""The HTTP server: uvicorn, with our errors for malformed requests, bounds on their heads, and a stop in two steps."""

import asyncio
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

import structlog
import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from edge.errors import EdgeError, error
from edge.settings import EdgeSettings

log = structlog.get_logger()

KEEP_ALIVE = 75
"""Seconds: longer than the gateway keeps its idle connections, so that the edge never closes one that is in use."""
HEAD_BYTES = 64 * 1024
"""Of request line and headers together, where they do not arrive in one piece."""
HEAD_SECONDS = 10.0
"""Within which they must arrive."""


class Protocol(HttpToolsProtocol):
    """One connection. uvicorn's own bounds neither the size of a request's head nor the time that it takes."""

    _is_in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give a client that connects and sends nothing as long as one that sends nothing more."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
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
                self._refuse(error("headers_too_large"))

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head has ended."""
        self._is_in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the answer does not quote the parser
        """Refuse what is not HTTP."""
        self._refuse(error("invalid_request", "This is not well-formed HTTP."))

    def _give_up(self) -> None:
        self._refuse(error("request_timeout"))

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, refusal: EdgeError) -> None:
        """Answer what has not become a request, and close."""
        self._is_in_head = False
        self._stop_timer()
        if self.transport.is_closing():
            return
        headers, body = refusal.encoded()
        lines = [name + b": " + value + b"\r\n" for name, value in [*headers, (b"connection", b"close")]]
        self.transport.write(b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", body]))
        self.transport.close()


class Server(uvicorn.Server):
    """One process of the edge.

    At SIGTERM `/ready` first answers 503 while everything else is still served, so that a balancer sends no more
    requests; then the server closes its port, and lets the requests in progress end. A second signal, or Ctrl-C, skips
    the first step.
    """

    def __init__(self, app: Litestar, settings: EdgeSettings) -> None:
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
                forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=settings.grace_seconds,
            )
        )
        self._app = app
        self._drain_seconds = settings.drain_seconds
        self._closes_at: float | None = None

    def run(self, sockets: Any = None) -> None:
        """Serve until a signal stops it. Exits with 1 where it could not start."""
        if threading.current_thread() is threading.main_thread():
            # uvicorn restores these at the end: a signal that arrives while the process exits does not change its code.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self.handle_exit)
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
        """Close the port when its time has come."""
        now = time.monotonic()
        if self._app.state.draining and self._closes_at is None:
            self._closes_at = now + self._drain_seconds
            log.info("draining", seconds=self._drain_seconds)
        if self._closes_at is not None and now >= self._closes_at:
            self.should_exit = True
        return await super().on_tick(counter)
