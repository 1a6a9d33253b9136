"""Tasks of learning."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from edge.database import Database
from edge.worker.package import Task, WorkerContext, WorkerPackage


class LearningTasks:
    """The task, and the database that it uses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def regrade_attempts(self, *, regrade_id: str) -> None:
        """Do a regrade, one attempt after another. A second run goes on where the first stopped."""
        while await self._database.call("regrade_next_attempt", p_regrade_id=regrade_id):
            pass


@asynccontextmanager
async def open_tasks(worker: WorkerContext) -> AsyncIterator[Sequence[Task]]:
    """There is nothing to open."""
    yield [Task(run=LearningTasks(worker.database).regrade_attempts)]


PACKAGE = WorkerPackage(open=open_tasks)
