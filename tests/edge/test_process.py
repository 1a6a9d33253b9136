"""`python -m edge` as the supervisor runs it: settings, logs, request ids, and a graceful stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from stack.ports import free_block
from stack.state import Folder
from tests.conftest import Stack
from tests.edge.processes import Process
from tests.edge.support import USER_ID, Refused, Upstream, edge_environment
from tests.waiting import wait_until

COUNTING: dict[str, str] = {}
"""The database in which the processes count requests: a request that cannot be counted is not served."""


def running_edge(upstream: Upstream, **changes: str) -> Process:
    """Start an edge in front of the double, without waiting for it."""
    port = free_block().base
    environment = edge_environment(upstream.url, **COUNTING, **{"EDGE_PORT": str(port)} | changes)
    return Process("edge", environment, port=port)


@pytest.fixture(scope="module", autouse=True)
def _counting(stack: Stack, stack_data: Path) -> None:  # noqa: ARG001  it must run
    COUNTING["EDGE_DB_URL"] = Folder(stack_data).state().database_url("edge")


@pytest.fixture(scope="module")
def process(_upstream: Upstream) -> Iterator[Process]:
    process = running_edge(_upstream)
    process.wait_for_start()
    yield process
    process.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def client(process: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=process.url, trust_env=False) as client:
        yield client


def logged(process: Process, request_id: str) -> dict[str, Any]:
    """The line of a request."""
    [line] = wait_until(lambda: process.logged("request", request_id=request_id))
    return line


def test_a_request_logs_one_line_without_secrets(
    client: httpx.Client, process: Process, upstream: Upstream, token: str
) -> None:
    headers = {"authorization": f"Bearer {token}", "x-request-id": "printing.1"}
    answer = client.get(f"/certificates/{upstream.certificate()}/pdf?token=hidden-in-a-query", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == "printing.1"
    line = logged(process, "printing.1")
    assert line["method"] == "GET"
    assert line["path"] == "/certificates/{certificate_id}/pdf"
    assert line["status"] == 200
    assert 0 < line["ms"] < 10_000
    assert line["user_id"] == str(USER_ID)

    assert client.get("/a-path-with-hidden-in-it", headers={"x-request-id": "missing.1"}).status_code == 404
    assert (logged(process, "missing.1")["path"], logged(process, "missing.1")["user_id"]) == (None, None)

    for secret in (token, "hidden-in", "secret-password"):
        assert secret not in process.raw


@pytest.mark.parametrize("offered", ["", "two words", "x" * 129, "new\tline", '"quoted"', "-dash", "café"])
def test_an_invalid_request_id_is_replaced(offered: str, client: httpx.Client) -> None:
    answer = client.get("/health", headers=[(b"x-request-id", offered.encode())])
    assert answer.headers["x-request-id"] != offered
    assert UUID(answer.headers["x-request-id"])
    assert answer.headers["x-content-type-options"] == "nosniff"


class Stopping:
    """An edge with one request in progress, which the double answers when the gate opens."""

    def __init__(self, upstream: Upstream, token: str, **changes: str) -> None:
        self.process = running_edge(upstream, **changes)
        self.process.wait_for_start()
        self.client = httpx.Client(base_url=self.process.url, trust_env=False, timeout=60)
        self.answers: list[httpx.Response] = []
        upstream.gate.clear()
        path, headers = f"/certificates/{upstream.certificate()}/pdf", {"authorization": f"Bearer {token}"}
        self._request = threading.Thread(target=lambda: self.answers.append(self.client.get(path, headers=headers)))
        self._request.start()
        wait_until(lambda: upstream.requests)

    def ask(self, path: str) -> httpx.Response | None:
        """The answer to a new request; None where the port is closed."""
        try:
            return httpx.get(f"{self.process.url}{path}", trust_env=False)
        except httpx.TransportError:
            return None

    def answer(self) -> httpx.Response:
        """The answer to the request in progress."""
        self._request.join()
        return self.answers[0]

    def close(self) -> None:
        """Kill it."""
        self.process.end(signal.SIGKILL)
        self._request.join()
        self.client.close()


@pytest.fixture
def stopping(upstream: Upstream, token: str) -> Iterator[Callable[..., Stopping]]:
    """Starts such edges, and kills them at the end."""
    made: list[Stopping] = []

    def make(**changes: str) -> Stopping:
        made.append(Stopping(upstream, token, **changes))
        return made[-1]

    yield make
    upstream.gate.set()
    for each in made:
        each.close()


def status(answer: httpx.Response | None) -> int | None:
    return None if answer is None else answer.status_code


def test_a_stop_drains_closes_the_port_and_finishes_requests(
    stopping: Callable[..., Stopping], upstream: Upstream, refused: Refused
) -> None:
    edge = stopping(EDGE_DRAIN_SECONDS="1.5")
    edge.process.send(signal.SIGTERM)
    wait_until(lambda: "draining" in edge.process.raw)
    ready = edge.ask("/ready")
    assert ready is not None
    assert "stopped" in refused(ready, 503, "not_ready")["details"]
    # Until a balancer has noticed, new requests are served.
    assert status(edge.ask("/health")) == 200
    wait_until(lambda: edge.ask("/health") is None)
    assert edge.answers == []
    upstream.gate.set()
    assert edge.answer().content.startswith(b"%PDF")
    assert edge.process.end() == 0


def test_a_stop_waits_no_longer_than_the_grace_period(stopping: Callable[..., Stopping], refused: Refused) -> None:
    edge = stopping(EDGE_GRACE_SECONDS="1")
    edge.process.send(signal.SIGTERM)
    refused(edge.answer(), 503, "stopping")
    assert edge.process.end() == 0


def test_a_second_signal_closes_the_port_at_once(stopping: Callable[..., Stopping], upstream: Upstream) -> None:
    edge = stopping(EDGE_DRAIN_SECONDS="600")
    edge.process.send(signal.SIGTERM)
    wait_until(lambda: "draining" in edge.process.raw)
    edge.process.send(signal.SIGTERM)
    wait_until(lambda: edge.ask("/health") is None)
    upstream.gate.set()
    assert edge.answer().status_code == 200
    assert edge.process.end() == 0


def test_ctrl_c_closes_the_port_at_once(stopping: Callable[..., Stopping], upstream: Upstream) -> None:
    edge = stopping(EDGE_DRAIN_SECONDS="600")
    upstream.gate.set()
    edge.answer()
    assert edge.process.end(signal.SIGINT) == 0


def test_a_port_in_use_is_a_failed_start(client: httpx.Client, process: Process, upstream: Upstream) -> None:
    assert client.get("/health").status_code == 200
    second = running_edge(upstream, EDGE_PORT=process.url.rpartition(":")[2])
    assert second.wait() != 0
    assert "address already in use" in second.raw
