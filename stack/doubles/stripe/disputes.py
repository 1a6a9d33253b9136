"""Disputes: the buyer's bank takes a payment back, or first only asks, and later decides who gets the money."""

from typing import Literal

from stack.doubles.stripe import balance
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, new_id

FEE = 1500
"""What a dispute costs, in minor units of a currency with two decimals. It is not returned when the dispute is won."""
RESPONSE_SECONDS = 7 * 24 * 3600
REASONS = (
    *("bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated", "debit_not_authorized"),
    *("duplicate", "fraudulent", "general", "incorrect_account_details", "insufficient_funds", "noncompliant"),
    *("product_not_received", "product_unacceptable", "subscription_canceled", "unrecognized"),
)
Beginning = Literal["dispute", "inquiry", "resolution", "block"]
"""Of a dispute. An inquiry takes no money and may be escalated. A resolution and a block are prevented disputes: the
first returns the money to the buyer without a chargeback and its fee, the second does nothing."""
BEGINNINGS = {
    "dispute": ("needs_response", "chargeback"),
    "inquiry": ("warning_needs_response", "inquiry"),
    "resolution": ("prevented", "resolution"),
    "block": ("prevented", "block"),
}
"""The status and the case type of each."""
RESPONSES = {
    "needs_response": "under_review",
    "warning_needs_response": "warning_under_review",
    "appeal_needs_response": "appeal_under_review",
}
"""The status after the seller has answered."""
INQUIRY = frozenset({"warning_needs_response", "warning_under_review"})
OPEN = frozenset({*RESPONSES, *RESPONSES.values()})
EVIDENCE = (
    *("access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure"),
    *("cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name"),
    *("customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation"),
    *("duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure"),
    *("refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier"),
    *("shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file"),
    "uncategorized_text",
)


def open_on(
    work: UnitOfWork, charge_id: str, *, reason: str, beginning: Beginning = "dispute", amount: int | None = None
) -> Object:
    """Dispute what is left of a charge, or a part of it.

    Raises:
        StripeError: the charge did not succeed, is disputed already, or has less left; or the reason is unknown.
    """
    charge = work.get("charge", charge_id)
    left = charge["amount"] - charge["amount_refunded"]
    wanted = left if amount is None else amount
    if charge["status"] != "succeeded" or charge["disputed"] or not 0 < wanted <= left or reason not in REASONS:
        raise StripeError(f"Charge {charge_id} cannot be disputed for {wanted} because of {reason!r}.")
    work.follow_customer(charge["customer"])
    status, case_type = BEGINNINGS[beginning]
    dispute: Object = {
        "id": new_id("du_"),
        "object": "dispute",
        "amount": wanted,
        "balance_transactions": [],
        "charge": charge_id,
        "created": work.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": None if status == "prevented" else work.now + RESPONSE_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": beginning == "inquiry",
        "livemode": False,
        "metadata": {},
        "network_reason_code": "10.4",
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": case_type, "network": "visa", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": reason,
        "status": status,
    }
    work.insert(dispute)
    work.update(charge, disputed=True)
    work.emit("charge.dispute.created", dispute)
    if beginning in {"dispute", "resolution"}:
        _withdraw(work, dispute, fee=FEE if beginning == "dispute" else 0)
    return dispute


def escalate(work: UnitOfWork, dispute_id: str) -> Object:
    """Let the bank make a chargeback of an inquiry.

    Raises:
        StripeError: it is no open inquiry, the charge is refunded, or there is none.
    """
    dispute = _get(work, dispute_id, INQUIRY)
    charge = work.get("charge", dispute["charge"])
    left = charge["amount"] - charge["amount_refunded"]
    if left == 0:
        raise StripeError(f"Charge {charge['id']} is refunded.")
    details = dispute["payment_method_details"]
    previous = work.update(
        dispute,
        amount=min(dispute["amount"], left),
        is_charge_refundable=False,
        payment_method_details=details | {"card": details["card"] | {"case_type": "chargeback"}},
        status="needs_response",
    )
    work.emit("charge.dispute.updated", dispute, previous)
    _withdraw(work, dispute, fee=FEE)
    return dispute


