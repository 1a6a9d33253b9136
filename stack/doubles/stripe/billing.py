"""Subscriptions over time: periods begin, invoices are paid or not, and subscriptions end.

Stripe finalizes the invoice of a renewal an hour after making it; the double does it at once.
"""

from typing import Literal

from stack.doubles.stripe import invoices, payment_intents
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.payment_intents import Outcome
from stack.doubles.stripe.periods import DAY, end_of_period
from stack.doubles.stripe.unit_of_work import UnitOfWork

RENEW, RETRY, WARN, CANCEL = "renew_subscription", "retry_invoice", "warn_of_trial_end", "cancel_subscription"
"""Tasks."""
WARNING_SECONDS = 3 * DAY
"""The time between the warning and the end of a trial."""
RETRY_DAYS = (3, 5, 7)
"""Days from each failed payment of an invoice to the next attempt. After the last one the subscription ends."""
ENDED = "canceled"
OWING = frozenset({"incomplete", "past_due"})


def card_outcome(work: UnitOfWork, customer_id: str) -> Outcome:
    """The outcome of the next attempt with a customer's card."""
    outcome: Outcome = work.note(f"card:{customer_id}", "paid")
    return outcome


def set_card(work: UnitOfWork, customer_id: str, outcome: str) -> None:
    """Let a customer's card be declined from now on, or work again."""
    work.get("customer", customer_id)
    work.write_note(f"card:{customer_id}", outcome)


def bill(
    work: UnitOfWork,
    subscription: Object,
    lines: list[Object],
    reason: Literal["subscription_create", "subscription_cycle", "subscription_update"],
    outcome: Outcome,
) -> Object | None:
    """Invoice lines and try to have them paid.

    Args:
        work: in which it happens.
        subscription: of the lines.
        lines: of the invoice.
        reason: Stripe's `billing_reason`.
        outcome: of the attempt to pay.

    Returns:
        The charge; None where nothing is due, or the customer must act first.
    """
    invoice = invoices.add(work, subscription, lines, reason)
    work.update(subscription, latest_invoice=invoice["id"])
    if subscription["pause_collection"] is not None:
        invoices.set_aside(work, invoice, subscription["pause_collection"]["behavior"])
        return None
    return collect(work, invoice, outcome)


def collect(work: UnitOfWork, invoice: Object, outcome: Outcome) -> Object | None:
    """Try to have an open invoice paid, with the consequences for its subscription; returns the charge, if any."""
    if invoice["amount_due"] == 0:
        invoices.mark_paid(work, invoice, None)
        _end_debt(work, invoice)
        return None
    intent = _intent(work, invoice)
    invoices.payment_of(work, invoice, intent)
    charge = payment_intents.attempt(work, intent, outcome)
    work.update(invoice, attempted=True, attempt_count=invoice["attempt_count"] + 1)
    if charge is None:
        work.emit("invoice.payment_action_required", invoice)
        record_result(work, invoice, intent, succeeded=False)
    elif charge["status"] != "pending":
        record_result(work, invoice, intent, succeeded=charge["status"] == "succeeded")
    return charge


def record_result(work: UnitOfWork, invoice: Object, intent: Object, *, succeeded: bool) -> None:
    """Record the result of an attempt to pay an invoice. A failure leads to a retry, or to the subscription's end."""
    if succeeded:
        invoices.mark_paid(work, invoice, intent)
        work.unschedule(RETRY, invoice["id"])
        _end_debt(work, invoice)
        return
    attempts = invoice["attempt_count"]
    retry_at = work.now + RETRY_DAYS[attempts - 1] * DAY if 0 < attempts <= len(RETRY_DAYS) else None
    work.update(invoice, next_payment_attempt=retry_at, auto_advance=retry_at is not None)
    work.emit("invoice.payment_failed", invoice)
    subscription = work.get("subscription", invoice["_subscription"])
    if subscription["status"] in {"active", "trialing"}:
        emit_update(work, subscription, work.update(subscription, status="past_due"))
    if retry_at is not None:
        work.schedule(retry_at, RETRY, invoice["id"])
    elif subscription["status"] != ENDED:
        end(work, subscription, reason="payment_failed")


def settle(work: UnitOfWork, invoice_id: str, *, succeeded: bool) -> Object:
    """Let the bank decide the pending payment of an invoice.

    Raises:
        StripeError: no payment of it is pending.
    """
    invoice = work.get("invoice", invoice_id)
    work.follow(invoice["test_clock"])
    pending = _pending_intent(work, invoice)
    if pending is None:
        raise StripeError(f"No payment of the invoice {invoice_id} is pending.")
    payment_intents.decide(work, pending, succeeded=succeeded)
    record_result(work, invoice, pending, succeeded=succeeded)
    return invoice


def pay(work: UnitOfWork, invoice_id: str, outcome: Outcome) -> Object:
    """Pay an open invoice as its customer does on the page that Stripe's mail links.

    Raises:
        StripeError: it is not open, or its payment is pending.
    """
    invoice = work.get("invoice", invoice_id)
    work.follow(invoice["test_clock"])
    if invoice["status"] != "open" or _pending_intent(work, invoice) is not None:
        raise StripeError(f"Invoice {invoice_id} is {invoice['status']}, or its payment is pending.")
    collect(work, invoice, outcome)
    return invoice


