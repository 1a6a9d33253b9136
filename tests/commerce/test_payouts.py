"""Earnings and payouts: never more than the balance, and never twice."""

import uuid

import pytest

from tests.commerce.payouts import balance, earn, payable_seller, processed, ready_account, requested
from tests.commerce.stripe_events import deliver, dispute, event, imbalance, pay, placed, refund, stripe_id
from tests.people import Academy, Person, concurrently, refused, rows


@pytest.fixture
def seller(academy: Academy) -> Person:
    """A seller with a payout account and 85 euros that can be paid out."""
    return payable_seller(academy)


@pytest.mark.route("PL-075", call="GET /rest/v1/balances?user_id=eq.{user_id}")
@pytest.mark.route(
    "PL-075", call="GET /rest/v1/account_statement?user_id=eq.{user_id}&account_kind=eq.payable&order=id.desc"
)
@pytest.mark.route("PL-077", call="GET /rest/v1/payouts?user_id=eq.{user_id}&order=created_at.desc")
def test_a_creators_earnings(academy: Academy, seller: Person, student: Person) -> None:
    order, payment = earn(academy, seller, 2000)
    assert balance(academy, seller) == {"balance": 10200, "pending": 1700, "in_transit": 0}
    deliver(academy, event("refund.created", refund(payment, 1000)))
    assert balance(academy, seller) == {"balance": 9350, "pending": 850, "in_transit": 0}
    payout = requested(academy, seller)
    statement = f"/rest/v1/account_statement?user_id=eq.{seller.id}&account_kind=eq.payable&order=id.desc"
    assert [(row["kind"], row["amount"]) for row in rows(academy.call(seller, "GET", statement))] == [
        ("payout", -8500), ("refund", -850), ("payment", 1700), ("payment", 8500),
    ]  # fmt: skip
    history = f"/rest/v1/payouts?user_id=eq.{seller.id}&order=created_at.desc"
    listed = rows(academy.call(seller, "GET", history))
    assert [(row["id"], row["amount"], row["currency"], row["status"]) for row in listed] == [
        (payout["id"], 8500, "EUR", "requested")
    ]
    balances = f"/rest/v1/balances?user_id=eq.{seller.id}"
    assert rows(academy.call(seller, "GET", balances)) == [
        {
            "user_id": seller.id, "currency": "EUR", "balance_amount": 850, "pending_amount": 850,
            "in_transit_amount": 8500,
        }
    ]  # fmt: skip
    for path in (statement, history, balances):
        assert rows(academy.call(student, "GET", path)) == []
        assert academy.call(None, "GET", path).status_code == 401
    assert rows(academy.call(seller, "GET", f"/rest/v1/orders?id=eq.{order['id']}"))[0]["paid_amount"] == 2000


@pytest.mark.route(
    "PL-076", call="GET /rest/v1/orders?seller_id=eq.{user_id}&select=*,payment_splits(*){more}&order=paid_at.desc"
)
def test_a_creators_transactions(academy: Academy, seller: Person, student: Person) -> None:
    course, buyer = academy.course(seller, price_amount=2000), academy.member(name="Amara")
    paid = placed(academy, buyer, course_id=course.id)
    payment = pay(academy, paid)
    placed(academy, academy.member(), course_id=course.id)  # not paid: no transaction
    path = (
        f"/rest/v1/orders?seller_id=eq.{seller.id}&select=*,payment_splits(*),buyer:profiles!orders_buyer_id_fkey"
        "(display_name),course:courses!orders_course_id_fkey(title,slug)&order=paid_at.desc"
    )
    newest, older = rows(academy.call(seller, "GET", path))
    assert (newest["id"], newest["kind"], older["kind"]) == (paid["id"], "course", "service")
    assert (newest["paid_amount"], newest["currency"], newest["payment_status"]) == (2000, "EUR", "paid")
    assert (newest["buyer"], newest["course"]["slug"]) == ({"display_name": "Amara"}, course.slug)
    [split] = newest["payment_splits"]
    assert (split["role"], split["amount"], split["returned_amount"]) == ("seller", 1700, 0)
    assert split["available_at"] > split["created_at"]
    deliver(academy, event("refund.created", refund(payment, 500)))
    (newest, _) = rows(academy.call(seller, "GET", path))
    assert (newest["refunded_amount"], newest["payment_status"]) == (500, "partially_refunded")
    assert newest["payment_splits"][0]["returned_amount"] == 425
    assert rows(academy.call(student, "GET", path)) == []
    assert rows(academy.call(academy.member("teacher"), "GET", path)) == []
    assert academy.call(None, "GET", path).status_code == 401


