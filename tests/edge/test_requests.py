"""What holds for every request: HEAD, the bounds on number, time and size, and the id."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from litestar import Litestar, get, post
from litestar.params import JSONBody
from litestar.response import Stream

from edge.app import create_app
from edge.http import requests
from stack.ports import LOOPBACK
from tests.edge.support import Refused, Upstream, serving, settings_for

LIMIT = 3


@post("/orders")
async def take_order(data: JSONBody[dict[str, int]]) -> dict[str, int]:
    return data


@get("/stream")
async def stream() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"piece"
            await asyncio.sleep(0)

    return Stream(pieces())


class Held:
    """Requests that wait until a test releases them."""

    def __init__(self, app: Litestar) -> None:
        self.inside = threading.Semaphore(0)
        self.may_go = threading.Event()

        @get("/held")
        async def held() -> str:
            self.inside.release()
            await asyncio.to_thread(self.may_go.wait)
            return "done"

        app.register(held)


@pytest.fixture(scope="module")
def probe(_upstream: Upstream) -> Iterator[tuple[httpx.Client, Held]]:
    """An edge with extra routes, which serves three requests at once."""
    app = create_app(settings_for(_upstream.url, EDGE_MAX_REQUESTS=str(LIMIT)))
    app.register(take_order)
    app.register(stream)
    held = Held(app)
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client, held


def test_head_is_get_without_its_body(edge: httpx.Client, upstream: Upstream, token: str) -> None:
    user = {"authorization": f"Bearer {token}"}
    certificate = f"/certificates/{upstream.certificate()}/pdf"
    for path, headers in (
        ("/health", {}),
        ("/schema", {}),
        ("/schema/openapi.json", {}),
        (certificate, user),
        (certificate, {}),
        ("/nothing", {}),
    ):
        whole, head = edge.get(path, headers=headers), edge.head(path, headers=headers)
        assert head.status_code == whole.status_code
        assert head.content == b""
        assert whole.content
        named = {"x-request-id", "date"}
        assert {n: v for n, v in head.headers.items() if n not in named} == {
            n: v for n, v in whole.headers.items() if n not in named
        }
    known = edge.get(certificate, headers=user).headers["etag"]
    assert edge.head(certificate, headers=user | {"if-none-match": known}).status_code == 304


def test_head_works_for_streams_and_is_405_without_get(probe: tuple[httpx.Client, Held]) -> None:
    client, _held = probe
    for _ in range(2):  # the connection stays usable
        assert (client.head("/stream").status_code, client.head("/stream").content) == (200, b"")
        assert client.head("/orders").status_code == 405
        assert client.get("/stream").content == b"piece" * 3


def test_too_many_requests_at_once_are_503_except_probes(probe: tuple[httpx.Client, Held], refused: Refused) -> None:
    client, held = probe
    answers: list[str] = []

    def call() -> None:
        answers.append(httpx.get(client.base_url.join("/held"), trust_env=False, timeout=60).text)

    callers = [threading.Thread(target=call, daemon=True) for _ in range(LIMIT)]
    for caller in callers:
        caller.start()
    for _ in callers:
        assert held.inside.acquire(timeout=20), answers
    for path in ("/held", "/orders", "/nothing"):
        answer = client.get(path)
        refused(answer, 503, "overloaded")
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["x-request-id"]
    assert client.get("/health").status_code == 200
    assert client.get("/ready").json()["message"] == "not_ready"
    figures = client.get("/metrics").text
    assert 'edge_requests_total{method="GET",route="none",status="503"} 3.0' in figures
    assert f"edge_requests_in_flight {LIMIT + 1}.0" in figures
    held.may_go.set()
    for caller in callers:
        caller.join()
    assert answers == ["done"] * LIMIT
    assert client.get("/nothing").status_code == 404


def test_a_body_that_does_not_arrive_is_408(probe: tuple[httpx.Client, Held], monkeypatch: pytest.MonkeyPatch) -> None:
    client, _held = probe
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.05)
    head = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with socket.create_connection((LOOPBACK, client.base_url.port or 0), timeout=20) as connection:
        connection.sendall(head)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"message":"request_timeout"' in received
    # A body in pieces is accepted in time.
    answer = client.post("/orders", content=iter([b'{"a"', b": 1}"]), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (201, {"a": 1})


def test_a_body_too_large_is_413_with_and_without_a_length(probe: tuple[httpx.Client, Held], refused: Refused) -> None:
    client, _held = probe
    large = b'{"a": 1, "b": "' + b"x" * (1 << 20) + b'"}'
    sent: list[Any] = [large, iter([large[:1000], large[1000:]])]
    for content in sent:
        answer = client.post("/orders", content=content, headers={"content-type": "application/json"})
        refused(answer, 413, "payload_too_large")
