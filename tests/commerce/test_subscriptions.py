"""Memberships and what else recurs: windows that follow what Stripe tells, in whatever order it tells it."""

import time
from typing import Any

import pytest

from tests.commerce.told import event, imbalance, invoice, offer, placed, refund, session, stripe_id, subscription, tell
from tests.people import Academy, Course, Person, refused, rows

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
    """Somebody who wants it."""
    return academy.member()


class Began:
    """A subscription that has just begun: its order, and what Stripe has told of it."""

    def __init__(self, academy: Academy, buyer: Person, plan: dict[str, Any], *, days: int = 30) -> None:
        self.now = int(time.time())
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
    """The one subscription of somebody."""
    (row,) = rows(academy.call(who, "GET", f"/rest/v1/subscriptions?user_id=eq.{who.id}"))
    return row


def has(academy: Academy, who: Person, course: Course) -> bool:
    """Whether the course's contents are open."""
    path = f"/rest/v1/lesson_contents?course_id=eq.{course.id}&select=lesson_id"
    return len(rows(academy.call(who, "GET", path))) == 2


@pytest.mark.route("WC-027", call="GET /rest/v1/subscriptions?user_id=eq.{user_id}")
@pytest.mark.route("WC-028", call="GET /rest/v1/entitlements?user_id=eq.{user_id}")
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_it_begins_in_whatever_order_it_is_told(
    academy: Academy, plan: dict[str, Any], course: Course, buyer: Person, student: Person, *, turn: int
) -> None:
    began = Began(academy, buyer, plan)
    for told in began.events[turn:] + began.events[:turn]:
        tell(academy, told)
    assert (membership(academy, buyer)["status"], has(academy, buyer, course)) == ("active", True)
    held = rows(academy.call(buyer, "GET", f"/rest/v1/entitlements?user_id=eq.{buyer.id}"))
    assert [row["course_id"] for row in held if row["course_id"]] == [course.id]
    assert len(held) == 2
    for path in ("subscriptions", "entitlements"):
        assert rows(academy.call(student, "GET", f"/rest/v1/{path}?user_id=eq.{buyer.id}")) == []
        assert academy.call(None, "GET", f"/rest/v1/{path}?user_id=eq.{buyer.id}").status_code == 401
    for told in began.events:
        assert tell(academy, told) in {"applied", "ignored"}
    counts = "select count(*) from private.payments where order_id = %s"
    assert academy.sql(counts, began.order["id"]) == [(1,)]
    refused(academy.rpc(buyer, "place_order", offer_id=plan["id"]), 409, "already_subscribed")
    assert imbalance(academy) == []


def test_each_period_is_an_order(academy: Academy, plan: dict[str, Any], course: Course, buyer: Person) -> None:
    began = Began(academy, buyer, plan)
    for told in began.events:
        tell(academy, told)
    renewed = invoice(began.subscription, 1000, began.ends_at, began.ends_at + 30 * DAY, reason="subscription_cycle")
    assert [tell(academy, event("invoice.paid", renewed)) for _ in range(2)] == ["applied", "ignored"]
    orders = rows(academy.call(buyer, "GET", "/rest/v1/orders?order=period_ends_at"))
    assert [(order["paid_amount"], order["status"]) for order in orders] == [(1000, "paid")] * 2
    splits = rows(academy.call(course.teacher, "GET", f"/rest/v1/payment_splits?order_id=eq.{orders[1]['id']}"))
    assert [split["amount"] for split in splits] == [850]
    # The second month goes back, the first stays.
    academy.sql("select private.bind_stripe_object(%s, 'payment', %s)", payment := stripe_id("pi"), orders[1]["id"])
    assert tell(academy, event("refund.created", refund(payment, 1000))) == "applied"
    assert has(academy, buyer, course)


