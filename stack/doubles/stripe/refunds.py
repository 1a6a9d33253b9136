"""Refunds: of the whole payment or a part, at once or later, and refunds that fail."""

from stack.doubles.stripe import balance, disputes, rules
from stack.doubles.stripe.errors import Object, StripeError, invalid
from stack.doubles.stripe.money import as_text, check_amount
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, new_id


def create(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/refunds: of the latest charge of a payment intent."""
    charge = _charge(work, params)
    charge_id, currency = charge["id"], charge["currency"]
    left = charge["amount"] - charge["amount_refunded"]
    if disputes.blocks_refunds(work, charge):
        message = f"Charge {charge_id} has been charged back; cannot issue a refund."
        raise StripeError(message, code="charge_disputed", param="charge")
    if left == 0:
        message = f"Charge {charge_id} has already been refunded."
        raise StripeError(message, code="charge_already_refunded", param="charge")
    amount = params.integer("amount", low=1)
    if amount is None:
        amount = left
    check_amount(amount, currency, "amount")
    if amount > left:
        message = (
            f"Refund amount ({as_text(amount, currency)}) is greater than unrefunded amount on charge "
            f"({as_text(left, currency)})"
        )
        raise invalid("amount", message, "amount_too_large")
    metadata = params.metadata()
    rule = rules.outcome(work.connection, "refund", f"{charge_id} {charge['payment_intent']} {metadata}")
    if rule is not None and rule["outcome"] == "error":
        raise StripeError(rules.REFUSAL, code=rule["code"], is_remembered=True)
    return _add(work, charge, amount=amount, metadata=metadata, is_pending=rule is not None)


def retrieve(work: UnitOfWork, _params: Params, refund_id: str) -> Object:
    """GET /v1/refunds/{id}."""
    return work.get("refund", refund_id)


def list_all(work: UnitOfWork, params: Params) -> Object:
    """GET /v1/refunds."""
    return work.page(params, "refund", "/v1/refunds", payment_intent=params.text("payment_intent"))


def succeed(work: UnitOfWork, refund_id: str) -> Object:
    """A pending refund has reached the buyer.

    Raises:
        StripeError: it is not pending, or there is none.
    """
    refund = work.get("refund", refund_id)
    if refund["status"] != "pending":
        raise StripeError(f"Refund {refund_id} is not pending but {refund['status']}.")
    work.emit("refund.updated", refund, _end_waiting(refund) | work.update(refund, status="succeeded"))
    return refund


def fail(work: UnitOfWork, refund_id: str) -> Object:
    """A pending or succeeded refund comes back to the platform's balance.

    Raises:
        StripeError: it failed before, or there is none.
    """
    refund = work.get("refund", refund_id)
    if refund["status"] not in {"pending", "succeeded"}:
        raise StripeError(f"Refund {refund_id} is {refund['status']}.")
    charge = work.get("charge", refund["charge"])
    transaction = balance.record_converted(
        work,
        "refund_failure",
        refund["amount"],
        refund["currency"],
        charge,
        source=refund_id,
        description="REFUND FAILURE FOR CHARGE",
    )
    previous = _end_waiting(refund) | work.update(
        refund,
        status="failed",
        failure_reason="expired_or_canceled_card",
        failure_balance_transaction=transaction["id"],
    )
    work.update(charge, amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
    work.emit("refund.updated", refund, previous)
    work.emit("refund.failed", refund)
    return refund


def _end_waiting(refund: Object) -> Object:
    """Take the reason of waiting away, as only a pending refund has one; returns its earlier value."""
    return {"pending_reason": refund.pop("pending_reason")} if "pending_reason" in refund else {}


def _charge(work: UnitOfWork, params: Params) -> Object:
    intent_id = params.require("payment_intent")
    intent = work.get("payment_intent", intent_id, "payment_intent")
    if intent["status"] != "succeeded":
        message = f"This PaymentIntent ({intent_id}) does not have a successful charge to refund."
        raise invalid("payment_intent", message, "payment_intent_unexpected_state")
    return work.get("charge", intent["latest_charge"])


def _add(work: UnitOfWork, charge: Object, *, amount: int, metadata: dict[str, str], is_pending: bool) -> Object:
    work.follow_customer(charge["customer"])
    kind = "refund" if charge["id"].startswith("ch_") else "payment_refund"
    refund_id = new_id("re_")
    transaction = balance.record_converted(
        work, kind, -amount, charge["currency"], charge, source=refund_id, description="REFUND FOR CHARGE"
    )
    refund: Object = {
        "id": refund_id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": transaction["id"],
        "charge": charge["id"],
        "created": work.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {
            "type": "card",
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
        },
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if is_pending else "succeeded",
        "transfer_reversal": None,
    } | ({"pending_reason": "processing"} if is_pending else {})
    work.insert(refund)
    refunded = charge["amount_refunded"] + amount
    previous = work.update(charge, amount_refunded=refunded, refunded=refunded == charge["amount"])
    work.emit("refund.created", refund)
    work.emit("charge.refunded", charge, previous)
    return refund
