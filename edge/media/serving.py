"""Serving a file: conditions, ranges, and bytes that pass through piece by piece."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote

import httpx
from litestar import Response
from litestar.response import Stream

from edge.errors import error
from edge.media.types import Served
from edge.storage import CHUNK

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
Source = Callable[[str], Awaitable[httpx.Response]]
"""Opens a file in storage: all of it, or the part that a Range header names."""


def etag_of(served: Served) -> str:
    """The strong ETag of a file: its digest."""
    return f'"{served.sha256}"'


def choose_part(headers: Mapping[str, str], served: Served) -> tuple[int, int] | None:
    """The first and last byte to serve, or None for all of them (RFC 9110, 13.1.5 and 14).

    Raises:
        EdgeError: 416 `range_not_satisfiable`.
    """
    found = RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or found.groups() == ("", ""):
        return None  # none, of another unit, several, or wrong: the whole file is a valid answer
    condition = headers.get("if-range", "").strip()
    if condition and condition != etag_of(served) and _date(condition) != _modified(served):
        return None
    size = served.size_bytes
    first, last = found.groups()
    if first and last and int(last) < int(first):
        return None
    if not first:
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    if start >= size:
        raise error("range_not_satisfiable", headers={"content-range": f"bytes */{size}"})
    return start, end


def is_unchanged(headers: Mapping[str, str], served: Served) -> bool:
    """Whether the caller's copy is current (RFC 9110, 13.2.2).

    Raises:
        EdgeError: 412 `precondition_failed`.
    """
    etag, modified = etag_of(served), _modified(served)
    if "if-match" in headers:
        if not _names(headers["if-match"], etag, is_weak=False):
            raise error("precondition_failed")
    elif (before := _date(headers.get("if-unmodified-since", ""))) is not None and modified > before:
        raise error("precondition_failed")
    if "if-none-match" in headers:
        return _names(headers["if-none-match"], etag, is_weak=True)
    since = _date(headers.get("if-modified-since", ""))
    return since is not None and modified <= since


async def serve(
    headers: Mapping[str, str], served: Served, source: Source, *, is_head: bool, caching: str
) -> Response[bytes] | Stream:
    """The answer to a GET or HEAD of a file.

    Args:
        headers: of the request.
        served: the file.
        source: opens it, for a Range header or for none.
        is_head: whether nobody reads the body.
        caching: the Cache-Control of the answer.

    Raises:
        EdgeError: 412 `precondition_failed`, 416 `range_not_satisfiable`, 503 `storage_unavailable`.
    """
    common = {
        "accept-ranges": "bytes",
        "etag": etag_of(served),
        "last-modified": format_datetime(_modified(served), usegmt=True),
        "cache-control": caching,
        # Any teacher may have uploaded it: a browser must not run it.
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "cross-origin",
    }
    if is_unchanged(headers, served):
        return Response(b"", status_code=304, headers=common)
    part = choose_part(headers, served)
    first, last = part or (0, served.size_bytes - 1)
    common["content-length"] = str(last - first + 1)
    common["content-disposition"] = _disposition(served)
    if part is not None:
        common["content-range"] = f"bytes {first}-{last}/{served.size_bytes}"
    status = 200 if part is None else 206
    if is_head:
        return Response(b"", status_code=status, media_type=served.mime_type, headers=common)
    answer = await source("" if part is None else f"bytes={first}-{last}")
    return Stream(_bytes(answer), status_code=status, media_type=served.mime_type, headers=common)


async def _bytes(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw(CHUNK):
            yield chunk
    finally:
        await answer.aclose()


def _modified(served: Served) -> datetime:
    return served.ready_at.astimezone(UTC).replace(microsecond=0)


def _date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value).astimezone(UTC) if value else None
    except ValueError:
        return None


def _names(condition: str, etag: str, *, is_weak: bool) -> bool:
    tags = [tag.strip() for tag in condition.split(",")]
    return "*" in tags or etag in ([tag.removeprefix("W/") for tag in tags] if is_weak else tags)


def _disposition(served: Served) -> str:
    kind = "attachment" if served.purpose == "download" else "inline"
    return f"{kind}; filename*=UTF-8''{quote(served.name, safe='')}"
