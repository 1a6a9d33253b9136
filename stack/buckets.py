"""Token buckets in the memory of a process."""

import time

MAX_BUCKETS = 100_000
"""Buckets of one kind in memory. Those that were used longest ago are forgotten first."""


class Buckets:
    """One bucket of tokens for each key. A full bucket takes no memory."""

    def __init__(self, tokens: int, seconds: float) -> None:
        """Allow `tokens` at once, and as many again in each `seconds` after that; 0 seconds allow everything."""
        # Whole nanoseconds: with fractions, the last token of a full bucket would sometimes be missing.
        self._token = int(seconds * 1e9) // tokens
        self._span = self._token * tokens
        self._full_at: dict[str, int] = {}

    def wait(self, key: str) -> float:
        """Seconds until there is a token; 0 where there is one."""
        now = time.monotonic_ns()
        return max(0, max(self._full_at.get(key, now), now) + self._token - self._span - now) / 1e9

    def take(self, key: str) -> None:
        """Take a token, which `wait` has found."""
        now = time.monotonic_ns()
        full_at = max(self._full_at.pop(key, now), now) + self._token
        self._forget(now)
        self._full_at[key] = full_at

    def give_back(self, key: str) -> None:
        """Put a token back."""
        if key in self._full_at:
            self._full_at[key] -= self._token

    def _forget(self, now: int) -> None:
        # A dict keeps the order of insertion, so the first is the one used longest ago.
        while self._full_at:
            oldest = next(iter(self._full_at))
            if self._full_at[oldest] > now and len(self._full_at) < MAX_BUCKETS:
                return
            del self._full_at[oldest]
