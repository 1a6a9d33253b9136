"""Deliveries of events: signed, and tried again until the receiver takes them."""

import asyncio
import contextlib
import functools
import hashlib
import hmac
import time
from collections.abc import Sequence

import httpx
import msgspec
import structlog

from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.settings import Settings
from stack.doubles.stripe.store import Store

LONGEST_SLEEP = 60.0
MAX_LISTED = 500

log = structlog.get_logger("stripe")


def sign(body: bytes, secret: str, at: int) -> str:
    """The `Stripe-Signature` of a body at a time, in seconds since 1970 by the real clock."""
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signature}"


class Deliverer:
    """Delivers events to the webhook's address in the background. The queue lies in the file."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Prepare; nothing is sent before `run`."""
        self._store = store
        self._settings = settings
        self._woken = asyncio.Event()
        self._in_progress: dict[int, asyncio.Task[None]] = {}
        self._http = httpx.AsyncClient(timeout=settings.webhook_timeout, trust_env=False)

    def wake(self) -> None:
        """Look at the queue again."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver what is due, until cancelled. The next run repeats the deliveries that were in progress."""
        try:
            while True:
                self._woken.clear()
                for seq in self._due():
                    task = self._in_progress[seq] = asyncio.create_task(self.deliver(seq))
                    task.add_done_callback(functools.partial(self._ended, seq))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._pause())
        finally:
            for task in self._in_progress.values():
                task.cancel()
            await asyncio.gather(*self._in_progress.values(), return_exceptions=True)
            await self._http.aclose()

    async def deliver(self, seq: int) -> None:
        """Make one attempt now, whatever the delivery's state.

        Args:
            seq: the delivery's number.
        """
        row = self._store.connection.execute(
            "select objects.id, body from objects join deliveries on objects.id = event where deliveries.seq = ?",
            (seq,),
        ).fetchone()
        body = msgspec.json.format(row["body"].encode(), indent=2)
        headers = {
            "content-type": "application/json; charset=utf-8",
            "stripe-signature": sign(body, self._settings.webhook_secret, int(time.time())),
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            answer = await self._http.post(self._settings.webhook_url, content=body, headers=headers)
            is_accepted, result = answer.is_success, str(answer.status_code)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            is_accepted, result = False, f"{type(error).__name__}: {error}"[:200]
        state = self._record(seq, is_accepted=is_accepted)
        log.info("delivery", event_id=row["id"], state=state, result=result)

    async def release(self, numbers: Sequence[int]) -> None:
        """Deliver these one after another, in this order. The background tries the failed ones again."""
        for seq in numbers:
            await self.deliver(seq)
        self.wake()

    async def wait(self, seconds: float, contains: str) -> list[Object]:
        """Wait until nothing is in progress or due soon; returns what is not delivered then.

        Args:
            seconds: how long to wait at most. A delivery that is due later is not waited for.
            contains: a text in the JSON of the events that count.
        """
        deadline = time.time() + seconds
        while True:
            pending = self.find("pending", contains)
            soon = [each for each in pending if each["due"] <= deadline or each["seq"] in self._in_progress]
            if not soon or time.time() > deadline:
                return pending
            await asyncio.sleep(0.01)

    def find(self, state: str, contains: str) -> list[Object]:
        """The deliveries in a state of the events in which a text occurs, oldest first."""
        rows = self._store.connection.execute(
            "select deliveries.seq, event, json_extract(body, '$.type') as type, due, attempts from deliveries"
            " join objects on objects.id = event where state = ? and instr(body, ?) > 0"
            " order by deliveries.seq limit ?",
            (state, contains, MAX_LISTED),
        )
        return [dict(row) for row in rows.fetchall()]

    def _due(self) -> list[int]:
        room = self._settings.webhook_concurrency - len(self._in_progress)
        rows = self._store.connection.execute(
            "select seq from deliveries where state = 'pending' and due <= ? order by due, seq limit ?",
            (time.time(), room + len(self._in_progress)),
        )
        return [row["seq"] for row in rows.fetchall() if row["seq"] not in self._in_progress][: max(room, 0)]

    def _pause(self) -> float:
        """Seconds until something is due."""
        if len(self._in_progress) >= self._settings.webhook_concurrency:
            return LONGEST_SLEEP
        rows = self._store.connection.execute(
            "select seq, due from deliveries where state = 'pending' order by due, seq limit ?",
            (len(self._in_progress) + 1,),
        )
        dues = [row["due"] for row in rows.fetchall() if row["seq"] not in self._in_progress]
        return min(max(dues[0] - time.time(), 0), LONGEST_SLEEP) if dues else LONGEST_SLEEP

    def _ended(self, seq: int, task: asyncio.Task[None]) -> None:
        self._in_progress.pop(seq, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("delivery_failed", seq=seq, exc_info=task.exception())
        self.wake()

    def _record(self, seq: int, *, is_accepted: bool) -> str:
        now = time.time()
        with self._store.transaction() as connection:
            tried = connection.execute("select attempts from deliveries where seq = ?", (seq,)).fetchone()["attempts"]
            backoff = self._settings.webhook_backoff
            if is_accepted:
                state, due = "delivered", now
            elif tried < len(backoff):
                state, due = "pending", now + backoff[tried]
            else:
                state, due = "failed", now
            connection.execute(
                "update deliveries set state = ?, due = ?, attempts = ? where seq = ?", (state, due, tried + 1, seq)
            )
        return state
