"""When a failed job is retried."""

import asyncio
from datetime import UTC, datetime, timedelta

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from common.errors import PermanentError

LONGEST_PAUSE = 900.0
"""Seconds between two attempts at most."""


class RetryByOutcome(BaseRetryStrategy):
    """Ever longer pauses, without end: a job that fails by a fault of ours succeeds once the fault is corrected.

    PermanentError ends a job, and a stop of the worker that cut it short retries it at once.
    """

    def __init__(self, first_pause: float) -> None:
        """Args: first_pause: seconds until the second attempt."""
        self._first_pause = first_pause

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When to retry a job that ended in this exception; None where never."""
        if isinstance(exception, PermanentError):
            return None
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_at=datetime.now(UTC))
        return RetryDecision(retry_at=self.next_attempt(job.attempts))

    def next_attempt(self, attempts: int) -> datetime:
        """When to retry what fails now, after so many earlier attempts."""
        pause = min(self._first_pause * 2.0 ** min(attempts, 30), LONGEST_PAUSE)
        return datetime.now(UTC) + timedelta(seconds=pause)
