"""The files of an order, as the database answers them and as the caller gets them."""

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
    version: int
    path: str
    size_bytes: int | None = None
    mime_type: str | None = None


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an order. Anybody who has `url` can open it, while the buyer may; newer versions come first."""

    id: UUID
    file_type: FileType
    name: str
    version: int
    size_bytes: int | None
    mime_type: str | None
    url: str


class Downloads(msgspec.Struct, frozen=True, kw_only=True):
    """The files of an order, and when their links expire."""

    order_id: UUID
    expires_at: datetime
    files: list[Download]
