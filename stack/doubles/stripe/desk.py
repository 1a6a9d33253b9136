"""What people do on the pages: each is a GET that shows, and a POST that does and leads on."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from litestar import Request, Response
from litestar.datastructures import State

from stack.doubles.stripe import checkout, pages
from stack.doubles.stripe.double import Double
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.payments import DECLINED, Outcome
from stack.doubles.stripe.routing import Table

OUTCOMES: dict[str, Outcome] = {"pay": "paid", "decline": "declined", "async": "async"}
Handler = Callable[[Double, str, str], Response[str]]


async def answer(double: Double, request: Request[None, None, State]) -> Response[str]:
    """One visit."""
    found = ROUTES.find(request.method, request.url.path)
    if found is None:
        return _html(pages.message_page("Not found", "There is no such page."), 404)
    form = parse_qs((await request.body()).decode(errors="replace"))
    handler, ids = found
    try:
        return handler(double, ids[0], form.get("action", [""])[0])
    except StripeError as refused:
        return _html(pages.message_page("This cannot be done", refused.message), refused.status)


def _show_session(double: Double, name: str, _action: str) -> Response[str]:
    with double.book() as book:
        return _session_page(book.get(checkout.KIND, name), None)


def _act_on_session(double: Double, name: str, action: str) -> Response[str]:
    with double.book() as book:
        session = book.get(checkout.KIND, name)
        if session["status"] != "open":
            return _session_page(session, None, 409)
        if action == "cancel" and session["cancel_url"]:
            return _to(session["cancel_url"])
        if action not in OUTCOMES:
            return _session_page(session, "Choose one of these.", 400)
        session = checkout.pay(book, name, OUTCOMES[action])
        if session["status"] == "open":
            return _session_page(session, DECLINED, 402)
        return _to(checkout.success_url(session))


def _show_receipt(double: Double, name: str, _action: str) -> Response[str]:
    with double.book() as book:
        return _html(pages.receipt_page(book.get("charge", name)))


ROUTES: Table[Handler] = Table(
    [
        ("GET /pay/{}", _show_session),
        ("POST /pay/{}", _act_on_session),
        ("GET /receipts/{}", _show_receipt),
    ]
)


def _session_page(session: Object, error: str | None, status: int = 200) -> Response[str]:
    return _html(pages.pay_page(session, error), status, leads_to=(session["success_url"], session["cancel_url"]))


def _to(address: str) -> Response[str]:
    return Response("", status_code=303, media_type="text/html", headers={"location": address})


def _html(text: str, status: int = 200, leads_to: tuple[str | None, ...] = ()) -> Response[str]:
    # Browsers hold the redirect after a form against form-action, too.
    origins = {f"{url.scheme}://{url.netloc}" for url in map(urlsplit, filter(None, leads_to))}
    forms = " ".join(["'self'", *sorted(origins)])
    policy = f"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action {forms}"
    return Response(
        text,
        status_code=status,
        media_type="text/html",
        headers={
            "content-security-policy": policy,
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        },
    )
