"""Stripe's double in tests: steering a running one, and running one of a test's own, with somebody who takes webhooks.

What no caller of Stripe's API can make happen, the control can: the docstring of `stack/doubles/stripe` lists it.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import stripe

from stack.ports import LOOPBACK, free_block
from stack.project import ROOT

PATIENCE = 10.0
KEY, SECRET = "sk_test_of_a_test", "whsec_of_a_test"


class StripeDouble:
    """One running double: `client` calls it as the edge does, the rest steers it."""

    def __init__(self, url: str, key: str) -> None:
        """Name it by its address, as `status` prints it, and its key, as the state of the stack keeps it."""
        self.url = url
        self.key = key
        self.http = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20)
        self.client = self.new_client()
        # Any: what the client answers is, by its types, nearly everywhere an id, an object or none.
        self.v1: Any = self.client.v1

    def new_client(self, *, retries: int = 0, timeout: float = PATIENCE) -> stripe.StripeClient:
        """Another client: how often it tries again, and how many seconds it waits."""
        return stripe.StripeClient(
            self.key,
            base_addresses={"api": self.url},
            http_client=stripe.RequestsClient(timeout=timeout),
            max_network_retries=retries,
        )

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def post(self, path: str, /, **body: Any) -> dict[str, Any]:
        """A call of the control that must succeed: `post("sessions/cs_1/pay", outcome="declined")`."""
        answer = self.http.post(f"/_double/{path}", json=body)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def get(self, path: str, /, **query: str) -> dict[str, Any]:
        """A question to the control."""
        answer = self.http.get(f"/_double/{path}", params=query)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def pay(self, session: str, outcome: str = "paid") -> dict[str, Any]:
        """Pay a session as a person on its page would."""
        return self.post(f"sessions/{session}/pay", outcome=outcome)

    def quiet(self, contains: str = "", seconds: float = PATIENCE) -> None:
        """Wait until every event in which a text occurs has been delivered."""
        left = self.post("webhooks/wait", contains=contains, seconds=seconds)["undelivered"]
        assert left == [], left


class Receiver(ThreadingHTTPServer):
    """Takes webhooks, sees that each is signed, and remembers them in the order of their arrival."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__((LOOPBACK, 0), _Handler)
        self.url = f"http://{LOOPBACK}:{self.server_port}/webhooks/stripe"
        self.taken: list[stripe.Event] = []
        self.refused: list[stripe.Event] = []
        self.refusals: dict[str, list[int]] = {}
        """What the next deliveries of events in which a text occurs are answered, one each; else it is 200."""

    def types(self, contains: str = "") -> list[str]:
        """The types of what was taken, of all or of events in which a text occurs."""
        return [event.type for event in list(self.taken) if contains in str(event)]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        event = stripe.Webhook.construct_event(body, self.headers["stripe-signature"], SECRET)
        refusals = next((left for text, left in self.server.refusals.items() if text.encode() in body), [])
        status = refusals.pop(0) if refusals else 200
        (self.server.taken if status == 200 else self.server.refused).append(event)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Tests say what they need to know themselves."""


class OwnDouble(StripeDouble):
    """A double of a test's own, which may be killed."""

    def __init__(self, folder: Path, webhook_url: str, **settings: str) -> None:
        """Start it, with further settings by the last part of their names."""
        self.port = free_block().stripe
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
        """Run the process, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stack.doubles.stripe"], cwd=ROOT, env=self._environment, stderr=log
            )
        until = time.monotonic() + PATIENCE
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until
            try:
                if httpx.get(f"http://{LOOPBACK}:{self.port}/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self) -> int:
        """End it by SIGTERM; its exit status."""
        self.close()
        self.process.terminate()
        return self.process.wait(PATIENCE)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Somebody who takes webhooks."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()
