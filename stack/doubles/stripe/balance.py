"""The platform's balance: every movement of money is a balance transaction, and the whole is available at once.

By default a charge settles in its own currency. The control can have the next ones settle in another.
"""

from fractions import Fraction

from stack.doubles.stripe import rules
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.money import decimals
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, new_id

CATEGORIES = {"payment": "charge", "payment_refund": "refund", "transfer_refund": "transfer_reversal"}
"""Reporting categories that differ from the type."""
BALANCES = "balances"
OWN_CURRENCIES = ("eur", "usd")
"""In which the platform has bank accounts."""


def record(
    work: UnitOfWork,
    kind: str,
    amount: int,
    currency: str,
    *,
    source: str | None,
    fee: int = 0,
    description: str | None = None,
    category: str | None = None,
    rate: float | None = None,
) -> Object:
    """Move money into the balance, or out of it where the amount is negative; in minor units."""
    transaction: Object = {
        "id": new_id("txn_"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": work.now,
        "balance_type": "payments",
        "created": work.now,
        "currency": currency,
        "description": description,
        "exchange_rate": rate,
        "fee": fee,
        "fee_details": _fee_details(fee, currency),
        "net": amount - fee,
        "reporting_category": category or CATEGORIES.get(kind, kind),
        "source": source,
        "status": "available",
        "type": kind,
    }
    balances = work.note(BALANCES, {})
    balances[currency] = balances.get(currency, 0) + amount - fee
    work.write_note(BALANCES, balances)
    return work.insert(transaction)


def settle_charge(work: UnitOfWork, kind: str, charge: Object, fee: int, tried: str) -> Object:
    """Bring the money of a charge in: in its currency, or in the one that a rule of the control names.

    Args:
        work: in which it happens.
        kind: of the transaction.
        charge: the charge, which keeps the rate for its refunds.
        fee: of the charge, in the charge's currency.
        tried: a text in which the rule's `contains` is looked for.
    """
    rule = rules.settlement(work.connection, charge["currency"], tried)
    if rule is not None:
        charge["_settles_in"], charge["_rate"] = rule["currency"], rule["exchange_rate"]
    return record_converted(
        work,
        kind,
        charge["amount"],
        charge["currency"],
        charge,
        source=charge["id"],
        fee=fee,
        description=charge["description"],
    )


def record_converted(
    work: UnitOfWork,
    kind: str,
    amount: int,
    currency: str,
    charge: Object,
    *,
    source: str,
    fee: int = 0,
    description: str | None = None,
    category: str | None = None,
) -> Object:
    """Move money that belongs to a charge, in the currency in which the charge has settled."""
    rate = charge.get("_rate")
    if rate is not None:
        # Stripe's rate is between whole units of the currencies.
        scale = Fraction(str(rate)) * Fraction(10) ** (decimals(charge["_settles_in"]) - decimals(currency))
        amount, fee, currency = round(amount * scale), round(fee * scale), charge["_settles_in"]
    return record(
        work, kind, amount, currency, source=source, fee=fee, description=description, category=category, rate=rate
    )


def available(work: UnitOfWork, currency: str) -> int:
    """The available balance in minor units, which may be negative."""
    amount: int = work.note(BALANCES, {}).get(currency, 0)
    return amount


def retrieve(work: UnitOfWork, _params: Params) -> Object:
    """GET /v1/balance: of the platform's own currencies, and of each that it has had."""
    balances = dict.fromkeys(OWN_CURRENCIES, 0) | work.note(BALANCES, {})
    found = [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(balances.items())
    ]
    pending = [{"amount": 0, "currency": each["currency"], "source_types": {"card": 0}} for each in found]
    return {"object": "balance", "available": found, "livemode": False, "pending": pending}


def list_transactions(work: UnitOfWork, params: Params) -> Object:
    """GET /v1/balance_transactions."""
    return work.page(params, "balance_transaction", "/v1/balance_transactions")


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
