"""The pages that Stripe hosts: a GET shows one, and a POST acts and leads on."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from litestar import Request, Response
from litestar.datastructures import State

from stack.doubles.stripe import accounts, billing, checkout, checkout_payment, pages, portal
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.payment_intents import DECLINED, Outcome
from stack.doubles.stripe.routing import Router
from stack.doubles.stripe.simulator import Simulator
from stack.doubles.stripe.unit_of_work import UnitOfWork

OUTCOMES: dict[str, Outcome] = {
    "pay": "paid",
    "decline": "declined",
    "async": "async",
    "authenticate": "requires_action",
}
REFUSALS = {"decline": DECLINED, "authenticate": "Your bank asks you to confirm this payment."}
Handler = Callable[[UnitOfWork, str, str], Response[str]]


async def answer(simulator: Simulator, request: Request[None, None, State]) -> Response[str]:
    """Answer one visit."""
    found = ROUTES.find(request.method, request.url.path)
    if found is None:
        return _html(pages.message_page("Not found", "There is no such page."), 404)
    form = parse_qs((await request.body()).decode(errors="replace"))
    handler, ids = found
    try:
        with simulator.work() as work:
            return handler(work, "".join(ids), form.get("action", [""])[0])
    except StripeError as error:
        return _html(pages.message_page("This is not possible", error.message), error.status)


def _show_index(work: UnitOfWork, _id: str, _action: str) -> Response[str]:
    return _html(pages.index_page(work.page(Params({}), checkout.KIND, "")["data"]))


def _show_session(work: UnitOfWork, session_id: str, _action: str) -> Response[str]:
    return _session_page(work.get(checkout.KIND, session_id), None)


def _act_on_session(work: UnitOfWork, session_id: str, action: str) -> Response[str]:
    session = work.get(checkout.KIND, session_id)
    if session["status"] != "open":
        return _session_page(session, None, 409)
    if action == "cancel" and session["cancel_url"]:
        return _redirect(session["cancel_url"])
    if action not in OUTCOMES:
        return _session_page(session, "Choose one of these.", 400)
    session = checkout_payment.pay(work, session_id, OUTCOMES[action])
    if session["status"] == "open":
        return _session_page(session, REFUSALS[action], 402)
    return _redirect(checkout.success_url(session))


def _show_portal(work: UnitOfWork, session_id: str, _action: str) -> Response[str]:
    session = work.get(portal.KIND, session_id)
    customer = work.get("customer", session["customer"])
    subscriptions = work.all("subscription", customer=customer["id"])[::-1]
    text = pages.portal_page(
        customer,
        [(each, portal.offered_prices(work, session, each)) for each in subscriptions],
        work.all("invoice", customer=customer["id"], status="open"),
        billing.card_outcome(work, customer["id"]),
        f"/portal/{session_id}",
    )
    return _html(text, leads_to=(session["return_url"],))


def _act_on_portal(work: UnitOfWork, session_id: str, action: str) -> Response[str]:
    session = work.get(portal.KIND, session_id)
    if action == "back" and session["return_url"]:
        return _redirect(session["return_url"])
    if action != "back":
        portal.act(work, session, action)
    return _redirect(session["url"])


def _show_onboarding(work: UnitOfWork, link_id: str, _action: str) -> Response[str]:
    link = work.get("account_link", link_id)
    if link["_is_used"] or link["expires_at"] < work.now:
        return _redirect(link["_refresh_url"])
    account = work.get(accounts.KIND, link["_account"])
    page = pages.onboarding_page(account, f"/onboarding/{link_id}")
    return _html(page, leads_to=(link["_return_url"], link["_refresh_url"]))


def _act_on_onboarding(work: UnitOfWork, link_id: str, action: str) -> Response[str]:
    link = work.get("account_link", link_id)
    if link["_is_used"] or link["expires_at"] < work.now:
        return _redirect(link["_refresh_url"])
    work.update(link, _is_used=True)
    if action in {"complete", "pending"}:
        accounts.complete(work, link["_account"], "completed" if action == "complete" else "pending")
    return _redirect(link["_return_url"])


ROUTES: Router[Handler] = Router(
    [
        ("GET /", _show_index),
        ("GET /pay/{}", _show_session),
        ("POST /pay/{}", _act_on_session),
        ("GET /portal/{}", _show_portal),
        ("POST /portal/{}", _act_on_portal),
        ("GET /onboarding/{}", _show_onboarding),
        ("POST /onboarding/{}", _act_on_onboarding),
    ]
)


def _session_page(session: Object, error: str | None, status: int = 200) -> Response[str]:
    return _html(pages.pay_page(session, error), status, leads_to=(session["success_url"], session["cancel_url"]))


def _redirect(url: str) -> Response[str]:
    return Response("", status_code=303, media_type="text/html", headers={"location": url})


def _html(text: str, status: int = 200, leads_to: tuple[str | None, ...] = ()) -> Response[str]:
    # Browsers also check the redirect after a form against form-action.
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
