"""Answers with the bytes of an object: safe types, ranges, caching, attachments."""

import os
import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from stack.storage.errors import StorageError, no_such_key
from stack.storage.files import Files
from stack.storage.http import FileResponse, Request, Response
from stack.storage.names import ENCODINGS, HEADER_VALUE, MIME_TYPE, essence
from stack.storage.types import Row
from stack.storage.uploads import DEFAULT_CACHING, DEFAULT_TYPE

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

# How files of each image type begin: pieces at their offsets, any of the alternatives.
SIGNATURES: dict[str, tuple[tuple[tuple[int, bytes], ...], ...]] = {
    "image/png": (((0, b"\x89PNG\r\n\x1a\n"),),),
    "image/jpeg": (((0, b"\xff\xd8\xff"),),),
    "image/jpg": (((0, b"\xff\xd8\xff"),),),
    "image/gif": (((0, b"GIF87a"),), ((0, b"GIF89a"),)),
    "image/webp": (((0, b"RIFF"), (8, b"WEBP")),),
    "image/bmp": (((0, b"BM"),),),
    "image/tiff": (((0, b"II*\x00"),), ((0, b"MM\x00*"),)),
    "image/avif": (((4, b"ftypavif"),), ((4, b"ftypavis"),), ((4, b"ftypmif1"),)),
    "image/heic": (((4, b"ftypheic"),), ((4, b"ftypheix"),), ((4, b"ftypmif1"),)),
}


def looks_like(mime_type: str, head: bytes) -> bool:
    """Whether a file that begins so can be of the type. Types without a known beginning pass."""
    alternatives = SIGNATURES.get(essence(mime_type))
    if alternatives is None:
        return True
    return any(all(head[at : at + len(piece)] == piece for at, piece in alternative) for alternative in alternatives)


def describe(row: Row) -> dict[str, Any]:
    """The description of an object, as `info` answers it."""
    metadata = row.metadata or {}
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "bucket_id": row.bucket_id,
        "size": metadata.get("size"),
        "content_type": metadata.get("mimetype"),
        "content_encoding": metadata.get("contentEncoding"),
        "cache_control": metadata.get("cacheControl"),
        "etag": metadata.get("eTag"),
        "metadata": row.user_metadata or {},
        "last_modified": row.updated_at,
        "created_at": row.created_at,
    }


async def serve(request: Request, files: Files, row: Row, *, expires: int | None = None) -> Response | None:
    """The answer to a GET or HEAD of an object.

    Args:
        request: has Range, If-None-Match, If-Modified-Since and `?download=`.
        files: holds the bytes.
        row: the object, which the caller may read.
        expires: the end of a signed URL, in seconds since 1970.

    Returns:
        None where the row's file does not exist (any more).

    Raises:
        StorageError: NoSuchKey where the row never had a file; InvalidRange.
    """
    if row.stored is None:
        raise no_such_key()
    file = await files.read(row.stored)
    if file is None:
        return None
    try:
        size = os.fstat(file.fileno()).st_size
        headers = _headers(request, row, expires)
        if _is_unchanged(request, headers["etag"], row.updated_at):
            file.close()
            return Response(304, headers={k: v for k, v in headers.items() if k != "content-type"})
        start, length = 0, size
        part = _range(request, size, headers)
        if part is not None:
            start, length = part
            headers["content-range"] = f"bytes {start}-{start + length - 1}/{size}"
        status = 200 if part is None else 206
    except BaseException:
        file.close()
        raise
    if request.method == "HEAD":
        file.close()
        return Response(status, headers={**headers, "content-length": str(length)})
    return FileResponse(status, file, start, length, headers)


def _headers(request: Request, row: Row, expires: int | None) -> dict[str, str]:
    metadata = row.metadata or {}
    etag = metadata.get("eTag")
    headers = {
        "accept-ranges": "bytes",
        "etag": etag if isinstance(etag, str) and HEADER_VALUE.fullmatch(etag) else f'"{row.version}"',
        "last-modified": format_datetime(row.updated_at.astimezone(UTC), usegmt=True),
        **_content_type(metadata.get("mimetype")),
    }
    if metadata.get("contentEncoding") in ENCODINGS:
        headers["content-encoding"] = metadata["contentEncoding"]
    if expires is not None:
        headers["expires"] = format_datetime(datetime.fromtimestamp(expires, UTC), usegmt=True)
    else:
        caching = metadata.get("cacheControl")
        usable = isinstance(caching, str) and HEADER_VALUE.fullmatch(caching)
        headers["cache-control"] = str(caching) if usable else DEFAULT_CACHING
    download = request.query.get("download")
    if download is not None:
        name = quote(download.encode("utf-8", "replace"), safe="")
        headers["content-disposition"] = (
            f"attachment; filename={name}; filename*=UTF-8''{name}" if name else "attachment"
        )
    return headers


def _content_type(declared: Any) -> dict[str, str]:
    """The type of the answer, and headers that keep a browser from running it: any user may have uploaded it."""
    if not isinstance(declared, str) or not MIME_TYPE.fullmatch(declared):
        return {"content-type": DEFAULT_TYPE}
    kind = essence(declared)
    if "html" in kind:
        return {"content-type": "text/plain"}
    if "xml" in kind or "xsl" in kind:  # SVG among them: documents that may hold scripts
        return {"content-type": declared, "content-security-policy": SANDBOX}
    return {"content-type": declared}


def _is_unchanged(request: Request, etag: str, modified: datetime) -> bool:
    known = request.headers.get("if-none-match")
    if known is not None:
        return known.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]
    since = _date(request.headers.get("if-modified-since"))
    return since is not None and modified.replace(microsecond=0) <= since


def _range(request: Request, size: int, headers: dict[str, str]) -> tuple[int, int] | None:
    """First byte and length of the requested part; None for the whole. Raises InvalidRange."""
    requested = RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    condition = request.headers.get("if-range")
    if (
        requested is None
        or requested.groups() == ("", "")
        or condition not in (None, headers["etag"], headers["last-modified"])
    ):
        return None  # several ranges are answered with the whole, as HTTP allows
    first, last = requested.groups()
    if first == "":
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = int(first), min(int(last or size - 1), size - 1)
        if last != "" and int(last) < start:
            return None  # not a range
    if start > end:
        raise StorageError(
            416,
            "InvalidRange",
            "The range is beyond the end of the object",
            error="invalid_range",
            headers={"content-range": f"bytes */{size}", "accept-ranges": "bytes"},
            http_status=416,  # players and download tools read the status itself
        )
    return start, end - start + 1


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
