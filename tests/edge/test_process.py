"""`python -m edge` as the supervisor runs it: settings, logs, request ids, and a graceful stop."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from edge.settings import Settings, SettingsError
from stack.ports import LOOPBACK, free_block
from tests.edge.support import ORIGIN, USER_ID, Upstream, settings_for

ROOT = Path(__file__).parents[2]
START = 20.0


def environment_for(settings: Settings) -> dict[str, str]:
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return {f"EDGE_{name.upper()}": ",".join(v) if isinstance(v, tuple) else str(v) for name, v in values.items()}


class Process:
    """A running edge, and the lines that it has logged."""

    def __init__(self, settings: Settings) -> None:
        self.url = f"http://{LOOPBACK}:{settings.port}"
        self.lines: list[dict[str, Any]] = []
        self.raw = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment_for(settings)},
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

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Send SIGTERM and wait for the end; the exit status."""
        self.ask_to_stop()
        code = self._process.wait(timeout=START)
        self._reader.join()
        return code

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._reader.join()


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


def test_its_openapi_page_names_the_gateway(client: httpx.Client, upstream: Upstream) -> None:
    schema = client.get("/schema").json()
    assert schema == client.get("/schema/openapi.json").json()
    assert schema["servers"] == [{"url": f"{upstream.url}/functions/v1"}]
    assert set(schema["paths"]) == {"/health", "/ready", "/certificates/{certificate_id}/pdf"}
    assert schema["paths"]["/certificates/{certificate_id}/pdf"]["get"]["security"] == [{"bearer": []}]


def test_a_stop_lets_requests_finish(upstream: Upstream, token: str) -> None:
    process = Process(settings_for(upstream.url, EDGE_PORT=str(free_block().base)))
    answers: list[httpx.Response] = []
    try:
        with httpx.Client(base_url=process.url, trust_env=False) as client:
            process.wait_until_it_answers(client)
            upstream.delay = 0.3
            path, headers = f"/certificates/{upstream.certificate()}/pdf", {"authorization": f"Bearer {token}"}
            request = threading.Thread(target=lambda: answers.append(client.get(path, headers=headers)))
            request.start()
            while not upstream.asked:
                time.sleep(0.005)
            process.ask_to_stop()
            request.join()
        assert process.stop() == 0
    finally:
        process.kill()
    assert answers[0].status_code == 200
    assert answers[0].content.startswith(b"%PDF")


def test_a_missing_setting_is_one_line() -> None:
    environment = {"PATH": os.environ["PATH"], "EDGE_PORT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "edge"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "EDGE_DB_URL" in line
    assert "EDGE_PORT" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EDGE_PORT", "65536"),
        ("EDGE_PORT", "-1"),
        ("EDGE_PORT", "http"),
        ("EDGE_REST_URL", "127.0.0.1:1"),
        ("EDGE_JWKS_URL", "file:///etc/passwd"),
        ("EDGE_PUBLIC_URL", "javascript:alert(1)"),
        ("EDGE_CORS_ORIGINS", "https://*.example.test"),
        ("EDGE_CORS_ORIGINS", f"*,{ORIGIN}"),
        ("EDGE_CORS_ORIGINS", f"{ORIGIN}/path"),
        ("EDGE_CORS_ORIGINS", "example.test"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_for("http://127.0.0.1:1", **{name: value})


def test_settings_show_no_secret() -> None:
    settings = settings_for("http://127.0.0.1:1/", EDGE_CORS_ORIGINS=f" {ORIGIN} , http://localhost:3000,")
    assert "secret" not in repr(settings)
    assert settings.api_url == "http://127.0.0.1:1"
    assert settings.cors_origins == (ORIGIN, "http://localhost:3000")
    assert settings_for("http://127.0.0.1:1", EDGE_CORS_ORIGINS="*").cors_origins == ("*",)
