"""Offers: who creates, publishes and changes them, and which rules their kinds set."""

from typing import Any

import pytest

from tests.commerce.stripe_events import offer, placed
from tests.people import Academy, Course, Person, refused, rows

SHOWN = {"prefer": "return=representation"}


@pytest.fixture(scope="module")
def courses(academy: Academy, teacher: Person) -> tuple[Course, Course]:
    """Two published courses that cost something; not to be changed."""
    return academy.course(teacher, price_amount=2000), academy.course(teacher, price_amount=3000)


def test_the_offer_of_a_course_follows_the_course(academy: Academy, admin: Person, student: Person) -> None:
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
def test_everybody_sees_offers_on_sale(academy: Academy, student: Person) -> None:
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
        (listed,) = rows(academy.call(who, "GET", service))
        assert {name: listed[name] for name in new} == new
        assert (listed["seller_id"], listed["price_currency"]) == (seller.id, "EUR")
    for who in (student, academy.member("teacher")):
        assert rows(academy.call(who, "PATCH", path, {"price_amount": 0}, **SHOWN)) == []
        assert rows(academy.call(who, "DELETE", path, **SHOWN)) == []
    assert academy.call(seller, "PATCH", path, {"price_amount": 10}).json()["message"] == "amount_too_small"
    assert academy.call(seller, "PATCH", path, {"price_currency": "XXX"}).json()["message"] == "currency_unsupported"
    academy.suspend(seller)
    assert rows(academy.call(seller, "PATCH", path, {"title": "Other"}, **SHOWN)) == []


@pytest.mark.parametrize("columns", [{"status": "active"}, {"course_id": None}, {"id": None}])
def test_clients_cannot_write_what_the_database_sets(
    academy: Academy, teacher: Person, columns: dict[str, Any]
) -> None:
    answer = academy.call(teacher, "POST", "/rest/v1/offers", {"kind": "service", "title": "New"} | columns)
    assert answer.status_code == 403


def test_nobody_sells_for_another_seller(academy: Academy, teacher: Person, student: Person, admin: Person) -> None:
    for who, seller in ((teacher, student.id), (student, student.id), (teacher, None), (admin, teacher.id)):
        body = {
            "kind": "membership",
            "title": "X",
            "price_amount": 500,
            "billing_interval": "month",
            "seller_id": seller,
        }
        assert academy.call(who, "POST", "/rest/v1/offers", body).status_code == 403
    assert academy.insert(admin, "offers", **body | {"seller_id": None})["seller_id"] is None


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"title": " "}, "offers_title_check"),
        ({"price_amount": -1}, "offers_price_amount_check"),
        ({"price_currency": "eur"}, "offers_price_currency_check"),
        ({"kind": "tip", "maximum_amount": -1}, "offers_maximum_amount_check"),
        ({"kind": "membership", "billing_interval": "month"}, "offers_recurring_price_check"),
        ({"duration_minutes": 0}, "offers_duration_minutes_check"),
    ],
)
def test_an_offer_out_of_bounds_names_the_constraint(
    academy: Academy, teacher: Person, columns: dict[str, Any], constraint: str
) -> None:
    answer = academy.call(teacher, "POST", "/rest/v1/offers", {"kind": "service", "title": "New"} | columns)
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert constraint in answer.json()["message"]


@pytest.mark.parametrize(
    ("columns", "token", "named"),
    [
        ({"kind": "song"}, "offer_kind_unknown", "song"),
        ({"kind": "credit_package", "credits": 5}, "offer_seller_wrong", "is sold by the platform"),
        ({"kind": "tip"}, "offer_column_missing", "maximum_amount"),
        ({"kind": "membership"}, "offer_column_missing", "billing_interval"),
        ({"kind": "course"}, "offer_column_missing", "course_id"),
        ({"billing_interval": "month"}, "offer_column_not_allowed", "billing_interval"),
        ({"kind": "bundle", "maximum_quantity": 2}, "offer_column_not_allowed", "maximum_quantity"),
        ({"trial_days": 5}, "offer_column_not_allowed", "trial_days"),
        ({"credits": 5}, "offer_column_not_allowed", "credits"),
        ({"maximum_amount": 5}, "offer_column_not_allowed", "maximum_amount"),
        ({"kind": "playlist_submission", "duration_minutes": 5}, "offer_column_not_allowed", "duration_minutes"),
    ],
)
def test_an_offer_has_the_seller_and_columns_of_its_kind(
    academy: Academy, teacher: Person, columns: dict[str, Any], token: str, named: str
) -> None:
    answer = academy.call(teacher, "POST", "/rest/v1/offers", {"kind": "service", "title": "New"} | columns)
    refused(answer, 422, token)
    assert named in answer.json()["details"]


def test_an_offer_of_teachers_is_not_for_the_platform(academy: Academy, admin: Person) -> None:
    body = {"kind": "service", "title": "New", "seller_id": None}
    answer = academy.call(admin, "POST", "/rest/v1/offers", body)
    refused(answer, 422, "offer_seller_wrong")
    assert "is sold by a teacher" in answer.json()["details"]
    assert "seller_id" in answer.json()["hint"]


