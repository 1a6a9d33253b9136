"""Requests and responses: the part of HTTP that the storage server needs, on plain ASGI."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qs, unquote_to_bytes

import msgspec

from stack.storage.errors import StorageError, invalid_request, too_large
from stack.storage.files import READ_BYTES

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Body = TypeVar("Body")

JSON_BYTES = 1 << 20
DRAIN_BYTES = 256 << 20
DRAIN_SECONDS = 2.0
SILENCE_SECONDS = 60.0
"""How long a client may pause within its body."""


class ClientDisconnectedError(Exception):
    """The client disconnected before its request was complete."""


class Request:
    """One request."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        raw_path: bytes = scope["raw_path"]
        self.path = raw_path.decode("ascii", "replace")
        """As the client sent it, still percent-encoded."""
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        query: bytes = scope["query_string"]
        self.query = {
            name: values[0]
            for name, values in parse_qs(query.decode("ascii", "replace"), keep_blank_values=True).items()
        }
        self._receive = receive
        self._begun = False
        self._ended = False

    @property
    def content_length(self) -> int | None:
        """The length that the client declared, or None."""
        declared = self.headers.get("content-length", "")
        return int(declared) if declared.isascii() and declared.isdecimal() else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives.

        Raises:
            ClientDisconnectedError: the client disconnected before it was complete.
            StorageError: RequestTimeout, where the client sent nothing for too long.
        """
        while not self._ended:
            self._begun = True
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    message = await self._receive()
            except TimeoutError as error:
                raise StorageError(408, "RequestTimeout", "The rest of the body did not come") from error
            if message["type"] == "http.disconnect":
                self._ended = True
                raise ClientDisconnectedError
            self._ended = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk

    async def json(self, shape: type[Body]) -> Body:
        """The body as JSON of a shape. As at Supabase, text that holds a number is accepted as a number.

        Raises:
            StorageError: InvalidRequest where it has another shape; EntityTooLarge.
        """
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > JSON_BYTES:
                raise too_large("request")
        try:
            return msgspec.json.decode(bytes(body) or b"{}", type=shape, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise invalid_request(f"The body is not as it must be: {error}") from error

    async def drain(self) -> bool:
        """Read the rest of a refused body, so that the client comes to read the answer.

        Returns:
            Whether it ended. A body that is too long or too slow is abandoned.
        """
        if not self._begun and "expect" in self.headers:
            return False  # the client waits for 100 Continue before it sends the body
        if (self.content_length or 0) > DRAIN_BYTES:
            return False
        taken = 0
        with contextlib.suppress(TimeoutError, ClientDisconnectedError):
            async with asyncio.timeout(DRAIN_SECONDS):
                async for chunk in self.chunks():
                    taken += len(chunk)
                    if taken > DRAIN_BYTES:
                        break
        return self._ended


def decode_path(encoded: str) -> str | None:
    """A part of a path without its percent-encoding, or None where it is not UTF-8."""
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return None


class Response:
    """A response of bytes in memory."""

    def __init__(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers or {})

    async def send(self, send: Send) -> None:
        """Send it."""
        await send(_start(self.status, {"content-length": str(len(self.body)), **self.headers}))
        await send({"type": "http.response.body", "body": self.body})


class FileResponse(Response):
    """A response that streams a part of an open file, and closes it."""

    def __init__(self, status: int, file: BinaryIO, start: int, length: int, headers: Mapping[str, str]) -> None:
        super().__init__(status, headers={**headers, "content-length": str(length)})
        self._file = file
        self._start = start
        self._length = length

    async def send(self, send: Send) -> None:
        """Send it in pieces."""
        left = self._length
        try:
            await send(_start(self.status, self.headers))
            await asyncio.to_thread(self._file.seek, self._start)
            while left:
                piece = await asyncio.to_thread(self._file.read, min(left, READ_BYTES))
                if not piece:
                    raise OSError("the file is shorter than it was")
                left -= len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
            if not self._length:
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._file.close()


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    plain = msgspec.to_builtins(value, builtin_types=(datetime,))
    body = json.dumps(plain, default=timestamp, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, body, {"content-type": "application/json; charset=utf-8", **(headers or {})})


def timestamp(moment: datetime) -> str:
    """A time in the form of Supabase's answers, which is JavaScript's: UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error_response(error: StorageError) -> Response:
    """The response of a refusal."""
    return json_response(error.body(), error.http_status, {"cache-control": "no-store", **error.headers})


def _start(status: int, headers: Mapping[str, str]) -> Message:
    # A browser must not guess another type for an upload, or for a name that an error repeats.
    all_headers = {"x-content-type-options": "nosniff", **headers}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in all_headers.items()]
    return {"type": "http.response.start", "status": status, "headers": encoded}
