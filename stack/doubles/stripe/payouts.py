"""Payouts: Stripe sends the balance of a connected account to its bank, which may refuse it."""

from typing import Literal

from stack.doubles.stripe import accounts
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.unit_of_work import UnitOfWork, new_id

DAY = 24 * 3600
CLOSED = "The bank account has been closed."


def pay_out(
    work: UnitOfWork, account_id: str, amount: int, currency: str, outcome: Literal["paid", "failed"]
) -> Object:
    """Pay a connected account out. After a failure its bank account cannot be used until its holder has mended it."""
    account = accounts.get(work, account_id)
    payout: Object = {
        "id": new_id("po_"),
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": work.now + 2 * DAY,
        "automatic": True,
        "balance_transaction": new_id("txn_"),
        "created": work.now,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": account["_bank_account"],
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }
    work.insert(payout)
    work.emit("payout.created", payout, account=account_id)
    if outcome == "paid":
        work.update(payout, status="paid", reconciliation_status="completed")
        work.emit("payout.paid", payout, account=account_id)
        return payout
    work.update(
        payout,
        status="failed",
        failure_balance_transaction=new_id("txn_"),
        failure_code="account_closed",
        failure_message=CLOSED,
    )
    work.emit("payout.failed", payout, account=account_id)
    accounts.lose_bank_account(work, account)
    return payout
