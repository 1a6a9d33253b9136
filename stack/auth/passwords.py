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

LONGEST = 72
"""Bytes of a password that bcrypt reads; a longer one is refused rather than cut."""
CHEAPEST = 4
DEAREST = 15
LONGEST_QUEUE = 100
"""Pieces of work waiting for a thread; the next caller is told to come back later."""
Result = TypeVar("Result")
HASH = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}")


def check_strength(password: str, *, shortest: int) -> None:
    """Refuse a password that is too short, or longer than bcrypt can read.

    Raises:
        AuthError: `weak_password`, or `validation_failed` for one over 72 bytes.
    """
    check_length(password)
    if len(password) < shortest:
        raise weak_password(f"Password should be at least {shortest} characters.", ["length"])


def check_length(password: str) -> None:
    """Refuse a password longer than bcrypt can read. Raises AuthError `validation_failed`."""
    if len(password.encode()) > LONGEST:
        raise invalid(f"Password cannot be longer than {LONGEST} characters")


def cost_of(hashed: str) -> int | None:
    """The cost of a bcrypt hash of bearable cost; None for anything else."""
    read = HASH.fullmatch(hashed)
    return int(read["cost"]) if read and CHEAPEST <= int(read["cost"]) <= DEAREST else None


class Hasher:
    """Hashes and checks passwords without holding up the event loop."""

    def __init__(self, cost: int) -> None:
        """Make a hasher; `cost` is the logarithm of the rounds, which takes about 50 ms at 10."""
        self.cost = cost
        # bcrypt lets go of the interpreter's lock, so each core can do one; the last is left to everything else.
        self._threads = ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="bcrypt")
        self._waiting = 0
        self._decoys = {
            decoy: bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(decoy)) for decoy in range(CHEAPEST, cost + 1)
        }

    async def hash(self, password: str) -> str:
        """The hash of a password of at most 72 bytes. Raises AuthError `over_request_rate_limit` when too many wait."""
        hashed = await self._run(bcrypt.hashpw, password.encode(), bcrypt.gensalt(self.cost))
        return hashed.decode()

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether the password is the one that was hashed; None, no user's hash, matches nothing.

        The time it takes does not depend on whether there is a hash: the work of our cost is done in each case.

        Raises:
            AuthError: `over_request_rate_limit`, when too many wait.
        """
        given = password.encode()
        # A longer one was never hashed; the part that bcrypt can read keeps the time equal.
        readable, is_readable = given[:LONGEST], len(given) <= LONGEST
        cost = cost_of(hashed or "")
        matched = False
        if hashed is not None and cost is not None:
            matched = await self._run(bcrypt.checkpw, readable, hashed.encode()) and is_readable
        # 2^cost rounds are done; what is missing to 2^self.cost is the sum of 2^cost, 2^(cost + 1), ... below it.
        missing = range(cost, self.cost) if cost is not None else [self.cost]
        for step in missing:
            await self._run(bcrypt.checkpw, readable, self._decoys[step])
        return matched

    async def _run(self, work: Callable[[bytes, bytes], Result], password: bytes, salt: bytes) -> Result:
        if self._waiting >= LONGEST_QUEUE:
            message = "Too many requests are under way, try again in a moment"
            raise AuthError(429, "over_request_rate_limit", message, retry_after=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, password, salt)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
