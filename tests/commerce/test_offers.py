"""Offers: what is sold, by whom, and what nobody else can do with it."""

from typing import Any

import pytest

from tests.commerce.told import offer, placed
from tests.people import Academy, Course, Person, refused, rows

SHOWN = {"prefer": "return=representation"}


@pytest.fixture(scope="module")
def courses(academy: Academy, teacher: Person) -> tuple[Course, Course]:
    """Two published courses that cost something; not to be changed."""
    return academy.course(teacher, price_amount=2000), academy.course(teacher, price_amount=3000)


def test_a_courses_offer_follows_it(academy: Academy, admin: Person, student: Person) -> None:
    seller, heir = academy.member("teacher"), academy.member("teacher")
    course = academy.course(seller, price_amount=2000)
    path = f"/rest/v1/offers?course_id=eq.{course.id}"

    def now(who: Person | None = None) -> list[tuple[Any, ...]]:
        found = rows(academy.call(who, "GET", path))
        return [(row["price_amount"], row["status"], row["seller_id"]) for row in found]

    assert now() == [(2000, "active", seller.id)]
    academy.call(seller, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", {"price_amount": 2500})
    assert now() == [(2500, "active", seller.id)]
    for who in (seller, student, admin):
        assert rows(academy.call(who, "PATCH", path, {"price_amount": 1}, **SHOWN)) == []
        refused(academy.rpc(who, "archive_offer", offer_id=rows(academy.call(None, "GET", path))[0]["id"]), 404,
                "offer_not_found")  # fmt: skip
    assert academy.rpc(admin, "transfer_course", course_id=course.id, creator_id=heir.id).status_code == 200
    assert now() == [(2500, "active", heir.id)]
    academy.rpc(heir, "unpublish_course", course_id=course.id)
    assert (now(), now(seller), now(heir)) == ([], [], [(2500, "archived", heir.id)])
    academy.call(heir, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", {"price_amount": 0})
    academy.rpc(heir, "publish_course", course_id=course.id)
    assert now() == []


@pytest.mark.route("WC-105", call="GET /rest/v1/offers?status=eq.active&kind=in.(service,coaching)", public=True)
@pytest.mark.route("WC-038", call="GET /rest/v1/offers?status=eq.active&kind=eq.service", public=True)
def test_everybody_sees_what_is_on_sale(academy: Academy, student: Person) -> None:
    seller = academy.member("teacher")
    new = {"kind": "service", "title": "A critique", "price_amount": 3000, "duration_minutes": 30}
    assert academy.call(student, "POST", "/rest/v1/offers", new).status_code == 403
    assert academy.call(None, "POST", "/rest/v1/offers", new).status_code == 401
    made = academy.insert(seller, "offers", **new)
    assert (made["seller_id"], made["status"]) == (seller.id, "draft")
    path = f"/rest/v1/offers?id=eq.{made['id']}"
    landing = "/rest/v1/offers?status=eq.active&kind=in.(service,coaching)&select=*,seller:profiles(display_name)"
    landing += f"&seller_id=eq.{seller.id}"
    service = f"/rest/v1/offers?status=eq.active&kind=eq.service&seller_id=eq.{seller.id}"
    for who in (None, student):
        assert rows(academy.call(who, "GET", landing)) == rows(academy.call(who, "GET", path)) == []
    refused(academy.rpc(student, "publish_offer", offer_id=made["id"]), 404, "offer_not_found")
    assert academy.rpc(seller, "publish_offer", offer_id=made["id"]).json()["status"] == "active"
    for who in (None, student):
        (shown,) = rows(academy.call(who, "GET", landing))
        assert (shown["title"], shown["seller"]) == ("A critique", {"display_name": "Test Person"})
        assert len(rows(academy.call(who, "GET", service))) == 1
    for who in (student, academy.member("teacher")):
        assert rows(academy.call(who, "PATCH", path, {"price_amount": 0}, **SHOWN)) == []
        assert rows(academy.call(who, "DELETE", path, **SHOWN)) == []
    assert academy.call(seller, "PATCH", path, {"price_amount": 10}).json()["message"] == "amount_too_small"
    assert academy.call(seller, "PATCH", path, {"price_currency": "XXX"}).json()["message"] == "currency_unsupported"
    academy.suspend(seller)
    assert rows(academy.call(seller, "PATCH", path, {"title": "Other"}, **SHOWN)) == []


@pytest.mark.parametrize("columns", [{"status": "active"}, {"course_id": None}, {"id": None}])
def test_what_the_database_gives_is_no_clients_to_write(
    academy: Academy, teacher: Person, columns: dict[str, Any]
) -> None:
    answer = academy.call(teacher, "POST", "/rest/v1/offers", {"kind": "service", "title": "New"} | columns)
    assert answer.status_code == 403


def test_nobody_sells_in_anothers_name(academy: Academy, teacher: Person, student: Person, admin: Person) -> None:
    for who, seller in ((teacher, student.id), (student, student.id), (teacher, None), (admin, teacher.id)):
        body = {"kind": "membership", "title": "X", "price_amount": 500, "billing_interval": "month", "seller_id": seller}
        assert academy.call(who, "POST", "/rest/v1/offers", body).status_code == 403
    assert academy.insert(admin, "offers", **body | {"seller_id": None})["seller_id"] is None


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"title": " "}, "offers_title_check"),
        ({"price_amount": -1}, "offers_price_amount_check"),
        ({"price_currency": "eur"}, "offers_price_currency_check"),
        ({"billing_interval": "month"}, "offers_billing_interval_check"),
        ({"kind": "tip"}, "offers_maximum_amount_check"),
        ({"kind": "membership"}, "offers_billing_interval_check"),
        ({"kind": "bundle", "maximum_quantity": 2}, "offers_quantity_check"),
        ({"trial_days": 5}, "offers_trial_check"),
        ({"credits": 5}, "offers_credits_check"),
    ],
)
def test_an_offer_out_of_bounds_names_the_constraint(
    academy: Academy, teacher: Person, columns: dict[str, Any], constraint: str
) -> None:
    answer = academy.call(teacher, "POST", "/rest/v1/offers", {"kind": "service", "title": "New"} | columns)
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert constraint in answer.json()["message"]


