"""What the database answers of an order's files, and what the caller gets."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

FileType = Literal["mp3", "wav", "stems", "trackouts", "other"]
"""The database's `file_type`."""


class ProductFile(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `order_files`."""

    id: UUID
    file_type: FileType
    path: str
    size_bytes: int | None = None
    mime_type: str | None = None


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an order. `url` opens it for whoever has it, and is null where its creator has not uploaded it."""

    id: UUID
    file_type: FileType
    name: str
    size_bytes: int | None
    mime_type: str | None
    url: str | None


class Downloads(msgspec.Struct, frozen=True, kw_only=True):
    """The files of an order, and until when their links work."""

    order_id: UUID
    expires_at: datetime
    files: list[Download]
