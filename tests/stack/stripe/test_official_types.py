"""The double's objects, answers and events have Stripe's own types, and the check of that finds what it looks for."""

import copy
import re
from pathlib import Path
from typing import Any

from stack.paths import ROOT
from tests.stack.stripe.official_types import NAMES, mismatches, stored_objects
from tests.stack.stripe.subscriber import Subscriber
from tests.stack.stripe.support import CANCEL_URL, as_dict, noon, open_session, paid_charge
from tests.stripe_double import OwnDouble, receiving


def test_the_types_refuse_a_planted_fault(double: OwnDouble) -> None:
    right = double.v1.customers.create({"email": "typed@example.com"})
    good: dict[str, Any] = copy.deepcopy(as_dict(right))
    event = copy.deepcopy(as_dict(double.v1.events.list({"limit": 1}).data[0]))
    assert event["type"] == "customer.created"
    wrong_event = event | {"data": {"object": event["data"]["object"] | {"balance": "0"}}}
    without = {name: value for name, value in good.items() if name != "livemode"}
    faults = [
        without,
        good | {"unknown_field": 1},
        good | {"tax_exempt": "sometimes"},
        good | {"created": None},
        good | {"invoice_settings": good["invoice_settings"] | {"unknown_field": None}},
        wrong_event,
    ]
    assert mismatches([good, event]) == []
    found = mismatches(faults)
    assert len([line for line in found if line.startswith(("customer ", "customer.created "))]) == len(faults), found


def emitted_types() -> set[str]:
    """The types of events that the double's code makes."""
    code = "".join(file.read_text() for file in (ROOT / "stack" / "doubles" / "stripe").glob("*.py"))
    found = set(re.findall(r'\.emit\(\s*"([a-z_.]+)"', code))
    kinds = re.findall(r'\.emit\(f"\{kind\}\.([a-z]+)"', code)
    return found | {f"{kind}.{verb}" for kind in ("product", "price") for verb in kinds}


def test_every_kind_of_object_and_event_has_its_official_type(tmp_path: Path) -> None:
    with receiving() as receiver:
        double = OwnDouble(tmp_path / "stripe", receiver.url)
        play_everything(double)
        kinds = {found["object"] for found in double.answers} | {
            found["object"] for answer in double.answers if answer["object"] == "list" for found in answer["data"]
        }
        assert double.stop() == 0
    stored = stored_objects(double.folder)
    kinds |= {found["object"] for found in stored}
    kinds |= {event["data"]["object"]["object"] for event in stored if event["object"] == "event"}
    assert kinds - {"list"} == set(NAMES) - {"subscription_item", "line_item"}, "the play has every kind"
    assert {event["type"] for event in stored if event["object"] == "event"} == emitted_types()
    assert mismatches([*stored, *double.answers]) == []


def play_everything(double: OwnDouble) -> None:
    """Make every kind of object and of event, and ask for every kind of answer."""
    v1 = double.v1
    double.post("settlement", charged="eur", exchange_rate=1.1)
    subscribe(double)
    fail_to_subscribe(double)
    dispute_everything(double)
    connect_everything(double)
    for kind in ("session", "subscription", "charge", "refund", "transfer"):
        double.post("foreign", kind=kind)
    product = v1.products.create({"name": "One"})
    price = v1.prices.create({"product": product.id, "currency": "eur", "unit_amount": 500})
    for call in ("archive", "remove"):
        double.post(f"prices/{price.id}/{call}")
        double.post(f"products/{product.id}/{call}")
    expired = open_session(double)
    v1.checkout.sessions.expire(expired.id)
    for name in ("customers", "events", "prices", "refunds", "transfers", "balance_transactions", "invoice_payments"):
        getattr(v1, name).list({"limit": 100})
    v1.balance.retrieve()
    v1.billing_portal.configurations.list()


