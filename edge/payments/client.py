"""Stripe, by its own library: each method is one call, repeated with the same idempotency key where it got lost."""

import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec
import stamina
import stripe
import structlog

from common.errors import PermanentError, TransientError
from common.tls import public_tls_context
from edge.payments.settings import StripeSettings
from edge.payments.types import DiscountPayload, OfferPayload, OrderPayload, PayoutAccountPayload, PayoutPayload

log = structlog.get_logger()

API_URL = "https://api.stripe.com"
TIMEOUT = aiohttp.ClientTimeout(total=10.0, sock_connect=3.0)
"""Seconds for one attempt."""
ATTEMPTS = 3
RETRY_SECONDS = 15.0
"""After which no attempt is repeated."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
CONNECTIONS = 50
TOLERANCE = 300
"""Seconds for which the signature of a webhook is valid."""
SHORTEST_SESSION = 31 * 60
"""Seconds: Stripe requires 30 minutes, on its own clock."""
PORTAL_FEATURES = {
    "customer_update": {"enabled": False},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
    "subscription_update": {"enabled": False},
}
"""What the billing portal offers: a plan is switched by ending it and buying the other one."""
PORTAL_MARK = "guildhall_features"
"""The entry of a portal configuration's metadata that names the features for which it was made."""
MISSING = frozenset({"resource_missing", "account_invalid"})
"""Stripe's codes for an object that does not exist, or not for this key: in the other mode, or in another account."""
IN_USE = "idempotency_key_in_use"
"""Stripe's code for a key that a call in progress has."""
STEP = 600
"""Seconds to which the end of a session is rounded where it is not the order's: a repeated call is then identical."""

PAUSED_BY, US = "paused_by", "guildhall"
"""Metadata of a subscription whose collection we paused, and not somebody in Stripe's dashboard."""

Body = dict[str, Any]


class SavedFailureError(TransientError):
    """For a day, Stripe answers nothing else to this idempotency key: another try needs another key."""


class StripeSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An object as Stripe answered it, and the time of which that is true."""

    body: Body
    observed_at: datetime
    """A second of Stripe's clock that had begun when Stripe looked: everything that happened before is in the body."""

    def not_before(self, known: datetime | None) -> "StripeSnapshot":
        """The same, at least as new as an observation of the object that we had before the request."""
        is_newer = known is None or known <= self.observed_at
        return self if is_newer else msgspec.structs.replace(self, observed_at=known)

    def id(self) -> str:
        """The id of the object."""
        return str(self.body["id"])

    def items(self) -> list[Body]:
        """The objects of a list."""
        found: list[Body] = self.body["data"]
        return found


