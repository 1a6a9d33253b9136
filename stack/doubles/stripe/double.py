"""The double itself: its books, its clock, and the deliveries that follow from what happens."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from stack.doubles.stripe import timeline
from stack.doubles.stripe.book import Book
from stack.doubles.stripe.settings import Settings
from stack.doubles.stripe.store import Store
from stack.doubles.stripe.webhooks import Deliverer

TICK = 1.0
"""Seconds between two looks at what has become due."""

log = structlog.get_logger("stripe")


class Double:
    """What the API, the pages and the control share."""

    def __init__(self, settings: Settings) -> None:
        """Open the file. Raises OSError."""
        self.settings = settings
        self.store = Store(settings.folder)
        self.deliverer = Deliverer(self.store, settings)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver webhooks and let time pass, until the end of the block."""
        tasks = [asyncio.create_task(self.deliverer.run()), asyncio.create_task(self._tick())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.store.close()

    @contextmanager
    def book(self, *, request_id: str | None = None, idempotency_key: str | None = None) -> Iterator[Book]:
        """A book in a transaction of its own, after everything that was due before."""
        self.catch_up()
        with self.store.transaction() as connection:
            yield Book(connection, self.settings, request_id=request_id, idempotency_key=idempotency_key)
        self.deliverer.wake()

    def catch_up(self) -> None:
        """Do what the global clock has made due."""
        due = self.store.connection.execute("select min(due) from agenda where clock is null").fetchone()[0]
        if due is None or due > time.time() + self._shift():
            return
        with self.store.transaction() as connection:
            book = Book(connection, self.settings)
            timeline.run(book, clock=None, until=book.now)
        self.deliverer.wake()

    def _shift(self) -> int:
        row = self.store.connection.execute("select value from notes where name = 'clock_shift'").fetchone()
        return 0 if row is None else int(row[0])

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            try:
                self.catch_up()
            except Exception:
                log.exception("agenda_failed")
            with contextlib.suppress(Exception):
                self.store.connection.execute("delete from answers where at < ?", (time.time() - timeline.DAY,))
