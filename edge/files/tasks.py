"""Tasks of files."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx
import structlog

from common.errors import TransientError
from edge.database import Database
from edge.files.settings import FileSettings
from edge.worker.package import Task, WorkerContext, WorkerPackage

log = structlog.get_logger()

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
NIGHTLY = "41 3 * * *"
"""Takes up what waited for a token."""


class FileTasks:
    """The tasks, and the clients that they use."""

    def __init__(self, settings: FileSettings, database: Database, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._database = database
        self._http = http

    async def remove_files(self, *, timestamp: int = 0) -> None:  # noqa: ARG002  the library passes it
        """Remove the files that no row names any more. A second run finds them gone.

        Raises:
            TransientError: storage does not answer, or has left some of them.
        """
        if self._settings.storage_token is None:
            log.warning("files_wait", advice="WORKER_STORAGE_TOKEN is not set")
            return
        while files := await self._database.call("removable_files"):
            buckets = defaultdict(list)
            for file in files:
                bucket, _, name = file.partition("/")
                buckets[bucket].append(name)
            for bucket, names in buckets.items():
                await self._remove(bucket, names)
            if left := await self._database.call("forget_removed_files", p_files=files):
                raise TransientError(f"storage left {left} files")

    async def _remove(self, bucket: str, names: Sequence[str]) -> None:
        try:
            answer = await self._http.request(
                "DELETE",
                f"{self._settings.storage_url}/object/{quote(bucket, safe='')}",
                json={"prefixes": names},
                headers={
                    "apikey": self._settings.publishable_key,
                    "authorization": f"Bearer {self._settings.storage_token}",
                },
            )
        except httpx.TransportError as failure:
            raise TransientError(type(failure).__name__) from None
        if answer.is_error:
            raise TransientError(f"storage answered {answer.status_code}")


@asynccontextmanager
async def open_tasks(worker: WorkerContext) -> AsyncIterator[Sequence[Task]]:
    """Open the connections to storage."""
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as http:
        tasks = FileTasks(worker.settings[FileSettings], worker.database, http)
        yield [Task(run=tasks.remove_files, cron=NIGHTLY)]


PACKAGE = WorkerPackage(open=open_tasks, settings=FileSettings)
