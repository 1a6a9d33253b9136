"""Routes of payments."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Litestar, Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.openapi.spec import Tag
from litestar.params import HeaderParameter, JSONBody, PathParameter
from postgrest import AsyncPostgrestClient

from common.errors import PermanentError, TransientError
from edge.auth import Caller
from edge.database import Database
from edge.errors import ErrorBody, error
from edge.http.errors import answer
from edge.http.openapi import error_responses
from edge.http.package import HttpPackage
from edge.http.tiers import STANDARD, STRICT, UNLIMITED
from edge.http.webhooks import ERRORS as WEBHOOK_ERRORS
from edge.http.webhooks import Receipt, receive_webhook
from edge.payments import checkout, stored_ids
from edge.payments.client import MISSING, Stripe, StripeSnapshot, WebhookVerifier
from edge.payments.connect import account_terms
from edge.payments.return_urls import ReturnUrls
from edge.payments.settings import PaymentSettings
from edge.payments.types import (
    Checkout,
    CheckoutRequest,
    Link,
    OnboardingRequest,
    Order,
    OrderState,
    PayoutAccount,
    PayoutAccountPayload,
    PayoutAccountRequest,
    PortalRequest,
    PriceRequest,
    Subscription,
    VerifyRequest,
)
from edge.payments.webhooks import HANDLED_EVENTS, StripeEvent, is_of_other_mode
from edge.settings import EdgeSettings, required_setting

Row = TypeVar("Row", bound=msgspec.Struct)

MAX_EVENT = 512 << 10
"""Bytes; an invoice with many lines has some ten thousand."""
PENDING = "pending"
PAID_PAGE = "/checkout/return"
CANCELLED_PAGE = "/checkout/cancelled"
PORTAL_PAGE = "/settings/billing"
ONBOARDED_PAGE = "/settings/payouts"

COUNTRY_UNSUPPORTED = "country_unsupported"
"""Stripe's code for a country that it does not serve."""
COUNTRY_FIELDS = {"country", "capabilities", "tos_acceptance[service_agreement]"}
"""The parameters of an account that depend on its country."""

