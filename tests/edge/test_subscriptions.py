"""Subscriptions at Stripe's double with test clocks: trials, renewals, failed cards, ends, and the billing portal."""

import time
import uuid
from typing import Any

import httpx
import pytest

from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import DAY, Object, Shop
from tests.people import Academy, Person, refused, rows
from tests.waiting import wait_until

PORTAL = "/functions/v1/billing-portal"
CANCEL = "POST /functions/v1/subscriptions/{subscription_id}/cancel"
RESUME = "POST /functions/v1/subscriptions/{subscription_id}/resume"


class Subscriber:
    """A subscriber with a test clock at Stripe."""

    def __init__(self, academy: Academy, shop: Shop) -> None:
        self.person = academy.member()
        self.academy, self.shop = academy, shop
        v1 = shop.double.client.v1
        self.now = int(time.time())
        self.clock = v1.test_helpers.test_clocks.create({"frozen_time": self.now}).id
        self.customer = v1.customers.create({"email": self.person.email, "test_clock": self.clock}).id
        academy.sql("select private.bind_stripe_object(%s, 'customer', %s)", self.customer, self.person.id)

    def subscribe(self, offer_id: str) -> Object:
        """Begin a subscription, and return its row."""
        self.order = self.shop.buy(self.person, offer_id=offer_id)
        self.shop.delivered(self.customer)
        return self.subscription()

    def subscription(self) -> Object:
        """The row of the subscription."""
        (row,) = rows(self.academy.call(self.person, "GET", "/rest/v1/subscriptions"))
        return row

    def stripe_id(self) -> str:
        """The id of the subscription at Stripe."""
        found = self.academy.sql("select private.stripe_id_of('subscription', %s)", self.subscription()["id"])
        return str(found[0][0])

    def wait(self, days: float) -> None:
        """Advance the clock, and wait for the events."""
        self.now += int(days * DAY)
        clocks = self.shop.double.client.v1.test_helpers.test_clocks
        clocks.advance(self.clock, {"frozen_time": self.now})
        wait_until(lambda: clocks.retrieve(self.clock).status == "ready")
        self.shop.delivered(self.customer)

    def orders(self) -> list[tuple[str, int]]:
        """The status and paid amount of each order, the oldest first."""
        found = rows(self.academy.call(self.person, "GET", "/rest/v1/orders?order=number"))
        return [(each["status"], each["paid_amount"]) for each in found]

    def is_entitled(self) -> bool:
        """Whether an entitlement is valid at the time of the clock."""
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
    """A new subscriber."""
    return Subscriber(academy, shop)


@pytest.fixture(scope="module")
def membership(academy: Academy, teacher: Person) -> Object:
    """A membership without a trial."""
    return offer(academy, teacher, "membership", billing_interval="month")


def test_a_trial_costs_nothing_and_then_renews(academy: Academy, teacher: Person, subscriber: Subscriber) -> None:
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


def test_a_failed_renewal_is_past_due_until_it_is_paid(shop: Shop, subscriber: Subscriber, membership: Object) -> None:
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


def test_a_renewal_that_keeps_failing_ends_the_subscription(
    shop: Shop, subscriber: Subscriber, membership: Object
) -> None:
    subscriber.subscribe(membership["id"])
    shop.double.post(f"customers/{subscriber.customer}/card", outcome="declined")
    subscriber.wait(60)
    assert subscriber.subscription()["status"] == "ended"
    assert subscriber.orders() == [("paid", 1000)]
    assert not subscriber.is_entitled()


