"""Webhooks of Stripe."""

import re
from typing import Annotated

import msgspec

from edge.http.webhooks import WebhookEvent

HANDLED_EVENTS = frozenset(
    {
        "account.application.deauthorized",
        "account.updated",
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.completed",
        "checkout.session.expired",
        "customer.deleted",
        "customer.subscription.created",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "customer.subscription.updated",
        "invoice.paid",
        "invoice_payment.paid",
        "payout.failed",
        "price.deleted",
        "price.updated",
        "product.deleted",
        "product.updated",
        "refund.created",
        "refund.failed",
        "refund.updated",
        "transfer.created",
        "transfer.reversed",
    }
)
"""The types that private.apply_stripe_event handles, and to which docs/deploy.md subscribes."""


class StripeEvent(WebhookEvent, frozen=True, kw_only=True):
    """What every event of Stripe has."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    livemode: bool | None = None


def is_of_other_mode(event: StripeEvent, api_key: str | None) -> bool:
    """Whether an event is of test mode and the key of live mode, or the reverse.

    A live endpoint for connected accounts gets the events of both modes: https://docs.stripe.com/connect/webhooks
    """
    mode = re.match("[sr]k_(live|test)_", api_key or "")
    return mode is not None and event.livemode is not None and event.livemode != (mode[1] == "live")
