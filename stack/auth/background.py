"""Work after the answer, so that the time of the answer does not reveal what the work is."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from stack.auth.errors import AuthError, as_auth_error

MAX_TASKS = 500
"""Tasks at once. Further callers are refused."""
SHUTDOWN_SECONDS = 10.0
"""How long a shutdown waits for running tasks."""

log = structlog.get_logger("auth")


class Background:
    """The running tasks of this process."""

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a task after the answer; a failure is logged.

        Raises:
            AuthError: `over_request_rate_limit`, when too many tasks run.
        """
        if len(self._tasks) >= MAX_TASKS:
            work.close()
            message = "Too many requests at the same time, try again in a moment"
            raise AuthError(429, "over_request_rate_limit", message, retry_after=1)
        task = asyncio.create_task(self._watch(name, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for the running tasks, for a while."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SHUTDOWN_SECONDS)

    async def _watch(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 (no caller is left to catch it)
            refusal = as_auth_error(error, path=name)
            log.warning("background_failed", work=name, code=refusal.code, message=refusal.message)
