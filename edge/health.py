"""Operations: is the process alive, and can it serve."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from litestar import get
from litestar.datastructures import State

from edge.errors import EdgeError
from edge.openapi import refusals
from edge.tiers import UNLIMITED

KNOWN_SECONDS = 1.0
"""How long it is taken for granted that what answered still answers: who asks often must not keep all of it busy."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process lives."""

    status: str = "ok"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge needs, all of it there."""

    status: str = "ready"
    checks: tuple[str, ...]


class Needs:
    """What the edge needs, asked at most once at a time."""

    def __init__(self, checks: Mapping[str, Callable[[], Awaitable[bool]]]) -> None:
        self._checks = checks
        self._known_until = float("-inf")
        self._asking: asyncio.Task[list[str]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What is asked."""
        return tuple(self._checks)

    async def missing(self) -> list[str]:
        """The names of those that do not answer."""
        if time.monotonic() < self._known_until:
            return []
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def aclose(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self) -> list[str]:
        found = await asyncio.gather(*(answers() for answers in self._checks.values()))
        missing = [name for name, answers in zip(self._checks, found, strict=True) if not answers]
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
    responses=refusals((503, "not_ready", "Something that the edge needs is not there, or it is being stopped.")),
)
async def ready(state: State) -> Readiness:
    """Asks the database, PostgREST and Auth's keys, at most once a second."""
    if state.draining:
        raise EdgeError(503, "not_ready", "The edge is being stopped.")
    needs: Needs = state.needs
    missing = await needs.missing()
    if missing:
        raise EdgeError(503, "not_ready", f"Not reachable: {', '.join(missing)}.")
    return Readiness(checks=needs.names)
