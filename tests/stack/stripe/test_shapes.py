"""The double's objects have the fields of their classes in the stripe package."""

from types import NoneType
from typing import Any, get_args

import stripe

from tests.stack.stripe.support import CANCEL_URL, as_dict, intent_of, open_session, paid_charge, transactions
from tests.stripe_double import OwnDouble

PREFIXES: dict[type, str] = {
    stripe.test_helpers.TestClock: "clock_",
    stripe.Customer: "cus_",
    stripe.Price: "price_",
    stripe.Product: "prod_",
    stripe.checkout.Session: "cs_test_",
    stripe.LineItem: "li_",
    stripe.Subscription: "sub_",
    stripe.SubscriptionItem: "si_",
    stripe.Invoice: "in_",
    stripe.InvoiceLineItem: "il_",
    stripe.InvoicePayment: "inpay_",
    stripe.Charge: "ch_",
    stripe.PaymentIntent: "pi_",
    stripe.Refund: "re_",
    stripe.Transfer: "tr_",
    stripe.Account: "acct_",
    stripe.Event: "evt_",
}


def assert_shape(found: Any, kind: type, path: str) -> None:
    """Assert that an object has all fields of its class that are never null, and no others."""
    known = {name: each for name, each in kind.__annotations__.items() if name != "OBJECT_NAME"}
    data = found if isinstance(found, dict) else as_dict(found)
    assert set(data) <= set(known), f"{path}: {set(data) - set(known)}"
    required = {name for name, each in known.items() if NoneType not in get_args(each)}
    assert required <= set(data), f"{path}: {required - set(data)}"
    assert {name for name in required if data[name] is None} == set(), path
    inner: dict[str, type] = getattr(kind, "_inner_class_types", {})
    for name, below in inner.items():
        values = data.get(name)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, dict):
                assert_shape(value, below, f"{path}.{name}")


def test_objects_have_the_fields_of_their_classes(double: OwnDouble) -> None:
    v1 = double.v1
    clock = v1.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    customer = v1.customers.create({"email": "shape@example.com", "test_clock": clock.id})
    product = v1.products.create({"name": "Membership"})
    monthly = {"product": product.id, "currency": "eur", "unit_amount": 1000, "recurring": {"interval": "month"}}
    session = open_session(
        double, mode="subscription", customer=customer.id, line_items=[{"price_data": monthly, "quantity": 1}]
    )
    done = double.pay(session.id)
    whole = v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice.payments"]})
    account = v1.accounts.create({"type": "express", "capabilities": {"transfers": {"requested": True}}})
    double.post(f"accounts/{account.id}/complete")
    double.post("balance", amount=5000, currency="eur")
    charge = paid_charge(double, 5000, "eur", customer=customer.id)
    double.post("next", on="refund", outcome="pending", contains=charge.id)
    refund = v1.refunds.create({"payment_intent": charge.payment_intent, "amount": 100})
    failed = double.post(f"refunds/{refund.id}/settle", outcome="failed")
    declined = open_session(double, customer=customer.id)
    double.pay(declined.id, "declined")
    link = {"account": account.id, "type": "account_onboarding", "return_url": CANCEL_URL, "refresh_url": CANCEL_URL}
    event = v1.events.list({"limit": 1}).data[0]
    assert event.api_version == stripe.api_version
    found: list[tuple[Any, type]] = [
        (clock, stripe.test_helpers.TestClock),
        (customer, stripe.Customer),
        (product, stripe.Product),
        (v1.prices.create(monthly), stripe.Price),
        (session, stripe.checkout.Session),
        (v1.checkout.sessions.retrieve(done["id"]), stripe.checkout.Session),
        (v1.checkout.sessions.line_items.list(session.id).data[0], stripe.LineItem),
        (whole.subscription, stripe.Subscription),
        (whole.subscription["items"].data[0], stripe.SubscriptionItem),
        (whole.invoice, stripe.Invoice),
        (whole.invoice.lines.data[0], stripe.InvoiceLineItem),
        (whole.invoice.payments.data[0], stripe.InvoicePayment),
        (charge, stripe.Charge),
        (v1.payment_intents.retrieve(charge.payment_intent), stripe.PaymentIntent),
        (intent_of(double, declined.id), stripe.PaymentIntent),
        (intent_of(double, declined.id).latest_charge, stripe.Charge),
        (transactions(double)[0], stripe.BalanceTransaction),
        (refund, stripe.Refund),
        (v1.transfers.create({"amount": 500, "currency": "eur", "destination": account.id}), stripe.Transfer),
        (v1.accounts.retrieve(account.id), stripe.Account),
        (v1.account_links.create(link), stripe.AccountLink),
        (v1.billing_portal.sessions.create({"customer": customer.id}), stripe.billing_portal.Session),
        (event, stripe.Event),
    ]
    for each, kind in found:
        assert isinstance(each, kind)
        assert_shape(each, kind, kind.__name__)
        assert as_dict(each).get("id", "").startswith(PREFIXES.get(kind, ""))
    assert_shape(failed, stripe.Refund, "a failed refund")
    assert_shape(double.post(f"charges/{charge.id}/dispute"), stripe.Dispute, "Dispute")
