"""Subscriptions: entitlements follow Stripe's events in whatever order they arrive."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from tests.commerce.stripe_events import (
    bind_product,
    deliver,
    event,
    imbalance,
    invoice,
    invoice_payment,
    offer,
    placed,
    refund,
    session,
    stripe_id,
    subscription,
    this_second,
)
from tests.people import Academy, Course, Person, refused, rows
from tests.waiting import wait_until

DAY = 86400


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Person) -> Course:
    """A course of the membership; not to be changed."""
    return academy.course(teacher, price_amount=4000)


@pytest.fixture(scope="module")
def plan(academy: Academy, teacher: Person, course: Course) -> dict[str, Any]:
    """A membership of 10 euros a month with a course in it; not to be changed."""
    made = offer(academy, teacher, "membership", billing_interval="month")
    academy.insert(teacher, "offer_courses", offer_id=made["id"], course_id=course.id)
    return made


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A new buyer."""
    return academy.member()


class Started:
    """A subscription that has just started: its order, and Stripe's events about it."""

    def __init__(self, academy: Academy, buyer: Person, plan: dict[str, Any], *, days: int = 30) -> None:
        self.now = this_second()
        self.ends_at = self.now + days * DAY
        self.order = placed(academy, buyer, offer_id=plan["id"])
        self.subscription = subscription(self.order, self.ends_at)
        self.invoice = invoice(self.subscription, 1000, self.now, self.ends_at)
        done = session(self.order, mode="subscription", payment_intent=None)
        self.events = [
            event("checkout.session.completed", done),
            event("customer.subscription.created", self.subscription),
            event("invoice.paid", self.invoice),
        ]


def membership(academy: Academy, who: Person) -> dict[str, Any]:
    """A person's only subscription."""
    (row,) = rows(academy.call(who, "GET", f"/rest/v1/subscriptions?user_id=eq.{who.id}"))
    return row


def has(academy: Academy, who: Person, course: Course) -> bool:
    """Whether the person can read all lessons of the course."""
    path = f"/rest/v1/lesson_contents?course_id=eq.{course.id}&select=lesson_id"
    return len(rows(academy.call(who, "GET", path))) == 2


@pytest.mark.route("WC-027", call="GET /rest/v1/subscriptions?user_id=eq.{user_id}")
@pytest.mark.route("WC-028", call="GET /rest/v1/entitlements?user_id=eq.{user_id}")
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_events_start_a_subscription_in_any_order(
    academy: Academy, plan: dict[str, Any], course: Course, buyer: Person, student: Person, *, turn: int
) -> None:
    started = Started(academy, buyer, plan)
    for each in started.events[turn:] + started.events[:turn]:
        deliver(academy, each)
    mine = membership(academy, buyer)
    assert (mine["status"], has(academy, buyer, course)) == ("active", True)
    assert (mine["offer_id"], mine["kind"], mine["is_ending"]) == (plan["id"], "membership", False)
    assert datetime.fromisoformat(mine["period_ends_at"]).timestamp() == started.ends_at
    held = rows(academy.call(buyer, "GET", f"/rest/v1/entitlements?user_id=eq.{buyer.id}"))
    assert [row["course_id"] for row in held if row["course_id"]] == [course.id]
    assert len(held) == 2
    for row in held:
        assert (row["kind"], row["access"], row["offer_id"]) == ("membership", "open", plan["id"])
        assert row["starts_at"] < row["ends_at"]
    for path in ("subscriptions", "entitlements"):
        assert rows(academy.call(student, "GET", f"/rest/v1/{path}?user_id=eq.{buyer.id}")) == []
        assert academy.call(None, "GET", f"/rest/v1/{path}?user_id=eq.{buyer.id}").status_code == 401
    for each in started.events:
        assert deliver(academy, each) in {"applied", "ignored"}
    counts = "select count(*) from private.payments where order_id = %s"
    assert academy.sql(counts, started.order["id"]) == [(1,)]
    refused(academy.rpc(buyer, "place_order", offer_id=plan["id"]), 409, "already_subscribed")
    assert imbalance(academy) == []


