"""From an order to the page on which it is paid, and from what Stripe knows back to the order."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from edge.database import System
from edge.payments.client import Stripe, Told, unfolded
from edge.payments.types import OrderBrief

OPEN = "open"
COMPLETE = "complete"
MISSING = "resource_missing"
"""Stripe's code for what it does not have, or not any more."""


async def apply(system: System, told: Told) -> None:
    """Have the database take over what Stripe told of one object."""
    await system.call("apply_stripe_object", p_object=told.body, p_as_of=told.as_of)


async def ask(system: System, name: str, question: Callable[[str], Awaitable[Told]]) -> Told:
    """Ask Stripe about an object of which the database may know something, and have it take over the answer."""
    known: datetime | None = await system.call("stripe_as_of", p_stripe_id=name)
    told = (await question(name)).since(known)
    await apply(system, told)
    return told


async def apply_session(system: System, told: Told) -> None:
    """Have the database take over what Stripe told of a whole session."""
    for body in unfolded(told.body):
        await system.call("apply_stripe_object", p_object=body, p_as_of=told.as_of)


async def open_session(
    system: System, provider: Stripe, order_id: str, *, success_url: str, cancel_url: str
) -> Told | None:
    """The open session of a pending order; the same one for as long as Stripe has it open.

    Returns:
        None where there is nothing to pay any more: it was paid, or withdrawn, in the meantime.

    Raises:
        EdgeError, ProviderError: it could not be made.
    """
    brief = await _brief(system, order_id)
    if brief is None:
        return None
    if brief.session is not None:
        known = await provider.session(brief.session)
        if known.body["status"] == OPEN:
            return known
        if known.body["status"] == COMPLETE:
            # The buyer came back before the webhook did.
            await apply_session(system, await provider.session(brief.session, whole=True))
            return None
    made = await _create(system, provider, brief, success_url, cancel_url)
    if not await system.call("bind_session", p_stripe_id=made.id(), p_order_id=order_id):
        # Withdrawn meanwhile: nobody must pay it, and nobody else knew of the session.
        await provider.close_session(made.id())
        return None
    return made


async def _create(system: System, provider: Stripe, brief: OrderBrief, success_url: str, cancel_url: str) -> Told:
    customer = brief.customer or await _customer(system, provider, brief)
    return await provider.create_session(brief, customer, success_url, cancel_url)


async def _customer(system: System, provider: Stripe, brief: OrderBrief) -> str:
    made = await provider.create_customer(brief)
    await system.call("bind_stripe_object", p_stripe_id=made.id(), p_object="customer", p_id=brief.buyer_id)
    return made.id()


async def _brief(system: System, order_id: str) -> OrderBrief | None:
    told = await system.call("checkout_brief", p_order_id=order_id)
    return None if told is None else msgspec.convert(told, OrderBrief)
