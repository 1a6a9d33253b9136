"""Uploads: the bytes, raw or in a form, and what the client declares about them."""

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
"""The first bytes of a file, which must match its type."""


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """What the client declares about a file before its bytes arrive."""

    mime_type: str
    size: int | None
    """Where it is known exactly."""
    user_metadata: dict[str, Any] | None


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that has arrived, and what the client declared about it."""

    draft: Draft
    mime_type: str
    cache_control: str
    encoding: str | None
    user_metadata: dict[str, Any] | None

    def metadata(self, modified: str) -> dict[str, Any]:
        """The metadata of its row.

        Args:
            modified: the current time, ISO 8601.
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


class UploadChecks(msgspec.Struct, frozen=True, kw_only=True):
    """The checks that a file must pass to be stored."""

    limit: int
    """Bytes."""
    check_declaration: Callable[[Declaration], Awaitable[None]]
    """Refuses by the declaration, before any byte is stored."""
    check_bytes: Callable[[str, bytes], None]
    """Refuses by the declared type and the first bytes."""


async def receive(request: Request, files: Files, checks: UploadChecks) -> Upload:
    """Receive the file of an upload.

    Raises:
        StorageError: a check refused it, or the request is malformed.
        ClientDisconnectedError: the client disconnected; nothing is stored.
    """
    media_type, options = multipart.parse_options_header(request.headers.get("content-type", ""))
    if media_type == "multipart/form-data":
        return await _receive_form(request, files, checks, options.get("boundary", ""))
    return await _receive_raw(request, files, checks)


async def _receive_raw(request: Request, files: Files, checks: UploadChecks) -> Upload:
    size = request.content_length
    if size is not None and size > checks.limit:
        raise too_large()
    mime_type = check_mime_type(request.headers.get("content-type", DEFAULT_TYPE))
    cache_control = check_header(request.headers.get("cache-control", DEFAULT_CACHING), "Cache-Control")
    encoding = check_encoding(request.headers.get("content-encoding", ""))
    user_metadata = read_user_metadata(request)
    await checks.check_declaration(Declaration(mime_type=mime_type, size=size, user_metadata=user_metadata))
    draft = await files.receive(_inspected(request.chunks(), checks, mime_type), checks.limit)
    return Upload(
        draft=draft,
        mime_type=mime_type,
        cache_control=cache_control,
        encoding=encoding,
        user_metadata=user_metadata,
    )


async def _receive_form(request: Request, files: Files, checks: UploadChecks, boundary: str) -> Upload:
    form = _Form(request, boundary)
    try:
        async for segment in form.segments():
            if _is_file(segment):
                await form.read_file(segment, files, checks)
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
        """The headers of each part."""
        async for event in self._events:
            if isinstance(event, multipart.MultipartSegment):
                yield event

    async def read_file(self, segment: multipart.MultipartSegment, files: Files, checks: UploadChecks) -> None:
        """Take a part as the file."""
        if self.draft is not None:
            raise invalid_request("The form has more than one file")
        declared = self._fields.get("contentType") or segment.header("Content-Type") or DEFAULT_TYPE
        self._mime_type = check_mime_type(declared)
        await checks.check_declaration(
            Declaration(mime_type=self._mime_type, size=None, user_metadata=self._user_metadata())
        )
        self.draft = await files.receive(_inspected(self._body(), checks, self._mime_type), checks.limit)

    def upload(self) -> Upload:
        """The declaration of the whole form."""
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
        """The bytes of the part whose headers came last."""
        async for event in self._events:
            if not isinstance(event, bytes | bytearray):
                return
            yield bytes(event)

    async def read_field(self, segment: multipart.MultipartSegment) -> None:
        """Read a part as a text field."""
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
    # supabase-js sends its file without a field name, and some clients without a file name.
    return segment.filename is not None or segment.name == ""


async def _inspected(chunks: AsyncIterator[bytes], checks: UploadChecks, mime_type: str) -> AsyncIterator[bytes]:
    """The same bytes, after the first of them have passed the check."""
    head = b""
    async for chunk in chunks:
        if len(head) < HEAD_BYTES:
            head += chunk
            if len(head) < HEAD_BYTES:
                continue
            chunk = head  # noqa: PLW2901 (what was held back goes out with it)
            checks.check_bytes(mime_type, head[:HEAD_BYTES])
        yield chunk
    if len(head) < HEAD_BYTES:
        checks.check_bytes(mime_type, head)
        if head:
            yield head


def read_user_metadata(request: Request) -> dict[str, Any] | None:
    """The client's own metadata in `x-metadata`: a JSON object in base64. Raises InvalidParameter."""
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
