"""Tasks of mail."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import jinja2
import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter

from common.errors import PermanentError, TransientError
from edge.database import Database
from edge.mail import client
from edge.mail.rendering import compose
from edge.mail.settings import MailSettings
from edge.mail.types import OutgoingMail
from edge.worker.package import Task, WorkerContext, WorkerPackage

log = structlog.get_logger()

MAX_ATTEMPTS = 300
"""How often a mail is tried before it counts as failed: three days, at the longest pause."""


class MailTasks:
    """The tasks, and what they use."""

    def __init__(self, settings: MailSettings, database: Database, registry: CollectorRegistry) -> None:
        self._smtp = settings.smtp
        self._sender = settings.sender
        self._database = database
        self._attempts = Counter(
            "guildhall_mails", "Attempts to send a mail, by result", ["outcome"], registry=registry
        )

    async def has_server(self) -> bool:
        """Whether a mail server is set."""
        return self._smtp is not None

    async def send_mail(self, *, outbox_id: int) -> None:
        """Send one mail of the outbox.

        Its row is locked meanwhile, so that no other worker sends it. A worker that dies after the mail server accepted
        the mail and before the commit leaves it to be sent again, with the same Message-ID.

        Raises:
            TransientError: no server accepted it.
        """
        if self._smtp is None:
            raise TransientError("WORKER_SMTP_HOST is not set")
        async with self._database.transaction() as transaction:
            claimed = await transaction.call("claim_mail", p_outbox_id=outbox_id)
            if claimed is None:
                self._attempts.labels("nothing").inc()
                return
            mail = msgspec.convert(claimed, OutgoingMail)
            outcome, reason = await self._attempt(self._smtp, mail)
            await transaction.call("record_mail_result", p_outbox_id=outbox_id, p_outcome=outcome, p_error=reason)
        self._attempts.labels(outcome).inc()
        log.info("mail", outcome=outcome, template=mail.template, outbox_id=outbox_id, error=reason)
        if outcome == "unsent":
            raise TransientError(reason or outcome)

    async def _attempt(self, smtp: client.Smtp, mail: OutgoingMail) -> tuple[str, str | None]:
        """The outcome of one attempt, and its reason."""
        try:
            await client.send(smtp, compose(mail, self._sender))
        except PermanentError as refusal:
            return "failed", str(refusal)
        except (TransientError, jinja2.TemplateError) as failure:
            reason = f"{type(failure).__name__}: {failure}"
        except ValueError as failure:  # such as an address that no mail can have, which its message quotes
            reason = type(failure).__name__
        else:
            return "sent", None
        return ("failed" if mail.attempts + 1 >= MAX_ATTEMPTS else "unsent"), reason


@asynccontextmanager
async def open_tasks(worker: WorkerContext) -> AsyncIterator[Sequence[Task]]:
    """Each mail opens its own connection. Without a mail server the worker is not ready, for mails wait."""
    tasks = MailTasks(worker.settings[MailSettings], worker.database, worker.registry)
    worker.readiness.add("smtp", tasks.has_server, advice="WORKER_SMTP_HOST is not set")
    yield [Task(run=tasks.send_mail)]


PACKAGE = WorkerPackage(open=open_tasks, settings=MailSettings)
