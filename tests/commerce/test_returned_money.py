"""Money that is returned twice, or comes back after it was returned."""

from typing import Any

import pytest

from tests.commerce.goods import Beat, beat
from tests.commerce.stripe_events import (
    Object,
    deliver,
    dispute,
    event,
    imbalance,
    pay,
    placed,
    refund,
    requested_refund,
    this_second,
)
from tests.people import Academy, Person, refused, rows


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A new buyer."""
    return academy.member()


@pytest.fixture
def sold(academy: Academy, teacher: Person, buyer: Person) -> tuple[Object, str]:
    """An order of a course for 10 euros, and its payment."""
    order = placed(academy, buyer, course_id=academy.course(teacher, price_amount=1000).id)
    return order, pay(academy, order)


@pytest.fixture
def fresh(academy: Academy, teacher: Person) -> Beat:
    """A beat of the test's own."""
    return beat(academy, teacher)


def returned(academy: Academy, order: Object) -> tuple[Any, ...]:
    """What was refunded and disputed of an order, what the ledger has of it, and whether its buyer has it."""
    (row,) = academy.sql(
        "select o.refunded_amount, o.disputed_amount, p.returned_amount, exists ("
        "  select from private.current_entitlements as e where e.order_id = o.id"
        ") from public.orders as o join private.payments as p on p.order_id = o.id where o.id = %s",
        order["id"],
    )
    return row


def has_licence(academy: Academy, buyer: Person, order: Object) -> bool:
    """Whether the licence of an order is valid; its files follow it."""
    (row,) = rows(academy.call(buyer, "GET", f"/rest/v1/orders?id=eq.{order['id']}"))
    is_valid: bool = academy.rpc(None, "verify_licence", code=row["licence_code"]).json()["is_valid"]
    assert (academy.rpc(buyer, "order_files", order_id=order["id"]).status_code == 200) is is_valid
    return is_valid


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_bank_takes_back_what_a_refund_returns_too(
    academy: Academy, admin: Person, sold: tuple[Object, str], *, is_ours: bool
) -> None:
    order, payment = sold
    ours = requested_refund(academy, admin, order, 600)["id"] if is_ours else None
    bank, now = dispute(payment, 1000), this_second()
    assert deliver(academy, event("charge.dispute.created", bank, created=now)) == "applied"
    made = refund(payment, 600, refund_id=ours)
    assert deliver(academy, event("refund.created", made)) == "applied"
    assert returned(academy, order) == (600, 400, 1000, False)
    won = event("charge.dispute.closed", bank | {"status": "won"}, created=now + 1)
    assert deliver(academy, won) == "applied"
    assert returned(academy, order) == (600, 0, 600, True)
    assert imbalance(academy) == []


def test_a_dispute_counts_for_more_once_the_refund_before_it_fails(academy: Academy, sold: tuple[Object, str]) -> None:
    order, payment = sold
    made = refund(payment, 1000)
    assert deliver(academy, event("refund.created", made)) == "applied"
    assert deliver(academy, event("charge.dispute.created", dispute(payment, 1000))) == "applied"
    assert returned(academy, order) == (1000, 0, 1000, False)
    assert deliver(academy, event("refund.failed", made | {"status": "failed"})) == "applied"
    assert returned(academy, order) == (0, 1000, 1000, False)
    assert imbalance(academy) == []


@pytest.mark.parametrize("way", ["refund", "dispute"])
@pytest.mark.parametrize("is_resold", [True, False])
def test_an_exclusive_licence_has_one_owner_when_its_money_comes_back(
    *, academy: Academy, buyer: Person, fresh: Beat, way: str, is_resold: bool
) -> None:
    order, second, now = placed(academy, buyer, offer_id=fresh.offers["exclusive"]), academy.member(), this_second()
    payment = pay(academy, order)
    if way == "refund":
        made = refund(payment, order["amount"])
        news = [event("refund.created", made), event("refund.failed", made | {"status": "failed"})]
    else:
        bank = dispute(payment, order["amount"])
        lost = event("charge.dispute.closed", bank | {"status": "lost"}, created=now)
        news = [lost, event("charge.dispute.updated", bank | {"status": "won"}, created=now + 1)]
    assert deliver(academy, news[0]) == "applied"
    assert not has_licence(academy, buyer, order)
    other = placed(academy, second, offer_id=fresh.offers["exclusive"])
    if is_resold:
        pay(academy, other)
    assert deliver(academy, news[1]) == "applied"
    assert has_licence(academy, buyer, order) is not is_resold
    open_exceptions = (
        "select kind::text, reason from public.payment_exceptions where order_id = %s and resolved_at is null"
    )
    refunds = "select count(*) from public.refunds where order_id = %s and reason = 'licence_exclusive'"
    if is_resold:
        assert has_licence(academy, second, other)
        assert academy.sql(open_exceptions, order["id"]) == [("unfulfilled", "licence_exclusive")]
        # A refund that has failed is for an admin; the money of a dispute that was won goes back by itself.
        assert academy.sql(refunds, order["id"]) == [(1 if way == "dispute" else 0,)]
    else:
        assert academy.sql("select status::text from public.orders where id = %s", other["id"]) == [("cancelled",)]
        assert academy.sql(open_exceptions, order["id"]) == []
        refused(academy.rpc(second, "place_order", offer_id=fresh.offers["exclusive"]), 409, "licence_exclusive")
    assert imbalance(academy) == []


