"""What recurs, at Stripe's double and by its clock: trials, renewals, cards that fail, ends, and the portal."""

import time
import uuid

import httpx
import pytest

from tests.commerce.told import imbalance, offer
from tests.edge.shop import DAY, Object, Shop, eventually
from tests.people import Academy, Person, refused, rows

PORTAL = "/functions/v1/billing-portal"
CANCEL = "POST /functions/v1/subscriptions/{subscription_id}/cancel"
RESUME = "POST /functions/v1/subscriptions/{subscription_id}/resume"


class Subscriber:
    """Somebody whose time at Stripe is the test's own."""

    def __init__(self, academy: Academy, shop: Shop) -> None:
        self.person = academy.member()
        self.academy, self.shop = academy, shop
        v1 = shop.double.client.v1
        self.now = int(time.time())
        self.clock = v1.test_helpers.test_clocks.create({"frozen_time": self.now}).id
        self.customer = v1.customers.create({"email": self.person.email, "test_clock": self.clock}).id
        academy.sql("select private.bind_stripe_object(%s, 'customer', %s)", self.customer, self.person.id)

    def subscribe(self, offer_id: str) -> Object:
        """Begin a subscription; its row."""
        self.order = self.shop.buy(self.person, offer_id=offer_id)
        self.shop.delivered(self.customer)
        return self.subscription()

    def subscription(self) -> Object:
        """The row of the subscription."""
        (row,) = rows(self.academy.call(self.person, "GET", "/rest/v1/subscriptions"))
        return row

    def wait(self, days: float) -> None:
        """Let time pass at Stripe, and all that it tells arrive."""
        self.now += int(days * DAY)
        clocks = self.shop.double.client.v1.test_helpers.test_clocks
        clocks.advance(self.clock, {"frozen_time": self.now})
        eventually(lambda: clocks.retrieve(self.clock).status == "ready")
        self.shop.delivered(self.customer)

    def orders(self) -> list[tuple[str, int]]:
        """What was paid, the oldest first."""
        found = rows(self.academy.call(self.person, "GET", "/rest/v1/orders?order=number"))
        return [(each["status"], each["paid_amount"]) for each in found]

    def is_entitled(self) -> bool:
        """Whether what he has holds at the time of Stripe's clock."""
        found = self.academy.sql(
            "select from public.entitlements where user_id = %s and ends_at > to_timestamp(%s)",
            self.person.id,
            self.now,
        )
        return bool(found)

    def act(self, word: str, subscription: Object, who: Person | None = None) -> httpx.Response:
        """Cancel or resume."""
        path = f"/functions/v1/subscriptions/{subscription['id']}/{word}"
        return self.academy.call(who or self.person, "POST", path)


@pytest.fixture
def subscriber(academy: Academy, shop: Shop) -> Subscriber:
    """Somebody who subscribes."""
    return Subscriber(academy, shop)


@pytest.fixture(scope="module")
def membership(academy: Academy, teacher: Person) -> Object:
    """A membership without a trial."""
    return offer(academy, teacher, "membership", billing_interval="month")


def test_a_trial_costs_nothing_and_then_it_is_renewed(
    academy: Academy, teacher: Person, subscriber: Subscriber
) -> None:
    on_trial = offer(academy, teacher, "membership", billing_interval="month", trial_days=14)
    assert subscriber.subscribe(on_trial["id"])["status"] == "trialing"
    assert subscriber.orders() == [("paid", 0)]
    assert subscriber.is_entitled()
    subscriber.wait(14.2)
    assert subscriber.subscription()["status"] == "active"
    assert subscriber.orders() == [("paid", 0), ("paid", 1000)]
    subscriber.wait(31)
    assert subscriber.orders() == [("paid", 0), ("paid", 1000), ("paid", 1000)]
    assert subscriber.is_entitled()
    assert imbalance(academy) == []


def test_a_card_that_fails_and_then_pays(shop: Shop, subscriber: Subscriber, membership: Object) -> None:
    assert subscriber.subscribe(membership["id"])["status"] == "active"
    shop.double.post(f"customers/{subscriber.customer}/card", outcome="declined")
    subscriber.wait(31.5)
    assert subscriber.subscription()["status"] == "past_due"
    assert subscriber.orders() == [("paid", 1000)]
    assert subscriber.is_entitled(), "for some days of grace"
    shop.double.post(f"customers/{subscriber.customer}/card", outcome="paid")
    subscriber.wait(8)
    assert subscriber.subscription()["status"] == "active"
    assert subscriber.orders() == [("paid", 1000), ("paid", 1000)]
    assert subscriber.is_entitled()


def test_a_card_that_goes_on_failing(shop: Shop, subscriber: Subscriber, membership: Object) -> None:
    subscriber.subscribe(membership["id"])
    shop.double.post(f"customers/{subscriber.customer}/card", outcome="declined")
    subscriber.wait(60)
    assert subscriber.subscription()["status"] == "ended"
    assert subscriber.orders() == [("paid", 1000)]
    assert not subscriber.is_entitled()


