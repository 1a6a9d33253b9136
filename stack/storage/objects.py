"""The statements on `storage.objects`. What a caller may do with them, the policies say."""

import base64
import uuid
from typing import Any, LiteralString

import msgspec
from psycopg.types.json import Jsonb

from stack.storage.database import Transaction
from stack.storage.errors import invalid_parameter
from stack.storage.files import Stored
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
# A folder stands once, with the time of its oldest object.
LIST_V2 = """
with found as (
    select o.*, strpos(substr(o.name, length(%(prefix)s) + 1), '/') as slash
    from storage.objects as o
    where o.bucket_id = %(bucket)s and o.name collate "C" >= %(prefix)s and starts_with(o.name, %(prefix)s)
),

entries as (
    select
        left(f.name, length(%(prefix)s) + f.slash) as key,
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
# (by a time, descending) -> where the page begins, and the order
PAGES: dict[tuple[str, str], LiteralString] = {
    ("name", "asc"): """
where %(after_key)s::text is null or e.key collate "C" > %(after_key)s
order by e.key collate "C" limit %(limit)s""",
    ("name", "desc"): """
where %(after_key)s::text is null or e.key collate "C" < %(after_key)s
order by e.key collate "C" desc limit %(limit)s""",
    ("created_at", "asc"): """
where %(after_key)s::text is null or (e.created_at, e.key collate "C") > (%(after_time)s::timestamptz, %(after_key)s)
order by e.created_at, e.key collate "C" limit %(limit)s""",
    ("created_at", "desc"): """
where %(after_key)s::text is null or (e.created_at, e.key collate "C") < (%(after_time)s::timestamptz, %(after_key)s)
order by e.created_at desc, e.key collate "C" desc limit %(limit)s""",
    ("updated_at", "asc"): """
where %(after_key)s::text is null or (e.updated_at, e.key collate "C") > (%(after_time)s::timestamptz, %(after_key)s)
order by e.updated_at, e.key collate "C" limit %(limit)s""",
    ("updated_at", "desc"): """
