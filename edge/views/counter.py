"""Counting in memory, so that reading a page does not write to the database."""

import asyncio
import time
from uuid import UUID

import structlog

from edge.database import Database
from edge.errors import EdgeError

log = structlog.get_logger()

FLUSH_SECONDS = 5.0
"""A process that is killed loses the views of at most this time."""
REPEAT_SECONDS = 1800.0
"""A second view by the same viewer within this time is not counted; at its end all viewers are forgotten at once."""
MAX_COURSES = 10_000
"""Courses between two flushes. Further ones are not counted: there are fewer, or a client invents ids."""
MAX_VIEWERS = 100_000
"""Pairs of course and viewer that are remembered; then all are forgotten."""


class ViewCounter:
    """Views of courses since the last flush. Its memory is bounded."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: dict[UUID, int] = {}
        self._viewers: set[tuple[UUID, str]] = set()
        self._forget_at = 0.0
        self._flushing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Flush every few seconds from now on."""
        self._flushing = asyncio.create_task(self._flush_for_ever())

    async def aclose(self) -> None:
        """Stop, and write what is left."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.wait([self._flushing])
        await self.flush()

    def count(self, course_id: UUID, viewer: str) -> None:
        """Count a view of a course by a viewer, who is known by the network."""
        now = time.monotonic()
        if now >= self._forget_at or len(self._viewers) >= MAX_VIEWERS:
            self._viewers.clear()
            self._forget_at = now + REPEAT_SECONDS
        view = course_id, viewer
        if view in self._viewers:
            return
        self._viewers.add(view)
        self._add(course_id, 1)

    async def flush(self) -> None:
        """Add the counts to the database; where it is away, keep them for the next time."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            await self._database.call("add_course_views", p_views={str(course): n for course, n in counts.items()})
        except EdgeError as failure:
            log.warning("views_not_written", error=failure.body.message, courses=len(counts))
            for course, views in counts.items():
                self._add(course, views)

    def _add(self, course_id: UUID, views: int) -> None:
        if course_id in self._counts or len(self._counts) < MAX_COURSES:
            self._counts[course_id] = self._counts.get(course_id, 0) + views

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            # A flush that is in progress at the stop is finished, because it has taken the counts.
            await asyncio.shield(self.flush())