class Stripe:
    """Stripe's API. Made inside a running event loop.

    Each method raises PermanentError where Stripe refuses, and TransientError where nobody knows whether Stripe did it.
    """

    def __init__(self, api_key: str, api_url: str | None = None) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=public_tls_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_url or API_URL},
            # The library pins the version of the API. `_call` decides what is repeated.
            http_client=stripe.AIOHTTPClient(timeout=TIMEOUT, session=self._session),
            max_network_retries=0,
        )
        self._v1 = client.v1
        self._portal: str | None = None
        """The configuration of the billing portal, once it is known."""

    @classmethod
    def of(cls, settings: StripeSettings) -> "Stripe | None":
        """Stripe as it is set; None where no key is."""
        return None if settings.stripe_api_key is None else cls(settings.stripe_api_key, settings.stripe_api_url)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    # Checkout

    # Methods that create an object take the number of the attempt: calls with the same number create one object.

    async def create_customer(self, order: OrderPayload, attempt: int) -> StripeSnapshot:
        """Create a customer for the buyer of an order."""
        params = _without_empty(email=order.email, name=order.name, metadata={"user_id": order.buyer_id})
        key = _numbered(f"customer:{order.buyer_id}", attempt)
        return await self._call(self._v1.customers.create_async, params=params, key=key)

    async def delete_customer(self, customer: str) -> None:
        """Delete a customer with the cards; Stripe ends its subscriptions at once. A deleted one stays so."""
        try:
            await self._call(self._v1.customers.delete_async, customer)
        except PermanentError as refusal:
            log.info("customer_not_deleted", stripe_id=customer, code=refusal.code)

    async def create_session(
        self, order: OrderPayload, customer: str, success_url: str, cancel_url: str, attempt: int
    ) -> StripeSnapshot:
        """Create a page on which an order is paid."""
        if order.discount is not None:
            await self._create_coupon(order, order.discount)
        params = session_params(order, customer, success_url, cancel_url, now=int(time.time()))
        # The key names the former session: once that has ended, the call must create another.
        key = _numbered(f"session:{order.order_id}:{order.session or ''}", attempt)
        return await self._call(self._v1.checkout.sessions.create_async, params=params, key=key)

    async def _create_coupon(self, order: OrderPayload, discount: DiscountPayload) -> None:
        """Create the coupon of a subscription's discount, unless it exists."""
        params = _without_empty(
            id=coupon_id(order, discount),
            name=discount.code,
            amount_off=discount.amount,
            currency=order.currency,
            duration=discount.duration,
            duration_in_months=discount.months,
        )
        try:
            # Without a key, which would answer a coupon that was deleted since.
            await self._call(self._v1.coupons.create_async, params=params)
        except PermanentError as refusal:
            if refusal.code != "resource_already_exists":
                raise

    async def session(self, session_id: str, *, is_expanded: bool = False) -> StripeSnapshot:
        """Read a session; expanded, with its subscription, its invoice and its charge."""
        expand = ["subscription", "invoice.payments", "payment_intent.latest_charge"] if is_expanded else []
        params = _without_empty(expand=expand)
        return await self._call(self._v1.checkout.sessions.retrieve_async, session_id, params=params)

    async def close_session(self, session_id: str) -> None:
        """Close a session, so that it can no longer be paid; one that is paid or closed stays so."""
        try:
            await self._call(self._v1.checkout.sessions.expire_async, session_id)
        except PermanentError as refusal:
            log.info("session_not_open", stripe_id=session_id, code=refusal.code)

    async def create_portal(self, customer: str, return_url: str) -> StripeSnapshot:
        """Create a page on which a customer manages subscriptions and cards."""
        known = self._portal
        if self._portal is None:
            self._portal = await self._find_portal()
        params = {"customer": customer, "return_url": return_url, "configuration": self._portal}
        try:
            return await self._call(self._v1.billing_portal.sessions.create_async, params=params)
        except PermanentError as refusal:
            if refusal.field != "configuration":
                raise
            self._portal = None
            if known is None:
                raise
        # Somebody deactivated the one that was known: once more, with another.
        return await self.create_portal(customer, return_url)

    async def _find_portal(self) -> str:
        """The portal's configuration: the one that an earlier process made, else a new one."""
        listed = await self._call(
            self._v1.billing_portal.configurations.list_async, params={"active": True, "limit": 100}
        )
        mark = _digest(PORTAL_FEATURES)
        for known in listed.items():
            if (known.get("metadata") or {}).get(PORTAL_MARK) == mark:
                return str(known["id"])
        params = {"features": PORTAL_FEATURES, "metadata": {PORTAL_MARK: mark}}
        return (await self._call(self._v1.billing_portal.configurations.create_async, params=params)).id()

    # Subscriptions

    async def subscription(self, subscription_id: str) -> StripeSnapshot:
        """Read a subscription."""
        return await self._call(self._v1.subscriptions.retrieve_async, subscription_id)

    async def cancel_at_period_end(self, subscription_id: str) -> StripeSnapshot:
        """Let a subscription end with the period that is paid."""
        params = {"cancel_at_period_end": True}
        return await self._call(self._v1.subscriptions.update_async, subscription_id, params=params)

    async def resume(self, subscription_id: str) -> StripeSnapshot:
        """Let a subscription continue that was to end, whether with its period or at a date."""
        found = (await self.subscription(subscription_id)).body
        has_date = found.get("cancel_at") and not found.get("cancel_at_period_end")
        params = {"cancel_at": ""} if has_date else {"cancel_at_period_end": False}
        return await self._call(self._v1.subscriptions.update_async, subscription_id, params=params)

    async def pause_collection(self, subscription_id: str) -> StripeSnapshot:
        """Let Stripe void the invoices of a subscription instead of collecting them, and mark that we did it."""
        params = {"pause_collection": {"behavior": "void"}, "metadata": {PAUSED_BY: US}}
        return await self._call(self._v1.subscriptions.update_async, subscription_id, params=params)

    async def resume_collection(self, subscription_id: str) -> StripeSnapshot:
        """Let Stripe collect the next invoices of a subscription again."""
        params = {"pause_collection": "", "metadata": {PAUSED_BY: ""}}
        return await self._call(self._v1.subscriptions.update_async, subscription_id, params=params)

    async def cancel_now(self, subscription_id: str) -> StripeSnapshot:
        """End a subscription at once. Refused where it has ended."""
        return await self._call(self._v1.subscriptions.cancel_async, subscription_id)

    async def invoice_payments(self, invoice: str) -> StripeSnapshot:
        """List the payments of an invoice."""
        return await self._call(self._v1.invoice_payments.list_async, params={"invoice": invoice, "limit": 10})

    # Refunds

    async def refunds(self, intent: str) -> StripeSnapshot:
        """List the refunds of a payment."""
        return await self._call(self._v1.refunds.list_async, params={"payment_intent": intent, "limit": 100})

    async def create_refund(
        self, intent: str, amount: int | None, metadata: dict[str, str], key: str, attempt: int
    ) -> StripeSnapshot:
        """Refund a payment: this amount, or all that is left."""
        params = _without_empty(payment_intent=intent, amount=amount, metadata=metadata)
        key = _numbered(key, attempt)
        return await self._call(self._v1.refunds.create_async, params=params, key=key, is_key_final=True)

    async def dispute(self, dispute_id: str) -> StripeSnapshot:
        """Read a dispute."""
        return await self._call(self._v1.disputes.retrieve_async, dispute_id)

    # Payouts

    async def create_account(self, person: PayoutAccountPayload, terms: Body, attempt: int) -> StripeSnapshot:
        """Create an account for payouts to a person, on the terms of `account_terms`."""
        params = _without_empty(type="express", email=person.email, metadata={"user_id": person.user_id}, **terms)
        key = _numbered(f"account:{person.user_id}", attempt)
        return await self._call(self._v1.accounts.create_async, params=params, key=key)

    async def account(self, account_id: str) -> StripeSnapshot:
        """Read an account."""
        return await self._call(self._v1.accounts.retrieve_async, account_id)

    async def create_account_link(self, account: str, return_url: str, refresh_url: str) -> StripeSnapshot:
        """Create a page on which the holder of an account gives Stripe the data that payouts require."""
        params = {
            "account": account,
            "return_url": return_url,
            "refresh_url": refresh_url,
            "type": "account_onboarding",
        }
        return await self._call(self._v1.account_links.create_async, params=params)

    async def transfers(self, payout: PayoutPayload) -> StripeSnapshot:
        """List the transfers of a payout."""
        params = {"transfer_group": _transfer_group(payout), "limit": 10}
        return await self._call(self._v1.transfers.list_async, params=params)

    async def create_transfer(self, payout: PayoutPayload, attempt: int) -> StripeSnapshot:
        """Transfer a payout. Each attempt of the payout transfers once, however often it is requested.

        Args:
            payout: the payout, whose own attempts are those of admins.
            attempt: of the call, as of the other methods.
        """
        params = {
            "amount": payout.amount,
            "currency": payout.currency,
            "destination": payout.account,
            "metadata": {"payout_id": payout.payout_id},
            "transfer_group": _transfer_group(payout),
        }
        key = _numbered(f"payout:{payout.payout_id}:{payout.attempts}", attempt)
        return await self._call(self._v1.transfers.create_async, params=params, key=key, is_key_final=True)

    async def balance(self) -> StripeSnapshot:
        """Read our balance, by currency."""
        return await self._call(self._v1.balance.retrieve_async)

    async def balance_transactions(self, since: int | None, after: str | None) -> StripeSnapshot:
        """List a page of what moved our balance, the newest first.

        Args:
            since: a second from which on.
            after: the last id of the page before.
        """
        created = None if since is None else {"gte": since}
        params = _without_empty(created=created, starting_after=after, limit=100, expand=["data.source"])
        return await self._call(self._v1.balance_transactions.list_async, params=params)

    # Products and prices

    async def create_product(self, offer: OfferPayload, attempt: int) -> StripeSnapshot:
        """Create the product of an offer. Its key is the offer's alone, so that two calls at once make one product."""
        params = _without_empty(
            name=offer.title,
            description=offer.description,
            active=offer.is_active,
            metadata={"offer_id": offer.offer_id},
        )
        key = _numbered(f"product:{offer.offer_id}", attempt)
        return await self._call(self._v1.products.create_async, params=params, key=key, is_key_final=True)

    async def update_product(self, product_id: str, offer: OfferPayload) -> StripeSnapshot:
        """Make a product equal to its offer."""
        params = {"name": offer.title, "description": offer.description or "", "active": offer.is_active}
        return await self._call(self._v1.products.update_async, product_id, params=params)

    async def price(self, price_id: str) -> StripeSnapshot:
        """Read a price, with its product in it."""
        return await self._call(self._v1.prices.retrieve_async, price_id, params={"expand": ["product"]})

    async def create_price(self, offer: OfferPayload, product: str, attempt: int) -> StripeSnapshot:
        """Create the present price of an offer."""
        recurring = {"interval": offer.billing_interval} if offer.billing_interval else None
        params = _without_empty(
            product=product,
            currency=offer.currency,
            unit_amount=offer.amount,
            recurring=recurring,
            metadata={"offer_id": offer.offer_id},
        )
        # The key names the former price: an earlier one of the same amount may be inactive by now.
        key = _numbered(f"price:{offer.offer_id}:{offer.price or ''}", attempt)
        return await self._call(self._v1.prices.create_async, params=params, key=key)

    async def archive_price(self, price_id: str) -> StripeSnapshot:
        """Make a price inactive."""
        return await self._call(self._v1.prices.update_async, price_id, params={"active": False})

    async def _call(
        self,
        method: Callable[..., Awaitable[stripe.StripeObject]],
        *ids: str,
        params: Body | None = None,
        key: str | None = None,
        is_key_final: bool = False,
    ) -> StripeSnapshot:
        """Make a call, a few times where it gets lost.

        Args:
            method: of the library.
            ids: the ids in its path.
            params: its parameters.
            key: the idempotency key: calls with the same key are done once.
            is_key_final: whether Stripe refuses the same key with other parameters. By default the key names the
                parameters too, so that other parameters make another call.

        Raises:
            PermanentError: Stripe refuses.
            SavedFailureError: Stripe answers nothing else to this key for a day.
            TransientError: it is unknown whether Stripe did it.
        """
        options: dict[str, str] = {}
        if key is not None:
            options["idempotency_key"] = key if is_key_final else f"{key}:{_digest(params)}"
        # A call without a key reads, or has the same effect when it is repeated.
        async for attempt in stamina.retry_context(
            on=_is_short_lived,
            attempts=ATTEMPTS,
            timeout=RETRY_SECONDS,
            wait_initial=FIRST_PAUSE,
            wait_max=LONGEST_PAUSE,
        ):
            with attempt:
                return await _attempt(method, *ids, params or {}, options)
        raise AssertionError("the last attempt returns or raises")


