"""Payments at Stripe's double that are slow, ask for more, or are not of the price: each lands."""

import pytest

from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import CHECKOUT, Object, Shop
from tests.edge.test_subscriptions import Subscriber
from tests.people import Academy, Person, refused, rows


@pytest.fixture
def subscriber(academy: Academy, shop: Shop) -> Subscriber:
    """A new subscriber."""
    return Subscriber(academy, shop)


@pytest.fixture(scope="module")
def membership(academy: Academy, teacher: Person) -> Object:
    """A membership without a trial."""
    return offer(academy, teacher, "membership", billing_interval="month")


def orders(subscriber: Subscriber) -> list[Object]:
    """The orders of a subscriber, the oldest first."""
    return rows(subscriber.academy.call(subscriber.person, "GET", "/rest/v1/orders?order=number"))


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_bank_debit_begins_a_subscription_days_later(
    academy: Academy, shop: Shop, subscriber: Subscriber, membership: Object, outcome: str
) -> None:
    begun = shop.begin(subscriber.person, offer_id=membership["id"])
    shop.double.pay(begun["session_id"], "async")
    shop.delivered(subscriber.customer)
    assert orders(subscriber)[0]["status"] == "processing"
    subscriber.wait(8)
    again = academy.call(subscriber.person, "POST", CHECKOUT, {"offer_id": membership["id"]})
    refused(again, 409, "payment_processing")
    shop.double.post(f"sessions/{begun['session_id']}/settle", outcome=outcome)
    shop.delivered(subscriber.customer)
    if outcome == "succeeded":
        assert subscriber.orders() == [("paid", 1000)]
        assert subscriber.subscription()["status"] == "active"
        assert subscriber.is_entitled()
    else:
        assert not subscriber.is_entitled()
        shop.double.post(f"customers/{subscriber.customer}/card", outcome="declined")
        subscriber.wait(30)
        assert subscriber.orders() == [("failed", 0)]
        assert subscriber.subscription()["status"] == "ended"
        assert not subscriber.is_entitled()
    assert imbalance(academy) == []


def test_a_bank_debit_of_a_renewal_takes_days(shop: Shop, subscriber: Subscriber, membership: Object) -> None:
    subscriber.subscribe(membership["id"])
    shop.double.post(f"customers/{subscriber.customer}/card", outcome="async")
    subscriber.wait(31.5)
    assert subscriber.subscription()["status"] == "active"
    assert subscriber.orders() == [("paid", 1000)]
    invoice = shop.double.v1.subscriptions.retrieve(subscriber.stripe_id()).latest_invoice
    shop.double.post(f"invoices/{invoice}/settle", outcome="succeeded")
    shop.delivered(subscriber.customer)
    assert subscriber.orders() == [("paid", 1000), ("paid", 1000)]
    assert subscriber.is_entitled()


def test_a_renewal_waits_for_3d_secure(shop: Shop, subscriber: Subscriber, membership: Object) -> None:
    subscriber.subscribe(membership["id"])
    shop.double.post(f"customers/{subscriber.customer}/card", outcome="requires_action")
    subscriber.wait(31.5)
    assert subscriber.subscription()["status"] == "past_due"
    assert subscriber.orders() == [("paid", 1000)]
    invoice = shop.double.v1.subscriptions.retrieve(subscriber.stripe_id()).latest_invoice
    shop.double.post(f"invoices/{invoice}/pay")
    shop.delivered(subscriber.customer)
    assert subscriber.subscription()["status"] == "active"
    assert subscriber.orders() == [("paid", 1000), ("paid", 1000)]
    assert subscriber.is_entitled()


def test_a_buyer_passes_3d_secure(academy: Academy, shop: Shop, teacher: Person) -> None:
    buyer = academy.member()
    begun = shop.begin(buyer, offer_id=offer(academy, teacher, "service")["id"])
    assert shop.double.pay(begun["session_id"], "requires_action")["payment_status"] == "unpaid"
    assert shop.verify(buyer, begun["session_id"])["status"] == "pending"
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"


def test_tax_comes_on_top(academy: Academy, shop: Shop, teacher: Person, subscriber: Subscriber) -> None:
    buyer = academy.member()
    begun = shop.begin(buyer, offer_id=offer(academy, teacher, "service")["id"])
    shop.double.post(f"sessions/{begun['session_id']}/tax", percent=19)
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    order = shop.order(buyer, begun["order_id"])
    assert (order["amount"], order["paid_amount"], order["tax_amount"]) == (1000, 1190, 190)

    membership = offer(academy, teacher, "membership", billing_interval="month", trial_days=7)
    begun = shop.begin(subscriber.person, offer_id=membership["id"])
    shop.double.post(f"sessions/{begun['session_id']}/tax", percent=19)
    shop.double.pay(begun["session_id"])
    shop.delivered(subscriber.customer)
    subscriber.wait(40)
    found = [(each["status"], each["amount"], each["paid_amount"], each["tax_amount"]) for each in orders(subscriber)]
    assert found == [("paid", 1000, 0, 0), ("paid", 1000, 1190, 190), ("paid", 1000, 1190, 190)]
    assert imbalance(academy) == []


def test_a_credit_at_stripe_pays_a_part(shop: Shop, subscriber: Subscriber, membership: Object) -> None:
    subscriber.subscribe(membership["id"])
    shop.double.post(f"customers/{subscriber.customer}/balance", amount=-1300)
    subscriber.wait(63)
    # The invoices of two periods may arrive in either order.
    assert sorted(subscriber.orders()) == [("paid", 0), ("paid", 700), ("paid", 1000)]
    assert subscriber.is_entitled()
    assert imbalance(subscriber.academy) == []
