"""Stripe's double in tests: a client of a running one, and one of a test's own with a receiver of webhooks.

The docstring of `stack/doubles/stripe` lists what the control can make happen.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import stripe

from stack.paths import ROOT
from stack.ports import LOOPBACK, free_block

TIMEOUT = 10.0
KEY, SECRET = "sk_test_of_a_test", "whsec_of_a_test"


class StripeDouble:
    """A running double: `client` calls it as the edge does, the other methods are its control."""

    def __init__(self, url: str, key: str) -> None:
        """Connect.

        Args:
            url: as `status` prints it.
            key: as the state of the stack holds it.
        """
        self.url = url
        self.key = key
        self.answers: list[dict[str, Any]] = []
        """What the API answered to the clients of `new_client`, without errors."""
        self.http = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20)
        self.client = self.new_client()
        # Any: the client's types make nearly every field an id, an object or None.
        self.v1: Any = self.client.v1

    def new_client(self, *, retries: int = 0, timeout: float = TIMEOUT) -> stripe.StripeClient:
        """Another client, with its retries and its timeout in seconds."""
        return stripe.StripeClient(
            self.key,
            base_addresses={"api": self.url},
            http_client=_RecordingClient(self.answers, timeout=timeout),
            max_network_retries=retries,
        )

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def post(self, path: str, /, **body: Any) -> dict[str, Any]:
        """Call the control; the call must succeed: `post("sessions/cs_1/pay", outcome="declined")`."""
        response = self.http.post(f"/_double/{path}", json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def pay(self, session: str, outcome: str = "paid") -> dict[str, Any]:
        """Pay a session as its buyer does on the page."""
        return self.post(f"sessions/{session}/pay", outcome=outcome)

    def foreign(self, kind: str, **metadata: str) -> dict[str, Any]:
        """Make an object of another shop on the same account, with its events."""
        return self.post("foreign", kind=kind, metadata=metadata)

    def hold(self, contains: str) -> None:
        """Keep the events back in which a text occurs, until `release`."""
        self.post("webhooks/hold", contains=contains)

    def held(self, contains: str, *types: str) -> list[dict[str, Any]]:
        """What is held of some types, oldest first: each with `event`, its id, and `type`."""
        found: list[dict[str, Any]] = self.post("webhooks/held", contains=contains, types=types)["held"]
        return found

    def release(self, contains: str, *, events: Sequence[str] = (), **how: Any) -> int:
        """Deliver what is held, in an order; of `events` only these, and the others stay held. Returns how many."""
        released: int = self.post("webhooks/release", contains=contains, events=events, **how)["released"]
        return released

    def wait_for_deliveries(self, contains: str = "", seconds: float = TIMEOUT) -> None:
        """Wait until every event in which a text occurs has been delivered."""
        undelivered = self.post("webhooks/wait", contains=contains, seconds=seconds)["undelivered"]
        assert undelivered == [], undelivered


class _RecordingClient(stripe.RequestsClient):
    """The library's client, which also keeps the answers."""

    def __init__(self, answers: list[dict[str, Any]], **options: Any) -> None:
        super().__init__(**options)
        self._answers = answers

    def request(self, *arguments: Any, **named: Any) -> Any:
        """Make a request."""
        answer = super().request(*arguments, **named)
        if answer[1] == 200:
            self._answers.append(json.loads(answer[0]))
        return answer


class Receiver(ThreadingHTTPServer):
    """Takes webhooks, verifies their signatures, and keeps them in the order of arrival."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__((LOOPBACK, 0), _Handler)
        self.url = f"http://{LOOPBACK}:{self.server_port}/webhooks/stripe"
        self.taken: list[stripe.Event] = []
        self.refusals: dict[str, list[int]] = {}
        """The statuses with which the next deliveries of events in which a text occurs are refused."""

    def types(self, contains: str = "") -> list[str]:
        """The types of the taken events in which a text occurs."""
        return [event.type for event in list(self.taken) if contains in str(event)]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        event = stripe.Webhook.construct_event(body, self.headers["stripe-signature"], SECRET)
        refusals = next((left for text, left in self.server.refusals.items() if text.encode() in body), [])
        status = refusals.pop(0) if refusals else 200
        if status == 200:
            self.server.taken.append(event)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Stay silent."""


class OwnDouble(StripeDouble):
    """A double of a test's own, which the test may kill."""

    def __init__(self, folder: Path, webhook_url: str, **settings: str) -> None:
        """Start it, with further settings by their names without the prefix."""
        self.port = free_block().base
        self.folder = folder
        self.log = folder.with_suffix(".log")
        own = {
            "PORT": str(self.port),
            "FOLDER": str(folder),
            "PUBLIC_URL": f"http://{LOOPBACK}:{self.port}",
            "API_KEY": KEY,
            "WEBHOOK_SECRET": SECRET,
            "WEBHOOK_URL": webhook_url,
            "WEBHOOK_BACKOFF": "0.05,0.1,30",
        } | settings
        self._environment = os.environ | {f"DOUBLE_STRIPE_{name}": value for name, value in own.items()}
        self.start()
        super().__init__(f"http://{LOOPBACK}:{self.port}", KEY)

    def start(self) -> None:
        """Start the process, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stack.doubles.stripe"], cwd=ROOT, env=self._environment, stderr=log
            )
        deadline = time.monotonic() + TIMEOUT
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            try:
                if httpx.get(f"http://{LOOPBACK}:{self.port}/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()
        self.process.wait(TIMEOUT)

    def stop(self) -> int:
        """Send SIGTERM; returns the exit status."""
        self.close()
        self.process.terminate()
        return self.process.wait(TIMEOUT)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that runs for the duration of the block."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()