def test_older_news_is_passed_over(academy: Academy, plan: dict[str, Any], buyer: Person) -> None:
    began = Began(academy, buyer, plan)
    for told in began.events:
        tell(academy, told)
    ending = began.subscription | {"cancel_at_period_end": True}
    later = event("customer.subscription.updated", ending, created=began.now + 10)
    assert tell(academy, later) == "applied"
    earlier = event("customer.subscription.updated", began.subscription, created=began.now + 5)
    assert tell(academy, earlier) == "ignored"
    assert membership(academy, buyer)["is_ending"] is True
    # Of two at one second, the worker asks which was later.
    same = event("customer.subscription.updated", began.subscription, created=began.now + 10)
    assert tell(academy, same) == "applied"
    jobs = "select count(*) from procrastinate.procrastinate_jobs where queueing_lock = %s"
    assert academy.sql(jobs, f"refetch_subscription:{began.subscription['id']}") == [(1,)]


def test_what_runs_out_is_closed_without_a_job(
    academy: Academy, plan: dict[str, Any], course: Course, buyer: Person
) -> None:
    """Of a period that ended two days ago: renewable it holds for a day, in arrears for three, cancelled for none."""
    began = Began(academy, buyer, plan, days=-2)
    began.invoice["lines"] = {"data": [{"period": {"start": began.now - 32 * DAY, "end": began.ends_at}}]}
    for told in began.events:
        tell(academy, told)
    assert not has(academy, buyer, course)
    about = began.subscription | {"status": "past_due"}
    tell(academy, event("customer.subscription.updated", about, created=began.now + 10))
    assert (membership(academy, buyer)["status"], has(academy, buyer, course)) == ("past_due", True)
    about = began.subscription | {"status": "canceled", "ended_at": began.ends_at}
    tell(academy, event("customer.subscription.deleted", about, created=began.now + 20))
    assert (membership(academy, buyer)["status"], has(academy, buyer, course)) == ("ended", False)
    assert placed(academy, buyer, offer_id=plan["id"])["status"] == "pending"


def test_cancelled_at_the_end_it_holds_until_then(
    academy: Academy, plan: dict[str, Any], course: Course, buyer: Person
) -> None:
    began = Began(academy, buyer, plan)
    for told in began.events:
        tell(academy, told)

    def ends() -> set[int]:
        found = academy.sql(
            "select extract(epoch from ends_at)::bigint from public.entitlements where order_id = %s", began.order["id"]
        )
        return {seconds for (seconds,) in found}

    assert ends() == {began.ends_at + DAY}
    for is_ending, extra in ((True, 0), (False, DAY)):
        about = began.subscription | {"cancel_at_period_end": is_ending}
        tell(academy, event("customer.subscription.updated", about, created=began.now + 10 + extra))
        assert ends() == {began.ends_at + extra}
        assert has(academy, buyer, course)


def test_a_trial_costs_nothing_once(academy: Academy, teacher: Person, buyer: Person) -> None:
    plan = offer(academy, teacher, "creator_subscription", billing_interval="year", trial_days=7)
    began = Began(academy, buyer, plan, days=7)
    assert began.order["trial_days"] == 7
    trial = began.subscription | {"status": "trialing", "trial_end": began.ends_at}
    tell(academy, event("customer.subscription.created", trial))
    assert tell(academy, event("invoice.paid", began.invoice | {"amount_paid": 0})) == "applied"
    assert membership(academy, buyer)["status"] == "trialing"
    (order,) = rows(academy.call(buyer, "GET", f"/rest/v1/orders?id=eq.{began.order['id']}"))
    assert (order["status"], order["paid_amount"]) == ("paid", 0)
    held = rows(academy.call(buyer, "GET", f"/rest/v1/entitlements?order_id=eq.{order['id']}"))
    assert [row["kind"] for row in held] == ["creator_subscription"]
    over = trial | {"status": "canceled", "ended_at": began.now}
    tell(academy, event("customer.subscription.deleted", over, created=began.now + 5))
    assert placed(academy, buyer, offer_id=plan["id"])["trial_days"] == 0