PROVIDER_ERRORS = ("payment_provider_refused", "payment_provider_unavailable", "provider_not_configured")
"""What every route may answer with that calls Stripe."""
SUBSCRIPTION_RESPONSES = error_responses(
    tokens=("subscription_not_found", "subscription_ended", *PROVIDER_ERRORS),
    calls=("stripe_id_of", "stripe_observed_at", "drop_stripe_id", "apply_stripe_object"),
)
RESUMING_RESPONSES = error_responses(
    tokens=("subscription_not_found", "subscription_ended", *PROVIDER_ERRORS),
    calls=("require_resumable", "stripe_id_of", "stripe_observed_at", "drop_stripe_id", "apply_stripe_object"),
)
SubscriptionId = Annotated[UUID, PathParameter(description="`id` of a row of `subscriptions`")]


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Open Stripe, where there is a key, and make what the routes check URLs and signatures with."""
    own, payments = app.state.settings[EdgeSettings], app.state.settings[PaymentSettings]
    app.state.stripe = Stripe.of(payments)
    app.state.return_urls = ReturnUrls(own.public_url, own.cors_origins)
    app.state.stripe_webhook_verifier = WebhookVerifier(payments.stripe_webhook_secret or ())
    yield
    if app.state.stripe is not None:
        await app.state.stripe.aclose()


@post(
    "/checkout",
    summary="Order something, and get the page on which it is paid",
    description="Places the order as `place_order` does, or finds the pending one, and opens a page of the payment"
    " provider. An order that costs nothing is paid at once and needs no page. A repeated call answers the same page.",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=error_responses(
        tokens=("order_not_found", "url_foreign", *PROVIDER_ERRORS),
        calls=(
            "place_order",
            "checkout_payload",
            "apply_stripe_object",
            "stripe_attempt",
            "renew_stripe_attempt",
            "drop_stripe_id",
            "bind_stripe_object",
            "bind_session",
        ),
    ),
)
async def begin_checkout(
    data: JSONBody[CheckoutRequest],
    rest: NamedDependency[AsyncPostgrestClient],
    database: NamedDependency[Database],
    provider: NamedDependency[Stripe],
    return_urls: NamedDependency[ReturnUrls],
) -> Checkout:
    """The caller places the order, and the edge opens a session for it."""
    success_url = return_urls.checked_with_session("success_url", data.success_url, PAID_PAGE)
    cancel_url = return_urls.checked("cancel_url", data.cancel_url, CANCELLED_PAGE)
    arguments = {
        name: value
        for name, value in msgspec.to_builtins(data).items()
        if value is not None and name not in {"success_url", "cancel_url"}
    }
    order = msgspec.convert((await rest.rpc("place_order", arguments).execute()).data, Order)
    if order.status == PENDING:
        session = await checkout.open_session(
            database, provider, str(order.id), success_url=success_url, cancel_url=cancel_url
        )
        if session is not None:
            return Checkout(order_id=order.id, status=order.status, session_id=session.id(), url=session.body["url"])
        order = await _row(rest, "orders", Order, "order_not_found", id=order.id)
    return Checkout(order_id=order.id, status=order.status, session_id=None, url=None)


@post(
    "/checkout/verify",
    summary="The state of an order, when the browser comes back from the payment",
    description="Asks the payment provider, and applies the answer exactly as its webhooks do: the state is right"
    " whether they came before, come later, or never.",
    tags=["payments"],
    opt=STANDARD,
    status_code=200,
    responses=error_responses(tokens=("order_not_found", *PROVIDER_ERRORS), calls=("apply_stripe_object",)),
)
async def verify_checkout(
    data: JSONBody[VerifyRequest],
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    database: NamedDependency[Database],
    provider: NamedDependency[Stripe],
) -> OrderState:
    """Read the session at Stripe; only its buyer gets an answer, and only for the buyer anything is applied."""
    try:
        session = await provider.session(data.session_id, is_expanded=True)
    except PermanentError as refusal:
        if refusal.code in MISSING:
            raise error("order_not_found") from None
        raise
    try:
        order_id = UUID(session.body["client_reference_id"] or "")
    except ValueError:
        raise error("order_not_found") from None
    # Its seller may read it too.
    bought = {"id": order_id, "buyer_id": caller.user_id}
    await _row(rest, "orders", Order, "order_not_found", **bought)
    await checkout.apply_session(database, session)
    return (await _row(rest, "orders", Order, "order_not_found", **bought)).state()


@post(
    "/billing-portal",
    summary="The page on which the caller manages cards, invoices and subscriptions",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=error_responses(
        tokens=("customer_not_found", "url_foreign", *PROVIDER_ERRORS),
        calls=("require_active_account", "stripe_id_of", "drop_stripe_id"),
    ),
)
async def open_portal(
    data: JSONBody[PortalRequest],
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    provider: NamedDependency[Stripe],
    return_urls: NamedDependency[ReturnUrls],
) -> Link:
    """Open Stripe's billing portal for the caller's customer."""
    return_url = return_urls.checked("return_url", data.return_url, PORTAL_PAGE)
    # The portal continues subscriptions, too.
    await database.call("require_active_account", p_user_id=caller.user_id)
    customer: str | None = await database.call("stripe_id_of", p_object="customer", p_id=caller.user_id)
    if customer is None:
        raise error("customer_not_found")
    try:
        portal = await provider.create_portal(customer, return_url)
    except PermanentError as refusal:
        if refusal.code not in MISSING or refusal.field != "customer":
            raise
        await stored_ids.drop(database, "customer", customer)
        raise error("customer_not_found") from None
    return Link(url=portal.body["url"])


@post(
    "/subscriptions/{subscription_id:uuid}/cancel",
    summary="End a subscription of the caller with the period that is paid",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=SUBSCRIPTION_RESPONSES,
)
async def cancel_subscription(
    subscription_id: SubscriptionId,
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    database: NamedDependency[Database],
    provider: NamedDependency[Stripe],
) -> Subscription:
    """It renews no more; until it ends it can be resumed."""
    stripe_id = await _stripe_id_of_subscription(subscription_id, caller, rest, database)
    await _change_subscription(database, stripe_id, provider.cancel_at_period_end)
    return await _subscription(rest, subscription_id, caller)


@post(
    "/subscriptions/{subscription_id:uuid}/resume",
    summary="Continue a subscription of the caller that was to end",
    description="Refused to suspended callers, who may still cancel, and while the seller cannot sell.",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=RESUMING_RESPONSES,
)
async def resume_subscription(
    subscription_id: SubscriptionId,
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    database: NamedDependency[Database],
    provider: NamedDependency[Stripe],
) -> Subscription:
    """It renews again, if its seller can sell."""
    stripe_id = await _stripe_id_of_subscription(subscription_id, caller, rest, database)
    await database.call("require_resumable", p_subscription_id=subscription_id, p_user_id=caller.user_id)
    await _change_subscription(database, stripe_id, provider.resume)
    return await _subscription(rest, subscription_id, caller)


@post(
    "/payout-account",
    summary="Create the account for payouts to the caller",
    description="Once: a repeated call answers the same account, or one in another country while it is not complete."
    " `/payout-account/onboarding` collects what it lacks.",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=error_responses(
        tokens=("payout_account_not_found", "payout_country_fixed", "payout_country_unsupported", *PROVIDER_ERRORS),
        calls=(
            "payout_account_payload",
            "drop_stripe_id",
            "stripe_attempt",
            "renew_stripe_attempt",
            "bind_payout_account",
            "apply_stripe_object",
        ),
    ),
)
async def create_payout_account(
    data: JSONBody[PayoutAccountRequest],
    caller: NamedDependency[Caller],
    *,
    rest: NamedDependency[AsyncPostgrestClient],
    database: NamedDependency[Database],
    provider: NamedDependency[Stripe],
    state: State,
) -> PayoutAccount:
    """Create an account at Stripe, unless there is one."""
    person = await _payout_account_payload(database, caller)
    account, country = person.account, data.country or person.country
    if account is not None and person.country is not None and country != person.country:
        if person.is_submitted:
            raise error("payout_country_fixed")
        # At Stripe the country of an account is fixed, so another account takes its place.
        await stored_ids.drop(database, "account", account)
        account = None
    if account is None:
        await _create_account(database, provider, person, account_terms(state.settings[PaymentSettings], country))
    return await _payout_account(rest, caller)


@post(
    "/payout-account/onboarding",
    summary="The page on which the caller gives the payment provider the data that payouts require",
    tags=["payments"],
    opt=STRICT,
    status_code=200,
    responses=error_responses(
        tokens=("payout_account_not_found", "payout_country_unsupported", "url_foreign", *PROVIDER_ERRORS),
        calls=(
            "payout_account_payload",
            "drop_stripe_id",
            "stripe_attempt",
            "renew_stripe_attempt",
            "bind_payout_account",
            "apply_stripe_object",
        ),
    ),
)
async def open_onboarding(
    data: JSONBody[OnboardingRequest],
    caller: NamedDependency[Caller],
    *,
    database: NamedDependency[Database],
    provider: NamedDependency[Stripe],
    return_urls: NamedDependency[ReturnUrls],
    state: State,
) -> Link:
    """Create a link to Stripe's onboarding; where Stripe does not have the account any more, of a new one."""
    return_url = return_urls.checked("return_url", data.return_url, ONBOARDED_PAGE)
    refresh_url = return_urls.checked("refresh_url", data.refresh_url, ONBOARDED_PAGE)
    person = await _payout_account_payload(database, caller)
    if person.account is None:
        raise error("payout_account_not_found")

    def request(account: str) -> Awaitable[StripeSnapshot]:
        return provider.create_account_link(account, return_url, refresh_url)

    link = await stored_ids.use(database, "account", person.account, request)
    if link is None:
        terms = account_terms(state.settings[PaymentSettings], person.country)
        link = await request(await _create_account(database, provider, person, terms))
    return Link(url=link.body["url"])


