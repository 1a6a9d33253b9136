"""Work that goes on after the answer, so that the time of the answer says nothing about what there was to do."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from stack.auth.errors import AuthError, as_auth_error

LARGEST = 500
"""Pieces of work under way at once; the next caller is told to come back later."""
LONGEST_FAREWELL = 10.0
"""Seconds that a stop waits for work under way."""

log = structlog.get_logger("auth")


class Background:
    """The work under way in this process."""

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do this while the caller already has his answer; a failure is logged.

        Raises:
            AuthError: `over_request_rate_limit`, when too much is under way.
        """
        if len(self._tasks) >= LARGEST:
            work.close()
            message = "Too many requests are under way, try again in a moment"
            raise AuthError(429, "over_request_rate_limit", message, retry_after=1)
        task = asyncio.create_task(self._watch(name, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for what is under way, for a while."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LONGEST_FAREWELL)

    async def _watch(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 (nobody is left to catch it)
            refusal = as_auth_error(error, path=name)
            log.warning("background_failed", work=name, code=refusal.code, message=refusal.message)
