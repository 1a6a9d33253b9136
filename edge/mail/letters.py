"""Composing mails: words from a template, in text and in HTML, and a message around them.

A template is a folder of three files, `subject.txt`, `body.txt` and `body.html`. It sees `name` (of whoever gets the
mail), `sender`, `subject`, `settings_url` and the parameters that were enqueued; one that it names and does not get is
an error. Whatever it prints is one line without controls, and escaped in HTML: text of several lines goes through
`lines`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from edge.mail.types import Letter, Sender, Words
from edge.text import printable

TEMPLATES = Path(__file__).parent / "templates"
LAYOUTS = "_layouts"
"""The one folder there that is no template."""
LONGEST = 5000
"""Letters of one line."""


def compose(letter: Letter, sender: Sender) -> EmailMessage:
    """The message to send. The same letter has the same Message-ID each time, so that mailboxes can tell a repetition.

    Raises:
        jinja2.TemplateError: there is no such template, or it names what it did not get.
        ValueError: the address is none.
    """
    words = render(letter, sender)
    message = EmailMessage()
    message["From"] = Address(display_name=sender.name, addr_spec=sender.address)
    message["To"] = Address(display_name=printable(letter.display_name), addr_spec=letter.address)
    message["Subject"] = words.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{letter.message_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if not letter.is_mandatory:
        message["List-Unsubscribe"] = f"<{settings_url(letter, sender)}>"
    message.set_content(words.text)
    message.add_alternative(words.html, subtype="html")
    return message


def render(letter: Letter, sender: Sender) -> Words:
    """What a mail says.

    Raises:
        jinja2.TemplateError: there is no such template, or it names what it did not get.
    """
    seen = {
        **letter.params,
        "name": letter.display_name,
        "sender": sender,
        "is_mandatory": letter.is_mandatory,
        "settings_url": settings_url(letter, sender),
    }
    subject = printable(_environment.get_template(f"{letter.template}/subject.txt").render(seen))
    text, html = (
        _environment.get_template(f"{letter.template}/body.{form}").render(seen, subject=subject)
        for form in ("txt", "html")
    )
    return Words(subject=subject, text=text, html=html)


def settings_url(letter: Letter, sender: Sender) -> str:
    """Where a person says what to be mailed about."""
    return f"{sender.site}/settings/notifications?topic={letter.topic}"


def templates() -> set[str]:
    """The names of all templates."""
    return {folder.name for folder in TEMPLATES.iterdir() if folder.is_dir()} - {LAYOUTS}


def _one_line(value: Any) -> Any:
    return printable(value, LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lines(text: str) -> Iterator[str]:
    """The lines of a text that somebody wrote, without the empty ones."""
    return (line for line in text.splitlines() if line.strip())


def _moment(text: str) -> str:
    """An instant as JSON has it, for people."""
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    finalize=_one_line,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_environment.filters["lines"] = _lines
_environment.filters["moment"] = _moment
