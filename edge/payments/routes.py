"""Routes of payments."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import msgspec
import structlog
from litestar import Litestar, Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter, JSONBody, PathParameter
from postgrest import AsyncPostgrestClient

from edge.auth import Caller
from edge.database import System, provide_system
from edge.errors import EdgeError, ErrorBody, answer
from edge.openapi import refusals
from edge.payments import checkout
from edge.payments.addresses import Addresses
from edge.payments.client import ProviderError, RefusedError, Signatures, Stripe
from edge.payments.types import (
    Checkout,
    CheckoutRequest,
    Event,
    Link,
    OnboardingRequest,
    Order,
    OrderState,
    PayoutAccount,
    PayoutAccountRequest,
    PersonBrief,
    PortalRequest,
    Subscription,
    VerifyRequest,
)
from edge.settings import Settings, SettingsError, variable
from edge.tiers import STANDARD, STRICT, UNLIMITED
from edge.webhooks import FAILED, Receipt, receive

log = structlog.get_logger()

STRIPE = "stripe"
MAX_EVENT = 512 << 10
"""Bytes; an invoice with many lines has some ten thousand."""
PENDING = "pending"
PAID_PAGE = "/checkout/return"
CANCELLED_PAGE = "/checkout/cancelled"
PORTAL_PAGE = "/settings/billing"
ONBOARDED_PAGE = "/settings/payouts"
ORDER = ",".join(Order.__struct_fields__)
SUBSCRIPTION = ",".join(Subscription.__struct_fields__)
PAYOUT_ACCOUNT = ",".join(PayoutAccount.__struct_fields__)

OF_PROVIDER = (
    (502, "payment_provider_refused", "The payment provider will not do this; `details` says why."),
    (503, "payment_provider_unavailable", "The payment provider does not answer just now, or not to us."),
    (503, "provider_not_configured", "The installation has no key of a payment provider."),
)
FOREIGN = (422, "url_foreign", "A page to come back to is none of this installation's.")
SUBSCRIPTION_REFUSALS = refusals(
    (404, "subscription_not_found", "There is no such subscription, or it is not the caller's."),
    (409, "subscription_ended", "The subscription has ended."),
    *OF_PROVIDER,
)
SubscriptionId = Annotated[UUID, PathParameter(description="`id` of a row of `subscriptions`")]


@post(
    "/checkout",
    summary="Order something, and get the page on which it is paid",
    description="Places the order as `place_order` does, or finds the pending one, and opens a page at the payment"
    " provider. What costs nothing is paid at once and needs no page. Asked again, it leads to the same page.",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=refusals(
        (403, "account_inactive", "The caller's account is suspended or banned."),
        (404, "course_not_found", "There is no such published course."),
        (404, "offer_not_found", "There is no such offer on sale."),
        (404, "student_teacher_not_found", "The course has no such student-teacher."),
        (409, "already_enrolled", "The caller has this course, or every course of this bundle."),
        (409, "already_subscribed", "The caller has this already."),
        (409, "coupon_used_up", "The coupon was used as often as it can be."),
        (409, "course_free", "The course costs nothing: enrol."),
        (409, "own_course", "The course is the caller's own."),
        (409, "own_offer", "The offer is the caller's own."),
        (422, "amount_fixed", "Only a tip has an amount that the buyer chooses."),
        (422, "amount_out_of_range", "The tip is too small or too large."),
        (422, "amount_too_small", "The payment provider does not charge so little."),
        (422, "amount_unpayable", "The payment provider does not charge such an amount."),
        (422, "coupon_invalid", "There is no such coupon for this, or not now."),
        (422, "currency_unsupported", "Nothing can be paid in this currency."),
        (422, "quantity_invalid", "So many cannot be bought at once."),
        FOREIGN,
        *OF_PROVIDER,
    ),
)
async def begin_checkout(
    data: JSONBody[CheckoutRequest],
    rest: NamedDependency[AsyncPostgrestClient],
    system: NamedDependency[System],
    provider: NamedDependency[Stripe],
    addresses: NamedDependency[Addresses],
) -> Checkout:
    """Have the caller place the order, and open a session for it."""
    success_url = addresses.of_success(data.success_url, PAID_PAGE)
    cancel_url = addresses.of("cancel_url", data.cancel_url, CANCELLED_PAGE)
    wanted = {
        name: value
        for name, value in msgspec.to_builtins(data).items()
        if value is not None and name not in {"success_url", "cancel_url"}
    }
    order = msgspec.convert((await rest.rpc("place_order", wanted).execute()).data, Order)
    if order.status == PENDING:
        session = await checkout.open_session(
            system, provider, str(order.id), success_url=success_url, cancel_url=cancel_url
        )
        if session is not None:
            return Checkout(order_id=order.id, status=order.status, session_id=session.id(), url=session.body["url"])
        order = await _order(rest, str(order.id))
    return Checkout(order_id=order.id, status=order.status, session_id=None, url=None)


@post(
    "/checkout/verify",
    summary="What became of a payment, when the browser comes back from it",
    description="Asks the payment provider, and applies what it says exactly as its webhooks do: the answer is right"
    " whether they came before, come later, or never.",
    tags=["payments"],
    opt=STANDARD,
    status_code=200,
    responses=refusals(
        (404, "order_not_found", "There is no such session, or its order is not the caller's."),
        (409, "amount_mismatch", "Another amount was paid than the order costs. An admin will look at it."),
        *OF_PROVIDER,
    ),
)
async def verify_checkout(
    data: JSONBody[VerifyRequest],
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    system: NamedDependency[System],
    provider: NamedDependency[Stripe],
) -> OrderState:
    """Look the session up at Stripe; only its buyer is told of it, and only then anything is applied."""
    try:
        told = await provider.session(data.session_id, whole=True)
    except RefusedError as error:
        if error.code == checkout.MISSING:
            raise _order_not_found() from None
        raise
    order_id = told.body["client_reference_id"] or ""
    await _order(rest, order_id, buyer=caller)
    await checkout.apply_session(system, told)
    return (await _order(rest, order_id, buyer=caller)).state()


@post(
    "/billing-portal",
    summary="The page on which one sees to cards, invoices and subscriptions",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=refusals(
        (404, "customer_not_found", "The caller has bought nothing yet by way of the payment provider."),
        FOREIGN,
        *OF_PROVIDER,
    ),
)
async def open_portal(
    data: JSONBody[PortalRequest],
    caller: NamedDependency[Caller],
    system: NamedDependency[System],
    provider: NamedDependency[Stripe],
    addresses: NamedDependency[Addresses],
) -> Link:
    """Open Stripe's billing portal for the caller's customer."""
    return_url = addresses.of("return_url", data.return_url, PORTAL_PAGE)
    customer: str | None = await system.call("stripe_id", p_object="customer", p_id=caller.user_id)
    if customer is None:
        raise EdgeError(404, "customer_not_found", "You have bought nothing yet.", "Buy something first.")
    return Link(url=(await provider.create_portal(customer, return_url)).body["url"])


@post(
    "/subscriptions/{subscription_id:uuid}/cancel",
    summary="Have one's subscription end with the period that is paid",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=SUBSCRIPTION_REFUSALS,
)
async def cancel_subscription(
    subscription_id: SubscriptionId,
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    system: NamedDependency[System],
    provider: NamedDependency[Stripe],
) -> Subscription:
    """Nothing is renewed any more; until the end it can be resumed."""
    name = await _subscription_at_stripe(subscription_id, caller, rest, system)
    await checkout.ask(system, name, provider.end_with_period)
    return await _subscription(rest, subscription_id, caller)


@post(
    "/subscriptions/{subscription_id:uuid}/resume",
    summary="Have one's subscription go on that was to end",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=SUBSCRIPTION_REFUSALS,
)
async def resume_subscription(
    subscription_id: SubscriptionId,
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    system: NamedDependency[System],
    provider: NamedDependency[Stripe],
) -> Subscription:
    """It is renewed again."""
    name = await _subscription_at_stripe(subscription_id, caller, rest, system)
    await checkout.ask(system, name, provider.resume)
    return await _subscription(rest, subscription_id, caller)


@post(
    "/payout-account",
    summary="Make the account to which one is paid out",
    description="Once: whoever has one is answered it. `/payout-account/onboarding` leads to what it still lacks.",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=refusals((403, "account_inactive", "The caller's account is suspended or banned."), *OF_PROVIDER),
)
async def create_payout_account(
    data: JSONBody[PayoutAccountRequest],
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    system: NamedDependency[System],
    provider: NamedDependency[Stripe],
) -> PayoutAccount:
    """Make an account at Stripe, unless there is one."""
    brief = await _person(system, caller)
    if brief.account is None:
        made = await provider.create_account(brief, data.country)
        await system.call("bind_payout_account", p_user_id=caller.user_id, p_stripe_id=made.id())
        await checkout.apply(system, made)
    return await _payout_account(rest, caller)


@post(
    "/payout-account/onboarding",
    summary="The page on which one tells the payment provider what it must know before it pays out",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=refusals(
        (403, "account_inactive", "The caller's account is suspended or banned."),
        (404, "payout_account_not_found", "The caller has no account to be paid out to."),
        FOREIGN,
        *OF_PROVIDER,
    ),
)
async def open_onboarding(
    data: JSONBody[OnboardingRequest],
    caller: NamedDependency[Caller],
    system: NamedDependency[System],
    provider: NamedDependency[Stripe],
    addresses: NamedDependency[Addresses],
) -> Link:
    """Make a link to Stripe's onboarding."""
    return_url = addresses.of("return_url", data.return_url, ONBOARDED_PAGE)
    refresh_url = addresses.of("refresh_url", data.refresh_url, ONBOARDED_PAGE)
    brief = await _person(system, caller)
    if brief.account is None:
        raise _payout_account_not_found()
    return Link(url=(await provider.create_account_link(brief.account, return_url, refresh_url)).body["url"])


