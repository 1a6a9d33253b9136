"""The mailbox over HTTP: pages for people, JSON for tests and scripts."""

import asyncio
import contextlib
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from stack.mailbox import pages
from stack.mailbox.messages import Message
from stack.mailbox.store import KEPT, Store

OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
SHOWN = 200
"""Mails on the first page."""
LISTED = 50
"""Mails that the API lists where the caller names no limit."""

LONGEST_WAIT = 30
"""The longest that the API waits for a mail, in seconds."""

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; frame-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
# It applies to the mail's HTML outside of our frame too: nothing in it runs. Pictures may load, for many mails need
# them.
BODY_POLICY = (
    f"sandbox {pages.BODY_SANDBOX}; default-src 'none'; style-src 'unsafe-inline'; img-src data: http: https:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)


def create_app(store: Store) -> web.Application:
    """The pages and the API over a store."""
    mailbox = Mailbox(store)
    app = web.Application(middlewares=[answer])
    app.router.add_get("/", mailbox.index)
    app.router.add_get("/style.css", mailbox.style)
    app.router.add_get("/messages/{id}", mailbox.show)
    app.router.add_get("/messages/{id}/html", mailbox.show_html)
    app.router.add_get("/api/messages", mailbox.list)
    app.router.add_get("/api/messages/{id}", mailbox.get)
    app.router.add_delete("/api/messages", mailbox.clear)
    app.router.add_get("/health", mailbox.health)
    return app


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep other sites out, turn errors into JSON, and set the headers of all answers."""
    # A foreign name that resolves to this machine would let its page read one-time tokens in the mail.
    if not is_own_name(request.host):
        response: web.StreamResponse = refusal(403, "host_not_allowed", "The mailbox answers to localhost only")
    else:
        try:
            response = await handler(request)
        except web.HTTPException as refused:
            response = refusal(refused.status, refused.reason.lower().replace(" ", "_"), refused.reason)
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def is_own_name(host: str) -> bool:
    """Whether a Host header names this machine, on any port."""
    try:
        return urlsplit(f"//{host}").hostname in OWN_NAMES
    except ValueError:
        return False


def refusal(status: int, code: str, message: str) -> web.Response:
    """An error in the stack's JSON shape; `code` is the stable token."""
    return json_answer({"code": code, "message": message, "details": None, "hint": None}, status)


def json_answer(body: object, status: int = 200) -> web.Response:
    """A JSON response of anything that msgspec encodes."""
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


def page(html: str) -> web.Response:
    """An HTML response."""
    return web.Response(text=html, content_type="text/html")


def _number(text: str) -> int | None:
    """A short decimal number; None where it is not one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else None


class Mailbox:
    """The handlers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def index(self, _request: web.Request) -> web.Response:
        """GET /: the newest mails. The page reloads itself."""
        response = page(pages.list_page(self._store.newest(SHOWN), len(self._store)))
        response.headers["Refresh"] = "5"
        return response

    async def style(self, _request: web.Request) -> web.Response:
        """GET /style.css."""
        return web.Response(text=pages.STYLE, content_type="text/css")

    async def show(self, request: web.Request) -> web.Response:
        """GET /messages/{id}: one mail."""
        return page(pages.message_page(self._find(request)))

    async def show_html(self, request: web.Request) -> web.Response:
        """GET /messages/{id}/html: the mail's HTML, for the sandboxed frame."""
        response = page(pages.html_body(self._find(request)))
        response.headers["Content-Security-Policy"] = BODY_POLICY
        return response

    async def list(self, request: web.Request) -> web.Response:
        """GET /api/messages?to=&subject=&limit=&wait=: summaries, newest first.

        `subject` is a part of the subject. With `wait` the answer comes as soon as there is such a mail, or after so
        many seconds without one.
        """
        limit = _number(request.query.get("limit", str(LISTED)))
        if limit is None or not 1 <= limit <= KEPT:
            return refusal(400, "bad_limit", f"limit is a number from 1 to {KEPT}")
        wait = _number(request.query.get("wait", "0"))
        if wait is None or wait > LONGEST_WAIT:
            return refusal(400, "bad_wait", f"wait is a number of seconds up to {LONGEST_WAIT}")
        to, subject = request.query.get("to"), request.query.get("subject", "")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not self._store.newest(1, to, subject):
                    await self._store.next_mail()
        return json_answer(self._store.newest(limit, to, subject))

    async def get(self, request: web.Request) -> web.Response:
        """GET /api/messages/{id}: one mail with text, HTML and links."""
        return json_answer(self._find(request))

    async def clear(self, _request: web.Request) -> web.Response:
        """DELETE /api/messages: forget everything."""
        self._store.clear()
        return web.Response(status=204)

    async def health(self, _request: web.Request) -> web.Response:
        """GET /health."""
        return json_answer({"status": "ok"})

    def _find(self, request: web.Request) -> Message:
        message = self._store.get(request.match_info["id"])
        if message is None:
            raise web.HTTPNotFound(reason="Message not found")
        return message
