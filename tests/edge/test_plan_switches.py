"""Subscribers who switch plans in the billing portal: the period, the payments and the access follow."""

from datetime import datetime
from typing import Any

import pytest

from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import DAY, Object, Shop
from tests.edge.test_subscriptions import Subscriber
from tests.people import Academy, Person, rows

MONTH, YEAR = 31 * DAY, 366 * DAY


@pytest.fixture
def subscriber(academy: Academy, shop: Shop) -> Subscriber:
    """A new subscriber."""
    return Subscriber(academy, shop)


def switch(subscriber: Subscriber, **wanted: Any) -> Object:
    """Switch as the portal does, and return the subscription's row."""
    row = subscriber.subscription()
    name = subscriber.academy.sql("select private.stripe_id_of('subscription', %s)", row["id"])[0][0]
    subscriber.shop.double.post(f"subscriptions/{name}/switch", **wanted)
    subscriber.shop.delivered(subscriber.customer)
    return subscriber.subscription()


def seconds_left(subscriber: Subscriber, row: Object) -> float:
    """The seconds of the clock until the period ends."""
    return datetime.fromisoformat(row["period_ends_at"]).timestamp() - subscriber.now


@pytest.mark.parametrize("proration", ["always_invoice", "create_prorations", "none"])
def test_an_upgrade_within_a_period_keeps_it(
    academy: Academy, teacher: Person, subscriber: Subscriber, proration: str
) -> None:
    membership = offer(academy, teacher, "membership", billing_interval="month")
    subscriber.subscribe(membership["id"])
    before = subscriber.subscription()["period_ends_at"]
    subscriber.wait(10)
    after = switch(subscriber, amount=3000, proration=proration)
    assert (after["status"], after["period_ends_at"]) == ("active", before)
    assert subscriber.is_entitled()
    subscriber.wait(22)
    renewed = subscriber.subscription()
    assert 0 < seconds_left(subscriber, renewed) <= MONTH
    assert subscriber.is_entitled()
    paid = [amount for _, amount in subscriber.orders()]
    part = 2000 * (31 - 10) // 31
    assert paid[0] == 1000
    if proration == "always_invoice":
        assert (len(paid), paid[-1]) == (3, 3000)
        assert abs(paid[1] - part) < 100
    else:
        assert len(paid) == 2
        assert abs(paid[1] - 3000 - (part if proration == "create_prorations" else 0)) < 100
    assert imbalance(academy) == []


def test_another_interval_begins_a_period(academy: Academy, teacher: Person, subscriber: Subscriber) -> None:
    """The credit for the rest of a year ends later than the month that the invoice is for."""
    yearly = offer(academy, teacher, "membership", billing_interval="year", price_amount=12_000)
    subscriber.subscribe(yearly["id"])
    assert seconds_left(subscriber, subscriber.subscription()) > 360 * DAY
    subscriber.wait(30)
    monthly = switch(subscriber, amount=20_000, interval="month")
    assert 27 * DAY < seconds_left(subscriber, monthly) <= MONTH
    found = rows(academy.call(subscriber.person, "GET", "/rest/v1/orders?order=number.desc&limit=1"))[0]
    ends = datetime.fromisoformat(found["period_ends_at"]).timestamp()
    assert 27 * DAY < ends - subscriber.now <= MONTH
    assert subscriber.is_entitled()
    back = switch(subscriber, amount=12_000, interval="year")
    assert 364 * DAY < seconds_left(subscriber, back) <= YEAR
    assert subscriber.is_entitled()
    assert imbalance(academy) == []
