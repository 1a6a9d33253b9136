"""Rendering mails: a template gives the text, in plain text and in HTML, and a message is made of it.

A template is a file `<name>.jinja` of three parts, each after a line with its name: `{# subject.txt #}`,
`{# body.txt #}` and `{# body.html #}`. It may use `name` (the recipient's), `sender`, `subject`, `settings_url` and the
parameters that were enqueued; using another one is an error. Each value is printed as one line without controls, and
escaped in HTML; the filter `lines` splits a text of several lines.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    FunctionLoader,
    StrictUndefined,
    select_autoescape,
)
from markupsafe import Markup

from common.text import printable
from edge.mail.types import OutgoingMail, RenderedMail, Sender

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".jinja"
PART = re.compile(r"^\{# (subject\.txt|body\.txt|body\.html) #\}\n", re.MULTILINE)
LONGEST = 5000
"""Characters of one line."""


def compose(mail: OutgoingMail, sender: Sender) -> EmailMessage:
    """The message to send. The same mail has the same Message-ID each time, so that mailboxes recognise a repetition.

    Raises:
        jinja2.TemplateError: there is no such template, or it uses a parameter that was not enqueued.
        ValueError: the address is not valid.
    """
    rendered = render(mail, sender)
    message = EmailMessage()
    message["From"] = Address(display_name=sender.name, addr_spec=sender.address)
    message["To"] = Address(display_name=printable(mail.display_name), addr_spec=mail.address)
    message["Subject"] = rendered.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{mail.message_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if not mail.is_mandatory:
        message["List-Unsubscribe"] = f"<{settings_url(mail, sender)}>"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    return message


def render(mail: OutgoingMail, sender: Sender) -> RenderedMail:
    """The text of a mail.

    Raises:
        jinja2.TemplateError: there is no such template, or it uses a parameter that was not enqueued.
    """
    values = {
        **mail.params,
        "name": mail.display_name,
        "sender": sender,
        "is_mandatory": mail.is_mandatory,
        "settings_url": settings_url(mail, sender),
    }
    subject = printable(_environment.get_template(f"{mail.template}/subject.txt").render(values))
    text, html = (
        _environment.get_template(f"{mail.template}/body.{form}").render(values, subject=subject)
        for form in ("txt", "html")
    )
    return RenderedMail(subject=subject, text=text, html=html)


def settings_url(mail: OutgoingMail, sender: Sender) -> str:
    """The page on which the recipient chooses the topics of mails."""
    return f"{sender.site}/settings/notifications?topic={mail.topic}"


def templates() -> set[str]:
    """The names of all templates."""
    return {file.stem for file in TEMPLATES.glob(f"*{SUFFIX}")}


def _part(name: str) -> str | None:
    """The source of `<mail>/<part>`. Jinja decides by the name whether to escape values: only in `body.html`."""
    mail, _, part = name.partition("/")
    file = TEMPLATES / f"{mail}{SUFFIX}"
    if not re.fullmatch(r"[a-z_]+", mail) or not file.exists():
        return None
    _, *pieces = PART.split(file.read_text())
    return dict(zip(pieces[::2], pieces[1::2], strict=True)).get(part)


def _one_line(value: Any) -> Any:
    return printable(value, LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lines(text: str) -> Iterator[str]:
    """The lines of a text that a person wrote, without the empty ones."""
    return (line for line in text.splitlines() if line.strip())


def _moment(text: str) -> str:
    """An instant in ISO 8601, as people read it."""
    moment = datetime.fromisoformat(str(text)).astimezone(UTC)  # str raises for a missing parameter
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


_environment = Environment(
    loader=ChoiceLoader([FunctionLoader(_part), FileSystemLoader(TEMPLATES)]),  # the second for _layouts
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    finalize=_one_line,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_environment.filters["lines"] = _lines
_environment.filters["moment"] = _moment
