"""`python -m edge` and `python -m edge.worker` as processes of a test's own, with the lines that they log."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from stack.paths import ROOT
from stack.ports import LOOPBACK, free_block
from tests.waiting import wait_until

PATIENCE = 20.0
"""Seconds for an answer, and for an end."""
START_SECONDS = 60.0
"""For a start, which on a busy machine is mostly imports."""
SENDER = "Gïld & Sons <guild@example.test>"
SITE = "https://guild.example.test"
AWAY = f"postgresql://worker:secret-password@{LOOPBACK}:1/postgres"
"""A database that is not there."""


class Process:
    """A running process that answers HTTP, and the lines that it has logged."""

    def __init__(self, module: str, environment: Mapping[str, str], *, port: int) -> None:
        """Start it, without waiting for it."""
        self.url = f"http://{LOOPBACK}:{port}"
        self.lines: list[dict[str, Any]] = []
        self.raw = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def get(self, path: str) -> httpx.Response:
        """Call it."""
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE, trust_env=False)

    def wait_for_start(self) -> None:
        """Wait until it answers; where it never does, kill it."""
        try:
            wait_until(self._answers, seconds=START_SECONDS)
        except AssertionError:
            self.end(signal.SIGKILL)
            raise

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, and read its log to the end; the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end, and read its log to the end; the exit status."""
        status = self._process.wait(PATIENCE)
        self._reader.join()
        return status

    def logged(self, message: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines with this message and these fields."""
        wanted = {"message": message, **fields}
        return [line for line in self.lines if wanted.items() <= line.items()]

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as log:
            for line in log:
                self.raw += line
                self.lines.append(json.loads(line))

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.raw
        try:
            return self.get("/health").status_code == 200
        except httpx.TransportError:
            return False


def worker_environment(**changes: str) -> dict[str, str]:
    """The settings of a worker that reaches nothing; a change to the empty string leaves a setting out."""
    full = {
        "WORKER_PORT": "1",
        "WORKER_DB_URL": AWAY,
        "WORKER_AUTH_URL": f"http://{LOOPBACK}:1/auth/v1",
        "WORKER_STORAGE_URL": f"http://{LOOPBACK}:1/storage/v1",
        "WORKER_PUBLISHABLE_KEY": "sb_publishable_of_a_test",
        "WORKER_PUBLIC_URL": f"{SITE}/",
        "WORKER_MAIL_FROM": SENDER,
        "WORKER_SMTP_HOST": LOOPBACK,
        "WORKER_SMTP_PORT": "1",
        "WORKER_SMTP_SECURITY": "none",
        "WORKER_HEARTBEAT": "1",
        "WORKER_FIRST_PAUSE_MS": "20",
    } | changes
    return {name: value for name, value in full.items() if value}


@contextmanager
def running_worker(**settings: str) -> Iterator[Process]:
    """A worker with these settings, which answers, and is killed at the end where it still runs."""
    port = free_block().base
    process = Process("edge.worker", worker_environment(**settings, WORKER_PORT=str(port)), port=port)
    try:
        process.wait_for_start()
        yield process
    finally:
        process.end(signal.SIGKILL)