def _pending_intent(work: UnitOfWork, invoice: Object) -> Object | None:
    """The payment of an invoice that a bank is still deciding."""
    for payment in invoices.payments(work, invoice):
        intent = work.get("payment_intent", payment["payment"]["payment_intent"])
        if intent["status"] == "processing":
            return intent
    return None


def renew(work: UnitOfWork, subscription: Object) -> None:
    """End a period, or a trial, and begin the next period."""
    if subscription["status"] == ENDED:
        return
    if subscription["cancel_at_period_end"]:
        end(work, subscription, reason="cancellation_requested")
        return
    before = {"status": subscription["status"], "latest_invoice": subscription["latest_invoice"]}
    if subscription["status"] == "trialing":
        work.update(subscription, status="active")
    begin_period(work, subscription, subscription["_cycle"] + 1)
    lines = [*subscription["_pending_lines"], invoices.line(subscription, subscription["items"]["data"][0])]
    work.update(subscription, _pending_lines=[])
    bill(work, subscription, lines, "subscription_cycle", card_outcome(work, subscription["customer"]))
    changed = {name: value for name, value in before.items() if subscription[name] != value}
    emit_update(work, subscription, changed)


def plan(price: Object) -> Object:
    """A price in Stripe's older form."""
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": price["recurring"]["usage_type"],
    }


def begin_period(work: UnitOfWork, subscription: Object, cycle: int) -> None:
    """Put a subscription in the period of that number after its anchor, and schedule the renewal."""
    [item] = subscription["items"]["data"]
    recurring, anchor = item["price"]["recurring"], subscription["billing_cycle_anchor"]
    finish = end_of_period(anchor, recurring, cycle + 1)
    item.update(current_period_start=end_of_period(anchor, recurring, cycle), current_period_end=finish)
    work.update(subscription, _cycle=cycle)
    work.schedule(finish, RENEW, subscription["id"])


def begin_trial(work: UnitOfWork, subscription: Object, finish: int) -> None:
    """Put a subscription on trial until an instant."""
    [item] = subscription["items"]["data"]
    item.update(current_period_start=work.now, current_period_end=finish)
    work.update(
        subscription,
        status="trialing",
        trial_start=work.now,
        trial_end=finish,
        billing_cycle_anchor=finish,
        _cycle=-1,
    )
    work.schedule(finish, RENEW, subscription["id"])
    work.schedule(max(finish - WARNING_SECONDS, work.now), WARN, subscription["id"])


def warn(work: UnitOfWork, subscription: Object) -> None:
    """Tell the seller that a trial ends soon."""
    if subscription["status"] == "trialing":
        work.emit("customer.subscription.trial_will_end", subscription)


def retry(work: UnitOfWork, invoice: Object) -> None:
    """Try an invoice again, unless a bank is still deciding its payment."""
    if invoice["status"] == "open" and _pending_intent(work, invoice) is None:
        collect(work, invoice, card_outcome(work, invoice["customer"]))


def cancel_now(work: UnitOfWork, subscription: Object) -> None:
    """End a subscription at the instant that was set for it."""
    if subscription["status"] != ENDED and subscription["cancel_at"] is not None:
        end(work, subscription, reason="cancellation_requested")


def end(work: UnitOfWork, subscription: Object, *, reason: str) -> None:
    """End a subscription now. Its open invoices are not tried again."""
    details = subscription["cancellation_details"] | {"reason": reason}
    work.update(
        subscription,
        status=ENDED,
        canceled_at=subscription["canceled_at"] or work.now,
        ended_at=work.now,
        cancellation_details=details,
    )
    for task in (RENEW, WARN, CANCEL):
        work.unschedule(task, subscription["id"])
    for invoice in work.all("invoice", _subscription=subscription["id"], status="open"):
        work.update(invoice, auto_advance=False, next_payment_attempt=None)
        work.unschedule(RETRY, invoice["id"])
    work.emit("customer.subscription.deleted", subscription)


def emit_update(work: UnitOfWork, subscription: Object, previous: Object) -> None:
    """Make the event for changed fields, if there are any."""
    if previous:
        work.emit("customer.subscription.updated", subscription, previous)


def _end_debt(work: UnitOfWork, invoice: Object) -> None:
    """Make the subscription of a paid invoice active, unless another invoice is open."""
    subscription = work.get("subscription", invoice["_subscription"])
    others = work.all("invoice", _subscription=subscription["id"], status="open")
    if subscription["status"] in OWING and not others:
        emit_update(work, subscription, work.update(subscription, status="active"))


def _intent(work: UnitOfWork, invoice: Object) -> Object:
    """The payment intent of an invoice: the one that failed before, or a new one."""
    for payment in invoices.payments(work, invoice):
        return work.get("payment_intent", payment["payment"]["payment_intent"])
    is_first = invoice["billing_reason"] == "subscription_create"
    return payment_intents.add(
        work,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        description="Subscription creation" if is_first else "Subscription update",
    )