class WebhookVerifier:
    """Verifies the signatures of deliveries."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Args: the secrets of our endpoints at Stripe."""
        self._secrets = tuple(secrets)

    def is_signed(self, body: bytes, header: str) -> bool:
        """Whether Stripe signed these very bytes within the last five minutes.

        Args:
            body: of the request.
            header: `stripe-signature`.
        """
        return any(self._is_signed_with(secret, body, header) for secret in self._secrets)

    @staticmethod
    def _is_signed_with(secret: str, body: bytes, header: str) -> bool:
        # UnicodeError: the body is not text. OverflowError: the time is out of range. TypeError: the signature is not
        # ASCII, which the library compares only with ASCII.
        try:
            return bool(stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE))
        except (stripe.SignatureVerificationError, UnicodeError, OverflowError, TypeError, ValueError):
            return False


def session_params(order: OrderPayload, customer: str, success_url: str, cancel_url: str, *, now: int) -> Body:
    """The parameters of a Checkout Session."""
    metadata = {"order_id": order.order_id}
    soonest = now + SHORTEST_SESSION
    price: Body = {"currency": order.currency, "unit_amount": order.unit_amount}
    if order.product:
        price["product"] = order.product
    else:
        price["product_data"] = {"name": order.title}
    params: Body = {
        "mode": "payment",
        "customer": customer,
        "client_reference_id": order.order_id,
        "metadata": metadata,
        "line_items": [{"price_data": price, "quantity": order.quantity}],
        "success_url": success_url,
        "cancel_url": cancel_url,
        "expires_at": order.expires_at if order.expires_at >= soonest else math.ceil(soonest / STEP) * STEP,
    }
    if order.billing_interval:
        price["recurring"] = {"interval": order.billing_interval}
        params["mode"] = "subscription"
        if order.discount is not None:
            params["discounts"] = [{"coupon": coupon_id(order, order.discount)}]
        params["subscription_data"] = _without_empty(metadata=metadata, trial_period_days=order.trial_days or None)
    else:
        params["payment_intent_data"] = {"metadata": metadata, "transfer_group": f"order:{order.order_id}"}
    return params


