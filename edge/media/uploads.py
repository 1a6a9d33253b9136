"""Receiving files: what Storage holds is read and checked, or what a form holds is checked and stored."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from postgrest import AsyncPostgrestClient

from edge.auth import Caller
from edge.database import Database
from edge.errors import EdgeError, error
from edge.media import content
from edge.media.content import Found
from edge.media.types import Check
from edge.storage import Storage

Reserve = Callable[[dict[str, Any]], Awaitable[Any]]
IN_MEMORY = frozenset({"image", "caption"})
"""Kinds that are decoded whole, and bounded to 20 MB."""
DECODERS = asyncio.Semaphore(2)
"""A picture needs up to 160 MB while it is decoded."""


async def inspect(data: bytes, declared: str) -> Found:
    """Check a file in a thread, few at a time."""
    async with DECODERS:
        return await asyncio.to_thread(content.inspect, data, declared)


async def complete(caller: Caller, media_id: str, database: Database, storage: Storage) -> dict[str, Any]:
    """Check what was uploaded to a reserved path, and record the result.

    Raises:
        EdgeError: why it is refused; then its file is removed.
    """
    begun = await database.call("begin_media_check", p_user_id=caller.user_id, p_media_id=media_id)
    check = msgspec.convert(begun, Check)
    try:
        found = await _read(caller, check, storage)
    except EdgeError as refusal:
        if refusal.status < 500:
            await _finish(database, caller, check, {}, refusal.body.message)
        raise
    return await _finish(database, caller, check, found)


async def _read(caller: Caller, check: Check, storage: Storage) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    kept = bytearray()
    most = check.size_bytes if check.kind in IN_MEMORY else content.HEAD
    async with storage.chunks(caller, check.bucket_id, check.path) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > check.size_bytes:
                raise error("media_size_refused", check.size_bytes)
            digest.update(chunk)
            kept += chunk[: max(most - len(kept), 0)]
    if not size:
        raise error("media_damaged")
    found = (
        await inspect(bytes(kept), check.mime_type)
        if check.kind in IN_MEMORY
        else Found(mime_type=content.check_head(bytes(kept), check.mime_type))
    )
    if found.content is None:
        return _describe(found, size, digest.hexdigest())
    await storage.upload(caller, check.bucket_id, check.clean_path, found.content, found.mime_type)
    described = _describe(found, len(found.content), hashlib.sha256(found.content).hexdigest())
    return {**described, "is_clean": True}


def _describe(found: Found, size: int, sha256: str) -> dict[str, Any]:
    known = {"width": found.width, "height": found.height} if found.width is not None else {}
    return {"mime_type": found.mime_type, "size_bytes": size, "sha256": sha256, **known}


async def _finish(
    database: Database, caller: Caller, check: Check, found: dict[str, Any], refusal: str | None = None
) -> dict[str, Any]:
    await database.call(
        "finish_media_check",
        p_user_id=caller.user_id,
        p_media_id=check.id,
        p_version=check.version,
        p_found=found,
        p_refusal=refusal,
    )
    return found


async def store(
    caller: Caller,
    rest: AsyncPostgrestClient,
    database: Database,
    storage: Storage,
    *,
    name: str,
    declared: str,
    data: bytes,
    reserve: Reserve,
) -> dict[str, Any]:
    """Check a file that is in memory, and store it where nothing is wrong with it.

    Args:
        caller: who uploads.
        rest: the caller's own.
        database: of the edge.
        storage: where it goes.
        name: of the file, without folders.
        declared: its type, as the caller says.
        data: its bytes.
        reserve: reserves a file of this name, type and size.

    Returns:
        The row of `media_objects`.

    Raises:
        EdgeError: why it is refused; then nothing is stored.
    """
    found = await inspect(data, declared)
    clean = found.content or data
    wanted = {"name": name, "mime_type": found.mime_type, "size_bytes": len(clean)}
    reserved = (await reserve(wanted)).data
    try:
        await storage.upload(caller, reserved["bucket_id"], reserved["path"], clean, found.mime_type)
    except EdgeError:
        await rest.rpc("delete_media", {"media_id": reserved["id"]}).execute()
        raise
    begun = await database.call("begin_media_check", p_user_id=caller.user_id, p_media_id=reserved["id"])
    described = _describe(found, len(clean), hashlib.sha256(clean).hexdigest())
    await _finish(database, caller, msgspec.convert(begun, Check), described)
    return await row(rest, reserved["id"])


async def row(rest: AsyncPostgrestClient, media_id: str) -> dict[str, Any]:
    """The row of a file that the caller may read.

    Raises:
        EdgeError: 404 `media_not_found`, 410 `media_deleted`.
    """
    found: Any = (await rest.from_("media_objects").select("*").eq("id", media_id).execute()).data
    if not found:
        raise error("media_not_found")
    if found[0]["status"] == "deleted":
        raise error("media_deleted")
    media: dict[str, Any] = found[0]
    return media
