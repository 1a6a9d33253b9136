"""Changes of a subscription's price: the rest of the period is credited and charged, or not."""

from fractions import Fraction
from typing import Literal

from stack.doubles.stripe import billing, catalog, discounts, invoices
from stack.doubles.stripe.errors import Object, StripeError, invalid
from stack.doubles.stripe.unit_of_work import UnitOfWork

Proration = Literal["always_invoice", "create_prorations", "none"]
"""Stripe's `proration_behavior`: the lines go on an invoice at once, on the next one, or there are none."""


def new_plan(work: UnitOfWork, subscription_id: str, amount: int, interval: str | None, product: str | None) -> Object:
    """A price to switch to: an amount of the same currency, by default of the same product and interval."""
    old = work.get("subscription", subscription_id)["items"]["data"][0]["price"]
    recurring = old["recurring"] | ({"interval": interval} if interval else {})
    if product is not None:
        work.get("product", product, "product")
    return catalog.new_price(
        work,
        product or old["product"],
        old["currency"],
        amount,
        recurring=recurring,
        metadata={},
        is_active=True,
    )


def switch(
    work: UnitOfWork, subscription: Object, price: Object, *, quantity: int | None = None, proration: Proration
) -> Object:
    """Change what a subscription costs from now on. Where the new price has another interval, a new period begins now.

    Raises:
        StripeError: the subscription has ended, or the price is inactive, of another currency, or not recurring.
    """
    if subscription["status"] == billing.ENDED:
        raise StripeError("A canceled subscription can only update its cancellation_details and metadata.")
    if not price["active"]:
        raise invalid("items[0][price]", "The price specified is inactive. This field only accepts active prices.")
    if price["recurring"] is None or price["currency"] != subscription["currency"]:
        raise invalid("items[0][price]", "The price must be recurring, and in the currency of the subscription.")
    [item] = subscription["items"]["data"]
    old, previous = dict(item), {"items": {**subscription["items"], "data": [dict(item)]}}
    end = item["current_period_end"]
    name = work.get("product", price["product"])["name"]
    item.update(price=price, quantity=quantity or item["quantity"], _product=name, plan=billing.plan(price))
    is_new_period = old["price"]["recurring"]["interval"] != price["recurring"]["interval"]
    if is_new_period and subscription["status"] != "trialing":
        previous["billing_cycle_anchor"] = subscription["billing_cycle_anchor"]
        work.update(subscription, billing_cycle_anchor=work.now)
        billing.begin_period(work, subscription, 0)
    work.update(subscription, items=subscription["items"])
    lines = []
    if proration != "none" and subscription["status"] != "trialing":
        lines = _prorations(work, subscription, old, end, is_new_period=is_new_period)
    if is_new_period or proration == "always_invoice":
        if is_new_period and subscription["status"] != "trialing":
            lines.append(invoices.line(subscription, item))
        if lines:
            previous["latest_invoice"] = subscription["latest_invoice"]
            outcome = billing.card_outcome(work, subscription["customer"])
            billing.bill(work, subscription, lines, "subscription_update", outcome)
    else:
        work.update(subscription, _pending_lines=[*subscription["_pending_lines"], *lines])
    billing.emit_update(work, subscription, previous)
    return subscription


def _prorations(work: UnitOfWork, subscription: Object, old: Object, end: int, *, is_new_period: bool) -> list[Object]:
    """The credit for the rest of the former price, and the rest of the new one where the period goes on."""
    [item] = subscription["items"]["data"]
    start = old["current_period_start"]
    rest = Fraction(max(end - work.now, 0), end - start)
    paid = work.find(subscription["latest_invoice"] or "")
    credited = paid and {"invoice": paid["id"], "invoice_line_items": [each["id"] for each in paid["lines"]["data"]]}
    period = (work.now, end)
    lines = [invoices.proration(subscription, old, -_part(work, subscription, old, rest), period, credited=credited)]
    if not is_new_period:
        lines.append(
            invoices.proration(subscription, item, _part(work, subscription, item, rest), period, credited=None)
        )
    return lines


def _part(work: UnitOfWork, subscription: Object, item: Object, rest: Fraction) -> int:
    amount: int = item["price"]["unit_amount"] * item["quantity"]
    found = discounts.of_subscription(work, subscription)
    return round((amount - discounts.amount_off(found and found[1], amount)) * rest)