def coupon_id(order: OrderPayload, discount: DiscountPayload) -> str:
    """The id of a discount's coupon at Stripe, the same for all orders with this discount."""
    months = "" if discount.months is None else f"-{discount.months}"
    return f"{discount.code}-{order.currency}-{discount.amount}-{discount.duration}{months}"


def expanded_objects(session: Body) -> Iterator[Body]:
    """An expanded session and the objects in it, each as webhooks deliver it, in the order in which to apply them."""
    flat = dict(session)
    for field in ("subscription", "invoice"):
        if isinstance(session.get(field), dict):
            flat[field] = session[field]["id"]
            yield session[field]
    intent = session.get("payment_intent")
    if isinstance(intent, dict):
        flat["payment_intent"] = intent["id"]
    yield flat
    charge = intent.get("latest_charge") if isinstance(intent, dict) else None
    if isinstance(charge, dict):
        yield charge


def intent_of(payments: StripeSnapshot) -> str | None:
    """The payment intent that paid an invoice, among the invoice's payments."""
    for payment in payments.items():
        intent = payment["payment"].get("payment_intent")
        if payment["status"] == "paid" and intent:
            return str(intent)
    return None


async def _attempt(method: Callable[..., Awaitable[stripe.StripeObject]], *arguments: Any) -> StripeSnapshot:
    began = time.monotonic()
    try:
        answer = (await method(*arguments)).last_response
    except stripe.StripeError as failure:
        raise _translate_error(failure) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as failure:  # while the answer was read
        raise TransientError(type(failure).__name__, is_short_lived=True) from None
    if answer is None:
        raise TransientError("no answer")
    date = answer.headers.get("date")
    at = parsedate_to_datetime(date).timestamp() if date else time.time()
    seconds = math.floor(at - (time.monotonic() - began))
    return StripeSnapshot(body=msgspec.json.decode(answer.body), observed_at=datetime.fromtimestamp(seconds, UTC))


