"""Tasks of retention."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from procrastinate import JobContext

from common.errors import TransientError
from edge.database import Database
from edge.errors import EdgeError
from edge.worker.package import Task, WorkerContext, WorkerPackage

log = structlog.get_logger()

KEPT_HOURS = 30 * 24
"""How long a job that failed stays, to be looked at. One that succeeded goes at once."""
NIGHTLY = "17 3 * * *"
EACH_MINUTE = "* * * * *"
LAPSES_AT_ONCE = 2_000
"""How often a run calls a function; what is left, the next run ends."""
MOST_FAILURES = 20
"""After which a run gives up."""


class RetentionTasks:
    """The tasks, and the database that they use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def purge(self, context: JobContext, timestamp: int) -> None:  # noqa: ARG002  the library passes it
        """Delete old jobs, and run every purge that a domain registered. A second run finds nothing more to delete."""
        await context.app.job_manager.delete_old_jobs(
            KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
        )
        for function in await self._database.call_all("purges"):
            log.info("purged", function=function, rows=await self._database.call("purge", p_function=function))

    async def end_lapsed(self, *, timestamp: int) -> None:  # noqa: ARG002  the library passes it
        """End whatever a domain registered and whose time is up. A second run finds nothing more to end."""
        failures = 0
        for function in await self._database.call_all("lapses"):
            for _ in range(LAPSES_AT_ONCE):
                try:
                    if await self._database.call("lapse", p_function=function) == 0:
                        break
                except EdgeError as failure:
                    # One row must not keep the others, and one function not the next.
                    log.exception("not_lapsed", function=function, token=failure.body.message)
                    failures += 1
                    if failures == MOST_FAILURES:
                        raise
        if failures:
            raise TransientError(f"{failures} times nothing could be ended")


@asynccontextmanager
async def open_tasks(worker: WorkerContext) -> AsyncIterator[Sequence[Task]]:
    """There is nothing to open."""
    tasks = RetentionTasks(worker.database)
    yield [
        Task(run=tasks.purge, cron=NIGHTLY, takes_context=True),
        Task(run=tasks.end_lapsed, cron=EACH_MINUTE),
    ]


PACKAGE = WorkerPackage(open=open_tasks)
