"""What one caller may take from the others: bytes, time, and requests at once.

A request to a part needs a place there, until the part begins to answer. One network has at most half of a part's
places, one user's token at most a quarter. Further requests wait, and the networks take turns. A read that costs much,
by its query or because the caller's last requests took long, needs one of the few places for such reads. So nobody
keeps others from a part, whether by many requests or by slow ones.
"""

import asyncio
import contextlib
import math
import re
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from urllib.parse import unquote_plus

import msgspec
from aiohttp import StreamReader, web

from stack.buckets import Buckets
from stack.gateway.errors import BoundError

PATTERN = re.compile(r"\bi?match(\((any|all)\))?\.")
"""A filter by a regular expression: back-references make one take seconds."""
SEPARATORS = re.compile("[&;]")
SELECT_LEVELS = 8
SELECT_EMBEDS = 32
COSTLY_LEVELS = 4
COSTLY_EMBEDS = 8
PARENTHESES = re.compile(r"[()]")
SLOW_FACTOR = 5
"""A caller counts as slow for this many times as long as the request took."""
MAX_SLOW = 10_000
REFUSALS_SECONDS = 300.0
UNCOUNTED_REFUSALS = frozenset({401, 429})
REFUSAL_SECONDS = 1.0
DROP_BYTES = 2 * 1024 * 1024
"""Bytes of a refused body that are read. One that declares more is not read at all."""
BYTES_A_SECOND = 1024
"""A longer body must arrive faster than this, on average."""


class Caller(msgspec.Struct, frozen=True):
    """Whose request it is."""

    network: str
    token: str | None
    """The access token; None of a visitor."""
    user: str | None
    """The user whom the token names. Only an answer of the part proves that it is theirs."""

    @property
    def name(self) -> str:
        """The user, else the network."""
        return self.user or self.network


