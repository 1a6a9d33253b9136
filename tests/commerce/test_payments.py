"""Payments, refunds and disputes as Stripe reports them: once, in any order, with a balanced ledger."""

import random
from typing import Any

import pytest

from tests.commerce.stripe_events import (
    deliver,
    dispute,
    event,
    imbalance,
    offer,
    pay,
    placed,
    refund,
    requested_refund,
    session,
    stripe_id,
)
from tests.people import Academy, Course, Person, concurrently, refused, rows


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Person) -> Course:
    """A published course that costs something; not to be changed."""
    return academy.course(teacher, price_amount=4999)


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A new buyer."""
    return academy.member()


@pytest.fixture
def order(academy: Academy, course: Course, buyer: Person) -> dict[str, Any]:
    """A pending order of the course."""
    return placed(academy, buyer, course_id=course.id)


def entitlements(academy: Academy, who: Person, course: Course) -> list[dict[str, Any]]:
    """A person's current entitlements to the course."""
    now = "or=(ends_at.is.null,ends_at.gt.now)"
    return rows(academy.call(who, "GET", f"/rest/v1/entitlements?user_id=eq.{who.id}&course_id=eq.{course.id}&{now}"))


def content(academy: Academy, who: Person, course: Course) -> int:
    """How many lessons of the course a person can read: everybody reads the intro."""
    return len(rows(academy.call(who, "GET", f"/rest/v1/lesson_contents?course_id=eq.{course.id}&select=lesson_id")))


def lines(academy: Academy, order: dict[str, Any]) -> dict[str, int]:
    """The sum of an order's entries on each account; a credit is positive."""
    found = academy.sql(
        "select account_kind::text, -sum(amount)::bigint from public.ledger_entries where order_id = %s group by 1",
        order["id"],
    )
    return dict(found)


def read(academy: Academy, who: Person, order: dict[str, Any]) -> dict[str, Any]:
    """The order as it is now."""
    (row,) = rows(academy.call(who, "GET", f"/rest/v1/orders?id=eq.{order['id']}"))
    return row


def test_a_payment_opens_the_course_and_is_split(
    academy: Academy, course: Course, buyer: Person, order: dict[str, Any], stranger: Person
) -> None:
    assert content(academy, buyer, course) == 1
    pay(academy, order)
    assert read(academy, buyer, order)["status"] == "paid"
    assert content(academy, buyer, course) == 2
    # The seller gets 85 percent of 49.99, rounded down; the platform has the rest.
    assert lines(academy, order) == {"provider": -4999, "payable": 4249, "platform": 750}
    splits = rows(academy.call(course.teacher, "GET", f"/rest/v1/payment_splits?order_id=eq.{order['id']}"))
    assert [(split["role"], split["amount"]) for split in splits] == [("seller", 4249)]
    for who in (buyer, stranger):
        for table in (
            "payment_splits",
            "ledger_entries",
            "ledger_journals",
            "account_statement",
            "balances",
            "disputes",
        ):
            assert rows(academy.call(who, "GET", f"/rest/v1/{table}")) == []
    assert imbalance(academy) == []


def test_fifty_concurrent_events_are_one_payment(
    academy: Academy, course: Course, buyer: Person, order: dict[str, Any]
) -> None:
    done = session(order)
    charge = {
        "id": stripe_id("ch"), "object": "charge", "payment_intent": done["payment_intent"],
        "metadata": {"order_id": order["id"]},
    }  # fmt: skip
    events = [event("checkout.session.completed", done), event("charge.succeeded", charge)]
    events += [event("checkout.session.completed", done) for _ in range(3)]
    calls = random.Random(5).choices(events, k=50)
    assert set(concurrently(50, lambda number: deliver(academy, calls[number]))) <= {"applied", "ignored"}
    assert len(entitlements(academy, buyer, course)) == 1
    counts = academy.sql(
        "select (select count(*) from private.payments where order_id = %s),"
        " (select count(distinct journal_id) from public.ledger_entries where order_id = %s),"
        " (select count(*) from private.mail_outbox where idempotency_key = %s)",
        order["id"], order["id"], f"order_paid:{order['id']}",
    )  # fmt: skip
    assert counts == [(1, 1, 1)]


