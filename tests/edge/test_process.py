"""`python -m edge` as the supervisor runs it: settings, logs, request ids, and a graceful stop."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from edge.settings import Settings, variable
from stack.ports import LOOPBACK, free_block
from stack.state import Folder
from tests.conftest import Stack
from tests.edge.support import USER_ID, Refused, Upstream, settings_for

ROOT = Path(__file__).parents[2]
START = 20.0
COUNTING: dict[str, str] = {}
"""The database in which the processes count requests: who cannot be counted is not served."""


def environment_for(settings: Settings) -> dict[str, str]:
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return {
        variable(name): ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in values.items()
        if value is not None
    }


class Process:
    """A running edge, and the lines that it has logged."""

    def __init__(self, settings: Settings) -> None:
        self.url = f"http://{LOOPBACK}:{settings.port}"
        self.lines: list[dict[str, Any]] = []
        self.raw = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment_for(settings), **COUNTING},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as log:
            for line in log:
                self.raw += line
                self.lines.append(json.loads(line))

    def wait_until_it_answers(self, client: httpx.Client) -> None:
        """Wait for its start."""
        deadline = time.monotonic() + START
        while True:
            try:
                client.get("/health").raise_for_status()
            except httpx.TransportError:
                assert self._process.poll() is None, self.raw
                assert time.monotonic() < deadline, self.raw
                time.sleep(0.02)
            else:
                return

    def ask_to_stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status."""
        self.ask_to_stop(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; the exit status."""
        code = self._process.wait(timeout=START)
        self._reader.join()
        return code

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._reader.join()


@pytest.fixture(scope="module", autouse=True)
def _counting(stack: Stack, stack_data: Path) -> None:  # noqa: ARG001  it must run
    COUNTING["EDGE_DB_URL"] = Folder(stack_data).state().database_url("edge")


@pytest.fixture(scope="module")
def process(_upstream: Upstream) -> Iterator[Process]:
    process = Process(settings_for(_upstream.url, EDGE_PORT=str(free_block().base)))
    yield process
    process.kill()


@pytest.fixture(scope="module")
def client(process: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=process.url, trust_env=False) as client:
        process.wait_until_it_answers(client)
        yield client


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + START
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def logged(process: Process, request_id: str) -> dict[str, Any]:
    for _ in range(200):
        found = [
            line for line in process.lines if line.get("request_id") == request_id and line["message"] == "request"
        ]
        if found:
            [line] = found
            return line
        time.sleep(0.01)
    raise AssertionError(process.raw)


def test_one_line_a_request_and_no_secrets(
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
def test_an_insane_request_id_is_replaced(offered: str, client: httpx.Client) -> None:
    answer = client.get("/health", headers=[(b"x-request-id", offered.encode())])
    assert answer.headers["x-request-id"] != offered
    assert UUID(answer.headers["x-request-id"])
    assert answer.headers["x-content-type-options"] == "nosniff"


class Stopping:
    """An edge with one request under way in it, which PostgREST answers only when it is let."""

    def __init__(self, upstream: Upstream, token: str, **changes: str) -> None:
        self.process = Process(settings_for(upstream.url, EDGE_PORT=str(free_block().base), **changes))
        self.client = httpx.Client(base_url=self.process.url, trust_env=False, timeout=60)
        self.process.wait_until_it_answers(self.client)
        self.answers: list[httpx.Response] = []
        upstream.gate.clear()
        path, headers = f"/certificates/{upstream.certificate()}/pdf", {"authorization": f"Bearer {token}"}
        self._request = threading.Thread(target=lambda: self.answers.append(self.client.get(path, headers=headers)))
        self._request.start()
        wait_until(lambda: upstream.asked)

    def ask(self, path: str) -> httpx.Response | None:
        """The answer to somebody new; None where the door is closed."""
        try:
            return httpx.get(f"{self.process.url}{path}", trust_env=False)
        except httpx.TransportError:
            return None

    def answer(self) -> httpx.Response:
        """The answer to the request that was under way."""
        self._request.join()
        return self.answers[0]

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self._request.join()
        self.client.close()


@pytest.fixture
def stopping(upstream: Upstream, token: str) -> Iterator[Callable[..., Stopping]]:
    """Makes edges that are to be stopped."""
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


def test_a_stop_says_so_first_then_closes_the_door_and_lets_those_inside_finish(
    stopping: Callable[..., Stopping], upstream: Upstream, refused: Refused
) -> None:
    edge = stopping(EDGE_DRAIN_SECONDS="1.5")
    edge.process.ask_to_stop()
    wait_until(lambda: "draining" in edge.process.raw)
    ready = edge.ask("/ready")
    assert ready is not None
    assert "stopped" in refused(ready, 503, "not_ready")["details"]
    # Whoever comes before the balancer has noticed is served.
    assert status(edge.ask("/health")) == 200
    wait_until(lambda: edge.ask("/health") is None)
    assert edge.answers == []
    upstream.gate.set()
    assert edge.answer().content.startswith(b"%PDF")
    assert edge.process.stop() == 0


def test_a_stop_waits_no_longer_than_it_may(stopping: Callable[..., Stopping], refused: Refused) -> None:
    edge = stopping(EDGE_GRACE_SECONDS="1")
    edge.process.ask_to_stop()
    refused(edge.answer(), 503, "stopping")
    assert edge.process.stop() == 0


def test_a_second_signal_closes_the_door_at_once(stopping: Callable[..., Stopping], upstream: Upstream) -> None:
    edge = stopping(EDGE_DRAIN_SECONDS="600")
    edge.process.ask_to_stop()
    wait_until(lambda: "draining" in edge.process.raw)
    edge.process.ask_to_stop()
    wait_until(lambda: edge.ask("/health") is None)
    upstream.gate.set()
    assert edge.answer().status_code == 200
    assert edge.process.stop() == 0


def test_ctrl_c_closes_the_door_at_once(stopping: Callable[..., Stopping], upstream: Upstream) -> None:
    edge = stopping(EDGE_DRAIN_SECONDS="600")
    upstream.gate.set()
    edge.answer()
    assert edge.process.stop(signal.SIGINT) == 0


def test_a_port_that_is_taken_is_no_success(client: httpx.Client, process: Process, upstream: Upstream) -> None:
    assert client.get("/health").status_code == 200
    second = Process(settings_for(upstream.url, EDGE_PORT=process.url.rpartition(":")[2]))
    assert second.wait() != 0
    assert "address already in use" in second.raw


def test_a_missing_setting_is_one_line() -> None:
    environment = {"PATH": os.environ["PATH"], "EDGE_PORT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "edge"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "EDGE_DB_URL" in line
    assert "EDGE_PORT" not in line