class Places:
    """Places for requests at once."""

    def __init__(self, places: int, *, waiting: int, seconds: float, of_network: int | None = None) -> None:
        """Make places.

        Args:
            places: how many there are.
            of_network: how many a network may have; half of them where it is None.
            waiting: the requests of one network that may wait for one.
            seconds: how long one waits.
        """
        self._free = places
        self._of_network = max(1, places // 2) if of_network is None else of_network
        self._of_token = max(1, places // 4)
        self._waiting_of_network = waiting
        self._seconds = seconds
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[tuple[Caller, asyncio.Future[None]]]] = {}

    async def take(self, caller: Caller) -> None:
        """Take a place, which `give_back` returns. Raises BoundError where too many wait, or for too long."""
        queue = self._waiting.get(caller.network, ())
        if self._is_free_for(caller) and not queue:
            self._hold(caller)
            return
        if len(queue) >= self._waiting_of_network:
            raise too_many_requests()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller.network, deque()).append((caller, turn))
        try:
            async with asyncio.timeout(self._seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give_back(caller)
            else:
                self._leave(caller, turn)
            if isinstance(error, TimeoutError):
                raise too_many_requests() from None
            raise

    def give_back(self, caller: Caller) -> None:
        """Give a place back, to whose turn it is."""
        self._free += 1
        for key in _keys(caller):
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
        self._call_next()

    def _is_free_for(self, caller: Caller) -> bool:
        return (
            self._free > 0
            and self._held[f"network {caller.network}"] < self._of_network
            and (caller.token is None or self._held[f"token {caller.token}"] < self._of_token)
        )

    def _hold(self, caller: Caller) -> None:
        self._free -= 1
        self._held.update(_keys(caller))

    def _call_next(self) -> None:
        for network, queue in self._waiting.items():
            for caller, turn in queue:
                if self._is_free_for(caller):
                    self._leave(caller, turn)
                    if network in self._waiting:  # its next request waits until the other networks had their turn
                        self._waiting[network] = self._waiting.pop(network)
                    self._hold(caller)
                    turn.set_result(None)
                    return

    def _leave(self, caller: Caller, turn: asyncio.Future[None]) -> None:
        queue = self._waiting[caller.network]
        queue.remove((caller, turn))
        if not queue:
            del self._waiting[caller.network]


class SlowCallers:
    """The callers whose last requests took long."""

    def __init__(self, seconds: float) -> None:
        """Count requests that took longer than these seconds."""
        self._seconds = seconds
        self._until: dict[str, float] = {}

    def add(self, caller: Caller, seconds: float) -> None:
        """Record how long a request took."""
        if seconds < self._seconds:
            return
        now = time.monotonic()
        until = max(self._until.pop(caller.name, now), now)
        if len(self._until) >= MAX_SLOW:
            del self._until[next(iter(self._until))]
        self._until[caller.name] = until + SLOW_FACTOR * seconds

    def __contains__(self, caller: Caller) -> bool:
        until = self._until.get(caller.name)
        if until is None:
            return False
        if until > time.monotonic():
            return True
        del self._until[caller.name]
        return False


class Refusals:
    """The refused calls of each caller, by function or table.

    A refusal rolls its transaction back, and with it the token that the database took for the call. Without this count
    a caller could guess a coupon's code thousands of times.
    """

    def __init__(self, calls: int) -> None:
        """Allow so many in five minutes."""
        self._buckets = Buckets(calls, REFUSALS_SECONDS)

    def check(self, caller: Caller, call: str) -> None:
        """Refuse a call after too many refused ones. Raises BoundError."""
        seconds = math.ceil(self._buckets.wait(f"{caller.name} {call}"))
        if seconds > 0:
            raise BoundError(
                429,
                "too_many_refusals",
                "Too many of these calls were refused",
                f"Try again in {seconds} seconds.",
                headers={"Retry-After": str(seconds)},
            )

    def add(self, caller: Caller, call: str, status: int) -> None:
        """Record the status of an answer. 401 is not the user's whom the token names: anybody can name one."""
        if 400 <= status < 500 and status not in UNCOUNTED_REFUSALS:
            key = f"{caller.name} {call}"
            if self._buckets.wait(key) == 0:
                self._buckets.take(key)


class LimitedBody:
    """A body that is passed on in pieces, and bounded in bytes and time."""

    def __init__(self, content: StreamReader, *, size: int, seconds: float) -> None:
        self._content = content
        self._size = size
        self._seconds = seconds
        self.refusal: BoundError | None = None
        """Why it ended early. The client that sends it on raises an error of its own."""

    async def pieces(self) -> AsyncIterator[bytes]:
        """The pieces as they arrive. Raises BoundError."""
        received, waited = 0, 0.0
        while True:
            start = time.monotonic()
            try:
                async with asyncio.timeout(self._seconds):
                    piece = await self._content.readany()
            except TimeoutError:
                self.refusal = too_slow()
                raise self.refusal from None
            if not piece:
                return
            received += len(piece)
            # The time in which the part takes a piece is not the sender's.
            waited += time.monotonic() - start
            if received > self._size:
                self.refusal = too_large(self._size)
            elif waited > self._seconds and received < waited * BYTES_A_SECOND:
                self.refusal = too_slow()
            if self.refusal is not None:
                raise self.refusal
            yield piece


async def read_body(content: StreamReader, *, size: int, seconds: float) -> bytes:
    """A whole body. Raises BoundError."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while piece := await content.readany():
                body += piece
                if len(body) > size:
                    raise too_large(size)
    except TimeoutError:
        raise too_slow() from None
    return bytes(body)


async def refuse_slowly(request: web.Request, response: web.Response) -> web.Response:
    """Answer a refusal after a second, so that a client that repeats it at once costs little.

    Meanwhile the body is read, as many clients read no answer before they have sent all; a body that is much too long
    ends with the connection.
    """
    dropped = DROP_BYTES if (request.content_length or 0) > DROP_BYTES else 0
    start = time.monotonic()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REFUSAL_SECONDS):
            while dropped < DROP_BYTES and (piece := await request.content.readany()):
                dropped += len(piece)
    await asyncio.sleep(max(0, start + REFUSAL_SECONDS - time.monotonic()))
    await response.prepare(request)
    await response.write_eof()
    if not request.content.at_eof() and request.transport is not None:
        request.transport.close()
    return response


def check_select(query: str) -> None:
    """Refuse a select with too many levels or embedded tables, which PostgREST plans for seconds."""
    for pair in SEPARATORS.split(query):
        name, _, value = pair.partition("=")
        if unquote_plus(name) != "select":
            continue
        select = unquote_plus(value)
        if _levels(select) > SELECT_LEVELS or select.count("(") > SELECT_EMBEDS:
            hint = f"Embed at most {SELECT_EMBEDS} tables, in {SELECT_LEVELS} levels."
            raise BoundError(400, "select_too_deep", "The select embeds too many tables", hint)


def is_costly(query: str) -> bool:
    """Whether a read of PostgREST may cost much, by its query."""
    text = unquote_plus(query)
    return PATTERN.search(text) is not None or text.count("(") > COSTLY_EMBEDS or _levels(text) > COSTLY_LEVELS


def too_many_requests() -> BoundError:
    """Too many requests at once."""
    return BoundError(
        429,
        "too_many_requests",
        "Too many requests at once",
        "Wait for answers before you send more.",
        headers={"Retry-After": "1"},
    )


def too_large(size: int) -> BoundError:
    """A body of too many bytes."""
    return BoundError(413, "body_too_large", "The body is too large", f"Send at most {size} bytes.")


def too_slow() -> BoundError:
    """A body that does not arrive."""
    return BoundError(408, "body_too_slow", "The body arrives too slowly", headers={"Connection": "close"})


def _levels(text: str) -> int:
    """The deepest level of parentheses."""
    level = deepest = 0
    for letter in PARENTHESES.findall(text):
        level += 1 if letter == "(" else -1
        deepest = max(deepest, level)
    return deepest


def _keys(caller: Caller) -> list[str]:
    keys = [f"network {caller.network}"]
    return keys if caller.token is None else [*keys, f"token {caller.token}"]
