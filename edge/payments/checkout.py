"""From an order to the page on which it is paid, and from Stripe's objects back to the order."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from common.errors import PermanentError, TransientError
from edge.database import Database
from edge.payments import stored_ids
from edge.payments.client import MISSING, Stripe, StripeSnapshot, expanded_objects
from edge.payments.types import OrderPayload

OPEN = "open"
COMPLETE = "complete"
ROUNDS = 8
"""How often the page of an order is looked for anew, after another checkout or a dropped id has changed it."""


async def apply(database: Database, snapshot: StripeSnapshot) -> None:
    """Apply one object to the database."""
    await database.call("apply_stripe_object", p_object=snapshot.body, p_observed_at=snapshot.observed_at)


async def refresh(
    database: Database, stripe_id: str, request: Callable[[str], Awaitable[StripeSnapshot]]
) -> StripeSnapshot:
    """Request an object that the database may have observed before, and apply it.

    Args:
        database: where it is applied.
        stripe_id: its id.
        request: the call that answers it.
    """
    known: datetime | None = await database.call("stripe_observed_at", p_stripe_id=stripe_id)
    snapshot = (await request(stripe_id)).not_before(known)
    await apply(database, snapshot)
    return snapshot


async def apply_session(database: Database, snapshot: StripeSnapshot) -> None:
    """Apply an expanded session to the database."""
    for body in expanded_objects(snapshot.body):
        await database.call("apply_stripe_object", p_object=body, p_observed_at=snapshot.observed_at)


async def open_session(
    database: Database, provider: Stripe, order_id: str, *, success_url: str, cancel_url: str
) -> StripeSnapshot | None:
    """The open session of a pending order; the same one for as long as Stripe has it open.

    Returns:
        None where nothing is left to pay: the order was paid, or withdrawn, in the meantime.

    Raises:
        EdgeError: the database refused, or cannot be reached.
        PermanentError, TransientError: Stripe did.
    """
    for _ in range(ROUNDS):
        payload = await database.call("checkout_payload", p_order_id=order_id)
        if payload is None:
            return None
        order = msgspec.convert(payload, OrderPayload)
        if order.session is not None:
            known = await stored_ids.use(database, "session", order.session, provider.session)
            if known is None:
                continue
            if known.body["status"] == OPEN:
                return known
            if known.body["status"] == COMPLETE:
                # The buyer came back before the webhook did.
                await apply_session(database, await provider.session(order.session, is_expanded=True))
                return None
        created = await _create_session(database, provider, order, success_url, cancel_url)
        if created is None:
            continue
        session: str | None = await database.call(
            "bind_session", p_stripe_id=created.id(), p_order_id=order_id, p_former_session=order.session
        )
        if session == created.id():
            return created
        # Nobody may pay on this page: the order was withdrawn meanwhile, or a concurrent checkout opened another page.
        await provider.close_session(created.id())
        if session is None:
            return None
    raise TransientError("the payment page of an order was replaced again and again")


async def _create_session(
    database: Database, provider: Stripe, order: OrderPayload, success_url: str, cancel_url: str
) -> StripeSnapshot | None:
    """A new session; None where Stripe did not have the customer or the product any more, whose id is then dropped."""
    customer = order.customer or await _create_customer(database, provider, order)

    def request(attempt: int) -> Awaitable[StripeSnapshot]:
        return provider.create_session(order, customer, success_url, cancel_url, attempt)

    try:
        return await stored_ids.create(database, "session", order.order_id, request)
    except PermanentError as refusal:
        if refusal.code in MISSING and refusal.field == "customer":
            await stored_ids.drop(database, "customer", customer)
            return None
        if order.product is None:
            raise
        if refusal.code in MISSING:
            await stored_ids.drop(database, "product", order.product)
    # The page does not depend on the product: it may be gone, or archived, until the worker has made it anew.
    return await _create_session(
        database, provider, msgspec.structs.replace(order, product=None), success_url, cancel_url
    )


async def _create_customer(database: Database, provider: Stripe, order: OrderPayload) -> str:
    def request(attempt: int) -> Awaitable[StripeSnapshot]:
        return provider.create_customer(order, attempt)

    created = await stored_ids.create(database, "customer", order.buyer_id, request)
    await database.call("bind_stripe_object", p_stripe_id=created.id(), p_object="customer", p_id=order.buyer_id)
    return created.id()
