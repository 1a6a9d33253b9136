"""Who earns what, and how it is paid out: never more than is owed, and never twice."""

import uuid
from typing import Any

import pytest

from tests.commerce.told import acting_as, event, imbalance, offer, pay, placed, refund, stripe_id, tell
from tests.edge.shop import eventually
from tests.people import Academy, Person, refused, rows, together


@pytest.fixture
def seller(academy: Academy) -> Person:
    """Somebody who can be paid out, and has earned 85 euros that are no longer held."""
    one = academy.member("teacher")
    account = stripe_id("acct")
    academy.sql("select private.bind_payout_account(%s, %s)", one.id, account)
    object_ = {"id": account, "object": "account", "details_submitted": True, "payouts_enabled": True}
    assert tell(academy, event("account.updated", object_)) == "applied"
    earn(academy, one, 10000)
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", one.id)
    return one


def earn(academy: Academy, seller: Person, amount: int) -> tuple[dict[str, Any], str]:
    """Have somebody buy for this amount; answers the order and the payment."""
    made = offer(academy, seller, "service", price_amount=amount)
    order = placed(academy, academy.member(), offer_id=made["id"])
    return order, pay(academy, order)


def balance(academy: Academy, who: Person) -> dict[str, int]:
    """What is owed to somebody in euros."""
    (row,) = rows(academy.call(who, "GET", f"/rest/v1/balances?user_id=eq.{who.id}&currency=eq.EUR"))
    return {name: row[f"{name}_amount"] for name in ("owed", "held", "leaving")}


def requested(academy: Academy, who: Person, **arguments: Any) -> dict[str, Any]:
    """A payout that was just asked for."""
    answer = academy.rpc(who, "request_payout", currency="EUR", **arguments)
    assert answer.status_code == 200, answer.text
    row: dict[str, Any] = answer.json()
    return row


@pytest.mark.route("PL-075", call="GET /rest/v1/balances?user_id=eq.{user_id}")
@pytest.mark.route("PL-076", call="GET /rest/v1/statement?user_id=eq.{user_id}&account_kind=eq.payable&order=id.desc")
@pytest.mark.route("PL-077", call="GET /rest/v1/payouts?user_id=eq.{user_id}&order=created_at.desc")
def test_a_creators_earnings(academy: Academy, seller: Person, student: Person) -> None:
    order, payment = earn(academy, seller, 2000)
    assert balance(academy, seller) == {"owed": 10200, "held": 1700, "leaving": 0}
    tell(academy, event("refund.created", refund(payment, 1000)))
    assert balance(academy, seller) == {"owed": 9350, "held": 850, "leaving": 0}
    payout = requested(academy, seller)
    statement = f"/rest/v1/statement?user_id=eq.{seller.id}&account_kind=eq.payable&order=id.desc"
    assert [(row["kind"], row["amount"]) for row in rows(academy.call(seller, "GET", statement))] == [
        ("payout", -8500), ("refund", -850), ("payment", 1700), ("payment", 8500),
    ]  # fmt: skip
    history = f"/rest/v1/payouts?user_id=eq.{seller.id}&order=created_at.desc"
    assert [row["id"] for row in rows(academy.call(seller, "GET", history))] == [payout["id"]]
    balances = f"/rest/v1/balances?user_id=eq.{seller.id}"
    for path in (statement, history, balances):
        assert rows(academy.call(student, "GET", path)) == []
        assert academy.call(None, "GET", path).status_code == 401
    assert rows(academy.call(seller, "GET", f"/rest/v1/orders?id=eq.{order['id']}"))[0]["paid_amount"] == 2000


