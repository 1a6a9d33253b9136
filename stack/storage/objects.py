"""The statements on `storage.objects`. The policies decide what a caller may do."""

import base64
import uuid
from typing import Any, LiteralString

import msgspec
from psycopg.types.json import Jsonb

from stack.storage.database import Transaction
from stack.storage.errors import invalid_parameter
from stack.storage.files import Stored
from stack.storage.names import normalised
from stack.storage.tokens import owner_uuid
from stack.storage.types import Id, Listed, ListedV2, ListRequest, ListRequestV2, Name, Row, SortBy, SortByV2, Version

LIST_LIMIT = 1000

FIND = "select * from storage.objects where bucket_id = %(bucket)s and name = %(name)s"
NAMES = "select name from storage.objects where bucket_id = %(bucket)s and name = any (%(names)s)"
# Writers of one path wait for each other, so that each knows which file it replaces.
LOCK_PATH = "select pg_advisory_xact_lock(hashtextextended(%(bucket)s || '/' || %(name)s, 0))"
KEEP_PATH = "select pg_advisory_xact_lock_shared(hashtextextended(%(bucket)s || '/' || %(name)s, 0))"
CURRENT = "select id, version from storage.objects where bucket_id = %(bucket)s and name = %(name)s for update"
# No `returning`: an upload needs no select policy.
INSERT = """
insert into storage.objects (id, bucket_id, name, owner, owner_id, version, metadata, user_metadata)
values (
    %(id)s, %(bucket)s, %(name)s, %(owner)s, %(owner_id)s, %(version)s, %(metadata)s, %(user_metadata)s
)
"""
UPSERT = f"""
{INSERT}
on conflict (bucket_id, name) do update
set
    owner = excluded.owner,
    owner_id = excluded.owner_id,
    version = excluded.version,
    metadata = excluded.metadata,
    user_metadata = excluded.user_metadata
returning id
"""
UPDATE = """
update storage.objects
set
    owner = %(owner)s,
    owner_id = %(owner_id)s,
    version = %(version)s,
    metadata = %(metadata)s,
    user_metadata = %(user_metadata)s
where bucket_id = %(bucket)s and name = %(name)s
returning id
"""
MOVE = """
update storage.objects
set bucket_id = %(to_bucket)s, name = %(to_name)s, owner = %(owner)s, owner_id = %(owner_id)s
where bucket_id = %(bucket)s and name = %(name)s
returning id
"""
DELETE = "delete from storage.objects where bucket_id = %(bucket)s and name = any (%(names)s) returning *"
DELETE_ALL = "delete from storage.objects where bucket_id = %(bucket)s returning id, version"
VISIBLE = "select id from storage.objects where bucket_id = %(bucket)s"
SEARCH = """
select name, id, updated_at, created_at, last_accessed_at, metadata
from storage.search(
    prefix => %(prefix)s,
    bucketname => %(bucket)s,
    limits => %(limit)s,
    offsets => %(offset)s,
    search => %(search)s,
    sortcolumn => %(column)s,
    sortorder => %(order)s
)
"""
# A folder is listed once, with the time of its oldest object.
LIST_V2 = """
with found as (
    select o.*, strpos(substr(o.name, length(%(prefix)s) + 1), '/') as slash
    from storage.objects as o
    where o.bucket_id = %(bucket)s and o.name collate "C" >= %(prefix)s and starts_with(o.name, %(prefix)s)
),

entries as (
    select
        left(f.name, length(%(prefix)s) + f.slash) as name,
        null::uuid as id,
        min(f.created_at) as updated_at,
        min(f.created_at) as created_at,
        null::timestamptz as last_accessed_at,
        null::jsonb as metadata
    from found as f
    where %(with_delimiter)s and f.slash > 0
    group by 1
    union all
    select f.name, f.id, f.updated_at, f.created_at, f.last_accessed_at, f.metadata
    from found as f
    where not (%(with_delimiter)s and f.slash > 0)
)

select e.*
from entries as e
"""
# (by a time, descending) -> the condition at which the page begins, and the order
PAGES: dict[tuple[str, str], LiteralString] = {
    ("name", "asc"): """
where %(after_name)s::text is null or e.name collate "C" > %(after_name)s
order by e.name collate "C" limit %(limit)s""",
    ("name", "desc"): """
where %(after_name)s::text is null or e.name collate "C" < %(after_name)s
order by e.name collate "C" desc limit %(limit)s""",
    ("created_at", "asc"): """
where %(after_name)s::text is null or (e.created_at, e.name collate "C") > (%(after_time)s::timestamptz, %(after_name)s)
order by e.created_at, e.name collate "C" limit %(limit)s""",
    ("created_at", "desc"): """
where %(after_name)s::text is null or (e.created_at, e.name collate "C") < (%(after_time)s::timestamptz, %(after_name)s)
order by e.created_at desc, e.name collate "C" desc limit %(limit)s""",
    ("updated_at", "asc"): """
where %(after_name)s::text is null or (e.updated_at, e.name collate "C") > (%(after_time)s::timestamptz, %(after_name)s)
order by e.updated_at, e.name collate "C" limit %(limit)s""",
    ("updated_at", "desc"): """
where %(after_name)s::text is null or (e.updated_at, e.name collate "C") < (%(after_time)s::timestamptz, %(after_name)s)
order by e.updated_at desc, e.name collate "C" desc limit %(limit)s""",
}
# Waits for writers that an interrupted server left in the database: afterwards each has committed or rolled back.
BARRIER = "lock table storage.objects in share mode"
HAVE_ROWS = """
select o.id, o.version
from storage.objects as o
where o.id = any (%(ids)s)
"""


