"""What a client sends when it uploads: the bytes, raw or in a form, and what it says of them."""

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import multipart  # type: ignore[import-untyped]

from stack.storage.errors import StorageError, invalid_parameter, invalid_request, too_large
from stack.storage.files import Draft, Files
from stack.storage.http import Request
from stack.storage.names import check_encoding, check_header, check_mime_type

FORM_FIELDS = 10
FORM_FIELD_BYTES = 1 << 20
DEFAULT_TYPE = "application/octet-stream"
DEFAULT_CACHING = "no-cache"
HEAD_BYTES = 512
"""How much of a file its type is judged by."""


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What the client says of a file before its bytes come."""

    mime_type: str
    size: int | None
    """Where it is known exactly."""
    user_metadata: dict[str, Any] | None


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that arrived, and what the client says of it."""

    draft: Draft
    mime_type: str
    cache_control: str
    encoding: str | None
    user_metadata: dict[str, Any] | None

    def metadata(self, modified: str) -> dict[str, Any]:
        """What its row holds as metadata.

        Args:
            modified: the time now, ISO 8601.
        """
        metadata = {
            "eTag": self.draft.etag,
            "size": self.draft.size,
            "mimetype": self.mime_type,
            "cacheControl": self.cache_control,
            "lastModified": modified,
            "contentLength": self.draft.size,
            "httpStatusCode": 200,
        }
        return metadata if self.encoding is None else {**metadata, "contentEncoding": self.encoding}


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What a file must pass to be taken in."""

    limit: int
    """Bytes."""
    admit: Callable[[Declared], Awaitable[None]]
    """Refuses by what is declared, before any byte is stored."""
    inspect: Callable[[str, bytes], None]
    """Refuses by the declared type and the first bytes."""


async def receive(request: Request, files: Files, gate: Gate) -> Upload:
    """Take in the file of an upload.

    Raises:
        StorageError: the gate refused it, or the request is malformed.
        ClientLeftError: the client went away; nothing is left of it.
    """
    media_type, options = multipart.parse_options_header(request.headers.get("content-type", ""))
    if media_type == "multipart/form-data":
        return await _receive_form(request, files, gate, options.get("boundary", ""))
    return await _receive_raw(request, files, gate)


async def _receive_raw(request: Request, files: Files, gate: Gate) -> Upload:
    size = request.content_length
    if size is not None and size > gate.limit:
        raise too_large()
    mime_type = check_mime_type(request.headers.get("content-type", DEFAULT_TYPE))
    cache_control = check_header(request.headers.get("cache-control", DEFAULT_CACHING), "Cache-Control")
    encoding = check_encoding(request.headers.get("content-encoding", ""))
    user_metadata = read_user_metadata(request)
    await gate.admit(Declared(mime_type=mime_type, size=size, user_metadata=user_metadata))
    draft = await files.receive(_inspected(request.chunks(), gate, mime_type), gate.limit)
    return Upload(
        draft=draft,
        mime_type=mime_type,
        cache_control=cache_control,
        encoding=encoding,
        user_metadata=user_metadata,
    )


async def _receive_form(request: Request, files: Files, gate: Gate, boundary: str) -> Upload:
    form = _Form(request, boundary)
    try:
        async for segment in form.segments():
            if _is_file(segment):
                await form.read_file(segment, files, gate)
            else:
                await form.read_field(segment)
        return form.upload()
    except BaseException as error:
        if form.draft is not None:
            await files.discard(form.draft)
        if isinstance(error, multipart.MultipartError):
            raise _malformed(error) from error
        raise


class _Form:
    """A multipart form, read as it arrives. Each segment's body must be read before the next segment."""

    def __init__(self, request: Request, boundary: str) -> None:
        if not boundary:
            raise invalid_request("The form has no boundary")
        self.draft: Draft | None = None
        self._mime_type = DEFAULT_TYPE
        self._fields: dict[str, str] = {}
        self._events = self._parse(request, boundary)

    async def segments(self) -> AsyncIterator[multipart.MultipartSegment]:
        """The head of each part."""
        async for event in self._events:
            if isinstance(event, multipart.MultipartSegment):
                yield event

    async def read_file(self, segment: multipart.MultipartSegment, files: Files, gate: Gate) -> None:
        """Take a part in as the file."""
        if self.draft is not None:
            raise invalid_request("The form has more than one file")
        declared = self._fields.get("contentType") or segment.header("Content-Type") or DEFAULT_TYPE
        self._mime_type = check_mime_type(declared)
        await gate.admit(Declared(mime_type=self._mime_type, size=None, user_metadata=self._user_metadata()))
        self.draft = await files.receive(_inspected(self._body(), gate, self._mime_type), gate.limit)

    def upload(self) -> Upload:
        """What the whole form says."""
        if self.draft is None:
            raise invalid_request("The form has no file")
        seconds = self._fields.get("cacheControl")
        return Upload(
            draft=self.draft,
            mime_type=self._mime_type,
            cache_control=check_header(f"max-age={seconds}", "cacheControl") if seconds else DEFAULT_CACHING,
            encoding=check_encoding(self._fields.get("contentEncoding", "")),
            user_metadata=self._user_metadata(),
        )

    def _user_metadata(self) -> dict[str, Any] | None:
        return _metadata(self._fields.get("metadata") or self._fields.get("userMetadata"))

    async def _body(self) -> AsyncIterator[bytes]:
        """The bytes of the part whose head came last."""
        async for event in self._events:
            if not isinstance(event, bytes | bytearray):
                return
            yield bytes(event)

    async def read_field(self, segment: multipart.MultipartSegment) -> None:
        """Take a part in as a text field."""
        value = bytearray()
        async for chunk in self._body():
            value += chunk
            if len(value) > FORM_FIELD_BYTES:
                raise too_large("form field")
        try:
            self._fields.setdefault(segment.name, value.decode())
        except UnicodeDecodeError as error:
            raise invalid_request("A field of the form is not UTF-8") from error

    @staticmethod
    async def _parse(
        request: Request, boundary: str
    ) -> AsyncIterator[multipart.MultipartSegment | bytes | bytearray | None]:
        with multipart.PushMultipartParser(boundary, max_segment_count=FORM_FIELDS + 1) as parser:
            async for chunk in request.chunks():
                for event in parser.parse(chunk):
                    yield event