def test_a_delayed_payment_succeeds_or_fails(academy: Academy, course: Course, buyer: Person) -> None:
    for last, status in (("async_payment_succeeded", "paid"), ("async_payment_failed", "failed")):
        order = placed(academy, buyer, course_id=course.id)
        done = session(order, paid=False)
        assert deliver(academy, event("checkout.session.completed", done)) == "applied"
        assert read(academy, buyer, order)["status"] == "processing"
        done["payment_status"] = "paid" if status == "paid" else "unpaid"
        assert deliver(academy, event(f"checkout.session.{last}", done)) == "applied"
        assert read(academy, buyer, order)["status"] == status
        buyer = academy.member()


def test_a_late_payment_counts(academy: Academy, course: Course, buyer: Person, order: dict[str, Any]) -> None:
    academy.rpc(buyer, "cancel_order", order_id=order["id"])
    pay(academy, order)
    assert read(academy, buyer, order)["status"] == "paid"
    assert content(academy, buyer, course) == 2


def test_a_second_payment_is_refunded(academy: Academy, course: Course, buyer: Person, order: dict[str, Any]) -> None:
    pay(academy, order)
    second = pay(academy, order)
    assert lines(academy, order)["surplus"] == 4999
    jobs = "select count(*) from procrastinate.procrastinate_jobs where args ->> 'reference' = %s"
    assert academy.sql(jobs, second) == [(1,)]
    back = refund(second, 4999)
    assert deliver(academy, event("refund.created", back)) == "applied"
    assert deliver(academy, event("refund.updated", back)) == "ignored"
    assert lines(academy, order) == {"provider": -4999, "payable": 4249, "platform": 750, "surplus": 0}
    assert content(academy, buyer, course) == 2


@pytest.mark.route("PL-152", call="POST /rest/v1/rpc/refund_order")
def test_a_manual_payment_is_refunded_at_once(
    academy: Academy, course: Course, buyer: Person, order: dict[str, Any], *, admin: Person
) -> None:
    refused(academy.rpc(buyer, "refund_order", order_id=order["id"]), 403, "role_required")
    refused(academy.rpc(admin, "refund_order", order_id=order["id"]), 409, "refund_exceeds_payment")
    academy.rpc(admin, "mark_order_paid", order_id=order["id"], reference="Cash")
    done = academy.rpc(admin, "refund_order", order_id=order["id"], amount=999, reason="Late").json()
    assert (done["status"], done["amount"], done["reason"]) == ("succeeded", 999, "Late")
    enrolment = f"/rest/v1/enrolments?student_id=eq.{buyer.id}&course_id=eq.{course.id}&select=access"
    assert rows(academy.call(buyer, "GET", enrolment)) == [{"access": "open"}]
    assert academy.rpc(admin, "refund_order", order_id=order["id"]).json()["amount"] == 4000
    assert lines(academy, order) == {"manual": 0, "payable": 0, "platform": 0}
    assert content(academy, buyer, course) == 1
    # The transaction, the seller's part of it and the enrolment say so.
    refunded = f"/rest/v1/orders?id=eq.{order['id']}&payment_status=eq.refunded&select=*,payment_splits(*),refunds(*)"
    (sold,) = rows(academy.call(admin, "GET", refunded))
    assert (sold["refunded_amount"], sold["refunded_amount"] == sold["paid_amount"]) == (4999, True)
    assert [row["returned_amount"] == row["amount"] for row in sold["payment_splits"]] == [True]
    assert sorted(row["amount"] for row in sold["refunds"]) == [999, 4000]
    assert rows(academy.call(buyer, "GET", enrolment)) == [{"access": "refunded"}]
    logged = academy.sql(
        "select actor_id::text from public.audit_log where action = 'order.refund' and target_id = %s", order["id"]
    )
    assert logged == [(admin.id,)] * 2


