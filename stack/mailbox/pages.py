"""The mailbox as HTML, without scripts; everything of a mail is escaped or in a sandbox."""

from collections.abc import Sequence
from html import escape

from stack.mailbox.messages import Message, Summary

STYLE = """
:root {
  color-scheme: light dark;
  --ink: light-dark(#1d1b18, #ece8e1); --faint: light-dark(#756f66, #9b948a);
  --paper: light-dark(#faf8f4, #191816); --card: light-dark(#fff, #22201d);
  --line: light-dark(#e6e1d8, #37332e); --accent: light-dark(#7a4a12, #e0a35c);
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 54rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
a { color: var(--accent) }
header { display: flex; align-items: baseline; gap: .75rem; margin-bottom: 1.25rem }
header a { color: inherit; text-decoration: none; font-weight: 650; font-size: 1.25rem }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem; overflow-wrap: anywhere }
h2 { font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; color: var(--faint); margin: 1.75rem 0 .5rem }
.faint { color: var(--faint) }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; overflow: hidden }
ul { list-style: none; margin: 0; padding: 0 }
.mails a { display: grid; grid-template-columns: 1fr auto; gap: 0 1rem; padding: .8rem 1rem; color: inherit;
  text-decoration: none }
.mails li + li { border-top: 1px solid var(--line) }
.mails a:hover, .mails a:focus-visible { background: color-mix(in srgb, var(--accent) 9%, transparent) }
.mails b, .mails span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.empty { padding: 3rem 1rem; text-align: center }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem 1rem; margin: 0 }
dt { color: var(--faint) } dd { margin: 0; overflow-wrap: anywhere }
.links li { padding: .55rem 1rem; overflow-wrap: anywhere } .links li + li { border-top: 1px solid var(--line) }
iframe { display: block; width: 100%; height: min(65vh, 40rem); border: 0; background: #fff }
pre { margin: 0; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere; font: 14px/1.5 ui-monospace, monospace }
"""

BODY_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
"""A click on a link opens a new tab; scripts, forms, frames and navigation stay forbidden."""


def list_page(mails: Sequence[Summary], total: int) -> str:
    """The newest mails."""
    rows = "".join(
        f'<li><a href="/messages/{mail.id}"><b>{_subject(mail)}</b>{_time(mail)}'
        f'<span class="faint">{escape(mail.sender)} → {escape(", ".join(mail.to))}</span></a></li>'
        for mail in mails
    )
    empty = '<p class="empty faint">No mail yet. Whatever this stack sends appears here by itself.</p>'
    count = f"{total} message{'' if total == 1 else 's'}"
    if len(mails) < total:
        count += f", the newest {len(mails)} shown"
    body = f'<ul class="mails">{rows}</ul>' if mails else empty
    return _page("Mailbox", f'<main class="card">{body}</main>', count)


def message_page(mail: Message) -> str:
    """One mail: sender, recipients, time, links and bodies."""
    sections = [
        f"<h1>{_subject(mail)}</h1><dl><dt>From</dt><dd>{escape(mail.sender)}</dd>"
        f"<dt>To</dt><dd>{escape(', '.join(mail.to))}</dd><dt>Received</dt><dd>{_time(mail)}</dd></dl>"
    ]
    if mail.links:
        items = "".join(
            f'<li><a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(url)}</a></li>'
            for url in mail.links
        )
        sections.append(f'<h2>Links</h2><ul class="card links">{items}</ul>')
    if mail.html:
        frame = f'<iframe sandbox="{BODY_SANDBOX}" src="/messages/{mail.id}/html" title="HTML body"></iframe>'
        sections.append(f'<h2>HTML</h2><div class="card">{frame}</div>')
    if mail.text or not mail.html:
        sections.append(f'<h2>Text</h2><div class="card"><pre>{escape(mail.text)}</pre></div>')
    return _page(mail.subject or "Mail", f"<main>{''.join(sections)}</main>")


def html_body(mail: Message) -> str:
    """The mail's own HTML, for the sandboxed frame only. Its links open outside of the frame."""
    return f'<!doctype html><base target="_blank">{mail.html}'


def _page(title: str, main: str, note: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/style.css"></head><body>'
        f'<header><a href="/">Mailbox</a><span class="faint">{note}</span></header>{main}</body></html>'
    )


def _subject(mail: Summary) -> str:
    return escape(mail.subject) or '<span class="faint">(no subject)</span>'


def _time(mail: Summary) -> str:
    shown = mail.received_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return f'<time class="faint" datetime="{mail.received_at.isoformat()}">{shown}</time>'
