"""Captured money against Stripe's double: taxes, balances, slow debits, plan switches, and objects of others."""

import json
import re
from typing import Any

import pytest

from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import CHECKOUT, Object, Shop, json_of
from tests.edge.test_subscriptions import Subscriber
from tests.people import Academy, Person, refused, rows
from tests.waiting import wait_until

KINDS = [
    "session", "subscription", "invoice", "charge", "refund", "dispute", "transfer", "account", "customer", "product",
]  # fmt: skip


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A new buyer."""
    return academy.member()


@pytest.fixture
def subscriber(academy: Academy, shop: Shop) -> Subscriber:
    """A new subscriber."""
    return Subscriber(academy, shop)


@pytest.fixture(scope="module")
def service(academy: Academy, teacher: Person) -> Object:
    """An offer that can be bought repeatedly."""
    return offer(academy, teacher, "service")


@pytest.fixture(scope="module")
def membership(academy: Academy, teacher: Person) -> Object:
    """A membership of 10 euros a month."""
    return offer(academy, teacher, "membership", billing_interval="month")


def inbox(academy: Academy, event_id: str) -> str:
    """The status of an event."""
    ((status,),) = academy.sql("select status::text from private.webhook_inbox where event_id = %s", event_id)
    return str(status)


def test_tax_on_top_is_paid_and_shared_with_nobody(
    academy: Academy, shop: Shop, buyer: Person, service: Object
) -> None:
    begun = shop.begin(buyer, offer_id=service["id"])
    shop.double.post(f"sessions/{begun['session_id']}/tax", percent=21)
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    shop.delivered(begun["order_id"])
    order = shop.order(buyer, begun["order_id"])
    assert (order["paid_amount"], order["tax_amount"]) == (1210, 210)
    splits = academy.sql("select amount from public.payment_splits where order_id = %s", order["id"])
    assert splits == [(850,)]
    assert imbalance(academy) == []


def test_a_credit_at_stripe_pays_a_part(
    academy: Academy, shop: Shop, subscriber: Subscriber, membership: Object
) -> None:
    shop.double.post(f"customers/{subscriber.customer}/balance", amount=-300)
    assert subscriber.subscribe(membership["id"])["status"] == "active"
    assert subscriber.orders() == [("paid", 700)]
    subscriber.wait(31)
    assert subscriber.orders() == [("paid", 700), ("paid", 1000)]
    assert imbalance(academy) == []


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "paid"), ("failed", "failed")])
def test_a_slow_debit_of_a_subscription_is_one_subscription(
    academy: Academy, shop: Shop, buyer: Person, membership: Object, *, outcome: str, status: str
) -> None:
    begun = shop.begin(buyer, offer_id=membership["id"])
    shop.double.pay(begun["session_id"], "async")
    shop.delivered(begun["order_id"])
    assert shop.order(buyer, begun["order_id"])["status"] == "processing"
    academy.sql("update public.orders set expires_at = now() - interval '1 day' where id = %s", begun["order_id"])
    academy.sql("select private.purge('purge__expired_orders')")
    refused(academy.call(buyer, "POST", CHECKOUT, {"offer_id": membership["id"]}), 409, "payment_processing")
    shop.double.post(f"sessions/{begun['session_id']}/settle", outcome=outcome)
    shop.delivered(begun["order_id"])
    wait_until(lambda: shop.order(buyer, begun["order_id"])["status"] == status)
    assert len(shop.entitlements(buyer)) == (status == "paid")
    if status == "failed":
        assert shop.buy(buyer, offer_id=membership["id"])["status"] == "paid"


def test_an_upgrade_keeps_a_paying_member(
    academy: Academy, shop: Shop, subscriber: Subscriber, membership: Object, teacher: Person
) -> None:
    subscriber.subscribe(membership["id"])
    better = offer(academy, teacher, "membership", billing_interval="month", title="Better", price_amount=3000)
    product = wait_until(
        lambda: academy.sql(
            "select reference from private.provider_references where row_id = %s and object = 'product'", better["id"]
        )
    )[0][0]
    subscriber.wait(10)
    shop.double.post(f"subscriptions/{subscriber.stripe_id()}/switch", product=product, amount=3000)
    shop.delivered(subscriber.customer)
    assert subscriber.subscription()["offer_id"] == better["id"]
    assert subscriber.is_entitled()
    paid = [amount for _, amount in subscriber.orders()]
    assert paid[0] == 1000
    assert any(0 < amount < 2000 for amount in paid)
    subscriber.wait(25)
    assert subscriber.is_entitled()
    assert [amount for _, amount in subscriber.orders()][-1] == 3000
    titles = {row["title"] for row in rows(academy.call(subscriber.person, "GET", "/rest/v1/orders?select=title"))}
    assert titles == {membership["title"], "Better"}
    assert imbalance(academy) == []


def test_the_payment_of_an_invoice_comes_first_and_is_refunded_in_the_dashboard(
    academy: Academy, shop: Shop, subscriber: Subscriber, membership: Object
) -> None:
    begun = shop.begin(subscriber.person, offer_id=membership["id"])
    # The payment of the invoice names no customer: it is delivered, while the invoice is held.
    shop.double.hold(subscriber.customer)
    shop.double.pay(begun["session_id"])
    invoice = str(shop.session(begun["session_id"])["invoice"])
    (first,) = [each["id"] for each in shop.events(invoice) if each["type"] == "invoice_payment.paid"]
    shop.delivered(first)
    assert inbox(academy, first) == "waiting"
    shop.double.release(subscriber.customer)
    shop.delivered(subscriber.customer)
    assert inbox(academy, first) == "applied"
    payments = shop.double.client.v1.invoice_payments.list({"invoice": invoice}).data
    intent = json_of(payments[0])["payment"]["payment_intent"]
    shop.double.client.v1.refunds.create({"payment_intent": intent, "amount": 400})
    shop.delivered(intent)
    assert shop.order(subscriber.person, begun["order_id"])["refunded_amount"] == 400
    charge = json_of(shop.double.client.v1.payment_intents.retrieve(intent))["latest_charge"]
    shop.double.post(f"charges/{charge}/dispute")
    shop.delivered(charge)
    assert shop.order(subscriber.person, begun["order_id"])["disputed_amount"] == 600
    assert imbalance(academy) == []


@pytest.mark.parametrize(
    "metadata",
    [{}, {"order_id": "7", "offer_id": "x", "user_id": "y", "payout_id": "z"}],
    ids=["other metadata", "the same keys"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_objects_of_another_shop_are_acknowledged(
    academy: Academy, shop: Shop, kind: str, metadata: dict[str, str]
) -> None:
    made = shop.double.foreign(kind, **metadata)
    shop.delivered(made["id"])
    references = {
        value for event in shop.events(made["id"]) for value in re.findall(r'"([a-z]+_\w+)"', json.dumps(event))
    }
    assert made["id"] in references
    found: list[tuple[Any, ...]] = academy.sql(
        "select distinct status::text from private.webhook_inbox where payload::text like %s", f"%{made['id']}%"
    )
    assert {status for (status,) in found} <= {"foreign", "waiting", "ignored"}
    recorded = "select reference from private.provider_references union all select reference from private.payments"
    assert references.isdisjoint(reference for (reference,) in academy.sql(recorded))
    assert imbalance(academy) == []


def test_an_inquiry_an_appeal_and_a_prevented_dispute(
    academy: Academy, shop: Shop, buyer: Person, service: Object
) -> None:
    order = shop.buy(buyer, offer_id=service["id"])
    session = academy.sql("select private.stripe_id_of('session', %s)", order["id"])[0][0]
    opened = shop.double.post(f"charges/{shop.charge(session)}/dispute", beginning="inquiry")

    def is_disputed(amount: int) -> bool:
        return bool(shop.order(buyer, order["id"])["disputed_amount"] == amount)

    shop.delivered(opened["id"])
    assert is_disputed(0)
    for step, body, amount in (
        ("escalate", {}, 1000),
        ("close", {"outcome": "lost"}, 1000),
        ("appeal", {}, 1000),
        ("close", {"outcome": "won"}, 0),
        ("appeal", {}, 1000),
        ("close", {"outcome": "won"}, 0),
    ):
        shop.double.post(f"disputes/{opened['id']}/{step}", **body)
        shop.delivered(opened["id"])
        # All of this may be of one second: then the worker reads the dispute again.
        wait_until(lambda amount=amount: is_disputed(amount))  # type: ignore[misc]
    other = shop.buy(buyer, offer_id=service["id"])
    session = academy.sql("select private.stripe_id_of('session', %s)", other["id"])[0][0]
    opened = shop.double.post(f"charges/{shop.charge(session)}/dispute", beginning="block")
    shop.delivered(opened["id"])
    assert shop.order(buyer, other["id"])["disputed_amount"] == 0
    assert imbalance(academy) == []