@pytest.mark.route("PL-060", call="GET /rest/v1/payment_splits?user_id=eq.{user_id}&order=created_at.desc")
def test_a_student_teachers_earnings(academy: Academy, teacher: Person, student: Person) -> None:
    course, helper, buyer = academy.course(teacher, price_amount=9999), academy.member(), academy.member()
    first = placed(academy, helper, course_id=course.id)
    pay(academy, first)
    for lesson in course.lesson_ids:
        academy.rpc(helper, "record_progress", lesson_id=lesson, position_seconds=1, is_completed=True)
    key = str(uuid.uuid4())
    academy.rpc(helper, "submit_quiz", quiz_id=course.quiz_id, answers=course.right_answers, submission_key=key)
    applied = academy.rpc(helper, "apply_as_student_teacher", course_id=course.id, statement="I can")
    assert applied.status_code == 200, applied.text
    academy.rpc(teacher, "decide_student_teacher", student_teacher_id=applied.json()["id"], is_approved=True)

    foreign = {"course_id": course.id, "student_teacher_id": str(uuid.uuid4())}
    refused(academy.rpc(buyer, "place_order", **foreign), 404, "student_teacher_not_found")
    order = placed(academy, buyer, course_id=course.id, student_teacher_id=applied.json()["id"])
    pay(academy, order)
    mine = f"/rest/v1/payment_splits?user_id=eq.{helper.id}&order=created_at.desc"
    # 70 percent of 99.99 and 15 of it, each rounded down.
    assert [(row["role"], row["amount"]) for row in rows(academy.call(helper, "GET", mine))] == [
        ("student_teacher", 6999)
    ]
    assert academy.sql("select sum(amount)::int from public.payment_splits where order_id = %s", order["id"]) == [
        (8498,)
    ]
    assert rows(academy.call(student, "GET", mine)) == []
    assert academy.call(None, "GET", mine).status_code == 401
    (row,) = rows(academy.call(buyer, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}&student_id=eq.{buyer.id}"))
    assert row["student_teacher_id"] == applied.json()["id"]


@pytest.mark.route("CM-051", call="POST /rest/v1/rpc/request_payout")
def test_nobody_gets_more_than_is_owed(academy: Academy, seller: Person, teacher: Person) -> None:
    earn(academy, seller, 5000)  # still held
    assert academy.rpc(None, "request_payout", currency="EUR").status_code == 401
    refused(academy.rpc(teacher, "request_payout", currency="EUR"), 409, "payout_account_missing")
    refused(academy.rpc(seller, "request_payout", currency="EUR", amount=8501), 409, "balance_insufficient")
    refused(academy.rpc(seller, "request_payout", currency="USD"), 409, "balance_insufficient")
    refused(academy.rpc(seller, "request_payout", currency="EUR", amount=999), 422, "amount_too_small")
    refused(academy.rpc(seller, "request_payout", currency="EUR", amount=-5000), 422, "amount_too_small")
    answers = together(8, lambda _: academy.rpc(seller, "request_payout", currency="EUR", amount=2000))
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [409] * 4
    assert balance(academy, seller) == {"owed": 4750, "held": 4250, "leaving": 8000}
    academy.suspend(seller)
    refused(academy.rpc(seller, "request_payout", currency="EUR"), 403, "account_inactive")


@pytest.mark.route("PL-164", call="GET /rest/v1/balances?owed_amount=gt.0&order=owed_amount.desc")
@pytest.mark.route("PL-165", call="GET /rest/v1/payouts?order=created_at.desc")
@pytest.mark.route("PL-166", call="GET /rest/v1/payouts?id=eq.{id}&select=*{more}")
@pytest.mark.route("PL-167", call="POST /rest/v1/rpc/approve_payouts")
@pytest.mark.route("PL-168", call="POST /rest/v1/rpc/process_payouts")
@pytest.mark.route("PL-169", call="POST /rest/v1/rpc/process_payouts")
@pytest.mark.route("PL-170", call="POST /rest/v1/rpc/cancel_payout")
def test_admins_pay_out(academy: Academy, seller: Person, admin: Person, student: Person) -> None:
    payout = requested(academy, seller)
    one = f"/rest/v1/payouts?id=eq.{payout['id']}&select=*,user:profiles(display_name)"
    pending, queue = (
        "/rest/v1/balances?owed_amount=gt.0&order=owed_amount.desc",
        "/rest/v1/payouts?order=created_at.desc",
    )
    assert rows(academy.call(admin, "GET", one))[0]["user"] == {"display_name": "Test Person"}
    assert payout["id"] in {row["id"] for row in rows(academy.call(admin, "GET", queue))}
    assert rows(academy.call(admin, "GET", pending))
    for path in (one, queue, pending):
        assert rows(academy.call(student, "GET", path)) == []
    listed = {"payout_ids": [payout["id"]]}
    for who in (seller, student, academy.member("moderator")):
        for name in ("approve_payouts", "process_payouts"):
            refused(academy.rpc(who, name, **listed), 403, "role_required")
        refused(academy.rpc(who, "cancel_payout", payout_id=payout["id"]), 403, "role_required")
    refused(academy.rpc(admin, "process_payouts", **listed), 409, "illegal_transition")
    assert academy.rpc(admin, "approve_payouts", **listed).json()[0]["status"] == "approved"
    assert academy.rpc(admin, "process_payouts", **listed).json()[0]["status"] == "processing"
    refused(academy.rpc(admin, "cancel_payout", payout_id=payout["id"]), 409, "illegal_transition")

    def has_failed() -> bool:
        return bool(rows(academy.call(admin, "GET", one))[0]["failure"])

    # The worker asks Stripe, which has no such account.
    eventually(has_failed)
    (again,) = academy.rpc(admin, "process_payouts", **listed).json()
    assert (again["status"], again["attempts"], again["failure"]) == ("processing", 2, None)
    eventually(has_failed)
    transfer = {"id": stripe_id("tr"), "object": "transfer", "metadata": {"payout_id": payout["id"]}}
    told = event("transfer.created", transfer)
    assert [tell(academy, told), tell(academy, event("transfer.created", transfer))] == ["applied", "ignored"]
    assert rows(academy.call(seller, "GET", one))[0]["status"] == "paid"
    assert balance(academy, seller) == {"owed": 0, "held": 0, "leaving": 0}
    refused(academy.rpc(admin, "cancel_payout", payout_id=payout["id"]), 409, "illegal_transition")

    earn(academy, seller, 4000)
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", seller.id)
    other = requested(academy, seller)
    assert academy.rpc(admin, "cancel_payout", payout_id=other["id"]).json()["status"] == "cancelled"
    assert balance(academy, seller) == {"owed": 3400, "held": 0, "leaving": 0}
    log = academy.sql("select action from public.audit_log where target_id = %s order by id", payout["id"])
    assert [action for (action,) in log] == ["payout.approved", "payout.processing", "payout.processing"]
    assert imbalance(academy) == []


@pytest.mark.route("PL-171", call="POST /rest/v1/rpc/approve_payouts")
def test_many_at_once_or_none(academy: Academy, seller: Person, admin: Person, student: Person) -> None:
    first, *payouts = (requested(academy, seller, amount=2000)["id"] for _ in range(4))
    refused(academy.rpc(student, "approve_payouts", payout_ids=payouts), 403, "role_required")
    refused(academy.rpc(student, "process_payouts", payout_ids=payouts), 403, "role_required")
    with_none = [*payouts, str(uuid.uuid4())]
    refused(academy.rpc(admin, "approve_payouts", payout_ids=with_none), 404, "payout_not_found")
    assert {row["status"] for row in academy.rpc(admin, "approve_payouts", payout_ids=payouts).json()} == {"approved"}
    academy.rpc(admin, "approve_payouts", payout_ids=[first])
    (begun,) = rows(academy.rpc(admin, "process_payouts", payout_ids=[first]))
    assert begun["status"] == "processing"
    jobs = together(6, lambda _: processed(academy, admin, payouts))
    assert sorted(jobs) == [0] * 5 + [3]


def processed(academy: Academy, admin: Person, payouts: list[str]) -> int:
    """Have payouts processed, without the jobs that would ask Stripe; answers how many jobs that were."""
    with acting_as(academy, admin) as connection:
        connection.execute("select public.process_payouts(%s::uuid[])", [payouts])
        return connection.execute(
            "delete from procrastinate.procrastinate_jobs where args ->> 'payout_id' = any(%s)", [payouts]
        ).rowcount


def test_what_comes_back_after_a_payout_is_owed_by_the_seller(academy: Academy, seller: Person) -> None:
    _, payment = earn(academy, seller, 6000)
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", seller.id)
    payout = requested(academy, seller)
    assert payout["amount"] == 13600
    tell(academy, event("refund.created", refund(payment, 6000)))
    assert balance(academy, seller) == {"owed": -5100, "held": 0, "leaving": 13600}
    refused(academy.rpc(seller, "request_payout", currency="EUR"), 409, "balance_insufficient")
