"""Printing with typst. Text is handed over as data and never becomes typst source."""

import asyncio
import hashlib
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import msgspec
import segno
import structlog
import typst

from edge.documents.types import Certificate
from edge.errors import EdgeError

log = structlog.get_logger()

TEMPLATES = Path(__file__).parent / "templates"
"""All that a template can read: typst refuses every path outside."""
TEMPLATE = TEMPLATES / "certificate.typ"
TIME_CAP = 10.0
"""Seconds for one document, waiting included. It takes milliseconds where nothing is wrong."""
INK = "#1d2b3a"
"""The QR code's colour: the template's ink."""
LONGEST = 500
"""Letters of one text that are set; the database allows fewer. A render cannot be stopped, so it is kept short."""
JOINERS = "\u200c\u200d"
"""Invisible, but part of how Persian, Hindi and emoji are written."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document ready to print: its words, its link, its date, and the tag by which browsers know it again."""

    data: str
    link: str
    issued_at: datetime
    etag: str


class Printer:
    """Prints certificates, one after another in a thread of its own, where the fonts stay loaded.

    One thread, because a typst compiler serves one caller at a time; it gives the interpreter free while it works.
    """

    def __init__(self, public_url: str, *, time_cap: float = TIME_CAP) -> None:
        self._public_url = public_url
        self._time_cap = time_cap
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="printer")
        self._compiler = self._thread.submit(typst.Compiler, TEMPLATE, root=TEMPLATES)
        # Whatever makes another file of the same words.
        self._version = TEMPLATE.read_bytes() + f"{version('typst')} {version('segno')}".encode()

    def close(self) -> None:
        """Let the document under way finish and forget those that wait."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def compose(self, certificate: Certificate, issued_at: datetime) -> Document:
        """Put together what the certificate says. The same certificate gives the same document, byte for byte."""
        link = f"{self._public_url}/verify/{quote(certificate.code, safe='')}"
        score = certificate.score_percent
        day = issued_at.astimezone(UTC)
        words = {
            "holder": printable(certificate.holder_name),
            "course": printable(certificate.course_title),
            "creator": printable(certificate.creator_name or ""),
            "score": "" if score is None else f"{score:.10g}",
            "date": [day.year, day.month, day.day],
            "code": printable(certificate.code),
            "link": link,
            "address": link.partition("://")[2],
        }
        data = msgspec.json.encode(words)
        tag = hashlib.sha256(self._version + data + issued_at.isoformat().encode()).hexdigest()[:32]
        return Document(data=data.decode(), link=link, issued_at=issued_at, etag=f'"{tag}"')

    async def render(self, document: Document) -> bytes:
        """The document as PDF.

        Raises:
            EdgeError: 503 `document_timeout`, it took longer than the time cap.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._time_cap):
                return await loop.run_in_executor(self._thread, self._print, document)
        except TimeoutError:
            log.error("document_timeout", seconds=self._time_cap)  # noqa: TRY400  the stack says nothing here
            raise EdgeError(
                503, "document_timeout", "The document could not be printed in time.", "Try again."
            ) from None

    def _print(self, document: Document) -> bytes:
        code = segno.make(document.link, error="m", micro=False)
        printed = self._compiler.result().compile(
            format="pdf",
            sys_inputs={"data": document.data, "qr": code.svg_inline(border=0, dark=INK)},
            timestamp=int(document.issued_at.timestamp()),
        )
        if not isinstance(printed, bytes):
            raise TypeError("typst made no PDF of one file")
        return printed


def printable(text: str) -> str:
    """The text in one line, without controls and without marks that turn the direction of what follows."""
    line = " ".join("".join(_visible(letter) for letter in unicodedata.normalize("NFC", text)).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _visible(letter: str) -> str:
    match unicodedata.category(letter):
        case "Cc":
            return " "
        case "Cf" if letter not in JOINERS:
            return ""
        case _:
            return letter
