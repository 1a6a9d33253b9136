"""Probes: is the process alive, and can it serve. The edge and the worker answer the same."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
from litestar import get
from litestar.datastructures import State

from edge.errors import error
from edge.http.openapi import error_responses
from edge.http.tiers import UNLIMITED

KNOWN_SECONDS = 1.0
"""How long what answered counts as answering: a caller who asks often must not keep all of it busy."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process lives."""

    status: str = "ok"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What the process needs, all of it there."""

    status: str = "ready"
    checks: tuple[str, ...]


class ReadinessChecks:
    """What the process needs, checked at most once at a time."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], Awaitable[bool]]] = {}
        self._advice: dict[str, str] = {}
        self._known_until = float("-inf")
        self._checking: asyncio.Task[list[str]] | None = None

    def add(self, name: str, check: Callable[[], Awaitable[bool]], *, advice: str = "") -> None:
        """Add something that the process needs.

        Args:
            name: for the answer.
            check: whether it is there; must not raise.
            advice: what is missing where it is not there, for operators.
        """
        self._checks[name] = check
        self._advice[name] = f"{name} ({advice})" if advice else name

    @property
    def names(self) -> tuple[str, ...]:
        """What is checked."""
        return tuple(self._checks)

    async def missing(self) -> list[str]:
        """What is not there, with the advice on it."""
        if time.monotonic() < self._known_until:
            return []
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check())
        return await asyncio.shield(self._checking)

    async def aclose(self) -> None:
        """Stop a check that is in progress."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])

    async def _check(self) -> list[str]:
        found = await asyncio.gather(*(check() for check in self._checks.values()))
        missing = [self._advice[name] for name, is_there in zip(self._checks, found, strict=True) if not is_there]
        if not missing:
            self._known_until = time.monotonic() + KNOWN_SECONDS
        return missing


@get("/health", summary="Whether the process lives", tags=["operations"], opt=UNLIMITED, sync_to_thread=False)
def health() -> Health:
    """Answers at once, whatever else is down."""
    return Health()


@get(
    "/ready",
    summary="Whether everything that the edge needs answers",
    tags=["operations"],
    opt=UNLIMITED,
    responses=error_responses(tokens=("not_ready",)),
)
async def ready(state: State) -> Readiness:
    """Asks the database, PostgREST and Auth's keys, at most once a second."""
    if state.draining:
        raise error("not_ready", "This process is being stopped.")
    checks: ReadinessChecks = state.readiness
    missing = await checks.missing()
    if missing:
        raise error("not_ready", f"Not ready: {', '.join(missing)}.")
    return Readiness(checks=checks.names)
