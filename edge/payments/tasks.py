"""Tasks of payments: what Stripe does in the background.

Each task reads from the database what to do, calls Stripe, and records the result in the database; no transaction is
open meanwhile. A worker that dies in between leaves a job that runs again: the task first reads from Stripe what was
done already, or repeats an idempotency key, and the database applies each object once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
import structlog
from psycopg.types.json import Jsonb

from common.errors import PermanentError, TransientError
from edge.database import Database
from edge.payments import stored_ids
from edge.payments.checkout import apply, refresh
from edge.payments.client import MISSING, PAUSED_BY, US, Body, Stripe, StripeSnapshot, intent_of
from edge.payments.settings import StripeSettings
from edge.payments.types import OfferPayload, PayoutPayload, RefundPayload, RenewalPayload
from edge.worker.package import Task, WorkerContext, WorkerPackage

log = structlog.get_logger()

Payload = TypeVar("Payload")

TIE = timedelta(seconds=1)
"""How long to wait before a subscription is read again: the answer is then newer than events of the same second."""
NIGHTLY = "41 3 * * *"
ENDED = frozenset({"canceled", "incomplete_expired"})
"""Statuses in which Stripe refuses to change a subscription."""
REFUND_ID = "refund_id"
SURPLUS = "surplus_reference"
"""Metadata by which the database knows what a refund is of."""


class PaymentTasks:
    """The tasks, and what they use."""

    def __init__(self, database: Database, stripe: Stripe | None) -> None:
        self._database = database
        self._stripe = stripe

    async def refund(self, *, refund_id: str) -> None:
        """Make a refund that an admin decided; one that Stripe refuses has failed."""
        payload = await self._payload("refund_payload", RefundPayload, p_refund_id=refund_id)
        if payload is None:
            return
        try:
            intent = payload.payment or await self._intent(payload.invoice or "") or ""
            metadata = {REFUND_ID: payload.refund_id, "order_id": payload.order_id}
            refund = await self._refund_once(
                intent, payload.amount, metadata, mark=REFUND_ID, key=f"refund:{payload.refund_id}"
            )
        except PermanentError as refusal:
            log.warning("refund_refused", refund_id=refund_id, code=refusal.code, error=str(refusal))
            await self._database.call("record_refund_result", p_refund_id=refund_id, p_status="failed")
            return
        await apply(self._database, refund)

    async def refund_surplus(self, *, reference: str) -> None:
        """Refund all of a payment for something that was paid already."""
        intent = await self._intent(reference) if reference.startswith("in_") else reference
        # An invoice of nothing, such as a trial's, has no payment.
        if intent is not None:
            refund = await self._refund_once(
                intent, None, {SURPLUS: reference}, mark=SURPLUS, key=f"surplus:{reference}"
            )
            await apply(self._database, refund)

    async def fulfil_order(self, *, order_id: str) -> None:
        """Give what a paid order gives, where that failed when the payment arrived."""
        if not await self._database.call("try_fulfilment", p_order_id=order_id):
            raise TransientError("the order could not be fulfilled: payment_exceptions says why", is_short_lived=True)

    async def transfer(self, *, payout_id: str) -> None:
        """Transfer a payout; one that Stripe refuses has failed, and an admin may retry it."""
        payload = await self._payload("payout_payload", PayoutPayload, p_payout_id=payout_id)
        if payload is None:
            return
        try:
            # Also one that is reversed: that was a decision, and no reason to transfer again.
            made = (await self._provider.transfers(payload)).items()
            transfer = made[0] if made else await self._create_transfer(payload)
        except PermanentError as refusal:
            failure = str(refusal) or "refused"
            log.warning("transfer_refused", payout_id=payout_id, code=refusal.code, error=failure)
            if payload.account is not None and refusal.code in MISSING and refusal.field == "destination":
                await stored_ids.drop(self._database, "account", payload.account)
            await self._database.call(
                "record_payout_result", p_payout_id=payout_id, p_provider="stripe", p_reference=None, p_failure=failure
            )
            return
        await self._database.call("record_stripe_transfer", p_payout_id=payout_id, p_object=transfer)

    async def _create_transfer(self, payout: PayoutPayload) -> Body:
        """Transfer a payout. Raises PermanentError where Stripe refuses, or nothing can be transferred."""
        if payout.account is None:
            raise PermanentError("The account for payouts is closed.")
        if payout.currency not in await self._sync_balance():
            message = f"The platform holds no balance in {payout.currency.upper()}."
            raise PermanentError(message, "currency_not_paid_out")

        def request(attempt: int) -> Awaitable[StripeSnapshot]:
            return self._provider.create_transfer(payout, attempt)

        return (await stored_ids.create(self._database, "payout", payout.payout_id, request)).body

    async def sync_balance(self, *, provider: str) -> None:  # noqa: ARG002  it is ours
        """Store in which currencies we have a balance."""
        await self._sync_balance()

    async def _sync_balance(self) -> set[str]:
        """Store our balance, and return its currencies."""
        balance = (await self._provider.balance()).body
        await self._database.call("record_stripe_balance", p_object=balance)
        return {each["currency"] for each in balance["available"]}

    async def sync_offer(self, *, offer_id: str) -> None:
        """Make the product and the price at Stripe equal to the offer."""
        offer = await self._payload("offer_payload", OfferPayload, p_offer_id=offer_id)
        if offer is None or (offer.product is None and not offer.is_active):
            return
        product = offer.product or await self._create_product(offer)

        def update(stripe_id: str) -> Awaitable[StripeSnapshot]:
            return self._provider.update_product(stripe_id, offer)

        # A repeated creation answers the product as it was created, so it is updated in any case.
        if await stored_ids.use(self._database, "product", product, update) is None:
            # The drop has deferred this job again, with the price as it then is.
            return
        former = None
        if offer.price is not None:
            former = await stored_ids.use(self._database, "price", offer.price, self._provider.price)
            if former is None:
                return
        if former is not None and _is_current(former.body, offer):
            return

        def create(attempt: int) -> Awaitable[StripeSnapshot]:
            return self._provider.create_price(offer, product, attempt)

        price = (await stored_ids.create(self._database, "price", offer_id, create)).id()
        await self._bind(price, "price", offer_id)
        if former is not None and former.body["active"]:
            await self._provider.archive_price(former.id())

    async def _create_product(self, offer: OfferPayload) -> str:
        def request(attempt: int) -> Awaitable[StripeSnapshot]:
            return self._provider.create_product(offer, attempt)

        product = (await stored_ids.create(self._database, "product", offer.offer_id, request)).id()
        await self._bind(product, "product", offer.offer_id)
        return product

    async def refetch_subscription(self, *, stripe_id: str) -> None:
        """Read a subscription again, after two events of the same second whose order is unknown."""
        await self._refetch("subscription", stripe_id, self._provider.subscription)

    async def refetch_dispute(self, *, stripe_id: str) -> None:
        """Read a dispute again, after two events of the same second whose order is unknown."""
        await self._refetch("dispute", stripe_id, self._provider.dispute)

    async def end_subscription(self, *, stripe_id: str) -> None:
        """End a subscription that is a duplicate, or whose subscriber left; one that has ended stays so."""
        try:
            await self._provider.cancel_now(stripe_id)
        except PermanentError as refusal:
            log.info("subscription_not_ended", stripe_id=stripe_id, code=refusal.code, error=str(refusal))

    async def sync_renewals(self, *, subscription_id: str) -> None:
        """Let a subscription renew as long as its seller can sell. A second run finds nothing to change."""
        done: RenewalPayload | None = None
        # Read again after each change: the seller's account may have changed meanwhile.
        while (
            payload := await self._payload("renewal_payload", RenewalPayload, p_subscription_id=subscription_id)
        ) is not None and payload != done:
            try:
                await self._sync_renewals(payload)
            except PermanentError as refusal:
                log.warning("renewals_not_synced", subscription_id=subscription_id, code=refusal.code)
                return
            done = payload

    async def _sync_renewals(self, payload: RenewalPayload) -> None:
        snapshot = await stored_ids.use(
            self._database, "subscription", payload.subscription, self._provider.subscription
        )
        if snapshot is None or snapshot.body["status"] in ENDED:
            return
        found = snapshot.body
        is_paused = found.get("pause_collection") is not None
        is_paused_by_us = (found.get("metadata") or {}).get(PAUSED_BY) == US
        if payload.must_end and not found["cancel_at_period_end"] and found.get("cancel_at") is None:
            await refresh(self._database, payload.subscription, self._provider.cancel_at_period_end)
        if payload.is_paused and not is_paused:
            await refresh(self._database, payload.subscription, self._provider.pause_collection)
        elif not payload.is_paused and is_paused and is_paused_by_us:
            await refresh(self._database, payload.subscription, self._provider.resume_collection)

    async def end_customer(self, *, stripe_id: str) -> None:
        """Delete the customer of somebody who left, with the cards; one that is deleted stays so."""
        await self._provider.delete_customer(stripe_id)

    async def expire_session(self, *, stripe_id: str) -> None:
        """Close the page on which an order was to be paid; one that is paid or closed stays so."""
        await self._provider.close_session(stripe_id)

    async def sync_balance_transactions(self, *, timestamp: int) -> None:  # noqa: ARG002  the library passes it
        """Store what moved our balance at Stripe since the last time; what is stored already stays as it is."""
        since = await self._database.call("newest_balance_transaction")
        after: str | None = None
        while True:
            page = await self._provider.balance_transactions(since, after)
            items = page.items()
            stored = await self._database.call("upsert_balance_transactions", p_transactions=Jsonb(items))
            log.info("balance_transactions_stored", transactions=stored)
            if not page.body["has_more"]:
                break
            after = items[-1]["id"]
        await self._sync_balance()

    @property
    def _provider(self) -> Stripe:
        if self._stripe is None:
            raise TransientError("WORKER_STRIPE_API_KEY is not set")
        return self._stripe

    async def _refund_once(
        self, intent: str, amount: int | None, metadata: dict[str, str], *, mark: str, key: str
    ) -> StripeSnapshot:
        """Refund a payment, unless that was done: Stripe forgets a key after a day, the refund's metadata never.

        Args:
            intent: the payment.
            amount: how much of it; None is all that is left.
            metadata: of the refund.
            mark: the entry of the metadata that no other refund shares.
            key: the idempotency key.
        """
        made = await self._provider.refunds(intent)
        for refund in made.items():
            if (refund.get("metadata") or {}).get(mark) == metadata[mark]:
                return StripeSnapshot(body=refund, observed_at=made.observed_at)
        kind, _, subject = key.partition(":")

        def request(attempt: int) -> Awaitable[StripeSnapshot]:
            return self._provider.create_refund(intent, amount, metadata, key, attempt)

        # Another key is safe: a call that Stripe has answered makes nothing later, and the list above has all it made.
        return await stored_ids.create(self._database, kind, subject, request)

    async def _refetch(self, kind: str, stripe_id: str, read: Callable[[str], Awaitable[StripeSnapshot]]) -> None:
        known: datetime | None = await self._database.call("stripe_observed_at", p_stripe_id=stripe_id)
        await asyncio.sleep(TIE.total_seconds())
        snapshot = await stored_ids.use(self._database, kind, stripe_id, read)
        if snapshot is not None:
            # Another second has begun since: applied as of the same one, it would be a tie again.
            await apply(self._database, snapshot.not_before(known and known + TIE))

    async def _intent(self, invoice: str) -> str | None:
        return intent_of(await self._provider.invoice_payments(invoice))

    async def _payload(self, function: str, kind: type[Payload], **parameters: str) -> Payload | None:
        payload = await self._database.call(function, **parameters)
        return None if payload is None else msgspec.convert(payload, kind)

    async def _bind(self, stripe_id: str, kind: str, row_id: str) -> None:
        await self._database.call("bind_stripe_object", p_stripe_id=stripe_id, p_object=kind, p_id=row_id)


def _is_current(price: Body, offer: OfferPayload) -> bool:
    interval = (price.get("recurring") or {}).get("interval")
    return bool(price["active"]) and (price["unit_amount"], price["currency"], interval) == (
        offer.amount,
        offer.currency,
        offer.billing_interval,
    )


@asynccontextmanager
async def open_tasks(worker: WorkerContext) -> AsyncIterator[Sequence[Task]]:
    """Open Stripe, where there is a key. Without one, jobs wait, and nothing runs nightly."""
    stripe = Stripe.of(worker.settings[StripeSettings])
    tasks = PaymentTasks(worker.database, stripe)
    nightly = [] if stripe is None else [Task(run=tasks.sync_balance_transactions, cron=NIGHTLY)]
    yield [
        Task(run=tasks.refund),
        Task(run=tasks.refund_surplus),
        Task(run=tasks.fulfil_order),
        Task(run=tasks.transfer),
        Task(run=tasks.sync_balance),
        Task(run=tasks.sync_offer),
        Task(run=tasks.refetch_subscription),
        Task(run=tasks.refetch_dispute),
        Task(run=tasks.end_subscription),
        Task(run=tasks.sync_renewals),
        Task(run=tasks.end_customer),
        Task(run=tasks.expire_session),
        *nightly,
    ]
    if stripe is not None:
        await stripe.aclose()


PACKAGE = WorkerPackage(open=open_tasks, settings=StripeSettings)