@get(
    "/payout-account",
    summary="Whether payouts to the caller are possible, as the payment provider answers now",
    tags=["payments"],
    opt=STANDARD,
    responses=error_responses(
        tokens=("payout_account_not_found", *PROVIDER_ERRORS),
        calls=("stripe_id_of", "stripe_observed_at", "drop_stripe_id", "apply_stripe_object"),
    ),
)
async def payout_account(
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    database: NamedDependency[Database],
    provider: NamedDependency[Stripe],
) -> PayoutAccount:
    """Read the account at Stripe, and apply it."""
    account: str | None = await database.call("stripe_id_of", p_object="account", p_id=caller.user_id)
    if account is None:
        raise error("payout_account_not_found")

    def request(account: str) -> Awaitable[StripeSnapshot]:
        return checkout.refresh(database, account, provider.account)

    if await stored_ids.use(database, "account", account, request) is None:
        raise error("payout_account_not_found")
    return await _payout_account(rest, caller)


@post(
    "/courses/{course_id:uuid}/price",
    summary="Bind a price of the payment provider to a course",
    description="Reads the price at the payment provider, and binds it as `bind_course_price` does: it must be active,"
    " paid once, and of the amount and currency of the course. For admins.",
    tags=["payments"],
    opt=STRICT,
    status_code=204,
    responses=error_responses(
        tokens=("price_not_found", *PROVIDER_ERRORS),
        calls=("require_price_binder", "record_stripe_price", "bind_course_price"),
    ),
)
async def bind_course_price(
    course_id: Annotated[UUID, PathParameter(description="`id` of a row of `courses`")],
    data: JSONBody[PriceRequest],
    caller: NamedDependency[Caller],
    *,
    rest: NamedDependency[AsyncPostgrestClient],
    database: NamedDependency[Database],
    provider: NamedDependency[Stripe],
) -> None:
    """The database decides whether the caller may, and whether the price fits; between, the edge reads the price."""
    await database.call("require_price_binder", p_user_id=caller.user_id)
    if data.price_id is not None:
        try:
            price = await provider.price(data.price_id)
        except PermanentError as refusal:
            if refusal.code not in MISSING:
                raise
            raise error("price_not_found") from None
        await database.call("record_stripe_price", p_price=price.body)
    arguments = {"course_id": str(course_id), **msgspec.to_builtins(data)}
    await rest.rpc("bind_course_price", arguments).execute()


