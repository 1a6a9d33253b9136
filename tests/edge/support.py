"""Helpers: an edge over real sockets, and a double of PostgREST and of Auth's keys behind it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import uvicorn
from litestar import Litestar

from common.settings import ProcessSettings
from edge.settings import read_settings
from stack.keys import Keys
from stack.ports import LOOPBACK

ISSUER = "https://auth.example.test/auth/v1"
ORIGIN = "https://app.example.test"
PUBLIC_URL = "https://guild.example.test"
PUBLISHABLE_KEY = "sb_publishable_of_a_test"
NOWHERE = f"http://{LOOPBACK}:1"
"""An address at which nothing listens."""
USER_ID = UUID("6f1d1f0e-5a0c-4a52-9d35-3a3f0c0a1b2c")
CODE = "7F3A-92C0-44D1-0B6E-A1F9"

Reply = tuple[int, bytes, dict[str, str]]
Refused = Callable[[httpx.Response, int, str], dict[str, Any]]
"""The fixture `refused`."""


class Upstream(ThreadingHTTPServer):
    """The double: serves the keys and rows of `certificates` by id, and records the requests for rows."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.keys = Keys.generate()
        self.gate = threading.Event()
        """While it is set, requests for rows are answered."""
        self.reset()

    def reset(self) -> None:
        """Forget everything but the keys."""
        self.jwks: Any = self.keys.jwks()
        self.jwks_status = 200
        self.jwks_fetches = 0
        self.rows: dict[str, dict[str, Any]] = {}
        self.reply: Reply | None = None
        self.gate.set()
        self.requests: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        """The address of the double."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def certificate(self, **columns: Any) -> str:
        """Add a certificate, and return its id."""
        row: dict[str, Any] = {
            "id": str(uuid4()),
            "code": CODE,
            "status": "issued",
            "holder_name": "Ada Lovelace",
            "course_title": "Counterpoint for Beginners",
            "creator_name": "Johann Joseph Fux",
            "score_percent": 92.5,
            "issued_at": "2026-11-14T23:30:00.123456+00:00",
        } | columns
        self.rows[row["id"]] = row
        return str(row["id"])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: tests kill clients in the middle of a request."""

    def refuse(self, status: int, body: Any, **headers: str) -> None:
        """From now on, answer every request for rows with this."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.reply = status, content, headers


class _Handler(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        upstream = self.server
        if self.path == "/jwks":
            upstream.jwks_fetches += 1
            self._answer(upstream.jwks_status, json.dumps(upstream.jwks).encode())
            return
        upstream.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        upstream.gate.wait()
        if upstream.reply is not None:
            status, content, headers = upstream.reply
            self._answer(status, content, headers)
            return
        wanted = parse_qs(urlsplit(self.path).query).get("id", [""])[0].removeprefix("eq.")
        rows = [upstream.rows[wanted]] if wanted in upstream.rows else []
        self._answer(200, json.dumps(rows).encode())

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name that http.server gives
        """Log nothing."""


@contextmanager
def listening() -> Iterator[Upstream]:
    """A double that listens."""
    with Upstream() as upstream:
        thread = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield upstream
        upstream.shutdown()
        thread.join()


class NoLimits:
    """Stands in for the rate limits, where no database counts."""

    async def take(self, tier: str, key: str) -> None:
        """Let every request pass."""


@contextmanager
def running(server: uvicorn.Server) -> Iterator[int]:
    """Run a server on a thread and on a free port; yields the port."""
    server.config.port = 0
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the edge did not start"
        time.sleep(0.005)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@contextmanager
def serving(app: Litestar, *, counts: bool = False) -> Iterator[str]:
    """Serve an application on a free port; yields its address. It `counts` requests only where it has a database."""
    config = uvicorn.Config(app, host=LOOPBACK, log_config=None, lifespan="on", ws="none")
    with running(uvicorn.Server(config)) as port:
        if not counts:
            app.state.limits = NoLimits()
        yield f"http://{LOOPBACK}:{port}"


def edge_environment(url: str, **changes: str) -> dict[str, str]:
    """The variables of an edge in front of a double, without a database."""
    return {
        "EDGE_PORT": "1",
        "EDGE_DB_URL": f"postgresql://edge:secret-password@{LOOPBACK}:1/postgres",
        "EDGE_API_URL": url,
        "EDGE_REST_URL": f"{url}/rest/v1",
        "EDGE_JWKS_URL": f"{url}/jwks",
        "EDGE_JWT_ISSUER": ISSUER,
        "EDGE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "EDGE_CORS_ORIGINS": ORIGIN,
        "EDGE_DRAIN_SECONDS": "0",
        "EDGE_PUBLIC_URL": PUBLIC_URL,
    } | changes


def settings_for(url: str, **changes: str) -> ProcessSettings:
    """The settings of that edge."""
    return read_settings(edge_environment(url, **changes))


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a user's token; a change to None leaves a claim out."""
    now = int(time.time())
    full = {
        "iss": ISSUER,
        "aud": "authenticated",
        "sub": str(USER_ID),
        "role": "authenticated",
        "iat": now,
        "exp": now + 3600,
    } | changes
    return {name: value for name, value in full.items() if value is not None}
