"""A stack that a test may kill: its own data folder and ports, beside the one that the run shares."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from stack.ports import Ports, free_block
from stack.project import ROOT
from stack.state import Process

STUDENT = "5eed0000-0000-4000-8000-000000000001"
"""The demo student's id, as the seed fixes it."""


def guildhall(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one command of the CLI to its end."""
    return subprocess.run(command(*words), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def command(*words: str | Path) -> list[str]:
    """The command line of the CLI."""
    return [sys.executable, "-m", "stack", *map(str, words)]


class OwnStack:
    """A stack of one test's own."""

    def __init__(self, data: Path) -> None:
        """Name its folder; `up` starts it."""
        self.data = data
        self.ports: Ports = free_block()

    def __call__(self, word: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the CLI on this stack."""
        return guildhall(word, "--data", self.data, *words)

    def up(self) -> str:
        """Start it in the background; returns what was printed."""
        started = self("up", "--detach", "--port", str(self.ports.base))
        assert started.returncode == 0, started.stdout + started.stderr
        return started.stdout

    def status(self) -> dict[str, Any]:
        """What `status --json` prints."""
        facts: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return facts

    def supervisor(self) -> int:
        """The supervisor's process number."""
        number: int = self._processes()["supervisor"]["pid"]
        return number

    def part(self, name: str) -> int:
        """A part's process number."""
        number: int = self._processes()["parts"][name]["pid"]
        return number

    def family(self) -> list[Process]:
        """The supervisor and every process below it, in a form that outlives their numbers."""
        return [Process.of(pid) for pid in descendants(self.supervisor())]

    def database(self) -> psycopg.Connection:
        """A connection as the role `postgres`."""
        passwords = json.loads((self.data / "stack.json").read_text())["passwords"]
        return psycopg.connect(
            f"postgresql://postgres:{passwords['postgres']}@127.0.0.1:{self.ports.database}/postgres", autocommit=True
        )

    def http(self, token: str | None = None) -> httpx.Client:
        """A client of the API: with the publishable key, or as a user."""
        keys = json.loads((self.data / "keys.json").read_text())
        headers = {"apikey": keys["publishable"], "X-Supabase-Api-Version": "2024-01-01"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return httpx.Client(base_url=f"http://127.0.0.1:{self.ports.api}", headers=headers, timeout=10)

    def at_stripe(self, **customer: str) -> int:
        """How many customers Stripe's double has; one that is given is made first."""
        key = json.loads((self.data / "stack.json").read_text())["double_keys"]["stripe_api_key"]
        url = f"http://127.0.0.1:{self.ports.stripe}/v1/customers"
        if customer:
            httpx.post(url, auth=(key, ""), data=customer).raise_for_status()
        return len(httpx.get(url, auth=(key, "")).raise_for_status().json()["data"])

    def token(self, email: str = "student@example.com") -> str:
        """An access token, as `token` prints it."""
        printed = self("token", email)
        assert printed.returncode == 0, printed.stderr
        return printed.stdout.strip()

    def _processes(self) -> dict[str, Any]:
        run: dict[str, Any] = json.loads((self.data / "processes.json").read_text())
        return run


@contextmanager
def own_stack() -> Iterator[OwnStack]:
    """A folder for a stack of one's own; whatever runs in it at the end is stopped."""
    folder = Path(tempfile.mkdtemp(prefix="guildhall-own-"))
    folder.chmod(0o711)  # Postgres enters it as an unprivileged user
    own = OwnStack(folder / "data")
    try:
        yield own
    finally:
        own("down")
        shutil.rmtree(folder)


def descendants(root: int) -> list[int]:
    """A process and all below it. Linux only."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def wait_until(holds: Callable[[], object], *, seconds: float = 30) -> None:
    """Wait until a condition holds, and fail where it never does."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.05)


def gone(processes: list[Process], *, seconds: float = 10) -> None:
    """See that processes end."""
    wait_until(lambda: not any(process.lives for process in processes), seconds=seconds)


def kill(pid: int) -> None:
    """Kill -9, and wait until the process is gone."""
    process = Process.of(pid)
    os.kill(pid, 9)
    gone([process])