@pytest.mark.route("WC-076", call="GET /rest/v1/offers?id=eq.{id}&select=*,offer_courses{more}", public=True)
@pytest.mark.route("WC-077", call="POST /rest/v1/offers")
@pytest.mark.route("WC-078", call="GET /rest/v1/offers?seller_id=eq.{seller_id}&kind=eq.bundle")
@pytest.mark.route("WC-079", call="POST /rest/v1/offer_courses")
def test_a_teacher_bundles_courses(
    academy: Academy, courses: tuple[Course, Course], teacher: Person, student: Person
) -> None:
    rival = academy.member("teacher")
    assert academy.call(student, "POST", "/rest/v1/offers", {"kind": "bundle", "title": "X"}).status_code == 403
    bundle = academy.insert(teacher, "offers", kind="bundle", title="Both", price_amount=4000)
    refused(academy.rpc(teacher, "publish_offer", offer_id=bundle["id"]), 409, "bundle_empty")
    for course in courses:
        item = {"offer_id": bundle["id"], "course_id": course.id}
        refused(academy.call(rival, "POST", "/rest/v1/offer_courses", item), 404, "course_not_found")
        assert academy.call(student, "POST", "/rest/v1/offer_courses", item).status_code in {403, 404}
        assert academy.call(teacher, "POST", "/rest/v1/offer_courses", item).status_code == 201
    assert academy.call(teacher, "POST", "/rest/v1/offer_courses", item).status_code == 409
    foreign = {"offer_id": bundle["id"], "course_id": academy.course(rival).id}
    refused(academy.call(teacher, "POST", "/rest/v1/offer_courses", foreign), 404, "course_not_found")
    draft = {"offer_id": bundle["id"], "course_id": academy.course(teacher, published=False).id}
    refused(academy.call(teacher, "POST", "/rest/v1/offer_courses", draft), 404, "course_not_found")

    path = f"/rest/v1/offers?id=eq.{bundle['id']}&select=*,offer_courses(course:courses(title,slug))"
    own = f"/rest/v1/offers?seller_id=eq.{teacher.id}&kind=eq.bundle"
    assert rows(academy.call(None, "GET", path)) == []
    assert bundle["id"] in {row["id"] for row in rows(academy.call(teacher, "GET", own))}
    assert bundle["id"] not in {row["id"] for row in rows(academy.call(student, "GET", own))}
    academy.rpc(teacher, "publish_offer", offer_id=bundle["id"])
    (shown,) = rows(academy.call(None, "GET", path))
    assert {item["course"]["slug"] for item in shown["offer_courses"]} == {course.slug for course in courses}


def test_a_draft_can_go_and_what_was_on_sale_rests(academy: Academy, teacher: Person) -> None:
    made = academy.insert(teacher, "offers", kind="service", title="Never sold", price_amount=900)
    refused(academy.rpc(teacher, "archive_offer", offer_id=made["id"]), 409, "illegal_transition")
    path = f"/rest/v1/offers?id=eq.{made['id']}"
    assert len(rows(academy.call(teacher, "DELETE", path, **SHOWN))) == 1
    sold = offer(academy, teacher, "service")
    path = f"/rest/v1/offers?id=eq.{sold['id']}"
    assert rows(academy.call(teacher, "DELETE", path, **SHOWN)) == []
    assert academy.rpc(teacher, "archive_offer", offer_id=sold["id"]).json()["status"] == "archived"
    refused(academy.rpc(academy.member(), "place_order", offer_id=sold["id"]), 404, "offer_not_found")


def test_work_to_be_done(academy: Academy, teacher: Person, student: Person, admin: Person) -> None:
    made = offer(academy, teacher, "coaching", duration_minutes=60, maximum_quantity=5)
    buyer = academy.member()
    refused(academy.rpc(buyer, "place_order", offer_id=made["id"], quantity=6), 422, "quantity_invalid")
    refused(academy.rpc(teacher, "place_order", offer_id=made["id"]), 409, "own_offer")
    wish = {"starts_at": "2027-01-05T10:00:00Z"}
    order = placed(academy, buyer, offer_id=made["id"], quantity=2, details=wish)
    assert (order["amount"], order["details"]) == (2000, wish)
    path = f"/rest/v1/fulfilments?order_id=eq.{order['id']}"
    assert rows(academy.call(buyer, "GET", path)) == []
    academy.rpc(admin, "settle_order", order_id=order["id"], reference="Cash")
    for who in (buyer, teacher):
        assert [row["status"] for row in rows(academy.call(who, "GET", path))] == ["open"]
    assert rows(academy.call(student, "GET", path)) == []
    for who in (buyer, student):
        refused(academy.rpc(who, "deliver_order", order_id=order["id"]), 404, "order_not_found")
    assert academy.rpc(teacher, "deliver_order", order_id=order["id"], note="Done").json()["status"] == "delivered"
    academy.rpc(admin, "refund_order", order_id=order["id"])
    assert [row["status"] for row in rows(academy.call(buyer, "GET", path))] == ["cancelled"]
    refused(academy.rpc(teacher, "deliver_order", order_id=order["id"]), 409, "illegal_transition")