@post(
    "/webhooks/stripe",
    summary="Stripe reports a payment, a subscription, a refund ...",
    description="Takes every event whose signature is right, and applies each once, in whatever order they arrive.",
    tags=["payments"],
    opt=UNLIMITED,
    status_code=200,
    request_max_body_size=MAX_EVENT,
    responses=error_responses(tokens=WEBHOOK_ERRORS),
)
async def stripe_webhook(
    request: Request[Any, Any, State],
    *,
    database: NamedDependency[Database],
    state: State,
    stripe_signature: Annotated[
        str, HeaderParameter(name="stripe-signature", description="`t=`, seconds since 1970, and `v1=`, hexadecimal")
    ] = "",
) -> Receipt:
    """The database stores the event and applies it."""
    settings: PaymentSettings = state.settings[PaymentSettings]
    required_setting(settings, "stripe_webhook_secret")
    verifier: WebhookVerifier = state.stripe_webhook_verifier
    return await receive_webhook(
        request,
        database,
        provider="stripe",
        event_type=StripeEvent,
        handled=HANDLED_EVENTS,
        is_signed=lambda body: verifier.is_signed(body, stripe_signature),
        event_id=lambda event: event.id,
        is_foreign=lambda event: is_of_other_mode(event, settings.stripe_api_key),
    )


