"""A separate stack for tests that kill, reset or stop it, with its own data folder and ports."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from stack.ports import Ports, free_block, is_free
from stack.state import Process
from stack.tools.project import GUILDHALL
from tests.golden import copy_golden
from tests.run_stack import guildhall
from tests.waiting import wait_until

STUDENT_ID = "5eed0000-0000-4000-8000-000000000001"
"""The id of the demo student, which the seed fixes."""


class OwnStack:
    """The CLI, the processes and the servers of one data folder."""

    def __init__(self, data: Path) -> None:
        """Choose ports.

        Args:
            data: the folder in which `up` starts the stack.
        """
        self.data = data
        self.ports: Ports = free_block()

    def __call__(self, word: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the CLI on this stack."""
        return guildhall(word, "--data", self.data, *words, settings={})

    def up(self) -> str:
        """Start the stack in the background; returns what `up` printed."""
        started = self("up", "--detach", "--port", str(self.ports.base))
        assert started.returncode == 0, started.stdout + started.stderr
        return started.stdout

    def status(self) -> dict[str, Any]:
        """The output of `status --json`, decoded."""
        status: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return status

    def supervisor_pid(self) -> int:
        """The process id of the supervisor."""
        pid: int = self._processes()["supervisor"]["pid"]
        return pid

    def part_pid(self, name: str) -> int:
        """The process id of a part."""
        pid: int = self._processes()["parts"][name]["pid"]
        return pid

    def processes(self) -> list[Process]:
        """The supervisor and all its descendants."""
        return [Process.of(pid) for pid in descendants(self.supervisor_pid())]

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

    def url(self, part: str) -> str:
        """The address of one of Guildhall's own parts."""
        return f"http://127.0.0.1:{GUILDHALL.port(self.ports.base, part)}"

    def has_free_ports(self) -> bool:
        """Whether nothing uses its ports."""
        return all(map(is_free, GUILDHALL.port_uses(self.ports.base)))

    def create_customer(self) -> None:
        """Create a customer at Stripe's double."""
        self._stripe("POST", {"email": "customer@example.com"})

    def count_customers(self) -> int:
        """The number of customers at Stripe's double."""
        return len(self._stripe("GET").json()["data"])

    def _stripe(self, method: str, customer: dict[str, str] | None = None) -> httpx.Response:
        key = json.loads((self.data / "stack.json").read_text())["double_keys"]["stripe_api_key"]
        answer = httpx.request(method, f"{self.url('stripe')}/v1/customers", auth=(key, ""), data=customer)
        return answer.raise_for_status()

    def token(self, email: str = "student@example.com") -> str:
        """An access token, from the command `token`."""
        printed = self("token", email)
        assert printed.returncode == 0, printed.stderr
        return printed.stdout.strip()

    def _processes(self) -> dict[str, Any]:
        run: dict[str, Any] = json.loads((self.data / "processes.json").read_text())
        return run


@contextmanager
def seeded_stack() -> Iterator[OwnStack]:
    """A stack with a copy of the database of a first start, so that it starts quickly."""
    with own_stack() as own:
        copy_golden(own.data)
        yield own


@contextmanager
def own_stack() -> Iterator[OwnStack]:
    """A stack whose data folder does not exist yet. It is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="guildhall-own-"))
    folder.chmod(0o711)  # Postgres enters it as an unprivileged user
    own = OwnStack(folder / "data")
    try:
        yield own
    finally:
        own("down")
        shutil.rmtree(folder)


def descendants(root: int) -> list[int]:
    """The ids of a process and all its descendants. Linux only."""
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


def wait_for_end(processes: list[Process], *, seconds: float = 10) -> None:
    """Wait until processes have ended; fail if they do not."""
    wait_until(lambda: not any(process.is_alive for process in processes), seconds=seconds)


def kill(pid: int) -> None:
    """Send SIGKILL, and wait until the process has ended."""
    process = Process.of(pid)
    os.kill(pid, 9)
    wait_for_end([process])