def test_each_period_is_an_order(academy: Academy, plan: dict[str, Any], course: Course, buyer: Person) -> None:
    started = Started(academy, buyer, plan)
    for each in started.events:
        deliver(academy, each)
    renewed = invoice(
        started.subscription, 1000, started.ends_at, started.ends_at + 30 * DAY, reason="subscription_cycle"
    )
    assert [deliver(academy, event("invoice.paid", renewed)) for _ in range(2)] == ["applied", "ignored"]
    orders = rows(academy.call(buyer, "GET", "/rest/v1/orders?order=period_ends_at"))
    assert [(order["paid_amount"], order["status"]) for order in orders] == [(1000, "paid")] * 2
    splits = rows(academy.call(course.teacher, "GET", f"/rest/v1/payment_splits?order_id=eq.{orders[1]['id']}"))
    assert [split["amount"] for split in splits] == [850]
    # The second month is refunded, the first is not.
    academy.sql("select private.bind_stripe_object(%s, 'payment', %s)", payment := stripe_id("pi"), orders[1]["id"])
    assert deliver(academy, event("refund.created", refund(payment, 1000))) == "applied"
    assert has(academy, buyer, course)


def test_an_outdated_event_is_ignored(academy: Academy, plan: dict[str, Any], buyer: Person) -> None:
    started = Started(academy, buyer, plan)
    for each in started.events:
        deliver(academy, each)
    ending = started.subscription | {"cancel_at_period_end": True}
    later = event("customer.subscription.updated", ending, created=started.now + 10)
    assert deliver(academy, later) == "applied"
    earlier = event("customer.subscription.updated", started.subscription, created=started.now + 5)
    assert deliver(academy, earlier) == "ignored"
    assert membership(academy, buyer)["is_ending"] is True
    # Of two events in one second, the worker asks Stripe which was later.
    same = event("customer.subscription.updated", started.subscription, created=started.now + 10)
    assert deliver(academy, same) == "applied"
    jobs = "select count(*) from procrastinate.procrastinate_jobs where queueing_lock = %s"
    assert academy.sql(jobs, f"refetch_subscription:{started.subscription['id']}") == [(1,)]


def test_a_lapsed_period_ends_access_without_a_job(
    academy: Academy, plan: dict[str, Any], course: Course, buyer: Person
) -> None:
    """The period ended two days ago: access lasts a day longer if it renews, three days if past due, else none."""
    started = Started(academy, buyer, plan, days=-2)
    started.invoice["lines"] = {"data": [{"period": {"start": started.now - 32 * DAY, "end": started.ends_at}}]}
    for each in started.events:
        deliver(academy, each)
    assert not has(academy, buyer, course)
    about = started.subscription | {"status": "past_due"}
    deliver(academy, event("customer.subscription.updated", about, created=started.now + 10))
    assert (membership(academy, buyer)["status"], has(academy, buyer, course)) == ("past_due", True)
    about = started.subscription | {"status": "canceled", "ended_at": started.ends_at}
    deliver(academy, event("customer.subscription.deleted", about, created=started.now + 20))
    assert (membership(academy, buyer)["status"], has(academy, buyer, course)) == ("ended", False)
    assert placed(academy, buyer, offer_id=plan["id"])["status"] == "pending"


def test_a_cancelled_subscription_lasts_until_its_period_ends(
    academy: Academy, plan: dict[str, Any], course: Course, buyer: Person
) -> None:
    started = Started(academy, buyer, plan)
    for each in started.events:
        deliver(academy, each)

    def ends() -> set[int]:
        found = academy.sql(
            "select extract(epoch from ends_at)::bigint from public.entitlements where order_id = %s",
            started.order["id"],
        )
        return {seconds for (seconds,) in found}

    assert ends() == {started.ends_at + DAY}
    for is_ending, extra in ((True, 0), (False, DAY)):
        about = started.subscription | {"cancel_at_period_end": is_ending}
        deliver(academy, event("customer.subscription.updated", about, created=started.now + 10 + extra))
        assert ends() == {started.ends_at + extra}
        assert has(academy, buyer, course)


