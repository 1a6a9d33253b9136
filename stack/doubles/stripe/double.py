"""The double itself: its books, its clock, and the deliveries that follow from what happens."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from stack.doubles.stripe import timeline
from stack.doubles.stripe.book import SHIFT, Book
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
        """Do what the global clock has made due. What cannot be done is logged and struck out."""
        while self._is_due():
            with self.store.transaction() as connection:
                book = Book(connection, self.settings)
                due = timeline.next_due(book, clock=None, until=book.now)
            if due is None:
                break
            try:
                with self.store.transaction() as connection:
                    timeline.do(Book(connection, self.settings), due)
            except Exception:
                log.exception("agenda_failed", task=due["task"], subject=due["subject"])
                with self.store.transaction() as connection:
                    connection.execute("delete from agenda where seq = ?", (due["seq"],))
            self.deliverer.wake()

    def _is_due(self) -> bool:
        connection = self.store.connection
        due = connection.execute("select min(due) from agenda where clock is null").fetchone()[0]
        shift = connection.execute("select value from notes where name = ?", (SHIFT,)).fetchone()
        return due is not None and due <= time.time() + (0 if shift is None else int(shift["value"]))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self.catch_up()
