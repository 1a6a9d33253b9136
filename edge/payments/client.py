"""Stripe, by its own library: each method is one call, made again with the same idempotency key where it got lost."""

import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec
import stamina
import stripe
import structlog

from edge.payments.types import OfferBrief, OrderBrief, PayoutBrief, PersonBrief
from edge.upstream import public_authorities

log = structlog.get_logger()

STRIPE = "https://api.stripe.com"
TIMEOUT = aiohttp.ClientTimeout(total=10.0, sock_connect=3.0)
"""Seconds that one try may take."""
TRIES = 3
TRYING = 15.0
"""Seconds after which nothing is tried again."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
CONNECTIONS = 50
TOLERANCE = 300
"""Seconds for which the signature of a webhook is good."""
SHORTEST_SESSION = 31 * 60
"""Seconds: Stripe wants 30 minutes, on its own clock."""
STEP = 600
"""Seconds to which the end of a session is rounded where it is not the order's: a repeated call then says the same."""

Body = dict[str, Any]


class ProviderError(Exception):
    """Stripe did not do what it was asked. The message is for the logs, and for admins."""


class RefusedError(ProviderError):
    """Stripe will not, however often it is asked."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class UnavailableError(ProviderError):
    """Nobody knows whether Stripe did it: it was not reached, is busy, or does not take our key."""

    def __init__(self, message: str, *, passes: bool) -> None:
        super().__init__(message)
        self.passes = passes
        """Whether it is worth while to ask again at once."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What Stripe answered, and when that was so."""

    body: Body
    as_of: datetime
    """A second of Stripe's own clock that had begun when it looked: what happened before is in the body."""

    def since(self, known: datetime | None) -> "Told":
        """The same, where we knew the object as of that time before we asked: what it says is no older."""
        return self if known is None or known <= self.as_of else Told(body=self.body, as_of=known)

    def id(self) -> str:
        """The id of the object."""
        return str(self.body["id"])

    def items(self) -> list[Body]:
        """The objects of a list."""
        found: list[Body] = self.body["data"]
        return found


