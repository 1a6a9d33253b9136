"""Printing with typst. Text is handed over as data and never becomes typst source."""

import asyncio
import hashlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import msgspec
import segno
import structlog
import typst

from edge.documents.types import Words
from edge.errors import EdgeError

log = structlog.get_logger()

TEMPLATES = Path(__file__).parent / "templates"
"""All that a template can read: typst refuses every path outside."""
FONTS = ("manimgx_fonts", "manimgx_fonts_cjk")
"""Packages that hold nothing but fonts: Noto Sans for every script that a name may be in. Typst brings the serif.

What the machine has installed is not looked at: a document looks alike wherever it is printed."""
TIME_CAP = 10.0
"""Seconds for one document, waiting included. It takes milliseconds where nothing is wrong."""
INK = "#1d2b3a"
"""The QR code's colour: the templates' ink."""
KEPT = 256
"""Documents that are kept when they are printed: some ten megabytes."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document ready to print: its template and words, its link, its date, and the tag by which browsers know it."""

    template: str
    data: str
    link: str
    issued_at: datetime
    etag: str


class Printer:
    """Prints documents, one after another in a thread of its own, where the fonts stay loaded.

    One thread, because a typst compiler serves one caller at a time; it gives the interpreter free while it works.
    """

    def __init__(self, public_url: str, *, time_cap: float = TIME_CAP) -> None:
        self.public_url = public_url
        self._time_cap = time_cap
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="printer")
        self._compiler = self._thread.submit(self._prepare)
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        # Whatever makes another file of the same words.
        sources = (template.read_bytes() for template in sorted(TEMPLATES.iterdir()))
        versions = " ".join(version(name) for name in ("typst", "segno", *FONTS))
        self._version = b"".join(sources) + versions.encode()

    def close(self) -> None:
        """Let the document under way finish and forget those that wait."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def compose(self, template: str, words: Words, issued_at: datetime, link: str = "") -> Document:
        """Put a document together. The same words give the same document, byte for byte.

        Args:
            template: its name without the ending.
            words: what it sets, as the template calls it.
            issued_at: its date.
            link: where its QR code leads, if it has one.
        """
        data = msgspec.json.encode(words)
        moment = issued_at.astimezone(UTC).isoformat()
        tag = hashlib.sha256(self._version + f"{template}{link}{moment}".encode() + data).hexdigest()[:32]
        return Document(template=template, data=data.decode(), link=link, issued_at=issued_at, etag=f'"{tag}"')

    async def render(self, document: Document) -> bytes:
        """The document as PDF; what was printed lately is at hand. Whoever asks has shown before that he may read it.

        Raises:
            EdgeError: 503 `document_timeout`, it took longer than the time cap.
        """
        if document.etag in self._kept:
            self._kept.move_to_end(document.etag)
            return self._kept[document.etag]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._time_cap):
                printed = await loop.run_in_executor(self._thread, self._print, document)
        except TimeoutError:
            log.error("document_timeout", seconds=self._time_cap)  # noqa: TRY400  the stack says nothing here
            raise EdgeError(
                503, "document_timeout", "The document could not be printed in time.", "Try again."
            ) from None
        self._kept[document.etag] = printed
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return printed

    @staticmethod
    def _prepare() -> typst.Compiler:
        fonts = [Path(str(files(name))) for name in FONTS]
        return typst.Compiler(root=TEMPLATES, font_paths=fonts, ignore_system_fonts=True)

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
