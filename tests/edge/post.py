"""A mail server that does what a test wants, and a worker of the test's own."""

import asyncio
import email
import email.policy
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

import httpx
from aiosmtpd.smtp import SMTP, Envelope, Session

from stack.ports import LOOPBACK, free_block
from stack.project import ROOT

PATIENCE = 20.0
SENDER = "Gïld & Sons <guild@example.test>"
SITE = "https://guild.example.test"
NOBODY = f"postgresql://worker:secret-password@{LOOPBACK}:1/postgres"
"""A database that is not there."""


def wait_until(holds: Callable[[], object], *, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds, and fail where it never does."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)


class Post:
    """What a mail server does with what it is given: it keeps it, or refuses where it is told to."""

    def __init__(self) -> None:
        self.port = 0
        self.close: Callable[[], object] = lambda: None
        self.taken: list[EmailMessage] = []
        self.refusals: list[str] = []
        """What it answers to the next recipients, one each, instead of taking them."""
        self.asked = 0
        """How often a recipient was named."""
        self.delay = 0.0
        """Seconds until it says that it took a mail."""
        self.refuses_content = ""
        """What it answers to every content."""

    async def handle_RCPT(  # noqa: N802  the name that the library calls
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        self.asked += 1
        if self.refusals:
            return self.refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail, or not."""
        assert isinstance(envelope.content, bytes)
        await asyncio.sleep(self.delay)
        if self.refuses_content:
            return self.refuses_content
        self.taken.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@contextmanager
def post_office() -> Iterator[Post]:
    """A mail server that listens."""
    post = Post()
    listening = threading.Event()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        session = functools.partial(SMTP, post, hostname="localhost", enable_SMTPUTF8=True, loop=loop)
        server = await loop.create_server(session, LOOPBACK, 0)
        post.port = server.sockets[0].getsockname()[1]
        stop = asyncio.Event()
        post.close = functools.partial(loop.call_soon_threadsafe, stop.set)
        listening.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    listening.wait()
    try:
        yield post
    finally:
        post.close()
        thread.join()


def environment(**changes: str) -> dict[str, str]:
    """The settings of a worker that finds nothing; a change to the empty string leaves a setting out."""
    full = {
        "JOBS_PORT": "1",
        "JOBS_DB_URL": NOBODY,
        "JOBS_AUTH_URL": f"http://{LOOPBACK}:1/auth/v1",
        "JOBS_PUBLISHABLE_KEY": "sb_publishable_of_a_test",
        "JOBS_PUBLIC_URL": f"{SITE}/",
        "JOBS_MAIL_FROM": SENDER,
        "JOBS_SMTP_HOST": LOOPBACK,
        "JOBS_SMTP_PORT": "1",
        "JOBS_SMTP_SECURITY": "none",
        "JOBS_HEARTBEAT": "1",
        "JOBS_FIRST_PAUSE_MS": "20",
    } | changes
    return {name: value for name, value in full.items() if value}


class Process:
    """A running worker, and the lines that it has logged."""

    def __init__(self, **settings: str) -> None:
        """Start it, and wait until it answers. It is not waited for that it works."""
        port = free_block().base
        self.url = f"http://{LOOPBACK}:{port}"
        self.lines: list[dict[str, Any]] = []
        self.raw = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge.jobs"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment(**settings, JOBS_PORT=str(port))},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_until(self._answers)

    def get(self, path: str) -> httpx.Response:
        """Ask it for its health or its metrics."""
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE, trust_env=False)

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, and read its log to the end; the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(number)
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


@contextmanager
def worker(**settings: str) -> Iterator[Process]:
    """A worker with these settings; at the end it is killed where it still runs."""
    process = Process(**settings)
    try:
        yield process
    finally:
        process.end(signal.SIGKILL)