def test_a_buyer_gets_one_free_trial(academy: Academy, teacher: Person, buyer: Person) -> None:
    plan = offer(academy, teacher, "creator_subscription", billing_interval="year", trial_days=7)
    started = Started(academy, buyer, plan, days=7)
    assert started.order["trial_days"] == 7
    trial = started.subscription | {"status": "trialing", "trial_end": started.ends_at}
    deliver(academy, event("customer.subscription.created", trial))
    assert deliver(academy, event("invoice.paid", started.invoice | {"amount_paid": 0})) == "applied"
    assert membership(academy, buyer)["status"] == "trialing"
    (order,) = rows(academy.call(buyer, "GET", f"/rest/v1/orders?id=eq.{started.order['id']}"))
    assert (order["status"], order["paid_amount"]) == ("paid", 0)
    held = rows(academy.call(buyer, "GET", f"/rest/v1/entitlements?order_id=eq.{order['id']}"))
    assert [row["kind"] for row in held] == ["creator_subscription"]
    over = trial | {"status": "canceled", "ended_at": started.now}
    deliver(academy, event("customer.subscription.deleted", over, created=started.now + 5))
    assert placed(academy, buyer, offer_id=plan["id"])["trial_days"] == 0


@pytest.mark.parametrize("way", ["refunded", "past due"])
def test_a_subscription_that_gives_nothing_now_is_not_bought_again(
    academy: Academy, plan: dict[str, Any], buyer: Person, way: str
) -> None:
    """The buyer would pay, and get the money back instead of the subscription."""
    started = Started(academy, buyer, plan, days=30 if way == "refunded" else -5)
    started.invoice["lines"] = {"data": [{"period": {"start": started.ends_at - 30 * DAY, "end": started.ends_at}}]}
    for each in started.events:
        deliver(academy, each)
    if way == "refunded":
        payment = stripe_id("pi")
        academy.sql("select private.bind_stripe_object(%s, 'payment', %s)", payment, started.order["id"])
        assert deliver(academy, event("refund.created", refund(payment, 1000))) == "applied"
    else:
        late = started.subscription | {"status": "past_due"}
        deliver(academy, event("customer.subscription.updated", late, created=started.now + 5))
    current = "select from private.current_entitlements where user_id = %s"
    assert academy.sql(current, buyer.id) == []
    refused(academy.rpc(buyer, "place_order", offer_id=plan["id"]), 409, "already_subscribed")
    over = started.subscription | {"status": "canceled", "ended_at": started.now + 9}
    deliver(academy, event("customer.subscription.deleted", over, created=started.now + 9))
    assert placed(academy, buyer, offer_id=plan["id"])["status"] == "pending"


def test_a_switch_gives_nothing_while_its_period_is_not_paid(
    academy: Academy, plan: dict[str, Any], course: Course, buyer: Person
) -> None:
    """The debit of the first month is on its way, arrives, and is returned."""
    former = offer(academy, course.teacher, "creator_subscription", billing_interval="month")
    product = bind_product(academy, plan)
    started = Started(academy, buyer, former)
    done, begun, paid = started.events
    for each in (done, begun):
        deliver(academy, msgspec.structs.replace(each, created=started.now - 10))
    item = {"current_period_end": started.ends_at, "price": {"id": stripe_id("price"), "product": product}}
    switched = started.subscription | {"items": {"data": [item]}}
    assert deliver(academy, event("customer.subscription.updated", switched, created=started.now - 5)) == "applied"
    assert not has(academy, buyer, course)
    assert deliver(academy, paid) == "applied"
    assert has(academy, buyer, course)
    payment = invoice_payment(started.invoice, stripe_id("pi"))
    assert deliver(academy, event("invoice_payment.paid", payment)) == "applied"
    back = refund(payment["payment"]["payment_intent"], 1000)
    assert deliver(academy, event("refund.created", back)) == "applied"
    wait_until(lambda: not has(academy, buyer, course))