@get(
    "/payout-account",
    summary="Whether one can be paid out, as the payment provider says now",
    tags=["payments"],
    opt=STANDARD,
    responses=refusals((404, "payout_account_not_found", "The caller has no account to be paid out to."), *OF_PROVIDER),
)
async def payout_account(
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    system: NamedDependency[System],
    provider: NamedDependency[Stripe],
) -> PayoutAccount:
    """Ask Stripe, and keep what it says."""
    account: str | None = await system.call("stripe_id", p_object="account", p_id=caller.user_id)
    if account is None:
        raise _payout_account_not_found()
    await checkout.ask(system, account, provider.account)
    return await _payout_account(rest, caller)


@post(
    "/webhooks/stripe",
    summary="Stripe tells of a payment, a subscription, a refund ...",
    description="Takes every event whose signature is right, and applies each once, in whatever order they arrive.",
    tags=["payments"],
    opt=UNLIMITED,
    status_code=200,
    request_max_body_size=MAX_EVENT,
    responses=refusals(
        (400, "invalid_request", "The body is no event: it needs an id, a type and data."),
        (400, "signature_invalid", "The body is not signed by the provider, or not signed just now."),
        (413, "payload_too_large", "The request's body is too large."),
        (503, "database_unavailable", "Postgres does not answer."),
        (503, "provider_not_configured", "The installation has no secret for these webhooks."),
        FAILED,
    ),
)
async def stripe_webhook(
    request: Request[Any, Any, State],
    *,
    signatures: NamedDependency[Signatures],
    system: NamedDependency[System],
    stripe_signature: Annotated[
        str, HeaderParameter(name="stripe-signature", description="`t=`, seconds since 1970, and `v1=`, hexadecimal")
    ] = "",
) -> Receipt:
    """Verify the raw bytes, and hand the event to the database, which keeps it and applies it."""
    body = await request.body()
    if not signatures.verify(body, stripe_signature):
        sentence = "This is not signed by the provider, or not signed just now."
        raise EdgeError(400, "signature_invalid", sentence)
    try:
        event = msgspec.json.decode(body, type=Event)
        payload: dict[str, Any] = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise EdgeError(400, "invalid_request", "The body is no event: it needs an id, a type and data.") from None
    return await receive(system, STRIPE, event.id, event.type, payload)


