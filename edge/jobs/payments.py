"""What is asked of Stripe in the background. The database names these tasks in private.defer_job.

Each asks the database what is to do, then Stripe, then tells the database; no transaction is open meanwhile. A worker
that dies in between leaves a job that is run again: Stripe is first asked what it did already, or knows by the
idempotency key, and the database takes what it is told once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import structlog
from procrastinate import App
from psycopg.types.json import Jsonb

from edge.jobs.database import Database
from edge.jobs.retries import Backoff, HopelessError, TryLaterError
from edge.jobs.settings import Settings
from edge.payments.client import Body, RefusedError, Stripe, Told, UnavailableError, intent_of
from edge.payments.types import OfferBrief, PayoutBrief, RefundBrief

log = structlog.get_logger()

Brief = TypeVar("Brief")

TIE = timedelta(seconds=1)
"""How long to wait before a subscription is looked at again: what is told then is newer than events of one second."""
NIGHTLY = "41 3 * * *"
REFUND_ID = "refund_id"
SURPLUS = "surplus_reference"
"""Metadata by which the database knows what a refund is of."""


class PaymentTasks:
    """The tasks, with what they work with."""

    def __init__(self, settings: Settings, database: Database, provider: Stripe | None) -> None:
        self._database = database
        self._given = provider
        self._backoff = Backoff(settings.first_pause)

    def register(self, app: App) -> None:
        """Make the tasks known to an app, under their own names."""
        for task in (
            self.refund,
            self.refund_surplus,
            self.transfer,
            self.sync_offer,
            self.refetch_subscription,
            self.end_subscription,
            self.expire_session,
        ):
            app.task(name=task.__name__, retry=self._backoff)(_judged(task))
        # Without Stripe there are no books to fetch, and nobody is to look at a failure every night.
        if self._given is not None:
            fetch = app.task(name="fetch_books", queueing_lock="fetch_books", retry=self._backoff)(
                _judged(self.fetch_books)
            )
            app.periodic(cron=NIGHTLY)(fetch)

    async def refund(self, *, refund_id: str) -> None:
        """Give back what an admin decided to; what Stripe refuses has failed."""
        brief = await self._brief("refund_brief", RefundBrief, p_refund_id=refund_id)
        if brief is None:
            return
        try:
            intent = brief.payment or await self._intent(brief.invoice or "") or ""
            metadata = {REFUND_ID: brief.refund_id, "order_id": brief.order_id}
            told = await self._give_back(intent, brief.amount, metadata, REFUND_ID, f"refund:{brief.refund_id}")
        except RefusedError as error:
            log.warning("refund_refused", refund_id=refund_id, code=error.code, error=str(error))
            await self._tell("settle_refund", p_refund_id=refund_id, p_status="failed")
            return
        await self._apply(told)

    async def refund_surplus(self, *, reference: str) -> None:
        """Give back all of a payment of what was paid already."""
        intent = await self._intent(reference) if reference.startswith("in_") else reference
        # An invoice of nothing, such as a trial's, has no payment.
        if intent is not None:
            await self._apply(
                await self._give_back(intent, None, {SURPLUS: reference}, SURPLUS, f"surplus:{reference}")
            )

    async def transfer(self, *, payout_id: str) -> None:
        """Pay somebody out; what Stripe refuses has failed, and an admin may have it tried again."""
        brief = await self._brief("payout_brief", PayoutBrief, p_payout_id=payout_id)
        if brief is None:
            return
        stripe_id = failure = None
        try:
            known = [transfer for transfer in (await self._provider.transfers(brief)).items() if _is_there(transfer)]
            stripe_id = known[0]["id"] if known else (await self._provider.create_transfer(brief)).id()
        except RefusedError as error:
            failure = str(error) or "refused"
            log.warning("transfer_refused", payout_id=payout_id, code=error.code, error=failure)
        await self._tell("settle_payout", p_payout_id=payout_id, p_stripe_id=stripe_id, p_failure=failure)

    async def sync_offer(self, *, offer_id: str) -> None:
        """Have the product and the price at Stripe be like the offer."""
        brief = await self._brief("offer_brief", OfferBrief, p_offer_id=offer_id)
        if brief is None or (brief.product is None and not brief.is_active):
            return
        if brief.product is None:
            product = (await self._provider.create_product(brief)).id()
            await self._bind(product, "product", offer_id)
        else:
            product = brief.product
        # A repeated creation answers what was created then: brought up to date in any case.
        await self._provider.update_product(product, brief)
        former = None if brief.price is None else (await self._provider.price(brief.price)).body
        if former is not None and _costs(former, brief):
            return
        price = (await self._provider.create_price(brief, product)).id()
        await self._bind(price, "price", offer_id)
        if former is not None and former["active"]:
            await self._provider.retire_price(former["id"])

    async def refetch_subscription(self, *, stripe_id: str) -> None:
        """Look how a subscription is, where the events did not tell which was the later."""
        known: datetime | None = await self._tell("stripe_as_of", p_stripe_id=stripe_id)
        await asyncio.sleep(TIE.total_seconds())
        told = await self._provider.subscription(stripe_id)
        # Another second has begun since: told as of the same one, there would be a tie again.
        await self._apply(told.since(known and known + TIE))

    async def end_subscription(self, *, stripe_id: str) -> None:
        """End a subscription that is one too many; one that has ended stays so."""
        try:
            await self._provider.end_now(stripe_id)
        except RefusedError as error:
            log.info("subscription_not_ended", stripe_id=stripe_id, code=error.code, error=str(error))

    async def expire_session(self, *, stripe_id: str) -> None:
        """Close the page on which an order was to be paid; one that is paid or closed stays so."""
        await self._provider.close_session(stripe_id)

    async def fetch_books(self, *, timestamp: int) -> None:  # noqa: ARG002  the library passes it
        """Fetch what moved our balance at Stripe since the last time: what is known is kept once."""
        since = await self._tell("newest_balance_transaction")
        after: str | None = None
        while True:
            told = await self._provider.balance_transactions(since, after)
            items = told.items()
            kept = await self._tell("keep_balance_transactions", p_transactions=Jsonb(items))
            log.info("books_fetched", transactions=kept)
            if not told.body["has_more"]:
                return
            after = items[-1]["id"]

    @property
    def _provider(self) -> Stripe:
        if self._given is None:
            raise TryLaterError("JOBS_STRIPE_API_KEY is not set")
        return self._given

    async def _give_back(self, intent: str, amount: int | None, metadata: dict[str, str], mark: str, key: str) -> Told:
        """Refund a payment, unless that was done: a key is forgotten after a day, the refund's metadata never."""
        known = await self._provider.refunds(intent)
        for refund in known.items():
            if (refund.get("metadata") or {}).get(mark) == metadata[mark]:
                return Told(body=refund, as_of=known.as_of)
        return await self._provider.create_refund(intent, amount, metadata, key)

    async def _intent(self, invoice: str) -> str | None:
        return intent_of(await self._provider.invoice_payments(invoice))

    async def _brief(self, function: str, kind: type[Brief], **parameters: str) -> Brief | None:
        told = await self._tell(function, **parameters)
        return None if told is None else msgspec.convert(told, kind)

    async def _bind(self, stripe_id: str, kind: str, row: str) -> None:
        await self._tell("bind_stripe_object", p_stripe_id=stripe_id, p_object=kind, p_id=row)

    async def _apply(self, told: Told) -> None:
        await self._tell("apply_stripe_object", p_object=told.body, p_as_of=told.as_of)

    async def _tell(self, function: str, /, **parameters: Any) -> Any:
        async with self._database.transaction() as transaction:
            return await transaction.call(function, **parameters)


def _judged(task: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The task, with what Stripe did as the queue understands it."""

    async def judged(**arguments: Any) -> None:
        try:
            await task(**arguments)
        except UnavailableError as error:
            raise TryLaterError(str(error)) from None
        except RefusedError as error:
            raise HopelessError(str(error)) from None

    return judged


def _is_there(transfer: Body) -> bool:
    return not transfer["reversed"]


def _costs(price: Body, brief: OfferBrief) -> bool:
    interval = (price.get("recurring") or {}).get("interval")
    return bool(price["active"]) and (price["unit_amount"], price["currency"], interval) == (
        brief.amount,
        brief.currency,
        brief.billing_interval,
    )
