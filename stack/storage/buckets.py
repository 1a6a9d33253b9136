"""The statements on `storage.buckets`. The policies decide what a caller may do."""

from typing import Any, LiteralString

import msgspec

from stack.storage.database import Transaction
from stack.storage.errors import feature_not_enabled, invalid_parameter, no_such_bucket, too_large
from stack.storage.names import check_bucket_name, check_mime_rules, parse_file_size
from stack.storage.tokens import owner_uuid
from stack.storage.types import Bucket, CreateBucketRequest, ListedBucket, Rules, UpdateBucketRequest

SELECT = """
select
    id, name, coalesce(owner::text, '') as owner, coalesce(public, false) as public, type::text as type,
    file_size_limit, allowed_mime_types, created_at, updated_at
from storage.buckets
"""
BY_ID = "where id = %(id)s"
MATCHING = "where %(search)s = '' or strpos(lower(name), lower(%(search)s)) > 0"
RULES = """
select coalesce(public, false) as public, file_size_limit, allowed_mime_types from storage.buckets where id = %(id)s
"""
ORDERS: dict[tuple[str, str], LiteralString] = {
    ("id", "asc"): " order by id",
    ("id", "desc"): " order by id desc",
    ("name", "asc"): " order by name",
    ("name", "desc"): " order by name desc",
    ("created_at", "asc"): " order by created_at, id",
    ("created_at", "desc"): " order by created_at desc, id desc",
    ("updated_at", "asc"): " order by updated_at, id",
    ("updated_at", "desc"): " order by updated_at desc, id desc",
}
PAGE = " limit %(limit)s offset %(offset)s"
INSERT = """
insert into storage.buckets (id, name, owner, owner_id, public, file_size_limit, allowed_mime_types)
values (%(id)s, %(name)s, %(owner)s, %(owner_id)s, %(public)s, %(file_size_limit)s, %(allowed_mime_types)s)
"""
UPDATE = """
update storage.buckets
set
    public = coalesce(%(public)s, public),
    file_size_limit = case when %(has_limit)s then %(file_size_limit)s else file_size_limit end,
    allowed_mime_types = case when %(has_rules)s then %(allowed_mime_types)s else allowed_mime_types end
where id = %(id)s
"""
DELETE = "delete from storage.buckets where id = %(id)s"


async def rules(transaction: Transaction, bucket: str) -> Rules:
    """The limits of a bucket. Only for the owner of the tables. Raises NoSuchBucket."""
    found = await transaction.one(Rules, RULES, {"id": bucket})
    if found is None:
        raise no_such_bucket()
    return found


async def is_public(transaction: Transaction, bucket: str) -> bool:
    """Whether a bucket exists and is public. Only for the owner of the tables."""
    found = await transaction.one(Rules, RULES, {"id": bucket})
    return found is not None and found.public


async def find(transaction: Transaction, bucket: str) -> Bucket:
    """The bucket. Raises NoSuchBucket where the caller may select none of this name."""
    found = await transaction.one(Bucket, SELECT + BY_ID, {"id": bucket})
    if found is None:
        raise no_such_bucket()
    return found


async def list_all(transaction: Transaction, query: dict[str, str]) -> list[ListedBucket]:
    """The buckets that the caller may select. The query may hold search, sortColumn, sortOrder, limit and offset."""
    order = ORDERS.get((query.get("sortColumn", "name"), query.get("sortOrder", "asc")))
    if order is None:
        raise invalid_parameter("sortColumn or sortOrder is not one of the known ones")
    values = {
        "search": query.get("search", ""),
        "limit": _number(query, "limit", minimum=1),
        "offset": _number(query, "offset", minimum=0),
    }
    return await transaction.all(ListedBucket, SELECT + MATCHING + order + PAGE, values)


async def create(transaction: Transaction, body: CreateBucketRequest, owner_id: str | None, limit: int) -> None:
    """Create a bucket. `limit` is the server's own, in bytes."""
    if body.type not in (None, "STANDARD"):
        raise feature_not_enabled(f"bucket type {body.type}")
    allowed = body.allowed_mime_types
    values = {
        "id": check_bucket_name(body.id or body.name),
        "name": check_bucket_name(body.name),
        "owner": owner_uuid(owner_id),
        "owner_id": owner_id,
        "public": body.public,
        "file_size_limit": _file_size(body.file_size_limit, limit),
        "allowed_mime_types": None if allowed is None else check_mime_rules(allowed),
    }
    await transaction.run(INSERT, values)


async def update(transaction: Transaction, bucket: str, body: UpdateBucketRequest, limit: int) -> None:
    """Change a bucket. `limit` is the server's own, in bytes. Raises NoSuchBucket where the caller may not."""
    size, allowed = body.file_size_limit, body.allowed_mime_types
    values: dict[str, Any] = {
        "id": bucket,
        "public": body.public,
        "has_limit": size is not msgspec.UNSET,
        "file_size_limit": None if isinstance(size, msgspec.UnsetType) else _file_size(size, limit),
        "has_rules": allowed is not msgspec.UNSET,
        "allowed_mime_types": check_mime_rules(allowed) if isinstance(allowed, list) else None,
    }
    if not await transaction.run(UPDATE, values):
        raise no_such_bucket()


async def delete(transaction: Transaction, bucket: str) -> None:
    """Delete an empty bucket. Raises NoSuchBucket where the caller may not."""
    if not await transaction.run(DELETE, {"id": bucket}):
        raise no_such_bucket()


def _file_size(value: int | str | None, limit: int) -> int | None:
    if value is None:
        return None
    size = parse_file_size(value)
    if size > limit:
        raise too_large()
    return size


def _number(query: dict[str, str], name: str, *, minimum: int) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < minimum:
        raise invalid_parameter(f"{name} must be a number, {minimum} or more")
    return int(text)
