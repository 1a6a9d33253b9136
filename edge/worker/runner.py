"""Procrastinate's worker, kept running through restarts of the database, with the tasks of all packages."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.worker import Worker

from common.settings import ProcessSettings
from edge import packages
from edge.database import Database
from edge.http.health import ReadinessChecks
from edge.worker.metrics import Metrics
from edge.worker.package import Task, WorkerContext
from edge.worker.retries import RetryByOutcome
from edge.worker.settings import WorkerSettings

log = structlog.get_logger()

OWN_CONNECTIONS = 4
"""To Postgres, for the queue itself: fetching, finishing, heartbeats, probes. Each job may need another one."""
POLL = 1.0
"""Seconds between two polls for jobs whose time has come. New ones are announced."""
GRACE = 5.0
"""Seconds in which the jobs in progress may finish at a stop; the others go back to the queue."""
MISSED_HEARTBEATS = 3
"""After which a worker counts as dead."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two attempts to work while the database is away."""


class Queue(JobManager):
    """The job queue, where a job to retry may meet one with the same queueing lock that was deferred meanwhile."""

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Put a job back; where another with its queueing lock waits already, that one does the work instead."""
        try:
            await super().retry_job(job, retry_at, priority, queue, lock)
        except UniqueViolation:
            await self.finish_job(job, Status.FAILED, delete_job=True)


class Runner:
    """Runs the jobs of the queue."""

    def __init__(self, settings: ProcessSettings) -> None:
        """Describe the runner; nothing is opened yet."""
        self._settings = settings
        self._own = settings[WorkerSettings]
        self._silence = self._own.heartbeat * MISSED_HEARTBEATS
        self._retry = RetryByOutcome(self._own.first_pause_ms / 1000)
        self._app = App(connector=PsycopgConnector())
        self._app.job_manager = Queue(connector=self._app.connector)
        self._stopping = False
        self.metrics = Metrics()
        self.readiness = ReadinessChecks()
        self.database = Database(
            self._own.db_url, name="worker", max_connections=self._own.concurrency + OWN_CONNECTIONS
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run jobs during the block, and finish those in progress or give them back. The database may be away."""
        async with AsyncExitStack() as stack:
            await self.database.open()
            stack.push_async_callback(self.database.aclose)
            self.readiness.add("database", self.database.is_reachable)
            stack.push_async_callback(self.readiness.aclose)
            context = WorkerContext(
                settings=self._settings,
                database=self.database,
                readiness=self.readiness,
                registry=self.metrics.registry,
            )
            for package in packages.worker_packages():
                for task in await stack.enter_async_context(package.open(context)):
                    self._register(task)
            # No lock: if a worker died with a job that holds one, the others could not take the next.
            every = f"* * * * * */{self._silence}"
            self._register(Task(run=self.retry_stalled, cron=every, takes_context=True, is_retried=False))
            await self._app.open_async(self.database.pool)
            working = asyncio.create_task(self._work(), name="worker")
            try:
                yield
            finally:
                self._stopping = True
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working

    async def count_queue(self) -> None:
        """Bring the metrics of the queue up to date; they are empty while the database is away."""
        self.metrics.queue.clear()
        with suppress(ConnectorException):
            for task in await self._app.job_manager.list_tasks_async():
                for status in ("todo", "doing", "failed"):
                    self.metrics.queue.labels(task["name"], status).set(task[status])

    async def retry_stalled(self, context: JobContext, timestamp: int) -> None:  # noqa: ARG002  the library passes it
        """Give the jobs of dead workers to living ones. A second run changes nothing more."""
        manager = context.app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._silence):
            log.warning("job_stalled", job_id=job.id, task=job.task_name, attempts=job.attempts)
            # A job that kills its workers comes back ever later.
            retry_at = self._retry.next_attempt(job.attempts - 1) if job.attempts else datetime.now(UTC)
            await manager.retry_job(job, retry_at=retry_at)
        await manager.prune_stalled_workers(self._silence)

    def _register(self, task: Task) -> None:
        options: dict[str, Any] = {
            "name": task.name,
            "retry": self._retry if task.is_retried else False,
            "pass_context": task.takes_context,
            "queueing_lock": task.name if task.cron else None,
        }
        registered = self._app.task(**options)(task.run)
        if task.cron:
            self._app.periodic(cron=task.cron)(registered)

    async def _work(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping:
            began = time.monotonic()
            try:
                await self._app.run_worker_async(
                    name="worker",
                    concurrency=self._own.concurrency,
                    delete_jobs="successful",
                    fetch_job_polling_interval=POLL,
                    shutdown_graceful_timeout=GRACE,
                    update_heartbeat_interval=self._own.heartbeat,
                    stalled_worker_timeout=self._silence,
                    install_signal_handlers=False,
                    worker_middleware=[self._observe],
                )
            except (ConnectorException, psycopg.Error) as failure:
                log.warning("worker_interrupted", error=type(failure.__cause__ or failure).__name__)
            except Exception:  # whatever failed, later jobs must still run
                log.exception("worker_failed")
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _observe(self, proceed: Callable[[], Awaitable[Any]], context: JobContext, _worker: Worker) -> Any:
        """Run one job, with its id in every line of the log, and count it."""
        job = context.job
        began = time.perf_counter()
        # The request that caused the job, if there was one, is for the log and not an argument of the task.
        request_id = job.task_kwargs.pop("request_id", None)
        with structlog.contextvars.bound_contextvars(
            job_id=job.id, task=job.task_name, **({"request_id": request_id} if request_id else {})
        ):
            outcome, reason = "done", None
            try:
                return await proceed()
            except BaseException as failure:
                outcome = "cut_short" if isinstance(failure, asyncio.CancelledError) else "failed"
                reason = f"{type(failure).__name__}: {failure}"
                raise
            finally:
                seconds = time.perf_counter() - began
                self.metrics.jobs.labels(job.task_name, outcome).inc()
                self.metrics.seconds.labels(job.task_name).observe(seconds)
                log.log(
                    logging.INFO if reason is None else logging.WARNING,
                    "job",
                    outcome=outcome,
                    error=reason,
                    ms=round(seconds * 1000, 2),
                    attempt=job.attempts + 1,
                )
