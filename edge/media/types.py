"""What the routes of media take and answer."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

Purpose = Literal["lesson", "profile", "upload", "sample", "public"]
"""The database's `media_purpose`."""


class NewMedia(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file to reserve for a lesson."""

    name: str
    mime_type: str
    size_bytes: int


class NewUpload(NewMedia, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file to reserve."""

    purpose: Purpose = "upload"


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A reserved file, and where its bytes go: PUT them to `upload_url`, or upload to its path resumably."""

    media: dict[str, Any]
    upload_url: str


class Completion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The upload to a lesson that is complete."""

    media_id: UUID
    title: str | None = None
    is_preview: bool = False


class InLesson(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is ready, and its row in the lesson."""

    media: dict[str, Any]
    lesson_media: dict[str, Any]


class SignRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which link to sign."""

    media_id: UUID
    purpose: Literal["play", "download"] = "play"
    expires_in: int = 300


class SignedMedia(msgspec.Struct, frozen=True, kw_only=True):
    """A link that plays a file for a while, as long as its person may."""

    media_id: UUID
    token: str
    url: str
    expires_at: datetime


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file of a form: either the media, or the error."""

    name: str
    media: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class UploadedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a form, in their order."""

    files: list[Uploaded]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that was set."""

    path: str
    url: str
    width: int
    height: int


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What `begin_media_check` answers."""

    id: UUID
    bucket_id: str
    path: str
    kind: str
    mime_type: str
    size_bytes: int
    version: str
    clean_path: str


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A file to serve."""

    name: str
    mime_type: str
    size_bytes: int
    sha256: str
    ready_at: datetime
    purpose: str = "play"
    storage_url: str = ""
    bucket_id: str = "media"
    path: str = ""
