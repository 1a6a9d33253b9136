"""Counting in memory, so that no reading of a page is a write to the database."""

import asyncio
import time
from uuid import UUID

import structlog

from edge.database import System
from edge.errors import EdgeError

log = structlog.get_logger()

FLUSH_SECONDS = 5.0
"""What a process that is killed loses at most."""
AGAIN_SECONDS = 1800.0
"""Who looks again within this time is not counted again; at the end of it all are forgotten at once."""
MAX_COURSES = 10_000
"""Courses between two flushes. Further ones are not counted: there are fewer, or somebody makes ids up."""
MAX_LOOKS = 100_000
"""Looks that are remembered; then all are forgotten."""


class ViewCounter:
    """Views of courses since the last flush. What it holds is bounded, whoever looks at what."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._counts: dict[UUID, int] = {}
        self._looks: set[tuple[UUID, str]] = set()
        self._forget_at = 0.0
        self._flushing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Flush every few seconds from now on."""
        self._flushing = asyncio.create_task(self._flush_for_ever())

    async def aclose(self) -> None:
        """Stop, and write down what is left."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.wait([self._flushing])
        await self.flush()

    def count(self, course_id: UUID, viewer: str) -> None:
        """Count that a viewer, known by the address, looks at a course."""
        now = time.monotonic()
        if now >= self._forget_at or len(self._looks) >= MAX_LOOKS:
            self._looks.clear()
            self._forget_at = now + AGAIN_SECONDS
        look = course_id, viewer
        if look in self._looks:
            return
        self._looks.add(look)
        self._add(course_id, 1)

    async def flush(self) -> None:
        """Add to the database what was counted; where it is away, keep that for the next time."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            await self._system.call("add_course_views", p_views={str(course): n for course, n in counts.items()})
        except EdgeError as error:
            log.warning("views_not_written", error=error.body.message, courses=len(counts))
            for course, views in counts.items():
                self._add(course, views)

    def _add(self, course_id: UUID, views: int) -> None:
        if course_id in self._counts or len(self._counts) < MAX_COURSES:
            self._counts[course_id] = self._counts.get(course_id, 0) + views

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            # A flush under way when this is stopped is finished, for it has taken the counts.
            await asyncio.shield(self.flush())
