"""Tasks of webhooks."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from edge.database import Database
from edge.worker.package import Task, WorkerContext, WorkerPackage

log = structlog.get_logger()

EACH_MINUTE = "* * * * *"


class WebhookTasks:
    """The tasks, and the database that they use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def retry_webhooks(self, *, timestamp: int) -> None:  # noqa: ARG002  the library passes it
        """Apply failed events again. The database knows which of them are due."""
        retried = await self._database.call("retry_webhooks")
        if retried:
            log.info("webhooks_retried", webhooks=retried)


@asynccontextmanager
async def open_tasks(worker: WorkerContext) -> AsyncIterator[Sequence[Task]]:
    """There is nothing to open."""
    yield [Task(run=WebhookTasks(worker.database).retry_webhooks, cron=EACH_MINUTE)]


PACKAGE = WorkerPackage(open=open_tasks)