def subscribe(double: OwnDouble) -> None:
    """A subscription with a coupon, tax, a balance, a switch, 3-D Secure and expansions."""
    v1 = double.v1
    coupon = v1.coupons.create({"percent_off": 10, "duration": "repeating", "duration_in_months": 2})
    subscriber = Subscriber(
        double, noon(2027, 1, 1), session={"discounts": [{"coupon": coupon.id}]}, trial_period_days=5
    )
    double.post(f"sessions/{subscriber.session.id}/tax", percent=20)
    subscriber.subscribe()
    subscriber.advance(noon(2027, 1, 20))
    double.post(f"subscriptions/{subscriber.subscription_id}/switch", amount=2000)
    double.post(f"customers/{subscriber.id}/balance", amount=-300)
    double.post(f"customers/{subscriber.id}/card", outcome="requires_action")
    subscriber.advance(noon(2027, 2, 8))
    double.post(f"invoices/{subscriber.invoice().id}/pay", outcome="async")
    double.post(f"invoices/{subscriber.invoice().id}/settle", outcome="succeeded")
    v1.checkout.sessions.retrieve(subscriber.session.id, {"expand": ["subscription", "invoice.payments", "customer"]})
    v1.checkout.sessions.line_items.list(subscriber.session.id)
    update = {"enabled": True, "products": [], "default_allowed_updates": ["price"]}
    portal = v1.billing_portal.configurations.create({"features": {"subscription_update": update}})
    v1.billing_portal.configurations.update(portal.id, {"features": {"customer_update": {"enabled": False}}})
    v1.billing_portal.sessions.create({"customer": subscriber.id, "configuration": portal.id})
    v1.subscriptions.list({"customer": subscriber.id})
    v1.customers.update(subscriber.id, {"name": "Ann"})
    v1.customers.delete(subscriber.id)
    v1.customers.retrieve(subscriber.id)


def fail_to_subscribe(double: OwnDouble) -> None:
    """Payments that are declined, ask for 3-D Secure, or are refused by a bank."""
    subscriber = Subscriber(double, noon(2027, 1, 1))
    double.pay(subscriber.session.id, "declined")
    double.pay(subscriber.session.id, "requires_action")
    subscriber.subscribe("async")
    double.post(f"sessions/{subscriber.session.id}/settle", outcome="failed")
    for month, behavior in enumerate(("void", "mark_uncollectible", "keep_as_draft"), start=2):
        double.v1.subscriptions.update(subscriber.subscription_id, {"pause_collection": {"behavior": behavior}})
        subscriber.advance(noon(2027, month, 2))
    double.v1.subscriptions.cancel(subscriber.subscription_id)
    debit = open_session(double)
    double.pay(debit.id, "async")
    double.post(f"sessions/{debit.id}/settle", outcome="succeeded")
    double.v1.checkout.sessions.retrieve(debit.id, {"expand": ["payment_intent.latest_charge.balance_transaction"]})


def dispute_everything(double: OwnDouble) -> None:
    """Disputes of every beginning and end, and refunds."""
    for beginning in ("inquiry", "resolution", "block"):
        path = f"disputes/{double.post(f'charges/{paid_charge(double).id}/dispute', beginning=beginning)['id']}"
        if beginning == "inquiry":
            for call in ("respond", "escalate", "respond"):
                double.post(f"{path}/{call}")
            double.post(f"{path}/close", outcome="lost")
            double.post(f"{path}/appeal")
            double.post(f"{path}/close", outcome="won")
    double.v1.disputes.retrieve(path.rpartition("/")[2], {"expand": ["charge", "payment_intent"]})
    charge = paid_charge(double)
    double.post("next", on="refund", outcome="pending", contains=charge.id)
    waiting = double.v1.refunds.create({"payment_intent": charge.payment_intent, "amount": 500})
    double.post(f"refunds/{waiting.id}/settle", outcome="failed")
    double.v1.refunds.create({"payment_intent": charge.payment_intent})


def connect_everything(double: OwnDouble) -> None:
    """Accounts of both agreements, and everything that happens to them."""
    v1 = double.v1
    both: Any = {"transfers": {"requested": True}, "card_payments": {"requested": True}}
    account = v1.accounts.create({"country": "FR", "capabilities": both})
    link = {"account": account.id, "type": "account_onboarding", "return_url": CANCEL_URL, "refresh_url": CANCEL_URL}
    v1.account_links.create(link)
    for outcome in ("restricted", "pending", "completed"):
        double.post(f"accounts/{account.id}/complete", outcome=outcome)
    double.post("balance", amount=2000, currency="usd")
    transfer = v1.transfers.create({"amount": 1000, "currency": "usd", "destination": account.id})
    v1.transfers.reversals.create(transfer.id, {"amount": 300})
    double.post(f"transfers/{transfer.id}/reverse")
    for outcome in ("paid", "failed"):
        double.post(f"accounts/{account.id}/payout", amount=500, outcome=outcome)
    double.post(f"accounts/{account.id}/capability", status="inactive")
    v1.accounts.retrieve(account.id)
    double.post(f"accounts/{account.id}/deauthorize")
    recipient: Any = {"transfers": {"requested": True}}
    abroad = v1.accounts.create(
        {"country": "PH", "capabilities": recipient, "tos_acceptance": {"service_agreement": "recipient"}}
    )
    v1.accounts.delete(abroad.id)