def _translate_error(failure: stripe.StripeError) -> PermanentError | TransientError:
    # The library sets the code of some kinds of errors only.
    code = failure.code or getattr(failure.error, "code", None)
    # With the id of the request, which finds it at Stripe.
    message = " ".join(str(failure).split())[:400]
    log.warning("stripe_error", kind=type(failure).__name__, status=failure.http_status, code=code, error=message)
    is_lost = isinstance(failure, stripe.PermissionError) and code in MISSING
    is_repeated = (failure.headers or {}).get("idempotent-replayed") == "true"
    match failure:
        case _ if is_lost or isinstance(failure, stripe.InvalidRequestError | stripe.CardError):
            reason = failure.user_message or type(failure).__name__
            return PermanentError(reason, code, getattr(failure, "param", None))
        case stripe.AuthenticationError() | stripe.PermissionError():
            # A fault of our setup: until it is corrected nothing is known about the request.
            return TransientError(message)
        case stripe.IdempotencyError() if code != IN_USE:
            # An earlier call with this key had other parameters, such as the title before it was changed.
            return SavedFailureError(message)
        case stripe.APIError() if is_repeated:
            return SavedFailureError(message)
        case _:
            return TransientError(message, is_short_lived=True)


def _is_short_lived(failure: Exception) -> bool:
    return isinstance(failure, TransientError) and failure.is_short_lived


def _numbered(key: str, attempt: int) -> str:
    return f"{key}:attempt-{attempt}" if attempt else key


def _without_empty(**params: Any) -> Body:
    return {name: value for name, value in params.items() if value not in (None, [])}


def _digest(params: Body | None) -> str:
    return hashlib.sha256(msgspec.json.encode(params, order="deterministic")).hexdigest()[:24]


def _transfer_group(payout: PayoutPayload) -> str:
    return f"payout:{payout.payout_id}"
