"""A fast HTTP/1.1 client that sends a request exactly as it is written.

The probes and fuzzers send thousands of requests, and httpx would use more time than the server. Nor does httpx send
`..`, a bare `%00` or a header twice.
"""

import contextlib
import json
import shlex
import socket
from collections import deque
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote, urlencode

import httptools
import msgspec

PIECE = 1 << 16


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    method: str
    target: str
    """Path and query, escaped by the caller."""
    headers: dict[str, str] = {}
    body: bytes | None = None

    def on(self, host: str) -> bytes:
        """The bytes of the request to a host."""
        headers = {"Host": host, **self.headers}
        if self.body is not None and "Content-Length" not in headers:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + (self.body or b"")

    def __str__(self) -> str:
        """A curl command line that repeats the request to the origin in $API."""
        # Without the token, which is long and expires; the failure names the person.
        shown = {name: value for name, value in self.headers.items() if name not in {"Authorization", "Content-Length"}}
        words = ["curl", "--path-as-is", "-gsSi", "-X", self.method]
        words += [word for name, value in shown.items() for word in ("-H", f"{name}: {value}")]
        if self.body is not None:
            words += ["--data-binary", self.body.decode("utf-8", "replace")[:2000]]
        return f'{shlex.join(words)} "$API"{shlex.quote(self.target)}'


class Answer:
    """The answer to a request."""

    def __init__(self, request: Request) -> None:
        """An empty answer, to be filled while it is read."""
        self.request = request
        self.status = 0
        self.headers: dict[str, str] = {}
        """By lower-case name."""
        self.body = b""

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body, decoded. Raises ValueError where it is not JSON."""
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.request}\n    is answered {self.status} {self.text[:500]}"


class Wire:
    """Connections to one server, one for each thread that sends at the same time."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", timeout: float = 20) -> None:
        """Args: port, host: where the server listens; timeout: seconds of silence until TimeoutError."""
        self.port = port
        self._place = (host, port)
        self._timeout = timeout
        self._idle: deque[socket.socket] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._idle:
            self._idle.pop().close()

    def send(self, request: Request) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            ConnectionError: the server closed the connection without an answer.
            TimeoutError: the server does not answer.
        """
        content = request.on(self._place[0])
        while self._idle:
            try:
                return self._exchange(self._idle.pop(), content, request)
            except (IndexError, ConnectionError):
                # Another thread took the last idle connection, or the server had closed it.
                continue
        connection = socket.create_connection(self._place, timeout=self._timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._exchange(connection, content, request)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Escape and send a request, with a JSON body where there is one."""
        target = f"{quote(path)}?{urlencode(query, quote_via=quote)}" if query else quote(path)
        if body is None:
            return self.send(Request(method=method, target=target, headers=dict(headers or {})))
        sent = {"Content-Type": "application/json", **(headers or {})}
        return self.send(Request(method=method, target=target, headers=sent, body=json.dumps(body).encode()))

    def _exchange(self, connection: socket.socket, content: bytes, request: Request) -> Answer:
        reading = _Reading(request)
        try:
            with contextlib.suppress(BrokenPipeError):  # the server may answer before it has read all
                connection.sendall(content)
            reading.read(connection)
        finally:
            if reading.keeps_alive:
                self._idle.append(connection)
            else:
                connection.close()
        return reading.answer


class _Reading:
    """Reads one answer; the parser calls its methods."""

    def __init__(self, request: Request) -> None:
        self.answer = Answer(request)
        self.is_done = False
        self.keeps_alive = False
        self._pieces: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def read(self, connection: socket.socket) -> None:
        """Read until the answer is complete. Raises ConnectionResetError where there is none."""
        while not self.is_done:
            piece = connection.recv(PIECE)
            if not piece:
                if self.answer.status:
                    return
                raise ConnectionResetError("the server closed the connection without an answer")
            self._parser.feed_data(piece)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.answer.status = self._parser.get_status_code()
        # An answer to HEAD has no body; the parser does not know the method.
        self.is_done = self.answer.request.method == "HEAD"

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.answer.body = b"".join(self._pieces)

    def on_message_complete(self) -> None:
        self.is_done = True
        self.keeps_alive = self._parser.should_keep_alive()
