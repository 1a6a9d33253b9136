"""What people do on the pages: each is a GET that shows, and a POST that does and leads on."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from litestar import Request, Response
from litestar.datastructures import State

from stack.doubles.stripe import accounts, billing, checkout, pages, portal
from stack.doubles.stripe.book import Book
from stack.doubles.stripe.double import Double
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.params import Params
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
        return handler(double, "".join(ids), form.get("action", [""])[0])
    except StripeError as refused:
        return _html(pages.message_page("This cannot be done", refused.message), refused.status)


def _show_index(double: Double, _name: str, _action: str) -> Response[str]:
    with double.book() as book:
        return _html(pages.index_page(book.page(Params({}), checkout.KIND, "")["data"]))


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


def _show_portal(double: Double, name: str, _action: str) -> Response[str]:
    with double.book() as book:
        return _portal_page(book, book.get(portal.KIND, name))


def _act_on_portal(double: Double, name: str, action: str) -> Response[str]:
    with double.book() as book:
        session = book.get(portal.KIND, name)
        if action == "back" and session["return_url"]:
            return _to(session["return_url"])
        if action != "back":
            portal.act(book, session, action)
        return _to(session["url"])


def _show_onboarding(double: Double, name: str, _action: str) -> Response[str]:
    with double.book() as book:
        link = book.get("account_link", name)
        if link["_is_used"] or link["expires_at"] < book.now:
            return _to(link["_refresh_url"])
        account = book.get(accounts.KIND, link["_account"])
        page = pages.onboarding_page(account, f"/onboarding/{name}")
        return _html(page, leads_to=(link["_return_url"], link["_refresh_url"]))


def _act_on_onboarding(double: Double, name: str, action: str) -> Response[str]:
    with double.book() as book:
        link = book.get("account_link", name)
        if link["_is_used"] or link["expires_at"] < book.now:
            return _to(link["_refresh_url"])
        book.update(link, _is_used=True)
        if action in {"complete", "pending"}:
            accounts.complete(book, link["_account"], "completed" if action == "complete" else "pending")
        return _to(link["_return_url"])


def _show_express(double: Double, name: str, _action: str) -> Response[str]:
    with double.book() as book:
        account = book.get(accounts.KIND, name)
        return _html(pages.express_page(account, book.all("transfer", destination=name)[::-1]))


def _show_invoice(double: Double, name: str, _action: str) -> Response[str]:
    with double.book() as book:
        return _html(pages.invoice_page(book.get("invoice", name), None, f"/invoices/{name}"))


def _act_on_invoice(double: Double, name: str, _action: str) -> Response[str]:
    with double.book() as book:
        invoice = book.get("invoice", name)
        if invoice["status"] == "open":
            book.follow(invoice["test_clock"])
            billing.collect(book, invoice, billing.card(book, invoice["customer"]))
            if invoice["status"] == "open":
                return _html(pages.invoice_page(invoice, DECLINED, f"/invoices/{name}"), 402)
        return _to(invoice["hosted_invoice_url"])


ROUTES: Table[Handler] = Table(
    [
        ("GET /", _show_index),
        ("GET /pay/{}", _show_session),
        ("POST /pay/{}", _act_on_session),
        ("GET /receipts/{}", _show_receipt),
        ("GET /portal/{}", _show_portal),
        ("POST /portal/{}", _act_on_portal),
        ("GET /onboarding/{}", _show_onboarding),
        ("POST /onboarding/{}", _act_on_onboarding),
        ("GET /express/{}", _show_express),
        ("GET /invoices/{}", _show_invoice),
        ("POST /invoices/{}", _act_on_invoice),
    ]
)


def _session_page(session: Object, error: str | None, status: int = 200) -> Response[str]:
    return _html(pages.pay_page(session, error), status, leads_to=(session["success_url"], session["cancel_url"]))


def _portal_page(book: Book, session: Object) -> Response[str]:
    customer = book.get("customer", session["customer"])
    text = pages.portal_page(
        customer,
        portal.subscriptions_of(book, customer["id"]),
        portal.open_invoices(book, customer["id"]),
        book.note(f"card:{customer['id']}", {}).get("outcome", "paid"),
        f"/portal/{session['id']}",
    )
    return _html(text, leads_to=(session["return_url"],))


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
