"""Disputes: the customer's bank takes a payment back, and later decides whose the money is."""

from typing import Literal

from stack.doubles.stripe import balance
from stack.doubles.stripe.book import Book, new_id
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.params import Params

FEE = 1500
"""What a dispute costs, in minor units of a currency with two decimals; not given back when it is won."""
TIME_TO_ANSWER = 7 * 24 * 3600
REASONS = (
    *("bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated", "debit_not_authorized"),
    *("duplicate", "fraudulent", "general", "incorrect_account_details", "insufficient_funds", "noncompliant"),
    *("product_not_received", "product_unacceptable", "subscription_canceled", "unrecognized"),
)
OPEN = ("needs_response", "under_review")
EVIDENCE = (
    *("access_activity_log", "cancellation_policy_disclosure", "cancellation_rebuttal", "customer_email_address"),
    *("customer_name", "customer_purchase_ip", "duplicate_charge_explanation", "duplicate_charge_id"),
    *("product_description", "refund_policy_disclosure", "refund_refusal_explanation", "service_date"),
    "uncategorized_text",
)


def open_on(book: Book, name: str, *, reason: str, amount: int | None) -> Object:
    """Dispute a charge: for an amount in minor units, or all that is not refunded.

    Raises:
        StripeError: it did not succeed, is disputed already, or has less left than that.
    """
    charge = book.get("charge", name)
    left = charge["amount"] - charge["amount_refunded"]
    wanted = left if amount is None else amount
    if charge["status"] != "succeeded" or charge["disputed"] or not 0 < wanted <= left or reason not in REASONS:
        raise StripeError(f"Charge {name} cannot be disputed for {wanted} because of {reason!r}.")
    book.follow_customer(charge["customer"])
    made = new_id("du_")
    dispute: Object = {
        "id": made,
        "object": "dispute",
        "amount": wanted,
        "balance_transactions": [],
        "charge": name,
        "created": book.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": book.now + TIME_TO_ANSWER,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "network_reason_code": "10.4",
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }
    book.insert(dispute)
    book.update(charge, disputed=True)
    book.emit("charge.dispute.created", dispute)
    _move(book, dispute, -wanted, fee=FEE, description=f"Chargeback withdrawal for {name}")
    book.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def decide(book: Book, name: str, outcome: Literal["won", "lost"]) -> Object:
    """The bank decides: won, and the money comes back without the fee; or lost.

    Raises:
        StripeError: it is decided already, or there is none.
    """
    dispute = book.get("dispute", name)
    if dispute["status"] not in OPEN:
        raise StripeError(f"Dispute {name} is {dispute['status']}.")
    charge = book.get("charge", dispute["charge"])
    book.follow_customer(charge["customer"])
    previous = book.update(dispute, status=outcome)
    if outcome == "won":
        _move(book, dispute, dispute["amount"], description=f"Chargeback reversal for {charge['id']}")
        book.emit("charge.dispute.funds_reinstated", dispute)
    book.emit("charge.dispute.closed", dispute, previous)
    return dispute


def retrieve(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/disputes/{id}."""
    return book.get("dispute", name)


def update(book: Book, params: Params, name: str) -> Object:
    """POST /v1/disputes/{id}: metadata, and evidence, which is sent to the bank unless `submit` is false."""
    dispute = book.get("dispute", name)
    changes: Object = {"metadata": params.metadata(dispute["metadata"])}
    evidence, is_submitted = params.nested("evidence"), params.boolean("submit") is not False
    if evidence is not None:
        if dispute["status"] not in OPEN:
            raise StripeError(f"This dispute is already {dispute['status']}.", param="evidence")
        given = {field: evidence.text(field, longest=20_000) for field in EVIDENCE if evidence.has(field)}
        changes["evidence"] = dispute["evidence"] | given
        details = dispute["evidence_details"] | {"has_evidence": True}
        if is_submitted:
            details |= {"submission_count": details["submission_count"] + 1, "submission_method": "manual"}
            changes["status"] = "under_review"
        changes["evidence_details"] = details
    previous = book.update(dispute, **changes)
    if previous:
        book.emit("charge.dispute.updated", dispute, previous)
    return dispute


def close(book: Book, _params: Params, name: str) -> Object:
    """POST /v1/disputes/{id}/close: give in."""
    return decide(book, name, "lost")


def list_all(book: Book, params: Params) -> Object:
    """GET /v1/disputes."""
    charge, intent = params.text("charge"), params.text("payment_intent")
    return book.page(params, "dispute", "/v1/disputes", charge=charge, payment_intent=intent)


def _move(book: Book, dispute: Object, amount: int, *, description: str, fee: int = 0) -> None:
    transaction = balance.record(
        book,
        "adjustment",
        amount,
        dispute["currency"],
        source=dispute["id"],
        fee=fee,
        description=description,
        category="dispute" if amount < 0 else "dispute_reversal",
    )
    book.update(dispute, balance_transactions=[*dispute["balance_transactions"], transaction])
