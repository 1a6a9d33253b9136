"""Printing with typst. Text is passed as data and never becomes typst source."""

import asyncio
import hashlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import segno
import structlog
import typst

from edge.documents import fonts
from edge.documents.types import Content
from edge.errors import error

log = structlog.get_logger()

TEMPLATES = Path(__file__).parent / "templates"
"""The only files that a template can read: typst refuses every path outside."""
TIME_CAP = 10.0
"""Seconds for one document, waiting included. Normally it takes milliseconds."""
INK = "#1d2b3a"
"""The colour of the QR code: the templates' ink."""
CACHED = 256
"""Printed documents that are kept: some ten megabytes."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document ready to print: its template and content, its link, its date, and its ETag."""

    template: str
    data: str
    link: str
    issued_at: datetime
    etag: str


class Printer:
    """Prints documents, one after another in a thread of its own, where the fonts stay loaded.

    One thread, because a typst compiler serves one caller at a time; it releases the interpreter's lock while it works.
    """

    def __init__(self, public_url: str, *, time_cap: float = TIME_CAP) -> None:
        """Begin to load the fonts.

        Raises:
            FileNotFoundError: fonts are not installed.
        """
        self.public_url = public_url
        self._time_cap = time_cap
        # typst opens a font when a document first needs it.
        self._unwrapped = TemporaryDirectory(prefix="guildhall-fonts-")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="printer")
        self._compiler = self._thread.submit(self._prepare)
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        # What changes the file although its content is the same.
        sources = (template.read_bytes() for template in sorted(TEMPLATES.iterdir()))
        versions = f"{version('typst')} {version('segno')} {fonts.versions()}"
        self._version = b"".join(sources) + versions.encode()

    def close(self) -> None:
        """Finish the document in progress and cancel those that wait."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._unwrapped.cleanup()

    def compose(self, template: str, content: Content, issued_at: datetime, link: str = "") -> Document:
        """Compose a document. The same content gives the same document, byte for byte.

        Args:
            template: its name without the suffix.
            content: the values that it prints.
            issued_at: its date.
            link: the target of its QR code, if it has one.
        """
        data = msgspec.json.encode(content)
        moment = issued_at.astimezone(UTC).isoformat()
        tag = hashlib.sha256(self._version + f"{template}{link}{moment}".encode() + data).hexdigest()[:32]
        return Document(template=template, data=data.decode(), link=link, issued_at=issued_at, etag=f'"{tag}"')

    async def render(self, document: Document) -> bytes:
        """The document as PDF, from the cache where it was printed lately. The caller's right to read it was checked.

        Raises:
            EdgeError: 503 `document_timeout`, it took longer than the time cap.
        """
        if document.etag in self._cache:
            self._cache.move_to_end(document.etag)
            return self._cache[document.etag]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._time_cap):
                printed = await loop.run_in_executor(self._thread, self._print, document)
        except TimeoutError:
            log.error("document_timeout", seconds=self._time_cap)  # noqa: TRY400  the traceback says nothing here
            raise error("document_timeout") from None
        self._cache[document.etag] = printed
        if len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return printed

    def _prepare(self) -> typst.Compiler:
        fonts.unwrap(Path(self._unwrapped.name))
        paths = [*fonts.folders(), Path(self._unwrapped.name)]
        return typst.Compiler(root=TEMPLATES, font_paths=paths, ignore_system_fonts=True)

    def _print(self, document: Document) -> bytes:
        code = segno.make(document.link, error="m", micro=False).svg_inline(border=0, dark=INK) if document.link else ""
        printed = self._compiler.result().compile(
            TEMPLATES / f"{document.template}.typ",
            format="pdf",
            sys_inputs={"data": document.data, "qr": code},
            timestamp=int(document.issued_at.timestamp()),
        )
        if not isinstance(printed, bytes):
            raise TypeError("typst made no PDF of one file")
        return printed