def respond(work: UnitOfWork, dispute_id: str) -> Object:
    """Submit the seller's evidence, as on the dashboard.

    Raises:
        StripeError: nothing is to be answered, or there is none.
    """
    dispute = _get(work, dispute_id, frozenset(RESPONSES))
    details = dispute["evidence_details"]
    count = details["submission_count"] + 1
    details = details | {"has_evidence": True, "submission_count": count, "submission_method": "manual"}
    previous = work.update(dispute, evidence_details=details, status=RESPONSES[dispute["status"]])
    work.emit("charge.dispute.updated", dispute, previous)
    return dispute


def appeal(work: UnitOfWork, dispute_id: str) -> Object:
    """Open a decided dispute again: the seller appeals a lost one, or the buyer's bank one that the seller has won.

    Raises:
        StripeError: it is not decided, or there is none.
    """
    dispute = _get(work, dispute_id, frozenset({"won", "lost"}))
    is_won = dispute["status"] == "won"
    details = dispute["evidence_details"] | {"due_by": work.now + RESPONSE_SECONDS}
    previous = work.update(dispute, evidence_details=details, status="appeal_needs_response")
    work.emit("charge.dispute.updated", dispute, previous)
    if is_won:
        _withdraw(work, dispute, fee=0)
    return dispute


def decide(work: UnitOfWork, dispute_id: str, outcome: Literal["won", "lost", "warning_closed"]) -> Object:
    """Let the bank decide. If the dispute is won, the money comes back without the fee.

    Raises:
        StripeError: it is decided already, an inquiry is won or lost, or there is none.
    """
    dispute = _get(work, dispute_id, INQUIRY if outcome == "warning_closed" else OPEN - INQUIRY)
    charge = work.get("charge", dispute["charge"])
    previous = work.update(dispute, status=outcome)
    if outcome == "won":
        _move(work, dispute, dispute["amount"], description=f"Chargeback reversal for {charge['id']}")
        work.emit("charge.dispute.funds_reinstated", dispute)
    work.emit("charge.dispute.closed", dispute, previous)
    return dispute


def retrieve(work: UnitOfWork, _params: Params, dispute_id: str) -> Object:
    """GET /v1/disputes/{id}."""
    return work.get("dispute", dispute_id)


def blocks_refunds(work: UnitOfWork, charge: Object) -> bool:
    """Whether a dispute of a charge forbids its refund. An inquiry does not, and neither does a block."""
    disputes = work.all("dispute", charge=charge["id"])
    return any(each["status"] not in {*INQUIRY, "warning_closed"} and each["balance_transactions"] for each in disputes)


def _get(work: UnitOfWork, dispute_id: str, statuses: frozenset[str]) -> Object:
    dispute = work.get("dispute", dispute_id)
    if dispute["status"] not in statuses:
        raise StripeError(f"Dispute {dispute_id} is {dispute['status']}.")
    work.follow_customer(work.get("charge", dispute["charge"])["customer"])
    return dispute


def _withdraw(work: UnitOfWork, dispute: Object, *, fee: int) -> None:
    _move(work, dispute, -dispute["amount"], fee=fee, description=f"Chargeback withdrawal for {dispute['charge']}")
    work.emit("charge.dispute.funds_withdrawn", dispute)


def _move(work: UnitOfWork, dispute: Object, amount: int, *, description: str, fee: int = 0) -> None:
    transaction = balance.record_converted(
        work,
        "adjustment",
        amount,
        dispute["currency"],
        work.get("charge", dispute["charge"]),
        source=dispute["id"],
        fee=fee,
        description=description,
        category="dispute" if amount < 0 else "dispute_reversal",
    )
    work.update(dispute, balance_transactions=[*dispute["balance_transactions"], transaction])
