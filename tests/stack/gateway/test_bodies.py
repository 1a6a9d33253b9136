"""Bodies of requests and answers: streams, memory and malformed ones."""

import base64
import contextlib
import hashlib
import os
import socket
import time

from stack.ports import LOOPBACK
from tests.stack.gateway.support import LARGE, MIB, WAIT_SECONDS, Gateway, Upstream


def test_small_and_chunked_bodies_pass(gateway: Gateway) -> None:
    for body in (b"", b"x", os.urandom(300_000)):
        for content in (body, iter([body])):
            echo = gateway.http.post("/rest/v1/x", headers=gateway.publishable, content=content)
            assert base64.b64decode(echo.json()["body"]) == body
    echo = gateway.http.request("DELETE", "/storage/v1/object/a", content=b'{"prefixes":["b"]}')
    assert base64.b64decode(echo.json()["body"]) == b'{"prefixes":["b"]}'
    expecting = {"Expect": "100-continue", "Content-Length": "3"}
    head = "".join(f"{name}: {value}\r\n" for name, value in expecting.items())
    with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(f"PUT /storage/v1/x HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(b"abc")
        answer = connection.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"expect"' not in answer


def test_large_bodies_stream_in_bounded_memory(gateway: Gateway) -> None:
    before = gateway.peak_memory()
    piece = os.urandom(MIB)
    digest = hashlib.sha256(piece * (LARGE // MIB)).hexdigest()
    for length in ({"Content-Length": str(LARGE)}, {}):
        upload = gateway.http.post(
            "/storage/v1/test/digest", headers=length, content=(piece for _ in range(LARGE // MIB))
        )
        assert upload.json() == {"size": LARGE, "sha256": digest}
    received, tail = hashlib.sha256(), b""
    with gateway.http.stream("GET", "/storage/v1/test/flood") as download:
        assert download.headers["etag"] == '"big"'
        for data in download.iter_raw():
            tail += data
            received.update(tail[:-32])
            tail = tail[-32:]
    assert received.digest() == tail
    assert gateway.peak_memory() - before < 16 * MIB


def test_a_slow_reader_slows_the_part_down(gateway: Gateway, upstream: Upstream) -> None:
    with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(b"GET /storage/v1/test/flood HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(10).startswith(b"HTTP/1.1 2")
        time.sleep(0.4)
        assert 0 < upstream.written < LARGE / 2  # the system's buffers hold up to a third


def test_a_slow_part_slows_the_sender_down(gateway: Gateway, upstream: Upstream) -> None:
    upstream.started.clear()
    upstream.resume.clear()
    with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
        head = f"POST /storage/v1/test/unread HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"
        connection.sendall(head.encode() + b"x")
        assert upstream.started.wait(WAIT_SECONDS)
        connection.settimeout(0.4)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < LARGE:
                sent += connection.send(bytes(MIB))
        assert sent < LARGE / 2
    upstream.resume.set()


def test_events_arrive_as_they_happen(gateway: Gateway, upstream: Upstream) -> None:
    upstream.resume.clear()
    with gateway.http.stream("GET", "/functions/v1/test/events") as answer:
        events = answer.iter_raw()
        assert next(events) == b"data: one\n\n"
        upstream.resume.set()
        assert next(events) == b"data: two\n\n"


def test_an_early_refusal_reaches_the_uploader(gateway: Gateway) -> None:
    with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
        head = f"POST /storage/v1/test/early HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"
        connection.sendall(head.encode() + bytes(1000))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_malformed_body_is_not_passed_on_as_complete(gateway: Gateway, upstream: Upstream) -> None:
    upstream.started.clear()
    upstream.cancelled.clear()
    before = upstream.requests["echo"]
    head = "HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    for path in ("echo", "test/hang"):
        with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
            connection.sendall(f"POST /storage/v1/{path} {head}".encode())
            time.sleep(0.1)
            connection.sendall(b"zz\r\nGET /storage/v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    assert upstream.started.is_set()
    assert upstream.cancelled.wait(WAIT_SECONDS)
    assert upstream.requests["echo"] == before
