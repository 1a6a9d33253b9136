"""Tasks of accounts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from common.errors import PermanentError, TransientError
from edge.accounts.settings import AccountSettings
from edge.database import Database
from edge.worker.package import Task, WorkerContext, WorkerPackage

TIMEOUT = httpx.Timeout(10.0)


class AccountTasks:
    """The tasks, and the clients that they use."""

    def __init__(self, settings: AccountSettings, database: Database, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._database = database
        self._http = http

    async def send_password_link(self, *, user_id: str) -> None:
        """Have auth mail a link for a new password, as if the person had requested it. A second run mails another link.

        Raises:
            TransientError: auth does not answer, or has mailed this person just now.
            PermanentError: auth refuses.
        """
        email = await self._database.call("address_for_password_link", p_user_id=user_id)
        if email is None:
            return
        try:
            answer = await self._http.post(
                f"{self._settings.auth_url}/recover",
                json={"email": email},
                headers={"apikey": self._settings.publishable_key},
            )
        except httpx.TransportError as failure:
            raise TransientError(type(failure).__name__) from None
        if answer.status_code == 429 or answer.status_code >= 500:
            raise TransientError(f"auth answered {answer.status_code}")
        if answer.is_error:
            raise PermanentError(f"auth answered {answer.status_code}")


@asynccontextmanager
async def open_tasks(worker: WorkerContext) -> AsyncIterator[Sequence[Task]]:
    """Open the connections to auth."""
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as http:
        tasks = AccountTasks(worker.settings[AccountSettings], worker.database, http)
        yield [Task(run=tasks.send_password_link)]


PACKAGE = WorkerPackage(open=open_tasks, settings=AccountSettings)
