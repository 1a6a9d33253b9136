"""At most one mail of a kind to an address within a time.

It is kept by address, not by user, and asked before anyone looks whether there is such a user: otherwise the second
request would tell a stranger what the first did not. In this process only, for a second or a minute, so that a restart
costs nothing.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stack.auth.errors import AuthError

LARGEST = 100_000
"""Addresses remembered at once; the oldest are forgotten first."""


class Throttle:
    """Remembers when each kind of mail was last asked for."""

    def __init__(self, interval: float) -> None:
        """Allow one mail in `interval` seconds; 0 allows all."""
        self._interval = interval
        self._asked: dict[tuple[str, str], float] = {}

    @contextmanager
    def slot(self, kind: str, address: str) -> Iterator[None]:
        """Take the place of one mail; it is given back where the work inside fails.

        Raises:
            AuthError: `over_email_send_rate_limit`, when the last one was too short ago.
        """
        now = time.monotonic()
        key = kind, address
        left = self._asked.get(key, -math.inf) + self._interval - now
        if left > 0:
            seconds = math.ceil(left)
            raise AuthError(
                429,
                "over_email_send_rate_limit",
                f"For security purposes, you can only request this after {seconds} seconds.",
                retry_after=seconds,
            )
        self._forget(now)
        self._asked.pop(key, None)
        self._asked[key] = now
        try:
            yield
        except BaseException:
            if self._asked.get(key) == now:
                del self._asked[key]
            raise

    def _forget(self, now: float) -> None:
        # A dict keeps the order of insertion, so the first is the oldest.
        while self._asked:
            oldest = next(iter(self._asked))
            if self._asked[oldest] + self._interval > now and len(self._asked) < LARGEST:
                return
            del self._asked[oldest]