async def _order(rest: AsyncPostgrestClient, order_id: str, *, buyer: Caller | None = None) -> Order:
    """An order, as the caller may read it; with `buyer` only where he bought it: its seller may read it too."""
    try:
        query = rest.from_("orders").select(ORDER).eq("id", str(UUID(order_id)))
    except ValueError:
        raise _order_not_found() from None
    if buyer is not None:
        query = query.eq("buyer_id", str(buyer.user_id))
    rows = msgspec.convert((await query.execute()).data, list[Order])
    if not rows:
        raise _order_not_found()
    return rows[0]


async def _subscription(rest: AsyncPostgrestClient, subscription_id: UUID, caller: Caller) -> Subscription:
    query = rest.from_("subscriptions").select(SUBSCRIPTION).eq("id", str(subscription_id))
    rows = msgspec.convert((await query.eq("user_id", str(caller.user_id)).execute()).data, list[Subscription])
    if not rows:
        raise EdgeError(
            404, "subscription_not_found", "There is no such subscription of yours.", "Read subscriptions again."
        )
    return rows[0]


async def _subscription_at_stripe(
    subscription_id: UUID, caller: Caller, rest: AsyncPostgrestClient, system: System
) -> str:
    if (await _subscription(rest, subscription_id, caller)).ended_at is not None:
        raise EdgeError(409, "subscription_ended", "This subscription has ended.", "Subscribe anew.")
    name: str = await system.call("stripe_id", p_object="subscription", p_id=subscription_id)
    return name