def test_an_admin_refunds_a_part_and_then_the_rest(
    academy: Academy, course: Course, buyer: Person, order: dict[str, Any], *, admin: Person, stranger: Person
) -> None:
    payment = pay(academy, order)
    for who in (buyer, course.teacher, stranger, academy.member("moderator")):
        refused(academy.rpc(who, "refund_order", order_id=order["id"]), 403, "role_required")
    for amount in (0, -1, 5000):
        answer = academy.rpc(admin, "refund_order", order_id=order["id"], amount=amount)
        refused(answer, 409, "refund_exceeds_payment")
    first = requested_refund(academy, admin, order, 1000, "Late")
    assert (first["status"], first["amount"]) == ("pending", 1000)
    refused(academy.rpc(admin, "refund_order", order_id=order["id"], amount=4000), 409, "refund_exceeds_payment")

    report = refund(payment, 1000, refund_id=first["id"])
    assert deliver(academy, event("refund.created", {**report, "status": "pending"})) == "ignored"
    assert deliver(academy, event("refund.updated", report)) == "applied"
    assert deliver(academy, event("refund.created", {**report, "status": "pending"})) == "ignored"
    assert read(academy, buyer, order)["refunded_amount"] == 1000
    # 4249 * 1000 / 4999 is 849.97: the seller returns 849, the platform the rest.
    assert lines(academy, order) == {"provider": -3999, "payable": 3400, "platform": 599}
    assert content(academy, buyer, course) == 2

    rest = requested_refund(academy, admin, order)
    assert rest["amount"] == 3999
    assert deliver(academy, event("refund.updated", refund(payment, 3999, refund_id=rest["id"]))) == "applied"
    assert lines(academy, order) == {"provider": 0, "payable": 0, "platform": 0}
    assert content(academy, buyer, course) == 1
    assert entitlements(academy, buyer, course) == []
    refused(academy.rpc(admin, "refund_order", order_id=order["id"]), 409, "refund_exceeds_payment")
    seen = rows(academy.call(buyer, "GET", f"/rest/v1/refunds?order_id=eq.{order['id']}&order=created_at"))
    assert [(row["amount"], row["status"], row["reason"]) for row in seen] == [
        (1000, "succeeded", "Late"), (3999, "succeeded", None),
    ]  # fmt: skip
    assert rows(academy.call(stranger, "GET", f"/rest/v1/refunds?order_id=eq.{order['id']}")) == []
    # A new purchase opens the course again.
    pay(academy, placed(academy, buyer, course_id=course.id))
    assert content(academy, buyer, course) == 2


def test_a_refund_that_fails_later_is_undone(
    academy: Academy, course: Course, buyer: Person, order: dict[str, Any]
) -> None:
    """The refund was made in Stripe's dashboard, without a request here."""
    back = refund(pay(academy, order), 4999)
    assert deliver(academy, event("refund.created", back)) == "applied"
    assert content(academy, buyer, course) == 1
    assert deliver(academy, event("refund.failed", {**back, "status": "failed"})) == "applied"
    assert lines(academy, order) == {"provider": -4999, "payable": 4249, "platform": 750}
    assert content(academy, buyer, course) == 2
    assert deliver(academy, event("refund.updated", back)) == "ignored"


def test_a_refund_waits_for_its_payment(academy: Academy, buyer: Person, order: dict[str, Any]) -> None:
    done = session(order)
    back = event("refund.created", refund(done["payment_intent"], 4999))
    assert deliver(academy, back) == "waiting"
    assert deliver(academy, back) == "waiting"
    assert deliver(academy, event("checkout.session.completed", done)) == "applied"
    assert read(academy, buyer, order)["refunded_amount"] == 4999
    assert deliver(academy, back) == "applied"
    assert lines(academy, order) == {"provider": 0, "payable": 0, "platform": 0}