@pytest.mark.route("WC-050", call=CANCEL)
@pytest.mark.route("WC-050", call=RESUME)
def test_a_subscription_is_cancelled_and_resumed_by_its_subscriber(
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


def test_a_subscription_that_ends_at_a_date_can_be_resumed(
    shop: Shop, subscriber: Subscriber, membership: Object
) -> None:
    """The billing portal may set such a date."""
    begun = subscriber.subscribe(membership["id"])
    name = subscriber.academy.sql("select private.stripe_id_of('subscription', %s)", begun["id"])[0][0]
    shop.double.client.v1.subscriptions.update(name, {"cancel_at": subscriber.now + 10 * DAY})
    shop.delivered(name)
    assert subscriber.subscription()["is_ending"] is True
    resumed = subscriber.act("resume", begun)
    assert (resumed.status_code, resumed.json()["is_ending"]) == (200, False), resumed.text


def test_two_sessions_of_one_order_make_one_subscription(
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

    wait_until(lambda: statuses() == ["active", "canceled"])
    back = "select returned_amount from private.payments where order_id = %s and is_surplus"
    wait_until(lambda: academy.sql(back, begun["order_id"]) == [(1000,)])
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
    wait_until(lambda: academy.sql(status, answer.json()["id"]) == [("succeeded",)])
    assert subscriber.is_entitled()
    assert imbalance(academy) == []


@pytest.mark.route("CM-026", "CM-052", "WC-047", call=f"POST {PORTAL}")
def test_the_billing_portal_is_for_customers(
    academy: Academy, shop: Shop, subscriber: Subscriber, membership: Object
) -> None:
    subscriber.subscribe(membership["id"])
    refused(academy.call(academy.member(), "POST", PORTAL, {}), 404, "customer_not_found")
    refused(academy.call(subscriber.person, "POST", PORTAL, {"return_url": "https://evil.test/"}), 422, "url_foreign")
    answer = academy.call(subscriber.person, "POST", PORTAL, {"return_url": "http://127.0.0.1:3000/me"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["url"].startswith(shop.double.url)
    # It is the customer's own page, on which they manage the plan.
    page = academy.http.get(answer.json()["url"]).text
    assert subscriber.person.email in page
    assert "Cancel at the period" in page


def test_an_unknown_subscription_is_404(subscriber: Subscriber) -> None:
    refused(subscriber.act("cancel", {"id": str(uuid.uuid4())}), 404, "subscription_not_found")


@pytest.mark.parametrize(
    ("duration", "paid", "documents"),
    [
        ({"duration": "once"}, [800, 1000, 1000, 1000], [200, 0, 0, 0]),
        ({"duration": "repeating", "duration_months": 2}, [800, 800, 1000, 1000], [200, 200, 0, 0]),
        ({"duration": "forever"}, [800, 800, 800, 800], [200, 200, 200, 200]),
    ],
)
def test_a_coupon_discounts_the_payments_that_it_names(
    academy: Academy,
    teacher: Person,
    subscriber: Subscriber,
    membership: Object,
    *,
    duration: dict[str, Any],
    paid: list[int],
    documents: list[int],
) -> None:
    code = uuid.uuid4().hex[:12].upper()
    academy.insert(teacher, "coupons", code=code, percent_off=20, **duration)
    order = subscriber.shop.buy(subscriber.person, offer_id=membership["id"], coupon=code)
    assert (order["unit_amount"], order["discount_amount"], order["amount"]) == (1000, 200, 800)
    subscriber.shop.delivered(subscriber.customer)
    subscriber.wait(93)
    assert subscriber.orders() == [("paid", amount) for amount in paid]
    found = rows(academy.call(subscriber.person, "GET", "/rest/v1/orders?order=number"))
    assert [each["discount_amount"] for each in found] == documents
    assert [each["amount"] for each in found] == paid
    for each in found:
        document = academy.rpc(subscriber.person, "order_document", order_id=each["id"]).json()
        assert document["coupon"] == (code if each["discount_amount"] else None)
    assert academy.sql("select used_count from public.coupons where code = %s", code) == [(1,)]
    assert imbalance(academy) == []


def test_a_coupon_discounts_the_first_payment_after_a_trial(
    academy: Academy, teacher: Person, subscriber: Subscriber
) -> None:
    on_trial = offer(academy, teacher, "membership", billing_interval="month", trial_days=14)
    code = uuid.uuid4().hex[:12].upper()
    academy.insert(teacher, "coupons", code=code, amount_off=300, currency="EUR")
    subscriber.shop.buy(subscriber.person, offer_id=on_trial["id"], coupon=code)
    subscriber.shop.delivered(subscriber.customer)
    subscriber.wait(14.2)
    subscriber.wait(31)
    assert subscriber.orders() == [("paid", 0), ("paid", 700), ("paid", 1000)]


def test_buyers_with_one_coupon_share_a_discount_at_stripe(
    academy: Academy, shop: Shop, teacher: Person, membership: Object
) -> None:
    code = uuid.uuid4().hex[:12].upper()
    academy.insert(teacher, "coupons", code=code, percent_off=20, duration="forever")
    first, second = (shop.begin(academy.member(), offer_id=membership["id"], coupon=code) for _ in range(2))
    for begun in (first, second):
        session = shop.session(begun["session_id"])
        assert (session["amount_subtotal"], session["amount_total"]) == (1000, 800)
        assert session["discounts"] == [{"coupon": f"{code}-eur-200-forever", "promotion_code": None}]
