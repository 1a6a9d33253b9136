"""What happens to subscriptions over time: periods begin, invoices are paid or not, and the end comes.

Unlike Stripe, which finalizes the invoice of a renewal an hour after making it, all of it happens at once.
"""

from stack.doubles.stripe import invoices, payments, periods, rules
from stack.doubles.stripe.book import Book
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.payments import Outcome
from stack.doubles.stripe.settings import AFTER_RETRIES

RENEW, RETRY, WARN, CANCEL = "renew_subscription", "retry_invoice", "warn_of_trial_end", "cancel_subscription"
"""Tasks in the agenda."""
WARNING = 3 * periods.DAY
"""Seconds before a trial's end at which it is told of."""
ENDED = frozenset({"canceled", "incomplete_expired"})
OWING = frozenset({"incomplete", "past_due", "unpaid"})


def card(book: Book, customer: str) -> Outcome:
    """What a customer's card will say."""
    text = f"{customer} {book.get('customer', customer)['email']}"
    if rules.outcome(book.connection, "payment", text) is not None:
        return "declined"
    outcome: Outcome = book.note(f"card:{customer}", {}).get("outcome", "paid")
    return outcome


def set_card(book: Book, customer: str, outcome: str, after_retries: str | None) -> None:
    """Let a customer's card be declined from now on, or work again.

    Args:
        book: in whose transaction.
        customer: his id.
        outcome: paid or declined.
        after_retries: what becomes of his subscriptions after the last try; None for the setting.
    """
    if after_retries not in {None, *AFTER_RETRIES}:
        raise StripeError(f"after_retries must be one of {', '.join(AFTER_RETRIES)}")
    book.get("customer", customer)
    book.write_note(f"card:{customer}", {"outcome": outcome, "after_retries": after_retries})


def items_for(subscription: Object) -> list[Object]:
    """The lines of the period that a subscription is in."""
    return [
        invoices.line(subscription, item, item["current_period_start"], item["current_period_end"])
        for item in subscription["items"]["data"]
    ]


def bill(book: Book, subscription: Object, lines: list[Object], reason: str, outcome: Outcome) -> Object | None:
    """Invoice lines, with the prorations that wait, and try to have them paid.

    Args:
        book: in whose transaction.
        subscription: that the lines are of.
        lines: of the invoice.
        reason: Stripe's `billing_reason`.
        outcome: what the card says.

    Returns:
        The charge; None where nothing is due.
    """
    invoice = invoices.add(book, subscription, [*subscription["_pending"], *lines], reason)
    book.update(subscription, latest_invoice=invoice["id"], _pending=[])
    paused = subscription["pause_collection"]
    if subscription["status"] == "unpaid" or (paused and paused["behavior"] == "keep_as_draft"):
        book.update(invoice, auto_advance=False)
        return None
    invoices.finalize(book, invoice)
    if paused:
        invoices.abandon(book, invoice, "void" if paused["behavior"] == "void" else "uncollectible")
        return None
    return collect(book, invoice, outcome)


def collect(book: Book, invoice: Object, outcome: Outcome) -> Object | None:
    """Try to have an open invoice paid; what follows for the subscription is done. Returns the charge, if any."""
    if invoice["amount_due"] == 0:
        invoices.mark_paid(book, invoice, None)
        _paid(book, invoice)
        return None
    intent = _intent(book, invoice)
    invoices.payment_of(book, invoice, intent)
    charge = payments.attempt(book, intent, outcome)
    book.update(invoice, attempted=True, attempt_count=invoice["attempt_count"] + 1)
    if charge["status"] != "pending":
        _settled(book, invoice, intent, succeeded=charge["status"] == "succeeded")
    return charge


def settled(book: Book, name: str, intent: Object, *, succeeded: bool) -> None:
    """The bank's word on an invoice that was paid by something slow."""
    _settled(book, book.get("invoice", name), intent, succeeded=succeeded)


def pay(book: Book, params: Params, name: str) -> Object:
    """POST /v1/invoices/{id}/pay: with the card that the customer has now."""
    invoice = book.get("invoice", name)
    book.follow(invoice["test_clock"])
    params.ignore("payment_method", "off_session")
    if invoice["status"] == "draft":
        invoices.finalize(book, invoice)
    if invoice["status"] != "open":
        raise StripeError(f"Invoice is already {invoice['status']}", code="invoice_not_open")
    charge = collect(book, invoice, card(book, invoice["customer"]))
    if charge is not None and charge["status"] == "failed":
        raise StripeError(
            charge["failure_message"], status=402, kind="card_error", code=charge["failure_code"], is_done=True
        )
    return invoice


def renew(book: Book, subscription: Object) -> None:
    """A period, or a trial, has ended."""
    if subscription["status"] in ENDED | {"paused"}:
        return
    if subscription["cancel_at_period_end"]:
        end(book, subscription, reason="cancellation_requested")
        return
    before = {"status": subscription["status"], "latest_invoice": subscription["latest_invoice"]}
    if subscription["status"] == "trialing":
        if subscription["default_payment_method"] is None and _without_card(book, subscription):
            return
        book.update(subscription, status="active")
    begin_period(book, subscription, subscription["_cycle"] + 1)
    outcome = card(book, subscription["customer"]) if subscription["default_payment_method"] else "declined"
    bill(book, subscription, items_for(subscription), "subscription_cycle", outcome)
    changed = {name: value for name, value in before.items() if subscription[name] != value}
    book.emit("customer.subscription.updated", subscription, changed)


