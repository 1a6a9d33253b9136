"""Orders of courses: at the price of the course, one pending at a time, paid once."""

import pytest

from tests.people import Academy, Course, Person, refused, rows, together


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Person) -> Course:
    """A published course that costs something; not to be changed."""
    return academy.course(teacher, price_amount=4900)


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """Somebody who wants it."""
    return academy.member()


@pytest.mark.route("WC-091", call="GET /rest/v1/orders?course_id=eq.{course_id}&order=created_at.desc&limit=1")
def test_a_buyer_looks_up_his_latest_order(academy: Academy, course: Course, buyer: Person, stranger: Person) -> None:
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


def test_the_price_is_the_courses(academy: Academy, teacher: Person, buyer: Person) -> None:
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


def test_what_cannot_be_ordered(academy: Academy, course: Course, teacher: Person, buyer: Person) -> None:
    free, draft = academy.course(teacher), academy.course(teacher, published=False, price_amount=100)
    refused(academy.rpc(buyer, "place_order", course_id=free.id), 409, "course_free")
    refused(academy.rpc(buyer, "place_order", course_id=draft.id), 404, "course_not_found")
    refused(academy.rpc(teacher, "place_order", course_id=course.id), 409, "own_course")
    assert academy.rpc(None, "place_order", course_id=course.id).status_code == 401


def test_twenty_at_once_are_one_order(academy: Academy, course: Course, buyer: Person) -> None:
    answers = together(20, lambda _: academy.rpc(buyer, "place_order", course_id=course.id))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_an_admin_who_saw_the_money_enrols_once(
    academy: Academy, course: Course, teacher: Person, buyer: Person, stranger: Person
) -> None:
    order = academy.rpc(buyer, "place_order", course_id=course.id).json()
    for who in (buyer, teacher, stranger, academy.member("moderator")):
        answer = academy.rpc(who, "settle_order", order_id=order["id"], reference="RF18")
        refused(answer, 403, "role_required")
    admin = academy.member("admin")
    refused(academy.rpc(admin, "settle_order", order_id=order["id"], reference=" "), 422, "reference_missing")
    answers = together(10, lambda _: academy.rpc(admin, "settle_order", order_id=order["id"], reference="RF18"))
    assert {answer.json()["status"] for answer in answers} == {"paid"}
    enrolments = rows(academy.call(buyer, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}"))
    assert [(row["source"], row["status"]) for row in enrolments] == [("purchase", "active")]
    logged = "select after ->> 'reference' from public.audit_log where action = 'order.settle' and target_id = %s"
    assert academy.sql(logged, order["id"]) == [("RF18",)]
    refused(academy.rpc(buyer, "place_order", course_id=course.id), 409, "already_enrolled")
    refused(academy.rpc(buyer, "cancel_order", order_id=order["id"]), 409, "illegal_transition")


def test_somebody_elses_order_is_not_found(academy: Academy, course: Course, buyer: Person, stranger: Person) -> None:
    order = academy.rpc(buyer, "place_order", course_id=course.id).json()
    refused(academy.rpc(stranger, "cancel_order", order_id=order["id"]), 404, "order_not_found")
    refused(
        academy.rpc(academy.member("admin"), "settle_order", order_id=buyer.id, reference="x"), 404, "order_not_found"
    )
