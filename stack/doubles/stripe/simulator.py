"""The state of the double, the tasks that become due, and the deliveries of events."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from stack.doubles.stripe import timeline
from stack.doubles.stripe.settings import Settings
from stack.doubles.stripe.store import Store
from stack.doubles.stripe.unit_of_work import UnitOfWork
from stack.doubles.stripe.webhooks import Deliverer

TICK_SECONDS = 1.0
"""Between two checks for tasks that are due."""

log = structlog.get_logger("stripe")


class Simulator:
    """What the API, the pages and the control share."""

    def __init__(self, settings: Settings) -> None:
        """Open the file. Raises OSError."""
        self.settings = settings
        self.store = Store(settings.folder)
        self.deliverer = Deliverer(self.store, settings)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver events and do what becomes due, until the end of the block."""
        tasks = [asyncio.create_task(self.deliverer.run()), asyncio.create_task(self._tick())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.store.close()

    @contextmanager
    def work(self, *, request_id: str | None = None, idempotency_key: str | None = None) -> Iterator[UnitOfWork]:
        """A unit of work in a transaction of its own, after everything that was due before."""
        self.do_due_tasks()
        with self.store.transaction() as connection:
            yield UnitOfWork(connection, self.settings, request_id=request_id, idempotency_key=idempotency_key)
        self.deliverer.wake()

    def do_due_tasks(self) -> None:
        """Do what the real clock has made due. A task that fails is logged and removed."""
        while self._is_due():
            with self.store.transaction() as connection:
                work = UnitOfWork(connection, self.settings)
                task = timeline.next_due(work, clock=None, until=work.now)
            if task is None:
                break
            try:
                with self.store.transaction() as connection:
                    timeline.do(UnitOfWork(connection, self.settings), task)
            except Exception:
                log.exception("task_failed", task=task["name"], subject=task["subject"])
                with self.store.transaction() as connection:
                    connection.execute("delete from tasks where seq = ?", (task["seq"],))
            self.deliverer.wake()

    def _is_due(self) -> bool:
        due = self.store.connection.execute("select min(due) from tasks where clock is null").fetchone()[0]
        return due is not None and due <= time.time()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.do_due_tasks()
