"""The platform's balance: every movement of money is a balance transaction, and all of it is available at once."""

from stack.doubles.stripe.book import Book, new_id
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.params import Params

CATEGORIES = {
    "adjustment": "dispute",
    "payment": "charge",
    "payment_refund": "refund",
    "payment_failure_refund": "charge_failure",
    "transfer_refund": "transfer_reversal",
}
"""Reporting categories, where they are not the type itself."""
BALANCES = "balances"


def record(
    book: Book,
    kind: str,
    amount: int,
    currency: str,
    *,
    source: str | None,
    fee: int = 0,
    description: str | None = None,
    category: str | None = None,
) -> Object:
    """Move money, in minor units: into the balance, or out of it where the amount is negative."""
    transaction: Object = {
        "id": new_id("txn_"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": book.now,
        "balance_type": "payments",
        "created": book.now,
        "currency": currency,
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": _fee_details(fee, currency),
        "net": amount - fee,
        "reporting_category": category or CATEGORIES.get(kind, kind),
        "source": source,
        "status": "available",
        "type": kind,
    }
    balances = book.note(BALANCES, {})
    balances[currency] = balances.get(currency, 0) + amount - fee
    book.write_note(BALANCES, balances)
    return book.insert(transaction)


def available(book: Book, currency: str) -> int:
    """What could be transferred or paid out, in minor units; below zero where more was taken than came."""
    amount: int = book.note(BALANCES, {}).get(currency, 0)
    return amount


def retrieve(book: Book, _params: Params) -> Object:
    """GET /v1/balance."""
    balances: dict[str, int] = book.note(BALANCES, {}) or {"usd": 0}
    found = [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(balances.items())
    ]
    pending = [{"amount": 0, "currency": each["currency"], "source_types": {"card": 0}} for each in found]
    return {"object": "balance", "available": found, "livemode": False, "pending": pending}


def retrieve_transaction(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/balance_transactions/{id}."""
    return book.get("balance_transaction", name)


def list_transactions(book: Book, params: Params) -> Object:
    """GET /v1/balance_transactions."""
    return book.page(
        params,
        "balance_transaction",
        "/v1/balance_transactions",
        currency=params.text("currency"),
        source=params.text("source"),
        type=params.text("type"),
        _payout=params.text("payout"),
    )


def _fee_details(fee: int, currency: str) -> list[Object]:
    if fee == 0:
        return []
    return [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
