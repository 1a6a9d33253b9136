"""A file passes through the edge piece by piece."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
from litestar.response import Stream

from edge.media.serving import serve
from edge.media.types import Served
from edge.storage import CHUNK

PIECES = 2048


class _Pieces(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number in range(PIECES):
            yield bytes([number % 256]) * CHUNK


def test_a_large_file_needs_little_memory() -> None:
    size = PIECES * CHUNK
    served = Served(
        name="a.mp4", mime_type="video/mp4", size_bytes=size, sha256="0" * 64, ready_at=datetime(2030, 1, 1, tzinfo=UTC)
    )

    async def open_(_part: str) -> httpx.Response:
        return httpx.Response(200, stream=_Pieces())

    async def read() -> int:
        answer = await serve({}, served, open_, is_head=False, caching="private")
        assert isinstance(answer, Stream)
        total = 0
        pieces = answer.iterator
        assert isinstance(pieces, AsyncIterator)
        async for piece in pieces:
            total += len(piece)
        return total

    tracemalloc.start()
    try:
        assert asyncio.run(read()) == size
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_nobody_opens_a_file_for_its_headers() -> None:
    async def open_(_part: str) -> httpx.Response:
        raise AssertionError

    served = Served(
        name="a", mime_type="video/mp4", size_bytes=9, sha256="0" * 64, ready_at=datetime(2030, 1, 1, tzinfo=UTC)
    )
    answer = asyncio.run(serve({"range": "bytes=2-4"}, served, open_, is_head=True, caching="private"))
    assert (answer.status_code, answer.headers["content-length"]) == (206, "3")