@pytest.mark.route("WC-050", call=CANCEL)
@pytest.mark.route("WC-050", call=RESUME)
def test_the_subscriber_ends_it_with_its_period(
    subscriber: Subscriber, membership: Object, teacher: Person, stranger: Person
) -> None:
    begun = subscriber.subscribe(membership["id"])
    for who in (stranger, teacher):
        for word in ("cancel", "resume"):
            refused(subscriber.act(word, begun, who), 404, "subscription_not_found")
    for _ in range(2):
        ending = subscriber.act("cancel", begun)
        assert (ending.status_code, ending.json()["status"], ending.json()["is_ending"]) == (200, "active", True)
    resumed = subscriber.act("resume", begun)
    assert (resumed.status_code, resumed.json()["is_ending"]) == (200, False), resumed.text
    assert subscriber.act("cancel", begun).json()["is_ending"] is True
    assert subscriber.is_entitled()
    subscriber.wait(31.5)
    ended = subscriber.subscription()
    assert (ended["status"], ended["is_ending"]) == ("ended", False)
    assert subscriber.orders() == [("paid", 1000)]
    assert not subscriber.is_entitled()
    for word in ("cancel", "resume"):
        refused(subscriber.act(word, begun), 409, "subscription_ended")


def test_a_date_on_which_it_ends_is_taken_back_too(shop: Shop, subscriber: Subscriber, membership: Object) -> None:
    """As the billing portal may write it."""
    begun = subscriber.subscribe(membership["id"])
    name = subscriber.academy.sql("select private.stripe_id('subscription', %s)", begun["id"])[0][0]
    shop.double.client.v1.subscriptions.update(name, {"cancel_at": subscriber.now + 10 * DAY})
    shop.delivered(name)
    assert subscriber.subscription()["is_ending"] is True
    resumed = subscriber.act("resume", begun)
    assert (resumed.status_code, resumed.json()["is_ending"]) == (200, False), resumed.text


def test_two_pages_for_one_order_make_one_subscription(
    academy: Academy, shop: Shop, subscriber: Subscriber, membership: Object
) -> None:
    begun = shop.begin(subscriber.person, offer_id=membership["id"])
    second = shop.double.client.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": subscriber.customer,
            "client_reference_id": begun["order_id"],
            "metadata": {"order_id": begun["order_id"]},
            "subscription_data": {"metadata": {"order_id": begun["order_id"]}},
            "success_url": "http://127.0.0.1:3000/",
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "eur",
                        "unit_amount": 1000,
                        "recurring": {"interval": "month"},
                        "product_data": {"name": "Again"},
                    },
                }
            ],
        }
    )
    shop.double.pay(begun["session_id"])
    shop.double.pay(second.id)
    shop.delivered(subscriber.customer)
    assert shop.verify(subscriber.person, begun["session_id"])["status"] == "paid"
    subscriptions = shop.double.client.v1.subscriptions

    def statuses() -> list[str]:
        return sorted(
            each.status for each in subscriptions.list({"customer": subscriber.customer, "status": "all"}).data
        )

    eventually(lambda: statuses() == ["active", "canceled"])
    back = "select returned_amount from private.payments where order_id = %s and is_surplus"
    eventually(lambda: academy.sql(back, begun["order_id"]) == [(1000,)])
    assert subscriber.subscription()["status"] == "active"
    assert shop.order(subscriber.person, begun["order_id"])["refunded_amount"] == 0
    assert imbalance(academy) == []


def test_a_period_is_refunded(academy: Academy, subscriber: Subscriber, membership: Object, admin: Person) -> None:
    subscriber.subscribe(membership["id"])
    subscriber.wait(31.5)
    (newest,) = academy.sql(
        "select id from public.orders where buyer_id = %s order by number desc limit 1", subscriber.person.id
    )
    answer = academy.rpc(admin, "refund_order", order_id=str(newest[0]), amount=300, reason="A week off")
    assert answer.status_code == 200, answer.text
    status = "select status::text from public.refunds where id = %s"
    eventually(lambda: academy.sql(status, answer.json()["id"]) == [("succeeded",)])
    assert subscriber.is_entitled()
    assert imbalance(academy) == []


@pytest.mark.route("CM-026", "CM-052", "WC-047", call=f"POST {PORTAL}")
def test_the_portal(academy: Academy, shop: Shop, subscriber: Subscriber) -> None:
    refused(academy.call(academy.member(), "POST", PORTAL, {}), 404, "customer_not_found")
    refused(academy.call(subscriber.person, "POST", PORTAL, {"return_url": "https://evil.test/"}), 422, "url_foreign")
    answer = academy.call(subscriber.person, "POST", PORTAL, {"return_url": "http://127.0.0.1:3000/me"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["url"].startswith(shop.double.url)


def test_a_subscription_that_is_none(subscriber: Subscriber) -> None:
    refused(subscriber.act("cancel", {"id": str(uuid.uuid4())}), 404, "subscription_not_found")
