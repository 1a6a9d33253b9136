"""Objects of another shop on the same Stripe account: they have other metadata, or none."""

from collections.abc import Callable
from typing import Literal

from stack.doubles.stripe import (
    accounts,
    balance,
    checkout,
    checkout_payment,
    customers,
    disputes,
    payment_intents,
    refunds,
    transfers,
)
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.params import Params, Tree
from stack.doubles.stripe.unit_of_work import UnitOfWork

Metadata = dict[str, str]
Kind = Literal[
    "customer", "session", "subscription", "invoice", "charge", "refund", "dispute", "transfer", "account", "product"
]


def make(work: UnitOfWork, kind: Kind, metadata: Metadata) -> Object:
    """Make an object of a kind, with what it needs and with all events; each carries the metadata."""
    return MAKERS[kind](work, metadata)


def _customer(work: UnitOfWork, metadata: Metadata) -> Object:
    return customers.create(work, Params({"email": "foreign@example.com", "metadata": metadata}))


def _account(work: UnitOfWork, metadata: Metadata) -> Object:
    capabilities = {"transfers": {"requested": "true"}, "card_payments": {"requested": "true"}}
    params: Tree = {"type": "express", "country": "US", "capabilities": capabilities, "metadata": metadata}
    return accounts.complete(work, accounts.create(work, Params(params))["id"], "completed")


def _transfer(work: UnitOfWork, metadata: Metadata) -> Object:
    account = _account(work, metadata)
    balance.record(work, "topup", 1000, "usd", source=None)
    params: Tree = {"amount": "1000", "currency": "usd", "destination": account["id"], "metadata": metadata}
    return transfers.create(work, Params(params))


def _session(work: UnitOfWork, metadata: Metadata, mode: str = "payment") -> Object:
    """A paid session."""
    price: Tree = {"currency": "usd", "unit_amount": "1500", "product_data": {"name": "Foreign", "metadata": metadata}}
    params: Tree = {
        "mode": mode,
        "customer": _customer(work, metadata)["id"],
        "metadata": metadata,
        "success_url": "https://foreign.example/thanks",
    }
    if mode == "subscription":
        price["recurring"] = {"interval": "month"}
        params["subscription_data"] = {"metadata": metadata}
    else:
        params["payment_intent_data"] = {"metadata": metadata}
    params["line_items"] = {"0": {"price_data": price, "quantity": "1"}}
    return checkout_payment.pay(work, checkout.create(work, Params(params))["id"], "paid")


def _product(work: UnitOfWork, metadata: Metadata) -> Object:
    return work.get("product", _session(work, metadata)["_item"]["price"]["product"])


def _subscription(work: UnitOfWork, metadata: Metadata) -> Object:
    return work.get("subscription", _session(work, metadata, "subscription")["subscription"])


def _invoice(work: UnitOfWork, metadata: Metadata) -> Object:
    return work.get("invoice", _subscription(work, metadata)["latest_invoice"])


def _charge(work: UnitOfWork, metadata: Metadata) -> Object:
    """A charge without a session."""
    intent = payment_intents.add(work, amount=1500, currency="usd", customer=None, metadata=metadata)
    payment_intents.attempt(work, intent, "paid")
    return work.get("charge", intent["latest_charge"])


def _refund(work: UnitOfWork, metadata: Metadata) -> Object:
    intent = _charge(work, metadata)["payment_intent"]
    return refunds.create(work, Params({"payment_intent": intent, "amount": "500", "metadata": metadata}))


def _dispute(work: UnitOfWork, metadata: Metadata) -> Object:
    return disputes.open_on(work, _charge(work, metadata)["id"], reason="fraudulent")


MAKERS: dict[Kind, Callable[[UnitOfWork, Metadata], Object]] = {
    "account": _account,
    "charge": _charge,
    "customer": _customer,
    "dispute": _dispute,
    "invoice": _invoice,
    "product": _product,
    "refund": _refund,
    "session": _session,
    "subscription": _subscription,
    "transfer": _transfer,
}
