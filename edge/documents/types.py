"""What the edge reads to print a certificate."""

from datetime import datetime
from uuid import UUID

import msgspec


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `certificates` and the score of its attempt, as PostgREST shows them to the caller."""

    id: UUID
    code: str
    status: str
    holder_name: str
    course_title: str
    creator_name: str | None = None
    score_percent: float | None = None
    issued_at: datetime | None = None