def begin_period(book: Book, subscription: Object, cycle: int) -> None:
    """Put a subscription in the period of that number after its anchor, and have it renewed at the end."""
    recurring, anchor = subscription["items"]["data"][0]["price"]["recurring"], subscription["billing_cycle_anchor"]
    start, finish = periods.after(anchor, recurring, cycle), periods.after(anchor, recurring, cycle + 1)
    for item in subscription["items"]["data"]:
        item.update(current_period_start=start, current_period_end=finish)
    book.update(subscription, _cycle=cycle)
    if subscription["cancel_at_period_end"]:
        book.update(subscription, cancel_at=finish)
    book.schedule(finish, RENEW, subscription["id"])


def begin_trial(book: Book, subscription: Object, finish: int) -> None:
    """Put a subscription on trial until an instant."""
    for item in subscription["items"]["data"]:
        item.update(current_period_start=book.now, current_period_end=finish)
    book.update(
        subscription,
        status="trialing",
        trial_start=subscription["trial_start"] or book.now,
        trial_end=finish,
        billing_cycle_anchor=finish,
        _cycle=-1,
    )
    book.schedule(finish, RENEW, subscription["id"])
    book.schedule(max(finish - WARNING, book.now), WARN, subscription["id"])


def warn(book: Book, subscription: Object) -> None:
    """A trial ends in three days."""
    if subscription["status"] == "trialing":
        book.emit("customer.subscription.trial_will_end", subscription)


def retry(book: Book, invoice: Object) -> None:
    """The time has come to try an invoice again."""
    if invoice["status"] == "open":
        collect(book, invoice, card(book, invoice["customer"]))


def cancel_now(book: Book, subscription: Object) -> None:
    """The instant has come at which a subscription was to be cancelled."""
    if subscription["status"] not in ENDED and subscription["cancel_at"] is not None:
        end(book, subscription, reason="cancellation_requested")


def end(book: Book, subscription: Object, *, reason: str) -> None:
    """End a subscription now; its open invoices are tried no more."""
    details = subscription["cancellation_details"] | {"reason": reason}
    book.update(
        subscription,
        status="canceled",
        canceled_at=subscription["canceled_at"] or book.now,
        ended_at=book.now,
        cancellation_details=details,
    )
    for task in (RENEW, WARN, CANCEL):
        book.unschedule(task, subscription["id"])
    for invoice in book.all("invoice", _subscription=subscription["id"], status="open"):
        book.update(invoice, auto_advance=False, next_payment_attempt=None)
        book.unschedule(RETRY, invoice["id"])
    book.emit("customer.subscription.deleted", subscription)


def _settled(book: Book, invoice: Object, intent: Object, *, succeeded: bool) -> None:
    if succeeded:
        invoices.mark_paid(book, invoice, intent)
        book.unschedule(RETRY, invoice["id"])
        _paid(book, invoice)
        return
    days = book.settings.retry_days
    tried = invoice["attempt_count"]
    again = book.now + int(days[tried - 1] * periods.DAY) if 0 < tried <= len(days) else None
    book.update(invoice, next_payment_attempt=again, auto_advance=again is not None)
    book.emit("invoice.payment_failed", invoice)
    subscription = book.get("subscription", invoice["_subscription"])
    if subscription["status"] in {"active", "trialing"}:
        _tell(book, subscription, book.update(subscription, status="past_due"))
    if again is not None:
        book.schedule(again, RETRY, invoice["id"])
        return
    wanted = book.note(f"card:{invoice['customer']}", {}).get("after_retries") or book.settings.after_retries
    if subscription["status"] in ENDED:
        return
    if wanted == "canceled":
        end(book, subscription, reason="payment_failed")
    else:
        _tell(book, subscription, book.update(subscription, status=wanted))


def _paid(book: Book, invoice: Object) -> None:
    """What a paid invoice means to its subscription: nothing is owed where no other is open."""
    subscription = book.get("subscription", invoice["_subscription"])
    others = book.all("invoice", _subscription=subscription["id"], status="open")
    if subscription["status"] in OWING and not others:
        _tell(book, subscription, book.update(subscription, status="active"))


def _tell(book: Book, subscription: Object, previous: Object) -> None:
    if previous:
        book.emit("customer.subscription.updated", subscription, previous)


def _intent(book: Book, invoice: Object) -> Object:
    """The payment intent of an invoice: the one that failed before, or a new one."""
    for payment in book.all("invoice_payment", invoice=invoice["id"]):
        return book.get("payment_intent", payment["payment"]["payment_intent"])
    first = invoice["billing_reason"] == "subscription_create"
    return payments.add_intent(
        book,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        email=invoice["customer_email"],
        description="Subscription creation" if first else "Subscription update",
    )


def _without_card(book: Book, subscription: Object) -> bool:
    """A trial ends and there is no card: whether that is all, because the subscription ends or pauses."""
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behavior == "cancel":
        end(book, subscription, reason="cancellation_requested")
    elif behavior == "pause":
        _tell(book, subscription, book.update(subscription, status="paused"))
        book.emit("customer.subscription.paused", subscription)
    return bool(behavior in {"cancel", "pause"})
