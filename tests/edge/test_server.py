"""The HTTP server below the application: malformed requests get errors of our shape, and every wait is bounded."""

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge.app import create_app
from edge.http import server
from edge.http.server import HEAD_BYTES, Server
from edge.settings import EdgeSettings
from stack.ports import LOOPBACK
from tests.edge.support import NOWHERE, running, settings_for

MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a header without a name": b"GET /health HTTP/1.1\r\nHost: x\r\n: value\r\n\r\n",
    "a control in a header": b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: \x00\r\n\r\n",
    "two lengths": b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    "a path that is no ASCII": "GET /\u00e9 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "a space in the path": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """An edge with its own server, on a thread."""
    settings = settings_for(NOWHERE, EDGE_PORT="1")
    app = create_app(settings)
    with running(Server(app, settings[EdgeSettings])) as port:
        yield port


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection((LOOPBACK, port), timeout=20) as connection:
        yield connection


def answer(connection: socket.socket) -> bytes:
    """The bytes until the server closes."""
    received = b""
    while piece := connection.recv(65_536):
        received += piece
    return received


def refused(received: bytes, status: int, token: str) -> None:
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/json" in head
    assert b"connection: close" in head
    error = json.loads(body)
    assert list(error) == ["code", "message", "details", "hint"]
    assert (error["code"], error["message"]) == (f"PT{status}", token)


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http_is_400_in_our_shape(name: str, port: int) -> None:
    with connected(port) as connection:
        connection.sendall(MALFORMED[name])
        refused(answer(connection), 400, "invalid_request")


def test_an_invalid_host_is_400_in_our_shape(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n")
        assert json.loads(answer(connection).partition(b"\r\n\r\n")[2])["message"] == "invalid_request"


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: "])
def test_endless_headers_are_431(begin: bytes, port: int) -> None:
    with connected(port) as connection:
        connection.sendall(begin)
        connection.settimeout(0.2)
        for _ in range(20):
            connection.sendall(b"x" * (HEAD_BYTES // 4))
            with contextlib.suppress(TimeoutError):
                refused(connection.recv(10_000), 431, "headers_too_large")
                return
    raise AssertionError("they were taken")


def test_a_head_in_pieces_is_accepted(port: int) -> None:
    with connected(port) as connection:
        for piece in (
            b"GET /hea",
            b"lth HTTP/1.1\r\nHost: x\r\nX-Long: ",
            b"x" * 50_000,
            b"\r\nConnection: close\r\n\r\n",
        ):
            connection.sendall(piece)
        assert answer(connection).endswith(b'{"status":"ok"}')


def test_requests_may_be_pipelined(port: int) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with connected(port) as connection:
        connection.sendall(one * 20 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert answer(connection).count(b'{"status":"ok"}') == 21


def test_a_head_that_does_not_arrive_is_408(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.05)
    with connected(port) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: ")
        refused(answer(connection), 408, "request_timeout")


def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE", 0.05)
    settings = settings_for(NOWHERE)
    with running(Server(create_app(settings), settings[EdgeSettings])) as port, connected(port) as connection:
        assert answer(connection) == b""