async def _row(rest: AsyncPostgrestClient, table: str, kind: type[Row], not_found: str, **columns: UUID | str) -> Row:
    """The row with these columns, as the caller may read it. Raises EdgeError: `not_found`."""
    query = rest.from_(table).select(",".join(field.name for field in msgspec.structs.fields(kind)))
    for name, value in columns.items():
        query = query.eq(name, str(value))
    found = (await query.execute()).data
    if not found:
        raise error(not_found)
    return msgspec.convert(found[0], kind)


async def _subscription(rest: AsyncPostgrestClient, subscription_id: UUID, caller: Caller) -> Subscription:
    return await _row(
        rest, "subscriptions", Subscription, "subscription_not_found", id=subscription_id, user_id=caller.user_id
    )


async def _stripe_id_of_subscription(
    subscription_id: UUID, caller: Caller, rest: AsyncPostgrestClient, database: Database
) -> str:
    if (await _subscription(rest, subscription_id, caller)).ended_at is not None:
        raise error("subscription_ended")
    stripe_id: str = await database.call("stripe_id_of", p_object="subscription", p_id=subscription_id)
    return stripe_id


async def _change_subscription(
    database: Database, stripe_id: str, change: Callable[[str], Awaitable[StripeSnapshot]]
) -> None:
    """Change a subscription at Stripe, and apply the answer. Raises EdgeError: 409 `subscription_ended`."""

    def request(stripe_id: str) -> Awaitable[StripeSnapshot]:
        return checkout.refresh(database, stripe_id, change)

    if await stored_ids.use(database, "subscription", stripe_id, request) is None:
        raise error("subscription_ended")


async def _create_account(
    database: Database, provider: Stripe, person: PayoutAccountPayload, terms: dict[str, Any]
) -> str:
    """Create an account, and return the id of the one that counts."""

    def request(attempt: int) -> Awaitable[StripeSnapshot]:
        return provider.create_account(person, terms, attempt)

    try:
        created = await stored_ids.create(database, "account", person.user_id, request)
    except PermanentError as refusal:
        if refusal.code != COUNTRY_UNSUPPORTED and refusal.field not in COUNTRY_FIELDS:
            raise
        raise error("payout_country_unsupported", refusal) from None
    account: str = await database.call("bind_payout_account", p_user_id=person.user_id, p_stripe_id=created.id())
    await checkout.apply(database, created)
    return account


async def _payout_account_payload(database: Database, caller: Caller) -> PayoutAccountPayload:
    payload = await database.call("payout_account_payload", p_user_id=caller.user_id)
    return msgspec.convert(payload, PayoutAccountPayload)


async def _payout_account(rest: AsyncPostgrestClient, caller: Caller) -> PayoutAccount:
    return await _row(rest, "payout_accounts", PayoutAccount, "payout_account_not_found", user_id=caller.user_id)


def _translate_error(request: Request[Any, Any, Any], failure: PermanentError | TransientError) -> Response[ErrorBody]:
    if isinstance(failure, PermanentError):
        return answer(request, error("payment_provider_refused", failure))
    return answer(request, error("payment_provider_unavailable"))


async def _provide_provider(state: State) -> Stripe:
    required_setting(state.settings[PaymentSettings], "stripe_api_key")
    provider: Stripe = state.stripe
    return provider


async def _provide_return_urls(state: State) -> ReturnUrls:
    return_urls: ReturnUrls = state.return_urls
    return return_urls


PACKAGE = HttpPackage(
    public=[stripe_webhook],
    for_users=[
        Router(
            path="/",
            route_handlers=[
                begin_checkout,
                verify_checkout,
                bind_course_price,
                open_portal,
                cancel_subscription,
                resume_subscription,
                create_payout_account,
                open_onboarding,
                payout_account,
            ],
            dependencies={"provider": Provide(_provide_provider), "return_urls": Provide(_provide_return_urls)},
            exception_handlers={PermanentError: _translate_error, TransientError: _translate_error},
        )
    ],
    settings=PaymentSettings,
    lifespan=lifespan,
    tag=Tag(name="payments", description="Checkout, subscriptions and accounts for payouts."),
)