@pytest.mark.route("PL-060", call="GET /rest/v1/payment_splits?user_id=eq.{user_id}&order=created_at.desc")
@pytest.mark.route("PL-060", call="GET /rest/v1/balances?user_id=eq.{user_id}")
@pytest.mark.route("PL-060", call="GET /rest/v1/payouts?user_id=eq.{user_id}&order=created_at.desc")
def test_a_student_teachers_earnings(academy: Academy, teacher: Person, student: Person) -> None:
    course, helper, buyer = academy.course(teacher, price_amount=9999), academy.member(), academy.member()
    first = placed(academy, helper, course_id=course.id)
    pay(academy, first)
    for lesson in course.lesson_ids:
        academy.rpc(helper, "record_progress", lesson_id=lesson, position_seconds=1, is_completed=True)
    key = str(uuid.uuid4())
    academy.rpc(helper, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers, submission_key=key)
    applied = academy.rpc(helper, "apply_as_student_teacher", course_id=course.id, statement="I can")
    assert applied.status_code == 200, applied.text
    academy.rpc(teacher, "decide_student_teacher", student_teacher_id=applied.json()["id"], is_approved=True)

    foreign = {"course_id": course.id, "student_teacher_id": str(uuid.uuid4())}
    refused(academy.rpc(buyer, "place_order", **foreign), 404, "student_teacher_not_found")
    order = placed(academy, buyer, course_id=course.id, student_teacher_id=applied.json()["id"])
    pay(academy, order)
    mine = f"/rest/v1/payment_splits?user_id=eq.{helper.id}&order=created_at.desc"
    # 70 percent of 99.99 for the student-teacher and 15 percent for the seller, each rounded down.
    assert [(row["role"], row["amount"]) for row in rows(academy.call(helper, "GET", mine))] == [
        ("student_teacher", 6999)
    ]
    assert academy.sql("select sum(amount)::int from public.payment_splits where order_id = %s", order["id"]) == [
        (8498,)
    ]
    assert balance(academy, helper) == {"balance": 6999, "pending": 6999, "in_transit": 0}
    ready_account(academy, helper)
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", helper.id)
    payout = requested(academy, helper)
    assert balance(academy, helper) == {"balance": 0, "pending": 0, "in_transit": 6999}
    balances = f"/rest/v1/balances?user_id=eq.{helper.id}"
    history = f"/rest/v1/payouts?user_id=eq.{helper.id}&order=created_at.desc"
    assert [(row["id"], row["amount"]) for row in rows(academy.call(helper, "GET", history))] == [(payout["id"], 6999)]
    assert len(rows(academy.call(helper, "GET", balances))) == 1
    for path in (mine, balances, history):
        assert rows(academy.call(student, "GET", path)) == []
        assert academy.call(None, "GET", path).status_code == 401
    (row,) = rows(academy.call(buyer, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}&student_id=eq.{buyer.id}"))
    assert row["student_teacher_id"] == applied.json()["id"]


@pytest.mark.route("CM-051", call="POST /rest/v1/rpc/request_payout")
def test_payouts_never_exceed_the_balance(academy: Academy, seller: Person, teacher: Person) -> None:
    earn(academy, seller, 5000)  # pending: cannot be paid out yet
    assert academy.rpc(None, "request_payout", currency="EUR").status_code == 401
    refused(academy.rpc(teacher, "request_payout", currency="EUR"), 409, "payout_account_missing")
    refused(academy.rpc(seller, "request_payout", currency="EUR", amount=8501), 409, "balance_insufficient")
    refused(academy.rpc(seller, "request_payout", currency="USD"), 409, "balance_insufficient")
    refused(academy.rpc(seller, "request_payout", currency="EUR", amount=999), 422, "amount_too_small")
    refused(academy.rpc(seller, "request_payout", currency="EUR", amount=-5000), 422, "amount_too_small")
    answers = concurrently(8, lambda _: academy.rpc(seller, "request_payout", currency="EUR", amount=2000))
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [409] * 4
    assert balance(academy, seller) == {"balance": 4750, "pending": 4250, "in_transit": 8000}
    academy.suspend(seller)
    refused(academy.rpc(seller, "request_payout", currency="EUR"), 403, "account_inactive")


@pytest.mark.route("PL-164", call="GET /rest/v1/balances?balance_amount=gt.0&order=balance_amount.desc&select=*{more}")
@pytest.mark.route("PL-165", call="GET /rest/v1/payouts?order=created_at.desc&select=*{more}")
@pytest.mark.route("PL-166", call="GET /rest/v1/payouts?id=eq.{id}&select=*{more}")
@pytest.mark.route("PL-167", call="POST /rest/v1/rpc/approve_payouts")
@pytest.mark.route("PL-168", call="POST /rest/v1/rpc/process_payouts")
@pytest.mark.route("PL-169", call="POST /rest/v1/rpc/process_payouts")
@pytest.mark.route("PL-170", call="POST /rest/v1/rpc/cancel_payout")
def test_admins_approve_process_and_cancel_payouts(
    academy: Academy, seller: Person, admin: Person, student: Person
) -> None:
    payout = requested(academy, seller)
    one = f"/rest/v1/payouts?id=eq.{payout['id']}&select=*,user:profiles(display_name)"
    pending, queue = (
        "/rest/v1/balances?balance_amount=gt.0&order=balance_amount.desc&select=*,user:profiles(display_name)",
        "/rest/v1/payouts?order=created_at.desc&select=*,user:profiles(display_name)",
    )
    (detail,) = rows(academy.call(admin, "GET", one))
    assert detail["user"] == {"display_name": "Test Person"}
    assert (detail["amount"], detail["status"], detail["attempts"]) == (8500, "requested", 0)
    (queued,) = [row for row in rows(academy.call(admin, "GET", queue)) if row["id"] == payout["id"]]
    assert queued == detail
    assert len(rows(academy.call(admin, "GET", f"{queue}&status=eq.requested&user_id=eq.{seller.id}"))) == 1
    earner = academy.member("teacher", name="Ines")
    earn(academy, earner, 3000)
    (waiting,) = [row for row in rows(academy.call(admin, "GET", pending)) if row["user_id"] == earner.id]
    assert (waiting["balance_amount"], waiting["pending_amount"], waiting["user"]) == (
        2550, 2550, {"display_name": "Ines"},
    )  # fmt: skip
    for path in (one, queue, pending):
        assert rows(academy.call(student, "GET", path)) == []
    listed = {"payout_ids": [payout["id"]]}
    for who in (seller, student, academy.member("moderator")):
        for name in ("approve_payouts", "process_payouts"):
            refused(academy.rpc(who, name, **listed), 403, "role_required")
        refused(academy.rpc(who, "cancel_payout", payout_id=payout["id"]), 403, "role_required")
    refused(academy.rpc(admin, "process_payouts", **listed), 409, "illegal_transition")
    assert academy.rpc(admin, "approve_payouts", **listed).json()[0]["status"] == "approved"
    assert processed(academy, admin, [payout["id"]]) == 1
    assert academy.rpc(admin, "process_payouts", **listed).json()[0]["status"] == "processing"
    refused(academy.rpc(admin, "cancel_payout", payout_id=payout["id"]), 409, "illegal_transition")
    failed = "select private.record_payout_result(%s, 'stripe', null, 'The balance is insufficient.')"
    assert academy.sql(failed, payout["id"]) == [(True,)]
    assert rows(academy.call(admin, "GET", one))[0]["status"] == "failed"
    assert processed(academy, admin, [payout["id"]]) == 1
    (again,) = rows(academy.call(admin, "GET", one))
    assert (again["status"], again["attempts"], again["failure"]) == ("processing", 2, None)
    assert academy.sql(failed, payout["id"]) == [(True,)]
    transfer = {"id": stripe_id("tr"), "object": "transfer", "metadata": {"payout_id": payout["id"]}}
    report = event("transfer.created", transfer)
    assert [deliver(academy, report), deliver(academy, event("transfer.created", transfer))] == ["applied", "ignored"]
    assert rows(academy.call(seller, "GET", one))[0]["status"] == "paid"
    assert balance(academy, seller) == {"balance": 0, "pending": 0, "in_transit": 0}
    refused(academy.rpc(admin, "cancel_payout", payout_id=payout["id"]), 409, "illegal_transition")

    earn(academy, seller, 4000)
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", seller.id)
    other = requested(academy, seller)
    assert academy.rpc(admin, "cancel_payout", payout_id=other["id"]).json()["status"] == "cancelled"
    assert balance(academy, seller) == {"balance": 3400, "pending": 0, "in_transit": 0}
    log = academy.sql("select action from public.audit_log where target_id = %s order by id", payout["id"])
    assert [action for (action,) in log] == ["payout.approved", "payout.processing", "payout.processing"]
    assert imbalance(academy) == []


@pytest.mark.route("PL-171", call="POST /rest/v1/rpc/approve_payouts")
def test_payouts_are_approved_together_or_not_at_all(
    academy: Academy, seller: Person, admin: Person, student: Person
) -> None:
    first, *payouts = (requested(academy, seller, amount=2000)["id"] for _ in range(4))
    refused(academy.rpc(student, "approve_payouts", payout_ids=payouts), 403, "role_required")
    refused(academy.rpc(student, "process_payouts", payout_ids=payouts), 403, "role_required")
    with_none = [*payouts, str(uuid.uuid4())]
    refused(academy.rpc(admin, "approve_payouts", payout_ids=with_none), 404, "payout_not_found")
    assert {row["status"] for row in academy.rpc(admin, "approve_payouts", payout_ids=payouts).json()} == {"approved"}
    academy.rpc(admin, "approve_payouts", payout_ids=[first])
    assert processed(academy, admin, [first]) == 1
    jobs = concurrently(6, lambda _: processed(academy, admin, payouts))
    assert sorted(jobs) == [0] * 5 + [3]


def test_a_refund_after_a_payout_makes_the_balance_negative(academy: Academy, seller: Person) -> None:
    _, payment = earn(academy, seller, 6000)
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", seller.id)
    payout = requested(academy, seller)
    assert payout["amount"] == 13600
    deliver(academy, event("refund.created", refund(payment, 6000)))
    assert balance(academy, seller) == {"balance": -5100, "pending": 0, "in_transit": 13600}
    refused(academy.rpc(seller, "request_payout", currency="EUR"), 409, "balance_insufficient")


def test_a_payout_stops_where_a_dispute_has_taken_the_money(academy: Academy, seller: Person, admin: Person) -> None:
    payment = academy.sql(
        "select p.reference from private.payments as p join public.orders as o on o.id = p.order_id"
        " where o.seller_id = %s",
        seller.id,
    )[0][0]
    early, late = requested(academy, seller, amount=4000), requested(academy, seller, amount=4500)
    assert academy.rpc(admin, "approve_payouts", payout_ids=[early["id"]]).status_code == 200
    assert deliver(academy, event("charge.dispute.created", dispute(payment, 10000))) == "applied"
    assert balance(academy, seller)["balance"] == -8500
    refused(academy.rpc(admin, "process_payouts", payout_ids=[early["id"]]), 409, "balance_negative")
    refused(academy.rpc(admin, "approve_payouts", payout_ids=[late["id"]]), 409, "balance_negative")
    for payout in (early, late):
        assert academy.rpc(admin, "cancel_payout", payout_id=payout["id"]).status_code == 200
    assert balance(academy, seller) == {"balance": 0, "pending": 0, "in_transit": 0}
    assert imbalance(academy) == []


ITEMS = "payout_items(amount,returned_amount,payment_splits(role,orders(number,title)))"


def items_of(academy: Academy, who: Person, payout: dict[str, str]) -> dict[int, int]:
    """What a payout pays of each order, by the number of the order, as a person reads it."""
    (row,) = rows(academy.call(who, "GET", f"/rest/v1/payouts?id=eq.{payout['id']}&select=amount,status,{ITEMS}"))
    return {item["payment_splits"]["orders"]["number"]: item["amount"] for item in row["payout_items"]}


@pytest.mark.route("PL-077", call="GET /rest/v1/payouts?id=eq.{id}&select={sales}")
@pytest.mark.route("PL-166", call="GET /rest/v1/payouts?id=eq.{id}&select={sales}")
def test_a_payout_names_the_sales_that_it_pays(
    academy: Academy, seller: Person, admin: Person, student: Person
) -> None:
    first = rows(academy.call(seller, "GET", "/rest/v1/orders?select=number,title"))[0]["number"]
    order, payment = earn(academy, seller, 6000)
    second = order["number"]
    academy.sql(
        "update public.payment_splits set available_at = now() - interval '1 hour' where order_id = %s", order["id"]
    )
    early, late = requested(academy, seller, amount=6000), requested(academy, seller)
    # The oldest first; 51 euros of the second order and 85 of the first can be paid out.
    assert items_of(academy, seller, early) == {second: 5100, first: 900}
    assert items_of(academy, seller, late) == {first: 7600}
    sales = f"/rest/v1/payouts?id=eq.{early['id']}&select=amount,status,{ITEMS}"
    (whole,) = rows(academy.call(admin, "GET", sales))
    assert whole["payout_items"][0]["payment_splits"]["orders"]["title"] == "A service"
    short = f"/rest/v1/payouts?id=eq.{early['id']}&select=payment_splits(amount,orders(number))"
    (row,) = rows(academy.call(seller, "GET", short))
    assert {split["orders"]["number"] for split in row["payment_splits"]} == {first, second}
    assert rows(academy.call(student, "GET", sales)) == []
    assert academy.call(None, "GET", sales).status_code == 401
    for who in (student, academy.member("teacher")):
        assert rows(academy.call(who, "GET", "/rest/v1/payout_items")) == []
    assert academy.call(seller, "DELETE", "/rest/v1/payout_items?amount=gt.0").status_code == 403

    # A cancelled payout pays nothing, so the next one pays its sales.
    assert academy.rpc(admin, "cancel_payout", payout_id=early["id"]).status_code == 200
    assert items_of(academy, seller, early) == {}
    again = requested(academy, seller)
    assert items_of(academy, seller, again) == {second: 5100, first: 900}
    # What is refunded after it was paid out, the next payout deducts.
    deliver(academy, event("refund.created", refund(payment, 3000)))
    third, _ = earn(academy, seller, 10000)
    academy.sql("update public.payment_splits set available_at = now() where order_id = %s", third["id"])
    assert items_of(academy, seller, requested(academy, seller)) == {second: -2550, third["number"]: 8500}


def test_a_returned_payout_gives_its_sales_to_the_next(academy: Academy, seller: Person, admin: Person) -> None:
    order, _ = earn(academy, seller, 2000)
    academy.sql(
        "update public.payment_splits set available_at = now() + interval '1 second' where order_id = %s", order["id"]
    )
    academy.sql("select pg_sleep(1.1)")
    payout = requested(academy, seller)
    academy.rpc(admin, "approve_payouts", payout_ids=[payout["id"]])
    processed(academy, admin, [payout["id"]])
    transfer = {"id": stripe_id("tr"), "object": "transfer", "metadata": {"payout_id": payout["id"]}}
    assert deliver(academy, event("transfer.created", transfer)) == "applied"
    back = "select private.record_payout_return(%s, 'stripe', %s, %s)"
    assert academy.sql(back, payout["id"], transfer["id"], 2700) == [(True,)]
    # The newest first: 17 of the second order, and 10 of the first.
    returned = "select amount, returned_amount from public.payout_items where payout_id = %s order by amount"
    assert academy.sql(returned, payout["id"]) == [(1700, 1700), (8500, 1000)]
    assert sorted(items_of(academy, seller, requested(academy, seller)).values()) == [1000, 1700]
    assert academy.sql(back, payout["id"], transfer["id"], 10200) == [(True,)]
    assert academy.sql(returned, payout["id"]) == [(1700, 1700), (8500, 8500)]
    assert sorted(items_of(academy, seller, requested(academy, seller)).values()) == [7500]