where %(after_key)s::text is null or (e.updated_at, e.key collate "C") < (%(after_time)s::timestamptz, %(after_key)s)
order by e.updated_at desc, e.key collate "C" desc limit %(limit)s""",
}
# Waits for writers that an interrupted server left behind in the database: afterwards each has committed or gone.
BARRIER = "lock table storage.objects in share mode"
HAVE_ROWS = """
select o.id, o.version
from storage.objects as o
where o.id = any (%(ids)s)
"""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an object is: its bucket and its name."""

    bucket: str
    name: str

    @property
    def path(self) -> str:
        """Both, as signed URLs and answers write them."""
        return f"{self.bucket}/{self.name}"


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload writes into a row."""

    stored: Stored
    owner_id: str | None
    metadata: dict[str, Any]
    user_metadata: dict[str, Any] | None

    def values(self, place: Place) -> dict[str, Any]:
        """As parameters of the statements that write it."""
        return {
            "id": self.stored.object_id,
            "bucket": place.bucket,
            "name": place.name,
            "owner": owner_uuid(self.owner_id),
            "owner_id": self.owner_id,
            "version": str(self.stored.version),
            "metadata": Jsonb(self.metadata),
            "user_metadata": None if self.user_metadata is None else Jsonb(self.user_metadata),
        }


async def find(transaction: Transaction, place: Place) -> Row | None:
    """The object there, or None where the caller may select none."""
    return await transaction.one(Row, FIND, {"bucket": place.bucket, "name": place.name})


async def names(transaction: Transaction, bucket: str, wanted: list[str]) -> set[str]:
    """Which of these names the caller may select."""
    return {row.name for row in await transaction.all(Name, NAMES, {"bucket": bucket, "names": wanted})}


async def lock(transaction: Transaction, place: Place) -> Stored | None:
    """Wait for other writers of this path. Returns the file that is there now. Only for the owner of the tables."""
    values = {"bucket": place.bucket, "name": place.name}
    await transaction.run(LOCK_PATH, values)
    current = await transaction.one(Version, CURRENT, values)
    return None if current is None else current.stored


async def keep(transaction: Transaction, place: Place) -> None:
    """Wait for writers of this path, and let none in until the transaction ends. Only for the owner of the tables."""
    await transaction.run(KEEP_PATH, {"bucket": place.bucket, "name": place.name})


async def insert(transaction: Transaction, place: Place, content: Content) -> uuid.UUID:
    """Write a new object. Returns its id."""
    await transaction.run(INSERT, content.values(place))
    return content.stored.object_id


async def upsert(transaction: Transaction, place: Place, content: Content) -> uuid.UUID:
    """Write an object, new or not. Returns its id."""
    written = await transaction.one(Id, UPSERT, content.values(place))
    return content.stored.object_id if written is None else written.id


async def update(transaction: Transaction, place: Place, content: Content) -> uuid.UUID:
    """Write an object that the caller may select and update, else a new one. Returns its id."""
    written = await transaction.one(Id, UPDATE, content.values(place))
    return await insert(transaction, place, content) if written is None else written.id


async def move(transaction: Transaction, source: Place, target: Place, owner_id: str | None) -> uuid.UUID | None:
    """Give an object another name or bucket. Returns its id, or None where the caller may not."""
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
    """Delete those of these names that the caller may. Returns their rows."""
    return await transaction.all(Row, DELETE, {"bucket": bucket, "names": unwanted})


async def delete_all(transaction: Transaction, bucket: str) -> list[Version] | None:
    """Delete every object of a bucket that the caller sees. Returns them, or None where one of them may not go."""
    visible = await transaction.run(VISIBLE, {"bucket": bucket})
    deleted = await transaction.all(Version, DELETE_ALL, {"bucket": bucket})
    return deleted if len(deleted) >= visible else None


async def search(transaction: Transaction, bucket: str, wanted: ListRequest) -> list[Listed]:
    """The files and folders directly below a folder. Raises InvalidParameter."""
    if wanted.limit < 1 or wanted.offset < 0 or wanted.offset > 2**31 - 1:
        raise invalid_parameter("limit must be 1 or more, offset 0 or more")
    folder = wanted.prefix if wanted.prefix in ("", "/") or wanted.prefix.endswith("/") else f"{wanted.prefix}/"
    sort_by = wanted.sort_by or SortBy()
    values = {
        "bucket": bucket,
        "prefix": folder.lstrip("/"),
        "limit": min(wanted.limit, LIST_LIMIT),
        "offset": wanted.offset,
        "search": wanted.search or "",
        "column": sort_by.column,
        "order": sort_by.order,
    }
    return await transaction.all(Listed, SEARCH, values)


async def list_v2(transaction: Transaction, bucket: str, wanted: ListRequestV2) -> dict[str, Any]:
    """A page of the objects whose names begin so, with the folders apart. Raises InvalidParameter."""
    if wanted.limit < 1:
        raise invalid_parameter("limit must be 1 or more")
    limit = min(wanted.limit, LIST_LIMIT)
    sort_by = wanted.sort_by or SortByV2()
    after_time, after_key = _read_cursor(wanted.cursor)
    values = {
        "bucket": bucket,
        "prefix": wanted.prefix,
        "with_delimiter": wanted.with_delimiter,
        "after_key": after_key,
        "after_time": after_time,
        "limit": limit + 1,
    }
    found = await transaction.all(ListedV2, LIST_V2 + PAGES[sort_by.column, sort_by.order], values)
    page = found[:limit]
    answer: dict[str, Any] = {
        "hasNext": len(found) > limit,
        "folders": [
            {"key": line.key, "name": line.key, "created_at": line.created_at, "updated_at": line.updated_at}
            for line in page
            if line.id is None
        ],
        "objects": [{**msgspec.structs.asdict(line), "name": line.key} for line in page if line.id is not None],
    }
    if len(found) > limit:
        answer["nextCursor"] = _write_cursor(page[-1], sort_by.column)
    return answer


async def known(transaction: Transaction, files: list[Stored]) -> set[Stored]:
    """Which of these files a row names."""
    rows = await transaction.all(Version, HAVE_ROWS, {"ids": [file.object_id for file in files]})
    return {row.stored for row in rows if row.stored is not None}


def _write_cursor(last: ListedV2, column: str) -> str:
    time = None if column == "name" else getattr(last, column)
    return base64.urlsafe_b64encode(msgspec.json.encode((time, last.key))).decode()


def _read_cursor(cursor: str | None) -> tuple[str | None, str | None]:
    if not cursor:
        return None, None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[str | None, str])
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise invalid_parameter("cursor is not one of this list's") from error
