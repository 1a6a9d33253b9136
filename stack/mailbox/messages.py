"""Reading mail, even malformed: every accepted mail can be listed and shown."""

import email
import email.policy
import re
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import TypeVar

import msgspec

T = TypeVar("T")

ENVELOPE = b"X-Envelope: "
URL = re.compile(r"https?://[^\s<>\"'\\^`{|}]+", re.IGNORECASE)
AFTER_A_URL = ".,;:!?)]*"
"""Characters that end a sentence after a URL rather than the URL."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A mail in a list."""

    id: str
    sender: str = msgspec.field(name="from")
    """The From header, else the envelope's sender."""
    to: tuple[str, ...]
    """The envelope's recipients, blind copies included."""
    subject: str
    received_at: datetime


class Message(Summary, frozen=True, kw_only=True):
    """A mail with its contents."""

    text: str
    html: str
    links: tuple[str, ...]
    """Every web address in the HTML and in the text, in that order, once each."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Sender and recipients, as given over SMTP."""

    sender: str = ""
    recipients: tuple[str, ...] = ()


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it is stored: the envelope in one header line before the content."""

    id: str
    received_at: datetime
    content: bytes

    @staticmethod
    def encode(envelope: Envelope, content: bytes) -> bytes:
        """The file's bytes."""
        return ENVELOPE + msgspec.json.encode(envelope) + b"\r\n" + content

    def summary(self) -> Summary:
        """The mail in a list."""
        return self._summary(self._parse())

    def message(self) -> Message:
        """The whole mail."""
        parsed = self._parse()
        summary = self._summary(parsed)
        text, html = _body(parsed, "plain"), _body(parsed, "html")
        return Message(
            **{name: getattr(summary, name) for name in Summary.__struct_fields__},
            text=text,
            html=html,
            links=_links(text, html),
        )

    def _parse(self) -> EmailMessage:
        return email.message_from_bytes(self.content, policy=email.policy.default)

    def _summary(self, parsed: EmailMessage) -> Summary:
        # The first line is ours. The sender may have written the same header further down.
        line = self.content.partition(b"\r\n")[0].removeprefix(ENVELOPE)
        envelope = _attempt(lambda: msgspec.json.decode(line, type=Envelope), Envelope())
        return Summary(
            id=self.id,
            sender=_header(parsed, "From") or envelope.sender,
            to=envelope.recipients,
            subject=_header(parsed, "Subject"),
            received_at=self.received_at,
        )


class _Hrefs(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value and URL.match(value)]


def _header(parsed: EmailMessage, name: str) -> str:
    return _attempt(lambda: str(parsed[name] or ""), "")


def _body(parsed: EmailMessage, kind: str) -> str:
    part = _attempt(lambda: parsed.get_body((kind,)), None)
    if part is None:
        return ""

    def declared() -> str | None:
        return str(part.get_content()) if part.get_content_charset() else None

    def utf8() -> str:
        payload = part.get_payload(decode=True)
        return payload.decode(errors="replace") if isinstance(payload, bytes) else ""

    # The character set may be missing, unknown or wrong.
    return (_attempt(declared, None) or _attempt(utf8, "")).replace("\r\n", "\n")


def _links(text: str, html: str) -> tuple[str, ...]:
    def hrefs() -> list[str]:
        parser = _Hrefs()
        parser.feed(html)
        return parser.found

    in_text = [url.rstrip(AFTER_A_URL) for url in URL.findall(text)]
    return tuple(dict.fromkeys([*_attempt(hrefs, list[str]()), *in_text]))


def _attempt(read: Callable[[], T], default: T) -> T:
    try:
        return read()
    except Exception:  # noqa: BLE001 -- the standard library's parsers raise anything on hostile mail
        return default
