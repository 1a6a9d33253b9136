"""Orders: at the price of the offer, one pending order for each offer, paid once."""

import uuid

import pytest

from tests.commerce.stripe_events import deliver, event, offer, pay, refund
from tests.people import Academy, Course, Person, concurrently, refused, rows


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Person) -> Course:
    """A published course that costs something; not to be changed."""
    return academy.course(teacher, price_amount=4900)


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A new buyer."""
    return academy.member()


@pytest.mark.route("WC-091", call="GET /rest/v1/orders?course_id=eq.{course_id}&order=created_at.desc&limit=1")
def test_a_buyer_reads_the_latest_order(academy: Academy, course: Course, buyer: Person, stranger: Person) -> None:
    first = academy.rpc(buyer, "place_order", course_id=course.id).json()
    assert (first["amount"], first["currency"], first["status"]) == (4900, "EUR", "pending")
    assert academy.rpc(buyer, "place_order", course_id=course.id).json() == first
    assert academy.rpc(buyer, "cancel_order", order_id=first["id"]).json()["status"] == "cancelled"
    second = academy.rpc(buyer, "place_order", course_id=course.id).json()
    latest = f"/rest/v1/orders?course_id=eq.{course.id}&order=created_at.desc&limit=1"
    assert rows(academy.call(buyer, "GET", latest)) == [second]
    for who in (stranger, course.teacher, academy.member("moderator")):
        assert rows(academy.call(who, "GET", latest)) == []
    assert academy.call(None, "GET", latest).status_code == 401


def test_an_order_keeps_the_price_of_its_course(academy: Academy, teacher: Person, buyer: Person) -> None:
    course = academy.course(teacher, price_amount=1000)
    order = academy.rpc(buyer, "place_order", course_id=course.id).json()
    for who in (buyer, teacher):
        for body in ({"unit_amount": 1}, {"status": "paid"}, {"buyer_id": who.id}):
            assert academy.call(who, "PATCH", f"/rest/v1/orders?id=eq.{order['id']}", body).status_code == 403
    academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", {"price_amount": 2000})
    (kept,) = rows(academy.call(buyer, "GET", f"/rest/v1/orders?id=eq.{order['id']}"))
    assert kept["amount"] == 1000
    anew = academy.rpc(buyer, "place_order", course_id=course.id).json()
    assert (anew["amount"], anew["id"] == order["id"]) == (2000, False)
    statuses = academy.sql("select status from public.orders where id = %s", order["id"])
    assert statuses == [("cancelled",)]


def test_some_courses_cannot_be_ordered(academy: Academy, course: Course, teacher: Person, buyer: Person) -> None:
    free, draft = academy.course(teacher), academy.course(teacher, published=False, price_amount=100)
    refused(academy.rpc(buyer, "place_order", course_id=free.id), 409, "course_free")
    refused(academy.rpc(buyer, "place_order", course_id=draft.id), 404, "course_not_found")
    refused(academy.rpc(teacher, "place_order", course_id=course.id), 409, "own_course")
    assert academy.rpc(None, "place_order", course_id=course.id).status_code == 401


def test_twenty_concurrent_calls_place_one_order(academy: Academy, course: Course, buyer: Person) -> None:
    answers = concurrently(20, lambda _: academy.rpc(buyer, "place_order", course_id=course.id))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_marking_an_order_paid_enrols_once(
    academy: Academy, course: Course, teacher: Person, buyer: Person, stranger: Person
) -> None:
    order = academy.rpc(buyer, "place_order", course_id=course.id).json()
    for who in (buyer, teacher, stranger, academy.member("moderator")):
        answer = academy.rpc(who, "mark_order_paid", order_id=order["id"], reference="RF18")
        refused(answer, 403, "role_required")
    admin = academy.member("admin")
    refused(academy.rpc(admin, "mark_order_paid", order_id=order["id"], reference=" "), 422, "reference_missing")
    answers = concurrently(10, lambda _: academy.rpc(admin, "mark_order_paid", order_id=order["id"], reference="RF18"))
    assert {answer.json()["status"] for answer in answers} == {"paid"}
    enrolments = rows(academy.call(buyer, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}"))
    assert [(row["source"], row["status"]) for row in enrolments] == [("purchase", "active")]
    logged = "select after ->> 'reference' from public.audit_log where action = 'order.mark_paid' and target_id = %s"
    assert academy.sql(logged, order["id"]) == [("RF18",)]
    refused(academy.rpc(buyer, "place_order", course_id=course.id), 409, "already_enrolled")
    refused(academy.rpc(buyer, "cancel_order", order_id=order["id"]), 409, "illegal_transition")


def test_orders_of_others_are_not_found(academy: Academy, course: Course, buyer: Person, stranger: Person) -> None:
    order = academy.rpc(buyer, "place_order", course_id=course.id).json()
    refused(academy.rpc(stranger, "cancel_order", order_id=order["id"]), 404, "order_not_found")
    refused(
        academy.rpc(academy.member("admin"), "mark_order_paid", order_id=buyer.id, reference="x"),
        404,
        "order_not_found",
    )


@pytest.mark.route("WC-029", call="POST /rest/v1/rpc/place_order")
@pytest.mark.route("WC-030", call="GET /rest/v1/orders?id=eq.{id}")
@pytest.mark.route("WC-031", call="GET /rest/v1/orders?buyer_id=eq.{buyer_id}&status=eq.{status}&order=created_at.desc")
def test_a_buyer_orders_services_and_lists_the_orders(
    academy: Academy, teacher: Person, buyer: Person, stranger: Person
) -> None:
    service = offer(academy, teacher, "service", price_amount=2500)
    assert academy.rpc(None, "place_order", offer_id=service["id"]).status_code == 401
    order = academy.rpc(buyer, "place_order", offer_id=service["id"]).json()
    assert (order["amount"], order["kind"], order["seller_id"]) == (2500, "service", teacher.id)
    assert (order["buyer_id"], order["offer_id"], order["currency"]) == (buyer.id, service["id"], "EUR")
    assert (order["title"], order["status"], order["payment_status"]) == (service["title"], "pending", "unpaid")
    refused(academy.rpc(buyer, "place_order", offer_id=buyer.id), 404, "offer_not_found")
    mine = f"/rest/v1/orders?buyer_id=eq.{buyer.id}&status=eq.pending&order=created_at.desc"
    one = f"/rest/v1/orders?id=eq.{order['id']}"
    assert rows(academy.call(buyer, "GET", mine)) == rows(academy.call(buyer, "GET", one)) == [order]
    for path in (mine, one):
        # The seller cannot read it before it is paid either.
        for who in (stranger, teacher):
            assert rows(academy.call(who, "GET", path)) == []
        assert academy.call(None, "GET", path).status_code == 401


def test_a_free_offer_needs_no_payment(academy: Academy, teacher: Person, buyer: Person) -> None:
    gift = offer(academy, teacher, "service", price_amount=0)
    assert academy.rpc(None, "place_order", offer_id=gift["id"]).status_code == 401
    order = academy.rpc(buyer, "place_order", offer_id=gift["id"]).json()
    assert (order["status"], order["paid_amount"]) == ("paid", 0)
    assert len(rows(academy.call(buyer, "GET", f"/rest/v1/entitlements?order_id=eq.{order['id']}"))) == 1
    assert academy.sql("select count(*) from public.ledger_entries where order_id = %s", order["id"]) == [(0,)]


def test_the_buyer_chooses_the_amount_of_a_tip(academy: Academy, teacher: Person, buyer: Person) -> None:
    tip = offer(academy, teacher, "tip", price_amount=100, maximum_amount=50000)
    for amount in (None, 0, -5, 99, 50001):
        answer = academy.rpc(buyer, "place_order", offer_id=tip["id"], amount=amount)
        refused(answer, 422, "amount_out_of_range")
    assert academy.rpc(buyer, "place_order", offer_id=tip["id"], amount=777).json()["amount"] == 777
    service = offer(academy, teacher, "service")
    refused(academy.rpc(buyer, "place_order", offer_id=service["id"], amount=1), 422, "amount_fixed")


def test_credits_are_bought_spent_and_refunded(academy: Academy, buyer: Person) -> None:
    admin = academy.member("admin")
    package = offer(academy, admin, "credit_package", seller_id=None, credits=500, maximum_quantity=10)
    order = academy.rpc(buyer, "place_order", offer_id=package["id"], quantity=2).json()
    payment = pay(academy, order)
    balance = f"/rest/v1/ledger_accounts?user_id=eq.{buyer.id}&kind=eq.credits&select=balance"
    assert rows(academy.call(buyer, "GET", balance)) == [{"balance": 1000}]
    spend = "select private.spend_credits(%s, %s, %s)"
    assert academy.sql(spend, buyer.id, 300, "test:one") == academy.sql(spend, buyer.id, 300, "test:one") == [(700,)]
    with pytest.raises(Exception, match="credits_insufficient"):
        academy.sql(spend, buyer.id, 701, "test:two")
    # A refund of half withdraws half of the credits, a full refund what is left of them.
    half = refund(payment, order["amount"] // 2)
    assert deliver(academy, event("refund.created", half)) == "applied"
    assert rows(academy.call(buyer, "GET", balance)) == [{"balance": 200}]
    assert deliver(academy, event("refund.created", refund(payment, order["amount"] // 2))) == "applied"
    assert rows(academy.call(buyer, "GET", balance)) == [{"balance": 0}]


def test_unpaid_orders_expire(academy: Academy, course: Course, buyer: Person) -> None:
    order = academy.rpc(buyer, "place_order", course_id=course.id).json()
    academy.sql("update public.orders set expires_at = now() - interval '1 hour' where id = %s", order["id"])
    anew = academy.rpc(buyer, "place_order", course_id=course.id).json()
    assert anew["id"] != order["id"]
    academy.sql("update public.orders set expires_at = now() - interval '1 hour' where id = %s", anew["id"])
    academy.sql("select private.purge__expired_orders()")
    statuses = {row["id"]: row["status"] for row in rows(academy.call(buyer, "GET", "/rest/v1/orders"))}
    assert statuses == {order["id"]: "cancelled", anew["id"]: "expired"}


def test_concurrent_orders_and_unpublishing_do_not_deadlock(academy: Academy, teacher: Person) -> None:
    """An order that a coupon makes free enrols at once, which locks the course, as unpublishing does."""
    code = uuid.uuid4().hex[:12].upper()
    academy.insert(teacher, "coupons", code=code, percent_off=100)
    courses = [academy.course(teacher, price_amount=1000) for _ in range(4)]
    for course in courses:
        buyers = [academy.member() for _ in range(6)]

        def act(number: int, course: Course = course, buyers: list[Person] = buyers) -> tuple[int, str]:
            if number < len(buyers):
                answer = academy.rpc(buyers[number], "place_order", course_id=course.id, coupon=code)
            else:
                name = ("unpublish_course", "publish_course")[number % 2]
                answer = academy.rpc(teacher, name, course_id=course.id)
            return answer.status_code, answer.text

        answers = concurrently(12, act)
        assert [text for status, text in answers if status >= 500 or "40P01" in text] == []
        assert {status for status, _ in answers[:6]} <= {200, 404}
