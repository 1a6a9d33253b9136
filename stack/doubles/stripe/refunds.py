"""Refunds: whole or in part, at once or later, and those that fail."""

from stack.doubles.stripe import balance, rules
from stack.doubles.stripe.book import Book, new_id
from stack.doubles.stripe.errors import Object, StripeError, invalid, missing_param, unknown_id
from stack.doubles.stripe.money import check_amount, written
from stack.doubles.stripe.params import Params

REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create(book: Book, params: Params) -> Object:
    """POST /v1/refunds: of a charge, or of a payment intent's latest charge."""
    charge = _charge(book, params)
    name, currency = charge["id"], charge["currency"]
    left = charge["amount"] - charge["amount_refunded"]
    if charge["disputed"]:
        message = f"Charge {name} has been charged back; cannot issue a refund."
        raise StripeError(message, code="charge_disputed", param="charge")
    if left == 0:
        raise StripeError(f"Charge {name} has already been refunded.", code="charge_already_refunded", param="charge")
    amount = params.integer("amount", low=1)
    if amount is None:
        amount = left
    check_amount(amount, currency, "amount")
    if amount > left:
        message = (
            f"Refund amount ({written(amount, currency)}) is greater than unrefunded amount on charge "
            f"({written(left, currency)})"
        )
        raise invalid("amount", message, "amount_too_large")
    reason, metadata = params.choice("reason", *REASONS), params.metadata()
    wanted = rules.outcome(book.connection, "refund", f"{name} {charge['payment_intent']} {metadata}") or {}
    status = wanted.get("outcome", book.settings.refunds)
    if status == "error":
        raise StripeError(
            wanted.get("message", "The refund could not be made."),
            status=wanted.get("status", 400),
            code=wanted.get("code"),
            is_done=True,
        )
    return _add(book, charge, amount=amount, reason=reason, metadata=metadata, status=status)


def retrieve(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/refunds/{id}."""
    return book.get("refund", name)


def update(book: Book, params: Params, name: str) -> Object:
    """POST /v1/refunds/{id}: metadata only."""
    refund = book.get("refund", name)
    previous = book.update(refund, metadata=params.metadata(refund["metadata"]))
    if previous:
        _tell_of_change(book, refund, previous)
    return refund


def list_all(book: Book, params: Params) -> Object:
    """GET /v1/refunds."""
    charge, intent = params.text("charge"), params.text("payment_intent")
    return book.page(params, "refund", "/v1/refunds", charge=charge, payment_intent=intent)


def succeed(book: Book, name: str) -> Object:
    """A pending refund has reached the customer.

    Raises:
        StripeError: it is not pending, or there is none.
    """
    refund = book.get("refund", name)
    if refund["status"] != "pending":
        raise StripeError(f"Refund {name} is not pending but {refund['status']}.")
    _tell_of_change(book, refund, book.update(refund, status="succeeded", pending_reason=None))
    return refund


def fail(book: Book, name: str, reason: str = "expired_or_canceled_card") -> Object:
    """A refund, pending or already thought done, comes back: the money is the platform's again.

    Raises:
        StripeError: it has failed before, or there is none.
    """
    refund = book.get("refund", name)
    if refund["status"] not in {"pending", "succeeded"}:
        raise StripeError(f"Refund {name} is {refund['status']}.")
    charge = book.get("charge", refund["charge"])
    transaction = balance.record(
        book,
        "refund_failure",
        refund["amount"],
        refund["currency"],
        source=name,
        description="REFUND FAILURE FOR CHARGE",
    )
    previous = book.update(
        refund,
        status="failed",
        pending_reason=None,
        failure_reason=reason,
        failure_balance_transaction=transaction["id"],
    )
    book.update(charge, amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
    _tell_of_change(book, refund, previous)
    book.emit("refund.failed", refund)
    return refund


def _charge(book: Book, params: Params) -> Object:
    name, intent_name = params.text("charge"), params.text("payment_intent")
    if name is None and intent_name is None:
        raise missing_param("charge")
    if intent_name is not None:
        intent = book.get("payment_intent", intent_name, "payment_intent")
        if name is not None and name != intent["latest_charge"]:
            raise unknown_id("charge", name, "charge")
        if intent["status"] != "succeeded":
            message = f"This PaymentIntent ({intent_name}) does not have a successful charge to refund."
            raise invalid("payment_intent", message, "payment_intent_unexpected_state")
        name = intent["latest_charge"]
    charge = book.get("charge", name or "", "charge")
    if charge["status"] != "succeeded":
        raise StripeError(f"Charge {name} has not succeeded; cannot refund.", param="charge")
    return charge


def _add(
    book: Book, charge: Object, *, amount: int, reason: str | None, metadata: dict[str, str], status: str
) -> Object:
    book.follow_customer(charge["customer"])
    kind = "refund" if charge["id"].startswith("ch_") else "payment_refund"
    name = new_id("re_")
    transaction = balance.record(book, kind, -amount, charge["currency"], source=name, description="REFUND FOR CHARGE")
    refund: Object = {
        "id": name,
        "object": "refund",
        "amount": amount,
        "balance_transaction": transaction["id"],
        "charge": charge["id"],
        "created": book.now,
        "currency": charge["currency"],
        "destination_details": {
            "type": "card",
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
        },
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "pending_reason": None if status == "succeeded" else "processing",
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded" if status == "succeeded" else "pending",
        "transfer_reversal": None,
    }
    book.insert(refund)
    refunded = charge["amount_refunded"] + amount
    previous = book.update(charge, amount_refunded=refunded, refunded=refunded == charge["amount"])
    book.emit("refund.created", refund)
    book.emit("charge.refunded", charge, previous)
    # As with Stripe, the answer says pending: only later it turns out that nothing reached the customer.
    if status == "failed":
        asked = dict(refund)
        fail(book, name)
        return asked
    return refund


def _tell_of_change(book: Book, refund: Object, previous: Object) -> None:
    book.emit("refund.updated", refund, previous)
    book.emit("charge.refund.updated", refund, previous)