async def _person(system: System, caller: Caller) -> PersonBrief:
    return msgspec.convert(await system.call("payout_account_brief", p_user_id=caller.user_id), PersonBrief)


async def _payout_account(rest: AsyncPostgrestClient, caller: Caller) -> PayoutAccount:
    query = rest.from_("payout_accounts").select(PAYOUT_ACCOUNT).eq("user_id", str(caller.user_id))
    rows = msgspec.convert((await query.execute()).data, list[PayoutAccount])
    if not rows:
        raise _payout_account_not_found()
    return rows[0]


def _order_not_found() -> EdgeError:
    return EdgeError(404, "order_not_found", "There is no such order of yours.", "Read orders again.")


def _payout_account_not_found() -> EdgeError:
    return EdgeError(
        404, "payout_account_not_found", "You have no account to be paid out to.", "POST /payout-account makes one."
    )


def _translate(request: Request[Any, Any, Any], error: ProviderError) -> Response[ErrorBody]:
    if isinstance(error, RefusedError):
        known = EdgeError(502, "payment_provider_refused", str(error), "Try something else, or ask the operator.")
    else:
        sentence = "The payment provider does not answer just now."
        known = EdgeError(503, "payment_provider_unavailable", sentence, "Try again in a moment.")
    return answer(request, known)


def lifespan(settings: Settings) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """What payments need while the application runs: Stripe, where there is a key."""

    @asynccontextmanager
    async def paying(app: Litestar) -> AsyncIterator[None]:
        key = settings.stripe_api_key
        app.state.stripe = None if key is None else Stripe(key, settings.stripe_api_url)
        yield
        if app.state.stripe is not None:
            await app.state.stripe.aclose()

    return paying


def router(settings: Settings) -> Router:
    """The routes for signed-in users, as configured."""
    addresses = Addresses(settings)

    async def provide_addresses() -> Addresses:
        return addresses

    async def provide_provider(state: State) -> Stripe:
        settings.provider("stripe_api_key")
        provider: Stripe = state.stripe
        return provider

    return Router(
        path="/",
        route_handlers=[
            begin_checkout,
            verify_checkout,
            open_portal,
            cancel_subscription,
            resume_subscription,
            create_payout_account,
            open_onboarding,
            payout_account,
        ],
        dependencies={
            "addresses": Provide(provide_addresses),
            "provider": Provide(provide_provider),
            "system": Provide(provide_system),
        },
        exception_handlers={ProviderError: _translate},
    )


def webhooks(settings: Settings) -> Router:
    """The route for Stripe itself, as configured.

    Raises:
        SettingsError: a secret is empty.
    """
    secrets = settings.stripe_webhook_secret
    try:
        signatures = None if secrets is None else Signatures(secrets)
    except ValueError:
        name = variable("stripe_webhook_secret")
        raise SettingsError(f"{name} is not a list of secrets as Stripe writes them, whsec_...") from None

    async def provide_signatures() -> Signatures:
        return signatures or Signatures(settings.provider("stripe_webhook_secret"))

    return Router(
        path="/",
        route_handlers=[stripe_webhook],
        dependencies={"signatures": Provide(provide_signatures), "system": Provide(provide_system)},
    )