def test_a_won_dispute_that_is_lost_after_all_releases_the_beat(academy: Academy, buyer: Person, fresh: Beat) -> None:
    order, now = placed(academy, buyer, offer_id=fresh.offers["exclusive"]), this_second()
    bank = dispute(pay(academy, order), order["amount"])
    for second, status in enumerate(("won", "lost")):
        deliver(academy, event("charge.dispute.updated", bank | {"status": status}, created=now + second))
    assert not has_licence(academy, buyer, order)
    assert rows(academy.call(None, "GET", f"/rest/v1/products?id=eq.{fresh.id}"))[0]["is_sold"] is False


def test_a_course_that_was_bought_again_is_not_paid_twice(
    academy: Academy, admin: Person, buyer: Person, sold: tuple[Object, str]
) -> None:
    """The buyer disputes, buys again, and the dispute is won: the money of the first order goes back."""
    order, payment = sold
    bank, now = dispute(payment, 1000), this_second()
    assert deliver(academy, event("charge.dispute.created", bank, created=now)) == "applied"
    again = placed(academy, buyer, course_id=order["course_id"])
    pay(academy, again)
    won = event("charge.dispute.closed", bank | {"status": "won"}, created=now + 1)
    assert [deliver(academy, won) for _ in range(2)] == ["applied"] * 2
    refunds = "select order_id::text, amount from public.refunds where buyer_id = %s"
    assert academy.sql(refunds, buyer.id) == [(order["id"], 1000)]
    shown = f"/rest/v1/payment_exceptions?order_id=eq.{order['id']}&select=kind,reason"
    assert rows(academy.call(admin, "GET", shown)) == [{"kind": "unfulfilled", "reason": "already_enrolled"}]
    [(refund_id,)] = academy.sql("select id::text from public.refunds where buyer_id = %s", buyer.id)
    academy.sql("update public.refunds set status = 'pending' where id = %s", refund_id)
    reported = deliver(academy, event("refund.updated", refund(payment, 1000, refund_id=refund_id)))
    assert reported in {"applied", "ignored"}  # the worker may have recorded it first
    assert returned(academy, order)[:2] == (1000, 0)
    assert returned(academy, again) == (0, 0, 0, True)
    (enrolment,) = rows(academy.call(buyer, "GET", f"/rest/v1/enrolments?course_id=eq.{order['course_id']}"))
    assert enrolment["access"] == "open"
    assert imbalance(academy) == []


def test_the_end_of_a_surplus_refund_may_be_reported_first(academy: Academy, sold: tuple[Object, str]) -> None:
    """A refund that has failed, and a dispute that was won, return nothing, whenever the news of their begin comes."""
    order, _ = sold
    second = pay(academy, order)
    failed, bank, now = refund(second, 1000), dispute(second, 1000), this_second()
    kept = "select returned_amount from private.payments where order_id = %s and is_surplus"
    for late, early in (
        (event("refund.created", failed), event("refund.failed", failed | {"status": "failed"})),
        (
            event("charge.dispute.created", bank, created=now),
            event("charge.dispute.closed", bank | {"status": "won"}, created=now + 1),
        ),
    ):
        assert deliver(academy, early) == "ignored"
        assert deliver(academy, late) == "ignored"
        assert academy.sql(kept, order["id"]) == [(0,)]
    assert deliver(academy, event("refund.created", refund(second, 1000))) == "applied"
    assert academy.sql(kept, order["id"]) == [(1000,)]
    assert imbalance(academy) == []