def test_every_bound_that_a_function_can_reach_has_a_sentence(academy: Academy, admin: Person, teacher: Person) -> None:
    """A refusal names the constraint; rpc/error_catalogue has the sentence for people."""
    sentences = {row["token"] for row in rows(academy.call(None, "GET", "/rest/v1/rpc/error_catalogue"))}
    made = offer(academy, teacher, "service")
    order = placed(academy, academy.member(), offer_id=made["id"])
    academy.rpc(admin, "mark_order_paid", order_id=order["id"], reference="Cash")
    for who, name, arguments, constraint in (
        (teacher, "deliver_order", {"note": "x" * 4001}, "fulfilments_note_check"),
        (admin, "refund_order", {"reason": "x" * 1001}, "refunds_reason_check"),
    ):
        answer = academy.rpc(who, name, order_id=order["id"], **arguments)
        assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
        assert constraint in answer.json()["message"]
        assert constraint in sentences


def test_an_update_follows_the_rules_of_the_kind(academy: Academy, teacher: Person) -> None:
    made = academy.insert(teacher, "offers", kind="service", title="A critique")
    answer = academy.call(teacher, "PATCH", f"/rest/v1/offers?id=eq.{made['id']}", {"credits": 5})
    refused(answer, 422, "offer_column_not_allowed")


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
    (listed,) = [row for row in rows(academy.call(teacher, "GET", own)) if row["id"] == bundle["id"]]
    assert (listed["title"], listed["price_amount"], listed["status"]) == ("Both", 4000, "draft")
    assert bundle["id"] not in {row["id"] for row in rows(academy.call(student, "GET", own))}
    academy.rpc(teacher, "publish_offer", offer_id=bundle["id"])
    (shown,) = rows(academy.call(None, "GET", path))
    assert {item["course"]["slug"] for item in shown["offer_courses"]} == {course.slug for course in courses}
    assert (shown["title"], shown["price_amount"], shown["seller_id"]) == ("Both", 4000, teacher.id)


def test_drafts_can_be_deleted_and_other_offers_archived(academy: Academy, teacher: Person) -> None:
    made = academy.insert(teacher, "offers", kind="service", title="Never sold", price_amount=900)
    refused(academy.rpc(teacher, "archive_offer", offer_id=made["id"]), 409, "illegal_transition")
    path = f"/rest/v1/offers?id=eq.{made['id']}"
    assert len(rows(academy.call(teacher, "DELETE", path, **SHOWN))) == 1
    sold = offer(academy, teacher, "service")
    path = f"/rest/v1/offers?id=eq.{sold['id']}"
    assert rows(academy.call(teacher, "DELETE", path, **SHOWN)) == []
    assert academy.rpc(teacher, "archive_offer", offer_id=sold["id"]).json()["status"] == "archived"
    refused(academy.rpc(academy.member(), "place_order", offer_id=sold["id"]), 404, "offer_not_found")


def test_work_is_ordered_delivered_and_cancelled(
    academy: Academy, teacher: Person, student: Person, admin: Person
) -> None:
    made = offer(academy, teacher, "coaching", duration_minutes=60, maximum_quantity=5)
    buyer = academy.member()
    refused(academy.rpc(buyer, "place_order", offer_id=made["id"], quantity=6), 422, "quantity_invalid")
    refused(academy.rpc(teacher, "place_order", offer_id=made["id"]), 409, "own_offer")
    wish = {"starts_at": "2027-01-05T10:00:00Z"}
    unknown = {"offer_id": made["id"], "details": wish | {"price": 1}}
    refused(academy.rpc(buyer, "place_order", **unknown), 422, "detail_unknown")
    order = placed(academy, buyer, offer_id=made["id"], quantity=2, details=wish)
    assert (order["amount"], order["details"]) == (2000, wish)
    path = f"/rest/v1/fulfilments?order_id=eq.{order['id']}"
    assert rows(academy.call(buyer, "GET", path)) == []
    academy.rpc(admin, "mark_order_paid", order_id=order["id"], reference="Cash")
    for who in (buyer, teacher):
        assert [row["status"] for row in rows(academy.call(who, "GET", path))] == ["open"]
    assert rows(academy.call(student, "GET", path)) == []
    for who in (buyer, student):
        refused(academy.rpc(who, "deliver_order", order_id=order["id"]), 404, "order_not_found")
    assert academy.rpc(teacher, "deliver_order", order_id=order["id"], note="Done").json()["status"] == "delivered"
    academy.rpc(admin, "refund_order", order_id=order["id"])
    assert [row["status"] for row in rows(academy.call(buyer, "GET", path))] == ["cancelled"]
    refused(academy.rpc(teacher, "deliver_order", order_id=order["id"]), 409, "illegal_transition")
