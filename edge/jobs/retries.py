"""When a job that failed is tried again."""

import asyncio
from datetime import UTC, datetime, timedelta

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

LONGEST_PAUSE = 900.0
"""Seconds between two tries at most."""


class TryLaterError(Exception):
    """What the job needs is not there just now; the message is a word for it, without personal data."""


class HopelessError(Exception):
    """The job can never succeed: it is not tried again. The message is as of TryLaterError."""


class Backoff(BaseRetryStrategy):
    """Ever longer pauses, and no end: whatever fails by a fault of ours is done once the fault is mended."""

    def __init__(self, first_pause: float) -> None:
        """Args: first_pause: seconds until the second try."""
        self._first_pause = first_pause

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When to try a job again: at once where a stop of the worker cut it short."""
        if isinstance(exception, HopelessError):
            return None
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_at=datetime.now(UTC))
        return RetryDecision(retry_at=self.next_try(job.attempts))

    def next_try(self, attempts: int) -> datetime:
        """When to try again what fails now, after so many earlier attempts."""
        pause = min(self._first_pause * 2.0 ** min(attempts, 30), LONGEST_PAUSE)
        return datetime.now(UTC) + timedelta(seconds=pause)