class ObjectPath(msgspec.Struct, frozen=True, kw_only=True):
    """The bucket and the name of an object."""

    bucket: str
    name: str

    @property
    def path(self) -> str:
        """Both, in the form of signed URLs and answers."""
        return f"{self.bucket}/{self.name}"


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload writes to a row."""

    stored: Stored
    owner_id: str | None
    metadata: dict[str, Any]
    user_metadata: dict[str, Any] | None

    def values(self, object_path: ObjectPath) -> dict[str, Any]:
        """The parameters of the statements that write it."""
        return {
            "id": self.stored.object_id,
            "bucket": object_path.bucket,
            "name": object_path.name,
            "owner": owner_uuid(self.owner_id),
            "owner_id": self.owner_id,
            "version": str(self.stored.version),
            "metadata": Jsonb(self.metadata),
            "user_metadata": None if self.user_metadata is None else Jsonb(self.user_metadata),
        }


async def find(transaction: Transaction, object_path: ObjectPath) -> Row | None:
    """The object, or None where the caller may select none."""
    return await transaction.one(Row, FIND, {"bucket": object_path.bucket, "name": object_path.name})


async def names(transaction: Transaction, bucket: str, body: list[str]) -> set[str]:
    """Those of these names that the caller may select."""
    return {row.name for row in await transaction.all(Name, NAMES, {"bucket": bucket, "names": body})}


async def lock(transaction: Transaction, object_path: ObjectPath) -> Stored | None:
    """Wait for other writers of this path. Returns its current file. Only for the owner of the tables."""
    values = {"bucket": object_path.bucket, "name": object_path.name}
    await transaction.run(LOCK_PATH, values)
    current = await transaction.one(Version, CURRENT, values)
    return None if current is None else current.stored


async def lock_out_writers(transaction: Transaction, object_path: ObjectPath) -> None:
    """Wait for writers of this path, and keep others out in this transaction. Only for the owner of the tables."""
    await transaction.run(KEEP_PATH, {"bucket": object_path.bucket, "name": object_path.name})


async def insert(transaction: Transaction, object_path: ObjectPath, content: Content) -> uuid.UUID:
    """Insert an object. Returns its id."""
    await transaction.run(INSERT, content.values(object_path))
    return content.stored.object_id


async def upsert(transaction: Transaction, object_path: ObjectPath, content: Content) -> uuid.UUID:
    """Insert or update an object. Returns its id."""
    written = await transaction.one(Id, UPSERT, content.values(object_path))
    return content.stored.object_id if written is None else written.id


async def update(transaction: Transaction, object_path: ObjectPath, content: Content) -> uuid.UUID:
    """Update an object that the caller may select and update, or else insert it. Returns its id."""
    written = await transaction.one(Id, UPDATE, content.values(object_path))
    return await insert(transaction, object_path, content) if written is None else written.id


async def move(
    transaction: Transaction, source: ObjectPath, target: ObjectPath, owner_id: str | None
) -> uuid.UUID | None:
    """Rename an object. Returns its id, or None where the caller may not."""
    values = {
        "bucket": source.bucket,
        "name": source.name,
        "to_bucket": target.bucket,
        "to_name": target.name,
        "owner": owner_uuid(owner_id),
        "owner_id": owner_id,
    }
    moved = await transaction.one(Id, MOVE, values)
    return None if moved is None else moved.id


async def delete(transaction: Transaction, bucket: str, unwanted: list[str]) -> list[Row]:
    """Delete those of these names that the caller may delete. Returns their rows."""
    return await transaction.all(Row, DELETE, {"bucket": bucket, "names": unwanted})


async def delete_all(transaction: Transaction, bucket: str) -> list[Version] | None:
    """Delete every object of a bucket that the caller sees. Returns them, or None where one may not be deleted."""
    visible = await transaction.run(VISIBLE, {"bucket": bucket})
    deleted = await transaction.all(Version, DELETE_ALL, {"bucket": bucket})
    return deleted if len(deleted) >= visible else None


async def search(transaction: Transaction, bucket: str, body: ListRequest) -> list[Listed]:
    """The files and folders directly below a folder. Raises InvalidParameter."""
    if body.limit < 1 or body.offset < 0 or body.offset > 2**31 - 1:
        raise invalid_parameter("limit must be 1 or more, offset 0 or more")
    folder = body.prefix if body.prefix in ("", "/") or body.prefix.endswith("/") else f"{body.prefix}/"
    sort_by = body.sort_by or SortBy()
    values = {
        "bucket": bucket,
        "prefix": normalised(folder.lstrip("/")),
        "limit": min(body.limit, LIST_LIMIT),
        "offset": body.offset,
        "search": normalised(body.search or ""),
        "column": sort_by.column,
        "order": sort_by.order,
    }
    return await transaction.all(Listed, SEARCH, values)


async def list_v2(transaction: Transaction, bucket: str, body: ListRequestV2) -> dict[str, Any]:
    """A page of the objects whose names begin with the prefix, with the folders apart. Raises InvalidParameter."""
    if body.limit < 1:
        raise invalid_parameter("limit must be 1 or more")
    limit = min(body.limit, LIST_LIMIT)
    sort_by = body.sort_by or SortByV2()
    after_time, after_name = _read_cursor(body.cursor)
    values = {
        "bucket": bucket,
        "prefix": normalised(body.prefix),
        "with_delimiter": body.with_delimiter,
        "after_name": after_name,
        "after_time": after_time,
        "limit": limit + 1,
    }
    found = await transaction.all(ListedV2, LIST_V2 + PAGES[sort_by.column, sort_by.order], values)
    page = found[:limit]

    def key(line: ListedV2) -> str:
        # As on Supabase: in a list of folders the part of the name at this level, without its slash.
        return line.name.split("/")[body.prefix.count("/")] if body.with_delimiter else line.name

    answer: dict[str, Any] = {
        "hasNext": len(found) > limit,
        "folders": [
            {"key": key(line), "name": line.name, "created_at": line.created_at, "updated_at": line.updated_at}
            for line in page
            if line.id is None
        ],
        "objects": [{"key": key(line), **msgspec.structs.asdict(line)} for line in page if line.id is not None],
    }
    if len(found) > limit:
        answer["nextCursor"] = _write_cursor(page[-1], sort_by.column)
    return answer


async def known(transaction: Transaction, files: list[Stored]) -> set[Stored]:
    """Those of these files that a row names."""
    rows = await transaction.all(Version, HAVE_ROWS, {"ids": [file.object_id for file in files]})
    return {row.stored for row in rows if row.stored is not None}


def _write_cursor(last: ListedV2, column: str) -> str:
    time = None if column == "name" else getattr(last, column)
    return base64.urlsafe_b64encode(msgspec.json.encode((time, last.name))).decode()


def _read_cursor(cursor: str | None) -> tuple[str | None, str | None]:
    if not cursor:
        return None, None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[str | None, str])
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise invalid_parameter("cursor is not one of this list's") from error