class Stripe:
    """Stripe's API. Made inside a running event loop."""

    def __init__(self, api_key: str, api_url: str | None = None) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=public_authorities()),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_url or STRIPE},
            # The version is the library's own. What is tried again is decided below.
            http_client=stripe.AIOHTTPClient(timeout=TIMEOUT, session=self._session),
            max_network_retries=0,
        )
        self._v1 = client.v1

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    # Buying

    async def create_customer(self, brief: OrderBrief) -> Told:
        """A customer for the buyer of an order."""
        params = _given(email=brief.email, name=brief.name, metadata={"user_id": brief.buyer_id})
        return await self._ask(self._v1.customers.create_async, params=params, key=f"customer:{brief.buyer_id}")

    async def create_session(self, brief: OrderBrief, customer: str, success_url: str, cancel_url: str) -> Told:
        """A page on which an order is paid."""
        params = session_params(brief, customer, success_url, cancel_url, now=int(time.time()))
        # A session that has ended is no answer to being asked for another.
        key = f"session:{brief.order_id}:{brief.session or ''}"
        return await self._ask(self._v1.checkout.sessions.create_async, params=params, key=key)

    async def session(self, name: str, *, whole: bool = False) -> Told:
        """A session; `whole` with its subscription, its invoice and its charge."""
        expand = ["subscription", "invoice.payments", "payment_intent.latest_charge"] if whole else []
        return await self._ask(self._v1.checkout.sessions.retrieve_async, name, params=_given(expand=expand))

    async def close_session(self, name: str) -> None:
        """Close a session, so that nobody pays on it; one that is paid or closed stays so."""
        try:
            await self._ask(self._v1.checkout.sessions.expire_async, name)
        except RefusedError as error:
            log.info("session_not_open", stripe_id=name, code=error.code)

    async def create_portal(self, customer: str, return_url: str) -> Told:
        """A page on which a customer sees to subscriptions and cards."""
        params = {"customer": customer, "return_url": return_url}
        return await self._ask(self._v1.billing_portal.sessions.create_async, params=params)

    # What recurs

    async def subscription(self, name: str) -> Told:
        """A subscription as it is."""
        return await self._ask(self._v1.subscriptions.retrieve_async, name)

    async def end_with_period(self, name: str) -> Told:
        """Have a subscription end when what is paid has run out."""
        return await self._ask(self._v1.subscriptions.update_async, name, params={"cancel_at_period_end": True})

    async def resume(self, name: str) -> Told:
        """Have a subscription go on that was to end; it may have been told so in one of two ways."""
        found = (await self.subscription(name)).body
        has_date = found.get("cancel_at") and not found.get("cancel_at_period_end")
        params = {"cancel_at": ""} if has_date else {"cancel_at_period_end": False}
        return await self._ask(self._v1.subscriptions.update_async, name, params=params)

    async def end_now(self, name: str) -> Told:
        """End a subscription at once. Refused where it has ended."""
        return await self._ask(self._v1.subscriptions.cancel_async, name)

    async def invoice_payments(self, invoice: str) -> Told:
        """The payments of an invoice."""
        return await self._ask(self._v1.invoice_payments.list_async, params={"invoice": invoice, "limit": 10})

    # Giving back

    async def refunds(self, intent: str) -> Told:
        """The refunds of a payment."""
        return await self._ask(self._v1.refunds.list_async, params={"payment_intent": intent, "limit": 100})

    async def create_refund(self, intent: str, amount: int | None, metadata: dict[str, str], key: str) -> Told:
        """Give a payment back: this much, or all that is left."""
        params = _given(payment_intent=intent, amount=amount, metadata=metadata)
        return await self._ask(self._v1.refunds.create_async, params=params, key=key, is_digested=False)

    # Paying out

    async def create_account(self, brief: PersonBrief, country: str | None) -> Told:
        """An account to which somebody is paid out, of a country or ours."""
        params = _given(
            type="express",
            country=country,
            email=brief.email,
            capabilities={"transfers": {"requested": True}},
            metadata={"user_id": brief.user_id},
        )
        return await self._ask(self._v1.accounts.create_async, params=params, key=f"account:{brief.user_id}")

    async def account(self, name: str) -> Told:
        """An account as it is."""
        return await self._ask(self._v1.accounts.retrieve_async, name)

    async def create_account_link(self, account: str, return_url: str, refresh_url: str) -> Told:
        """A page on which somebody tells Stripe what it must know before it pays out."""
        params = {
            "account": account,
            "return_url": return_url,
            "refresh_url": refresh_url,
            "type": "account_onboarding",
        }
        return await self._ask(self._v1.account_links.create_async, params=params)

    async def transfers(self, brief: PayoutBrief) -> Told:
        """What was transferred for a payout."""
        return await self._ask(self._v1.transfers.list_async, params={"transfer_group": _group(brief), "limit": 10})

    async def create_transfer(self, brief: PayoutBrief) -> Told:
        """Transfer a payout. An attempt is made once, however often it is asked for."""
        params = {
            "amount": brief.amount,
            "currency": brief.currency,
            "destination": brief.account,
            "metadata": {"payout_id": brief.payout_id},
            "transfer_group": _group(brief),
        }
        key = f"payout:{brief.payout_id}:{brief.attempts}"
        return await self._ask(self._v1.transfers.create_async, params=params, key=key, is_digested=False)

    async def balance_transactions(self, since: int | None, after: str | None) -> Told:
        """A page of what moved our balance, the newest first: from a second on, after one of the page before."""
        created = None if since is None else {"gte": since}
        params = _given(created=created, starting_after=after, limit=100, expand=["data.source"])
        return await self._ask(self._v1.balance_transactions.list_async, params=params)

    # The catalogue

    async def create_product(self, brief: OfferBrief) -> Told:
        """A product of an offer. Its key is the offer's alone, so that two at once make one."""
        params = _given(
            name=brief.title,
            description=brief.description,
            active=brief.is_active,
            metadata={"offer_id": brief.offer_id},
        )
        key = f"product:{brief.offer_id}"
        return await self._ask(self._v1.products.create_async, params=params, key=key, is_digested=False)

    async def update_product(self, name: str, brief: OfferBrief) -> Told:
        """Have a product be like its offer."""
        params = {"name": brief.title, "description": brief.description or "", "active": brief.is_active}
        return await self._ask(self._v1.products.update_async, name, params=params)

    async def price(self, name: str) -> Told:
        """A price as it is."""
        return await self._ask(self._v1.prices.retrieve_async, name)

    async def create_price(self, brief: OfferBrief, product: str) -> Told:
        """The present price of an offer."""
        recurring = {"interval": brief.billing_interval} if brief.billing_interval else None
        params = _given(
            product=product,
            currency=brief.currency,
            unit_amount=brief.amount,
            recurring=recurring,
            metadata={"offer_id": brief.offer_id},
        )
        # An earlier price of the same amount may be inactive by now.
        key = f"price:{brief.offer_id}:{brief.price or ''}"
        return await self._ask(self._v1.prices.create_async, params=params, key=key)

    async def retire_price(self, name: str) -> Told:
        """Have nothing more sold at a price."""
        return await self._ask(self._v1.prices.update_async, name, params={"active": False})

    async def _ask(
        self,
        call: Callable[..., Awaitable[stripe.StripeObject]],
        *names: str,
        params: Body | None = None,
        key: str | None = None,
        is_digested: bool = True,
    ) -> Told:
        """Make a call, a few times where it gets lost.

        Args:
            call: the library's method.
            names: the ids in its path.
            params: its parameters.
            key: for what it is done once.
            is_digested: whether the key also names the parameters: the same with others is then another call, and not
                one that Stripe refuses.

        Raises:
            RefusedError: Stripe will not.
            UnavailableError: it is not known what Stripe did.
        """
        options: dict[str, str] = {}
        if key is not None:
            options["idempotency_key"] = f"{key}:{_digest(params)}" if is_digested else key
        # What comes without a key reads, or is the same when it is done twice.
        async for attempt in stamina.retry_context(
            on=_passes, attempts=TRIES, timeout=TRYING, wait_initial=FIRST_PAUSE, wait_max=LONGEST_PAUSE
        ):
            with attempt:
                return await _asked(call, *names, params or {}, options)
        raise AssertionError("the last try either answers or raises")