def _is_file(segment: multipart.MultipartSegment) -> bool:
    # supabase-js sends its file without a name, and some clients without a file name.
    return segment.filename is not None or segment.name == ""


async def _inspected(chunks: AsyncIterator[bytes], gate: Gate, mime_type: str) -> AsyncIterator[bytes]:
    """The same bytes, once the first of them have passed the gate."""
    head = b""
    async for chunk in chunks:
        if len(head) < HEAD_BYTES:
            head += chunk
            if len(head) < HEAD_BYTES:
                continue
            chunk = head  # noqa: PLW2901 (what was held back goes out with it)
            gate.inspect(mime_type, head[:HEAD_BYTES])
        yield chunk
    if len(head) < HEAD_BYTES:
        gate.inspect(mime_type, head)
        if head:
            yield head


def read_user_metadata(request: Request) -> dict[str, Any] | None:
    """What the client attached in `x-metadata`: a JSON object in base64. Raises InvalidParameter."""
    encoded = request.headers.get("x-metadata")
    if not encoded:
        return None
    try:
        return _metadata(base64.b64decode(encoded, validate=True).decode())
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid_parameter("x-metadata is not JSON in base64") from error


def _metadata(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    if len(text) > FORM_FIELD_BYTES:
        raise too_large("user_metadata")
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid_parameter("metadata is not a JSON object") from error


def _malformed(error: multipart.MultipartError) -> StorageError:
    if isinstance(error, multipart.ParserLimitReached):
        return too_large("form")
    return invalid_request(f"The form is malformed: {error}")
