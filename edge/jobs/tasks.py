"""What the worker can do. The database names these tasks in private.defer_job, with their arguments.

A task may be run twice: its worker may die between the work and the note that it is done. Each says what then happens.
"""

from datetime import UTC, datetime
from typing import Any

import httpx
import jinja2
import msgspec
import structlog
from procrastinate import App, JobContext

from edge.jobs.database import Database
from edge.jobs.metrics import Metrics
from edge.jobs.retries import Backoff, HopelessError, TryLaterError
from edge.jobs.settings import Settings
from edge.mail import client as mail
from edge.mail.letters import compose
from edge.mail.types import Letter

log = structlog.get_logger()

MOST_ATTEMPTS = 300
"""How often a mail is tried before it counts as failed: three days, at the longest pause."""
KEPT_HOURS = 30 * 24
"""How long a job that ended badly stays to be looked at. One that went well is gone at once."""
DEAD_AFTER = 3
"""Heartbeats missed until a worker counts as dead."""
NIGHTLY = "17 3 * * *"


class Tasks:
    """The tasks, with what they work with."""

    def __init__(self, settings: Settings, database: Database, http: httpx.AsyncClient, metrics: Metrics) -> None:
        self._settings = settings
        self._database = database
        self._http = http
        self._metrics = metrics
        self._backoff = Backoff(settings.first_pause)

    def register(self, app: App) -> None:
        """Make the tasks known to an app, under their own names."""
        app.task(name="send_mail", retry=self._backoff)(self.send_mail)
        app.task(name="send_password_link", retry=self._backoff)(self.send_password_link)
        # No `lock` on either: a worker that dies with a job of a lock would keep the others from taking the next.
        often = f"* * * * * */{self._settings.heartbeat * DEAD_AFTER}"
        stalled = app.task(name="retry_stalled", queueing_lock="retry_stalled", pass_context=True)(self.retry_stalled)
        app.periodic(cron=often)(stalled)
        purge = app.task(name="purge", queueing_lock="purge", retry=self._backoff, pass_context=True)(self.purge)
        app.periodic(cron=NIGHTLY)(purge)

    async def send_mail(self, *, outbox_id: int) -> None:
        """Send one mail of the outbox.

        Its row is locked meanwhile, so that nobody else sends it. A worker that dies after the mail server took the
        mail and before the commit leaves it to be sent again: with the same Message-ID.

        Raises:
            TryLaterError: no server took it.
        """
        smtp = self._settings.smtp
        if smtp is None:
            raise TryLaterError("JOBS_SMTP_HOST is not set")
        async with self._database.transaction() as transaction:
            claimed = await transaction.call("claim_mail", p_outbox_id=outbox_id)
            if claimed is None:
                self._metrics.mails.labels("nothing").inc()
                return
            letter = msgspec.convert(claimed, Letter)
            outcome, error = await self._attempt(smtp, letter)
            await transaction.call("settle_mail", p_outbox_id=outbox_id, p_outcome=outcome, p_error=error)
        self._metrics.mails.labels(outcome).inc()
        log.info("mail", outcome=outcome, template=letter.template, outbox_id=outbox_id, error=error)
        if outcome == "unsent":
            raise TryLaterError(error)

    async def _attempt(self, smtp: mail.Smtp, letter: Letter) -> tuple[str, str | None]:
        """What becomes of a mail, and why."""
        try:
            await mail.send(smtp, compose(letter, self._settings.sender))
        except mail.RefusedError as error:
            return "failed", str(error)
        except (mail.NotTakenError, jinja2.TemplateError) as error:
            why = f"{type(error).__name__}: {error}"
        except ValueError as error:  # such as an address that no mail can have, which its message quotes
            why = type(error).__name__
        else:
            return "sent", None
        return ("failed" if letter.attempts + 1 >= MOST_ATTEMPTS else "unsent"), why

    async def send_password_link(self, *, user_id: str) -> None:
        """Have auth mail a link for a new password, as if the person had asked for it. Twice is two links.

        Raises:
            TryLaterError: auth is away, or mailed that person just now.
            HopelessError: auth will not.
        """
        async with self._database.transaction() as transaction:
            address = await transaction.call("address_for_password_link", p_user_id=user_id)
        if address is None:
            return
        try:
            answer = await self._http.post(
                f"{self._settings.auth_url}/recover",
                json={"email": address},
                headers={"apikey": self._settings.publishable_key},
            )
        except httpx.TransportError as error:
            raise TryLaterError(type(error).__name__) from None
        if answer.status_code == 429 or answer.status_code >= 500:
            raise TryLaterError(f"auth answered {answer.status_code}")
        if answer.is_error:
            raise HopelessError(f"auth answered {answer.status_code}")

    async def retry_stalled(self, context: JobContext, timestamp: int) -> None:  # noqa: ARG002  the library passes it
        """Give the jobs of dead workers to the living. Twice changes nothing more."""
        manager = context.app.job_manager
        silence = self._settings.heartbeat * DEAD_AFTER
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=silence):
            log.warning("job_stalled", job_id=job.id, task=job.task_name, attempts=job.attempts)
            # A job that kills its workers comes back ever later.
            next_try = self._backoff.next_try(job.attempts - 1) if job.attempts else datetime.now(UTC)
            await manager.retry_job(job, retry_at=next_try)
        await manager.prune_stalled_workers(silence)

    async def purge(self, context: JobContext, timestamp: int) -> None:  # noqa: ARG002  the library passes it
        """Delete what has been kept long enough: old jobs, and whatever the functions private.purge_* say."""
        await context.app.job_manager.delete_old_jobs(
            KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
        )
        async with self._database.transaction() as transaction:
            functions = await transaction.purges()
        for function in functions:
            async with self._database.transaction() as transaction:
                purged: Any = await transaction.call(function)
            log.info("purged", function=function, rows=purged)