class Signatures:
    """Tells deliveries that Stripe signed from all others."""

    def __init__(self, secrets: str) -> None:
        """Take the secrets of our endpoints at Stripe, comma separated. Raises ValueError where there is none."""
        self._secrets = tuple(secret.strip() for secret in secrets.split(",") if secret.strip())
        if not self._secrets or any(not secret.removeprefix("whsec_") for secret in self._secrets):
            raise ValueError("a secret is empty")

    def verify(self, body: bytes, header: str) -> bool:
        """Whether these very bytes were signed within the last five minutes."""
        return any(self._is_signed(body, header, secret) for secret in self._secrets)

    @staticmethod
    def _is_signed(body: bytes, header: str, secret: str) -> bool:
        # UnicodeError: the body is no text. OverflowError: the time is beyond all. TypeError: the signature is not
        # ASCII, which the library compares only with its own kind.
        try:
            return bool(stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE))
        except (stripe.SignatureVerificationError, UnicodeError, OverflowError, TypeError, ValueError):
            return False


def session_params(brief: OrderBrief, customer: str, success_url: str, cancel_url: str, *, now: int) -> Body:
    """What a Checkout Session is made of."""
    metadata = {"order_id": brief.order_id}
    soonest = now + SHORTEST_SESSION
    price: Body = {"currency": brief.currency, "unit_amount": brief.unit_amount}
    if brief.product:
        price["product"] = brief.product
    else:
        price["product_data"] = {"name": brief.title}
    params: Body = {
        "mode": "payment",
        "customer": customer,
        "client_reference_id": brief.order_id,
        "metadata": metadata,
        "line_items": [{"price_data": price, "quantity": brief.quantity}],
        "success_url": success_url,
        "cancel_url": cancel_url,
        "expires_at": brief.expires_at if brief.expires_at >= soonest else math.ceil(soonest / STEP) * STEP,
    }
    if brief.billing_interval:
        price["recurring"] = {"interval": brief.billing_interval}
        params["mode"] = "subscription"
        params["subscription_data"] = _given(metadata=metadata, trial_period_days=brief.trial_days or None)
    else:
        params["payment_intent_data"] = {"metadata": metadata, "transfer_group": f"order:{brief.order_id}"}
    return params


def unfolded(session: Body) -> Iterator[Body]:
    """A whole session and what was expanded in it, each by itself as webhooks tell it, in the order to apply them."""
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


def intent_of(payments: Told) -> str | None:
    """The payment intent by which an invoice was paid, among its payments."""
    for payment in payments.items():
        intent = payment["payment"].get("payment_intent")
        if payment["status"] == "paid" and intent:
            return str(intent)
    return None


async def _asked(call: Callable[..., Awaitable[stripe.StripeObject]], *arguments: Any) -> Told:
    began = time.monotonic()
    try:
        answer = (await call(*arguments)).last_response
    except stripe.StripeError as error:
        raise _judged(error) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:  # while the answer was read
        raise UnavailableError(type(error).__name__, passes=True) from None
    if answer is None:
        raise UnavailableError("no answer", passes=False)
    date = answer.headers.get("date")
    at = parsedate_to_datetime(date).timestamp() if date else time.time()
    seconds = math.floor(at - (time.monotonic() - began))
    return Told(body=msgspec.json.decode(answer.body), as_of=datetime.fromtimestamp(seconds, UTC))


def _judged(error: stripe.StripeError) -> ProviderError:
    code = error.code
    # Not the message alone: the request's id finds it at Stripe.
    said = " ".join(str(error).split())[:400]
    log.warning("stripe_error", kind=type(error).__name__, status=error.http_status, code=code, error=said)
    match error:
        case stripe.InvalidRequestError() | stripe.CardError():
            return RefusedError(error.user_message or type(error).__name__, code)
        case stripe.AuthenticationError() | stripe.PermissionError() | stripe.IdempotencyError():
            # Ours to mend: until then nothing is known of what was to be done.
            return UnavailableError(said, passes=False)
        case _:
            return UnavailableError(said, passes=True)


def _passes(error: Exception) -> bool:
    return isinstance(error, UnavailableError) and error.passes


def _given(**params: Any) -> Body:
    return {name: value for name, value in params.items() if value not in (None, [])}


def _digest(params: Body | None) -> str:
    return hashlib.sha256(msgspec.json.encode(params, order="deterministic")).hexdigest()[:24]


def _group(brief: PayoutBrief) -> str:
    return f"payout:{brief.payout_id}"
