"""The shapes of rows and of JSON bodies."""

import uuid
from datetime import datetime
from typing import Any, Literal

import msgspec

from stack.storage.files import Stored


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket, as clients see it."""

    id: str
    name: str
    owner: str
    """As on Supabase the user of the column `owner`; empty where a server key created it."""
    public: bool
    file_size_limit: int | None
    allowed_mime_types: list[str] | None
    created_at: datetime
    updated_at: datetime


class ListedBucket(Bucket, frozen=True, kw_only=True):
    """A bucket in a list. As on Supabase, only lists show the type."""

    type: str


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a bucket, and whether anyone may read it."""

    public: bool
    file_size_limit: int | None
    allowed_mime_types: list[str] | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An object, as clients see it when it is deleted or copied."""

    id: uuid.UUID
    bucket_id: str
    name: str
    owner: uuid.UUID | None
    owner_id: str | None
    version: str | None
    metadata: dict[str, Any] | None
    user_metadata: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    last_accessed_at: datetime

    @property
    def stored(self) -> Stored | None:
        """The file with its content; None if the row was not written by the Storage API and has none."""
        return stored(self.id, self.version)


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """The file of an object."""

    id: uuid.UUID
    version: str | None

    @property
    def stored(self) -> Stored | None:
        """The file; None where there is none."""
        return stored(self.id, self.version)


class Id(msgspec.Struct, frozen=True, kw_only=True):
    """The id of a row."""

    id: uuid.UUID


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a row."""

    name: str


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a list. A folder has only its name."""

    name: str
    id: uuid.UUID | None
    updated_at: datetime | None
    created_at: datetime | None
    last_accessed_at: datetime | None
    metadata: dict[str, Any] | None


class ListedV2(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a list of the second version."""

    name: str
    """The whole name; that of a folder ends with a slash."""
    id: uuid.UUID | None
    updated_at: datetime
    created_at: datetime
    last_accessed_at: datetime | None
    metadata: dict[str, Any] | None


class SortBy(msgspec.Struct, frozen=True, kw_only=True):
    """The order of a list."""

    column: Literal["name", "updated_at", "created_at", "last_accessed_at"] = "name"
    order: Literal["asc", "desc"] = "asc"


class ListRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of list."""

    prefix: str
    limit: int = 100
    offset: int = 0
    search: str | None = None
    sort_by: SortBy | None = msgspec.field(name="sortBy", default=None)


class SortByV2(msgspec.Struct, frozen=True, kw_only=True):
    """The order of a list of the second version."""

    column: Literal["name", "updated_at", "created_at"] = "name"
    order: Literal["asc", "desc"] = "asc"


class ListRequestV2(msgspec.Struct, frozen=True, kw_only=True):
    """The body of list-v2."""

    prefix: str = ""
    limit: int = 1000
    cursor: str | None = None
    with_delimiter: bool = False
    sort_by: SortByV2 | None = msgspec.field(name="sortBy", default=None)


class SignRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of signing one URL."""

    expires_in: int = msgspec.field(name="expiresIn")
    transform: dict[str, Any] | None = None


class SignManyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of signing many URLs."""

    expires_in: int = msgspec.field(name="expiresIn")
    paths: list[str]


class RemoveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of remove."""

    prefixes: list[str]


class MoveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of move."""

    bucket_id: str = msgspec.field(name="bucketId")
    source_key: str = msgspec.field(name="sourceKey")
    destination_key: str = msgspec.field(name="destinationKey")
    destination_bucket: str | None = msgspec.field(name="destinationBucket", default=None)


class CopiedMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy changes of its source's metadata."""

    mimetype: str | None = None
    cache_control: str | None = msgspec.field(name="cacheControl", default=None)
    content_encoding: str | None = msgspec.field(name="contentEncoding", default=None)
    """Empty clears it."""


class CopyRequest(MoveRequest, frozen=True, kw_only=True):
    """The body of copy."""

    copy_metadata: bool = msgspec.field(name="copyMetadata", default=True)
    metadata: CopiedMetadata | None = None


class CreateBucketRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of creating a bucket."""

    name: str
    id: str | None = None
    public: bool = False
    type: str | None = None
    file_size_limit: int | str | None = None
    allowed_mime_types: list[str] | None = None


class UpdateBucketRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of changing a bucket. A missing field stays as it is."""

    public: bool | None = None
    file_size_limit: int | str | msgspec.UnsetType | None = msgspec.UNSET
    allowed_mime_types: list[str] | msgspec.UnsetType | None = msgspec.UNSET


def stored(object_id: uuid.UUID, version: str | None) -> Stored | None:
    """The file of an object, if its version names one."""
    try:
        return Stored(object_id=object_id, version=uuid.UUID(version or ""))
    except ValueError:
        return None
