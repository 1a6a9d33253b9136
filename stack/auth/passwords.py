"""Password hashes: bcrypt, in Supabase's own format, in threads, and with equal work whether or not the user exists."""

import asyncio
import os
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from stack.auth.errors import AuthError, invalid, weak_password

MAX_BYTES = 72
"""Bytes of a password that bcrypt reads. A longer one is refused rather than cut."""
MIN_COST = 4
MAX_COST = 15
MAX_QUEUE = 100
"""Tasks that wait for a thread. Further callers are refused."""
Result = TypeVar("Result")
HASH = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}")


def check_strength(password: str, *, min_length: int) -> None:
    """Refuse a password that is too short, or longer than bcrypt reads.

    Raises:
        AuthError: `weak_password`, or `validation_failed` for one over 72 bytes.
    """
    check_length(password)
    if len(password) < min_length:
        raise weak_password(f"Password should be at least {min_length} characters.", ["length"])


def check_length(password: str) -> None:
    """Refuse a password longer than bcrypt reads. Raises AuthError `validation_failed`."""
    if len(password.encode()) > MAX_BYTES:
        raise invalid(f"Password cannot be longer than {MAX_BYTES} characters")


def cost_of(hashed: str) -> int | None:
    """The cost of a bcrypt hash of acceptable cost; None for anything else."""
    read = HASH.fullmatch(hashed)
    return int(read["cost"]) if read and MIN_COST <= int(read["cost"]) <= MAX_COST else None


class Hasher:
    """Hashes and checks passwords without blocking the event loop."""

    def __init__(self, cost: int) -> None:
        """Make a hasher; `cost` is the logarithm of the rounds. At 10, a hash takes about 50 ms."""
        self.cost = cost
        # bcrypt releases the interpreter's lock, so each core can compute one hash. One core is left for everything
        # else.
        self._threads = ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="bcrypt")
        self._waiting = 0
        self._decoys = {
            decoy: bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(decoy)) for decoy in range(MIN_COST, cost + 1)
        }

    async def hash(self, password: str) -> str:
        """The hash of a password of at most 72 bytes. Raises AuthError `over_request_rate_limit` when too many wait."""
        hashed = await self._run(bcrypt.hashpw, password.encode(), bcrypt.gensalt(self.cost))
        return hashed.decode()

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether the password matches the hash. None, the hash of no user, matches nothing.

        The time does not depend on whether there is a hash: each call does the work of the configured cost.

        Raises:
            AuthError: `over_request_rate_limit`, when too many wait.
        """
        encoded = password.encode()
        # A longer one was never hashed. The part that bcrypt reads keeps the time equal.
        readable, is_readable = encoded[:MAX_BYTES], len(encoded) <= MAX_BYTES
        cost = cost_of(hashed or "")
        matched = False
        if hashed is not None and cost is not None:
            matched = await self._run(bcrypt.checkpw, readable, hashed.encode()) and is_readable
        # 2^cost rounds are done. What is missing to 2^self.cost is the sum of 2^cost, 2^(cost + 1), ... below it.
        missing = range(cost, self.cost) if cost is not None else [self.cost]
        for step in missing:
            await self._run(bcrypt.checkpw, readable, self._decoys[step])
        return matched

    async def _run(self, work: Callable[[bytes, bytes], Result], password: bytes, salt: bytes) -> Result:
        if self._waiting >= MAX_QUEUE:
            message = "Too many requests at the same time, try again in a moment"
            raise AuthError(429, "over_request_rate_limit", message, retry_after=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, password, salt)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