@pytest.mark.parametrize("ends", ["won", "lost"])
def test_a_dispute_returns_the_money_until_it_is_won(
    academy: Academy, course: Course, buyer: Person, order: dict[str, Any], *, admin: Person, ends: str
) -> None:
    payment = pay(academy, order)
    about = dispute(payment, 4999)
    assert deliver(academy, event("charge.dispute.created", {**about, "status": "warning_needs_response"})) == "ignored"
    assert deliver(academy, event("charge.dispute.created", about)) == "applied"
    assert deliver(academy, event("charge.dispute.funds_withdrawn", about)) == "ignored"
    assert lines(academy, order) == {"provider": 0, "payable": 0, "platform": 0}
    assert content(academy, buyer, course) == 1
    refused(academy.rpc(admin, "refund_order", order_id=order["id"]), 409, "refund_exceeds_payment")
    closed = {**about, "status": ends}
    assert deliver(academy, event("charge.dispute.closed", closed)) == "applied"
    assert deliver(academy, event("charge.dispute.updated", about)) == "ignored"
    (row,) = rows(academy.call(admin, "GET", f"/rest/v1/disputes?order_id=eq.{order['id']}"))
    assert (row["status"], row["amount"]) == (ends, 4999)
    left = (
        {"provider": -4999, "payable": 4249, "platform": 750}
        if ends == "won"
        else dict.fromkeys(("provider", "payable", "platform"), 0)
    )
    assert lines(academy, order) == left
    assert content(academy, buyer, course) == (2 if ends == "won" else 1)


def test_a_free_enrolment_outlives_a_refund(academy: Academy, teacher: Person, buyer: Person, admin: Person) -> None:
    """A refund does not end access that the student has otherwise."""
    course = academy.course(teacher, price_amount=1000)
    academy.rpc(admin, "enrol_student_manually", course_id=course.id, user_id=buyer.id)
    bundle = academy.insert(teacher, "offers", kind="bundle", title="Both", price_amount=1500)
    other = academy.course(teacher, price_amount=900)
    for one in (course, other):
        academy.insert(teacher, "offer_courses", offer_id=bundle["id"], course_id=one.id)
    academy.rpc(teacher, "publish_offer", offer_id=bundle["id"])
    payment = pay(academy, order := placed(academy, buyer, offer_id=bundle["id"]))
    assert (content(academy, buyer, course), content(academy, buyer, other)) == (2, 2)
    assert deliver(academy, event("refund.created", refund(payment, order["amount"]))) == "applied"
    assert (content(academy, buyer, course), content(academy, buyer, other)) == (2, 1)


@pytest.mark.parametrize(("currency", "amount", "shown"), [("JPY", 500, "500 JPY"), ("KWD", 1230, "1.230 KWD")])
def test_currencies_of_other_decimals(
    academy: Academy, teacher: Person, buyer: Person, *, currency: str, amount: int, shown: str
) -> None:
    made = offer(academy, teacher, "tip", price_amount=amount, maximum_amount=10 * amount, price_currency=currency)
    order = placed(academy, buyer, offer_id=made["id"], amount=amount)
    pay(academy, order)
    mail = "select params ->> 'amount' from private.mail_outbox where idempotency_key = %s"
    assert academy.sql(mail, f"order_paid:{order['id']}") == [(shown,)]
    seller = amount * 85 // 100
    assert lines(academy, order) == {"provider": -amount, "payable": seller, "platform": amount - seller}
    if currency == "KWD":
        answer = academy.rpc(buyer, "place_order", offer_id=made["id"], amount=amount + 1)
        refused(answer, 422, "amount_unpayable")


def test_nobody_writes_the_ledger(academy: Academy, teacher: Person, order: dict[str, Any]) -> None:
    pay(academy, order)
    for table in ("ledger_entries", "ledger_journals", "ledger_accounts", "payment_splits", "entitlements", "payouts"):
        for who in (teacher, academy.member("admin"), academy.member("superadmin")):
            for method in ("PATCH", "DELETE"):
                answer = academy.call(who, method, f"/rest/v1/{table}?currency=eq.EUR", {"amount": 1})
                assert answer.status_code in {400, 403}, answer.text
    for statement in (
        "update public.ledger_entries set amount = amount + 1",
        "delete from public.ledger_journals",
        "truncate public.ledger_entries",
    ):
        with pytest.raises(Exception, match="append_only"):
            academy.sql(statement)
    with pytest.raises(Exception, match="journal_unbalanced"):
        academy.sql(
            "select private.post_journal('payment', 'test:unbalanced', null, 'EUR',"
            """ '[{"kind": "provider", "amount": 1}, {"kind": "platform", "amount": -2}]')"""
        )
