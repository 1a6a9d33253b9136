"""Deliveries of events: signed, tried again until they are taken, and logged."""

import asyncio
import contextlib
import functools
import hashlib
import hmac
import random
import sqlite3
import time
from collections.abc import Sequence

import httpx
import msgspec
import structlog

from stack.doubles.stripe.errors import Object, unknown_id
from stack.doubles.stripe.settings import Settings
from stack.doubles.stripe.store import Store

LONGEST_NAP = 60.0
LOGGED = 500

log = structlog.get_logger("stripe")


def sign(body: bytes, secret: str, at: int) -> str:
    """The `Stripe-Signature` of a body at a time, in seconds since 1970 by the real clock."""
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signature}"


class Deliverer:
    """Brings events to the webhook's address in the background. What is not delivered yet lies in the file."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Nothing is sent before `run`."""
        self._store = store
        self._settings = settings
        self._woken = asyncio.Event()
        self._under_way: dict[int, asyncio.Task[Object]] = {}
        self._http = httpx.AsyncClient(timeout=settings.webhook_timeout, trust_env=False)

    def wake(self) -> None:
        """Look again: there may be something to deliver."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver what is due, until cancelled; what is under way then is made again by the next run."""
        try:
            while True:
                self._woken.clear()
                for seq in self._due():
                    task = self._under_way[seq] = asyncio.create_task(self.deliver(seq))
                    task.add_done_callback(functools.partial(self._ended, seq))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._nap())
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
            await self._http.aclose()

    async def deliver(self, seq: int) -> Object:
        """Make one attempt now, whatever the delivery's state, and return what the log says of the delivery.

        Args:
            seq: the delivery's number.
        """
        row = self._store.connection.execute(
            "select body from objects join deliveries on objects.id = event where deliveries.seq = ?", (seq,)
        ).fetchone()
        body = msgspec.json.format(row["body"].encode(), indent=2)
        began = time.time()
        status, error = None, None
        headers = {
            "content-type": "application/json; charset=utf-8",
            "stripe-signature": sign(body, self._settings.webhook_secret, int(began)),
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            answer = await self._http.post(self._settings.webhook_url, content=body, headers=headers)
            status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as refused:
            error = f"{type(refused).__name__}: {refused}"[:200]
        return self._record(seq, began, status, error)

    def hand_over(self, numbers: Sequence[int]) -> None:
        """Let the background deliver these, held or dropped or failed ones too."""
        with self._store.transaction() as connection:
            connection.executemany(
                "update deliveries set state = 'pending', due = ? where seq = ?",
                [(time.time(), seq) for seq in numbers],
            )
        self.wake()

    async def release(self, numbers: Sequence[int]) -> list[Object]:
        """Deliver these one after another, in this order; those that are refused are tried again in the background."""
        delivered = [await self.deliver(seq) for seq in numbers]
        self.wake()  # the loop does not know of those that are to be tried again
        return delivered

    def redeliver(self, event: str, times: int = 1) -> list[int]:
        """Queue an event once more, or several times. Raises StripeError: 404, there is no such event."""
        with self._store.transaction() as connection:
            if connection.execute("select 1 from objects where id = ? and kind = 'event'", (event,)).fetchone() is None:
                raise unknown_id("event", event)
            made = [
                connection.execute(
                    "insert into deliveries (event, state, due) values (?, 'pending', ?)", (event, time.time())
                ).lastrowid
                for _ in range(times)
            ]
        self.wake()
        return [seq for seq in made if seq is not None]

    async def quiet(self, seconds: float, contains: str = "") -> list[Object]:
        """Wait until nothing is on its way, nor to be tried again soon, and return what is not delivered then.

        Args:
            seconds: how long to wait at the most; what is due later is not waited for.
            contains: only events whose JSON has this text count.
        """
        until = time.time() + seconds
        while True:
            waiting = self.listed(contains=contains, states=("pending",))
            soon = [each for each in waiting if each["due"] <= until or each["seq"] in self._under_way]
            if not soon or time.time() > until:
                return waiting
            await asyncio.sleep(0.01)

    def listed(
        self,
        *,
        contains: str = "",
        event: str | None = None,
        kind: str | None = None,
        states: Sequence[str] = (),
        limit: int = LOGGED,
    ) -> list[Object]:
        """The log: deliveries with their attempts, oldest first."""
        where, values = "true", list[str | int]()
        if contains:
            where += " and instr(body, ?) > 0"
            values.append(contains)
        if event is not None:
            where += " and event = ?"
            values.append(event)
        if kind is not None:
            where += " and json_extract(body, '$.type') glob ?"
            values.append(kind)
        if states:
            where += f" and state in ({', '.join('?' * len(states))})"
            values += states
        rows = self._store.connection.execute(
            "select deliveries.*, json_extract(body, '$.type') as type from deliveries "  # noqa: S608 - our own words
            f"join objects on objects.id = event where {where} order by deliveries.seq desc limit ?",
            (*values, limit),
        )
        return [self._described(row) for row in rows.fetchall()][::-1]

    def _described(self, row: sqlite3.Row) -> Object:
        attempts = self._store.connection.execute(
            "select at, status, error, seconds from attempts where delivery = ? order by seq", (row["seq"],)
        )
        return {
            "seq": row["seq"],
            "event": row["event"],
            "type": row["type"],
            "state": row["state"],
            "due": row["due"],
            "attempts": [dict(attempt) for attempt in attempts],
        }

    def _due(self) -> list[int]:
        room = self._settings.webhook_concurrency - len(self._under_way)
        rows = self._store.connection.execute(
            "select seq from deliveries where state = 'pending' and due <= ? order by due, seq limit ?",
            (time.time(), room + len(self._under_way)),
        )
        return [row["seq"] for row in rows.fetchall() if row["seq"] not in self._under_way][: max(room, 0)]

    def _nap(self) -> float:
        if len(self._under_way) >= self._settings.webhook_concurrency:
            return LONGEST_NAP
        rows = self._store.connection.execute(
            "select seq, due from deliveries where state = 'pending' order by due, seq limit ?",
            (len(self._under_way) + 1,),
        )
        dues = [row["due"] for row in rows.fetchall() if row["seq"] not in self._under_way]
        return min(max(dues[0] - time.time(), 0), LONGEST_NAP) if dues else LONGEST_NAP

    def _ended(self, seq: int, task: asyncio.Task[Object]) -> None:
        self._under_way.pop(seq, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("delivery_failed", seq=seq, exc_info=task.exception())
        self.wake()

    def _record(self, seq: int, began: float, status: int | None, error: str | None) -> Object:
        now = time.time()
        with self._store.transaction() as connection:
            connection.execute(
                "insert into attempts (delivery, at, status, error, seconds) values (?, ?, ?, ?, ?)",
                (seq, began, status, error, round(now - began, 4)),
            )
            tried = connection.execute("select attempts from deliveries where seq = ?", (seq,)).fetchone()["attempts"]
            backoff = self._settings.webhook_backoff
            if status is not None and 200 <= status < 300:
                state, due = "delivered", now
            elif tried < len(backoff):
                state, due = "pending", now + backoff[tried]
            else:
                state, due = "failed", now
            connection.execute(
                "update deliveries set state = ?, due = ?, attempts = ? where seq = ?", (state, due, tried + 1, seq)
            )
        row = self._store.connection.execute(
            "select deliveries.*, json_extract(body, '$.type') as type from deliveries "
            "join objects on objects.id = event where deliveries.seq = ?",
            (seq,),
        ).fetchone()
        log.info("delivery", event_id=row["event"], type=row["type"], state=state, status=status, error=error)
        return self._described(row)


def in_order(deliveries: Sequence[Object], order: str | list[str]) -> list[int]:
    """The numbers of deliveries in an order: `oldest`, `newest`, `random`, or as event ids or types are given.

    What is not named in a given order stays out.
    """
    numbers = [each["seq"] for each in deliveries]
    if order == "newest":
        numbers.reverse()
    elif order == "random":
        random.shuffle(numbers)
    elif not isinstance(order, str):
        numbers = [each["seq"] for name in order for each in deliveries if name in (each["event"], each["type"])]
    return numbers
