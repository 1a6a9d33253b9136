"""Procrastinate's worker, kept at work whatever becomes of the database."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import httpx
import psycopg
import structlog
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.worker import Worker as Engine

from edge.jobs.database import Database
from edge.jobs.metrics import Metrics
from edge.jobs.payments import PaymentTasks
from edge.jobs.settings import Settings
from edge.jobs.tasks import DEAD_AFTER, Tasks
from edge.payments.client import Stripe

log = structlog.get_logger()

HTTP_TIMEOUT = httpx.Timeout(10.0)
POLL = 1.0
"""Seconds between two looks for jobs whose time has come. New ones announce themselves."""
GRACE = 5.0
"""Seconds that the jobs under way get to finish at a stop; the rest is given back to the queue."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two tries to work while the database is away."""


class Queue(JobManager):
    """The job queue, where a job that is to be tried again may meet one that was deferred meanwhile to do the same."""

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Put a job back; where another of its queueing lock waits already, that one does it, and this one goes."""
        try:
            await super().retry_job(job, retry_at, priority, queue, lock)
        except UniqueViolation:
            await self.finish_job(job, Status.FAILED, delete_job=True)


class Worker:
    """Does the jobs of the queue from `start` to `stop`."""

    def __init__(self, settings: Settings) -> None:
        self.database = Database(settings)
        self.metrics = Metrics()
        self._settings = settings
        self._http = httpx.AsyncClient(timeout=HTTP_TIMEOUT, trust_env=False)
        self._app = App(connector=PsycopgConnector())
        self._app.job_manager = Queue(connector=self._app.connector)
        Tasks(settings, self.database, self._http, self.metrics).register(self._app)
        key = settings.stripe_api_key
        self._stripe = None if key is None else Stripe(key, settings.stripe_api_url)
        PaymentTasks(settings, self.database, self._stripe).register(self._app)
        self._working: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Begin; the database need not be there yet."""
        await self.database.pool.open(wait=False)
        await self._app.open_async(self.database.pool)
        self._working = asyncio.create_task(self._work(), name="worker")

    async def stop(self) -> None:
        """Finish the jobs under way, or give them back, and let go of everything."""
        self._stopping = True
        if self._working is not None:
            self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._working
        await self._http.aclose()
        if self._stripe is not None:
            await self._stripe.aclose()
        await self.database.pool.close()

    async def count_queue(self) -> None:
        """Bring the metrics of the queue up to date."""
        tasks = await self._app.job_manager.list_tasks_async()
        self.metrics.queue.clear()
        for task in tasks:
            for status in ("todo", "doing", "failed"):
                self.metrics.queue.labels(task["name"], status).set(task[status])

    async def _work(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping:
            began = time.monotonic()
            try:
                await self._app.run_worker_async(
                    name="worker",
                    concurrency=self._settings.concurrency,
                    delete_jobs="successful",
                    fetch_job_polling_interval=POLL,
                    shutdown_graceful_timeout=GRACE,
                    update_heartbeat_interval=self._settings.heartbeat,
                    stalled_worker_timeout=self._settings.heartbeat * DEAD_AFTER,
                    install_signal_handlers=False,
                    worker_middleware=[self._observe],
                )
            except (ConnectorException, psycopg.Error) as error:
                log.warning("worker_interrupted", error=type(error.__cause__ or error).__name__)
            except Exception:  # whatever it was, the jobs of tomorrow must be done
                log.exception("worker_failed")
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _observe(self, proceed: Callable[[], Awaitable[Any]], context: JobContext, _engine: Engine) -> Any:
        """Run one job, with its id in every line of the log, and count it."""
        job = context.job
        began = time.perf_counter()
        # The request that caused the job, if it was one, is for the log and no argument of the task.
        request_id = job.task_kwargs.pop("request_id", None)
        with structlog.contextvars.bound_contextvars(
            job_id=job.id, task=job.task_name, **({"request_id": request_id} if request_id else {})
        ):
            outcome, why = "done", None
            try:
                return await proceed()
            except BaseException as error:
                outcome = "cut_short" if isinstance(error, asyncio.CancelledError) else "failed"
                why = f"{type(error).__name__}: {error}"
                raise
            finally:
                seconds = time.perf_counter() - began
                self.metrics.jobs.labels(job.task_name, outcome).inc()
                self.metrics.seconds.labels(job.task_name).observe(seconds)
                level = logging.INFO if why is None else logging.WARNING
                log.log(level, "job", outcome=outcome, error=why, ms=round(seconds * 1000, 2), attempt=job.attempts + 1)
