"""What an order contains: the courses of the moment it was placed, which the seller may sell and the buyer can have."""

from typing import Any

import httpx
import psycopg
import pytest

from tests.commerce.goods import mark_paid
from tests.commerce.stripe_events import (
    acting_as,
    deliver,
    event,
    invoice,
    offer,
    pay,
    placed,
    session,
    this_second,
)
from tests.commerce.test_subscriptions import DAY, Started, has
from tests.people import Academy, Course, Person, concurrently, refused, rows

PROBLEMS = "/rest/v1/offer_problems?offer_id=eq."


@pytest.fixture
def seller(academy: Academy) -> Person:
    """A teacher of the test's own."""
    return academy.member("teacher", name="Ines")


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A new buyer."""
    return academy.member()


@pytest.fixture
def courses(academy: Academy, seller: Person) -> list[Course]:
    """Two published courses of the seller."""
    return [academy.course(seller, price_amount=2000) for _ in range(2)]


@pytest.fixture
def bundle(academy: Academy, seller: Person, courses: list[Course]) -> dict[str, Any]:
    """A bundle of both courses, on sale."""
    made = academy.insert(seller, "offers", kind="bundle", title="Both", price_amount=3000)
    for course in courses:
        add(academy, seller, made, course)
    answer = academy.rpc(seller, "publish_offer", offer_id=made["id"])
    assert answer.status_code == 200, answer.text
    row: dict[str, Any] = answer.json()
    return row


def add(academy: Academy, seller: Person, made: dict[str, Any], course: Course) -> None:
    academy.insert(seller, "offer_courses", offer_id=made["id"], course_id=course.id)


def take_out(academy: Academy, seller: Person, made: dict[str, Any], course: Course) -> None:
    path = f"/rest/v1/offer_courses?offer_id=eq.{made['id']}&course_id=eq.{course.id}"
    assert academy.call(seller, "DELETE", path).status_code == 204


def contents(academy: Academy, who: Person | None, order: dict[str, Any]) -> list[str]:
    """The courses of an order, as somebody reads them."""
    answer = academy.call(who, "GET", f"/rest/v1/order_courses?order_id=eq.{order['id']}&order=course_id")
    return [row["course_id"] for row in rows(answer)]


def problems(academy: Academy, who: Person, made: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Why an offer is not sold, as somebody reads it."""
    found = rows(academy.call(who, "GET", f"{PROBLEMS}{made['id']}&order=problem,course_id"))
    return [(row["problem"], row["course_id"]) for row in found]


def test_a_bundle_emptied_after_the_order_is_delivered_as_it_was(
    academy: Academy, seller: Person, buyer: Person, courses: list[Course], bundle: dict[str, Any]
) -> None:
    order = placed(academy, buyer, offer_id=bundle["id"])
    added = academy.course(seller, price_amount=500)
    add(academy, seller, bundle, added)
    for course in courses:
        take_out(academy, seller, bundle, course)
    pay(academy, order)
    assert [has(academy, buyer, course) for course in (*courses, added)] == [True, True, False]
    held = rows(academy.call(buyer, "GET", f"/rest/v1/entitlements?order_id=eq.{order['id']}"))
    assert {row["course_id"] for row in held} == {course.id for course in courses}


def test_an_order_shows_what_it_contains(
    *, academy: Academy, seller: Person, buyer: Person, stranger: Person, courses: list[Course], bundle: dict[str, Any]
) -> None:
    order = placed(academy, buyer, offer_id=bundle["id"])
    both = sorted(course.id for course in courses)
    assert contents(academy, buyer, order) == both
    # The seller reads orders once they are paid.
    assert contents(academy, seller, order) == []
    assert contents(academy, stranger, order) == []
    assert academy.call(None, "GET", f"/rest/v1/order_courses?order_id=eq.{order['id']}").status_code == 401
    row = {"order_id": order["id"], "course_id": academy.course(seller).id, "title": "Mine"}
    for who in (buyer, seller):
        assert academy.call(who, "POST", "/rest/v1/order_courses", row).status_code == 403
        assert academy.call(who, "DELETE", f"/rest/v1/order_courses?order_id=eq.{order['id']}").status_code == 403
    pay(academy, order)
    assert contents(academy, seller, order) == contents(academy, academy.member("admin"), order) == both
    one = placed(academy, academy.member(), course_id=courses[0].id)
    pay(academy, one)
    assert contents(academy, seller, one) == [courses[0].id]


def test_an_order_keeps_what_the_seller_promised(
    *, academy: Academy, seller: Person, buyer: Person, stranger: Person
) -> None:
    promised: dict[str, Any] = {"description": "A full hour with **your** mix.", "duration_minutes": 60}
    sold = offer(academy, seller, "coaching", **promised)
    order = placed(academy, buyer, offer_id=sold["id"])
    path = f"/rest/v1/order_terms?order_id=eq.{order['id']}&select=description,duration_minutes"
    assert placed(academy, buyer, offer_id=sold["id"]) == order
    less = {"description": "A quick look.", "duration_minutes": 15}
    assert academy.call(seller, "PATCH", f"/rest/v1/offers?id=eq.{sold['id']}", less).status_code == 204
    # A new order has the new terms; a payment of the first one buys what it promised.
    newer = placed(academy, buyer, offer_id=sold["id"])
    assert newer["id"] != order["id"]
    pay(academy, order)
    for who in (buyer, seller):
        assert rows(academy.call(who, "GET", path)) == [promised]
    assert rows(academy.call(stranger, "GET", path)) == []
    assert academy.call(None, "GET", path).status_code == 401
    for who in (buyer, seller):
        assert academy.call(who, "PATCH", path, less).status_code == 403
    plain = placed(academy, buyer, offer_id=offer(academy, seller, "service")["id"])
    assert rows(academy.call(buyer, "GET", f"/rest/v1/order_terms?order_id=eq.{plain['id']}")) == []


def test_a_changed_bundle_replaces_the_pending_order(
    academy: Academy, seller: Person, buyer: Person, courses: list[Course], bundle: dict[str, Any]
) -> None:
    order = placed(academy, buyer, offer_id=bundle["id"])
    assert placed(academy, buyer, offer_id=bundle["id"]) == order
    take_out(academy, seller, bundle, courses[0])
    newer = placed(academy, buyer, offer_id=bundle["id"])
    assert newer["id"] != order["id"]
    assert contents(academy, buyer, newer) == [courses[1].id]


def test_an_empty_bundle_is_not_sold(
    academy: Academy, seller: Person, buyer: Person, courses: list[Course], bundle: dict[str, Any]
) -> None:
    assert problems(academy, seller, bundle) == []
    for course in courses:
        take_out(academy, seller, bundle, course)
    refused(academy.rpc(buyer, "place_order", offer_id=bundle["id"]), 409, "bundle_empty")
    assert problems(academy, seller, bundle) == [("bundle_empty", None)]
    # Others see the offer, and not what is wrong with it.
    assert problems(academy, buyer, bundle) == []


@pytest.mark.parametrize("state", ["draft", "archived", "suspended", "deleted"])
def test_a_bundle_with_a_closed_course_is_not_sold(
    *, academy: Academy, seller: Person, buyer: Person, courses: list[Course], bundle: dict[str, Any], state: str
) -> None:
    gone = courses[0]
    refund = placed(academy, academy.member(), course_id=gone.id)  # so that it is not deleted for good
    pay(academy, refund)
    order = placed(academy, buyer, offer_id=bundle["id"])
    academy.sql("update public.courses set status = %s where id = %s", state, gone.id)
    refused(academy.rpc(academy.member(), "place_order", offer_id=bundle["id"]), 409, "courses_unavailable")
    refused(academy.rpc(buyer, "place_order", offer_id=bundle["id"]), 409, "courses_unavailable")
    assert problems(academy, seller, bundle) == [("course_unavailable", gone.id)]
    academy.rpc(seller, "archive_offer", offer_id=bundle["id"])
    refused(academy.rpc(seller, "publish_offer", offer_id=bundle["id"]), 409, "courses_unavailable")
    # A buyer who pays the order that was placed before gets what exists.
    pay(academy, order)
    held = rows(academy.call(buyer, "GET", f"/rest/v1/entitlements?order_id=eq.{order['id']}"))
    assert {row["course_id"] for row in held} == {course.id for course in courses}
    assert has(academy, buyer, courses[1])


def test_a_bundle_gives_away_no_course_that_was_transferred(
    *, academy: Academy, seller: Person, buyer: Person, admin: Person, courses: list[Course], bundle: dict[str, Any]
) -> None:
    heir = academy.member("teacher")
    moved = courses[0]
    waiting = placed(academy, academy.member(), offer_id=bundle["id"])
    alone = placed(academy, academy.member(), course_id=moved.id)
    assert academy.rpc(admin, "transfer_course", course_id=moved.id, creator_id=heir.id).status_code == 200
    refused(academy.rpc(buyer, "place_order", offer_id=bundle["id"]), 409, "courses_unavailable")
    assert problems(academy, seller, bundle) == [("course_unavailable", moved.id)]
    # Payment pages that were open close.
    for order in (waiting, alone):
        assert academy.sql("select status::text from public.orders where id = %s", order["id"]) == [("cancelled",)]
    take_out(academy, seller, bundle, moved)
    assert contents(academy, buyer, placed(academy, buyer, offer_id=bundle["id"])) == [courses[1].id]
    assert placed(academy, buyer, course_id=moved.id)["seller_id"] == heir.id


def test_an_order_and_a_change_at_once_leave_no_order_without_its_courses(
    academy: Academy, seller: Person, courses: list[Course]
) -> None:
    both = sorted(course.id for course in courses)
    for _ in range(6):
        made = academy.insert(seller, "offers", kind="bundle", title="Both", price_amount=3000)
        for course in courses:
            add(academy, seller, made, course)
        assert academy.rpc(seller, "publish_offer", offer_id=made["id"]).status_code == 200
        who = academy.member()

        def act(number: int, *, offer_id: str = made["id"], who: Person = who) -> httpx.Response:
            if number == 0:
                return academy.call(seller, "DELETE", f"/rest/v1/offer_courses?offer_id=eq.{offer_id}")
            return academy.rpc(who, "place_order", offer_id=offer_id)

        emptied, ordered = concurrently(2, act)
        assert emptied.status_code == 204, emptied.text
        if ordered.status_code == 200:
            assert contents(academy, who, ordered.json()) == both
        else:
            refused(ordered, 409, "bundle_empty")


def test_the_change_waits_for_an_order_that_is_being_placed(
    academy: Academy, buyer: Person, bundle: dict[str, Any]
) -> None:
    with acting_as(academy, buyer) as connection:
        connection.execute("select public.place_order(offer_id => %s)", [bundle["id"]])
        with psycopg.connect(academy.admin_db_url, autocommit=True) as other:
            other.execute("set lock_timeout = '200ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("delete from public.offer_courses where offer_id = %s", [bundle["id"]])
        connection.rollback()


@pytest.mark.parametrize("act", ["suspend", "delete"])
def test_payment_pages_of_a_closed_course_close(
    *, academy: Academy, seller: Person, buyer: Person, courses: list[Course], bundle: dict[str, Any], act: str
) -> None:
    waiting = [placed(academy, buyer, offer_id=bundle["id"]), placed(academy, buyer, course_id=courses[0].id)]
    kept = placed(academy, buyer, course_id=courses[1].id)
    if act == "suspend":
        moderator = academy.member("moderator")
        answer = academy.rpc(moderator, "suspend_course", course_id=courses[0].id, reason="Copied")
    else:
        answer = academy.rpc(seller, "delete_course", course_id=courses[0].id)
    assert answer.status_code == 200, answer.text
    for order in waiting:
        assert academy.sql("select status::text from public.orders where id = %s", order["id"]) == [("cancelled",)]
    assert academy.sql("select status::text from public.orders where id = %s", kept["id"]) == [("pending",)]


def test_a_coupon_of_the_former_creator_is_refused(
    academy: Academy, seller: Person, buyer: Person, admin: Person, courses: list[Course]
) -> None:
    moved = courses[0]
    (sold,) = rows(academy.call(None, "GET", f"/rest/v1/offers?course_id=eq.{moved.id}"))
    code = academy.insert(seller, "coupons", code=f"C{moved.id[:8]}", percent_off=50, offer_id=sold["id"])["code"]
    assert placed(academy, academy.member(), course_id=moved.id, coupon=code)["discount_amount"] == 1000
    heir = academy.member("teacher")
    assert academy.rpc(admin, "transfer_course", course_id=moved.id, creator_id=heir.id).status_code == 200
    refused(academy.rpc(buyer, "place_order", course_id=moved.id, coupon=code), 422, "coupon_invalid")


def test_a_membership_renews_with_what_it_contained(
    academy: Academy, seller: Person, buyer: Person, admin: Person, courses: list[Course]
) -> None:
    plan = offer(academy, seller, "membership", billing_interval="month")
    for course in courses:
        add(academy, seller, plan, course)
    started = Started(academy, buyer, plan)
    for each in started.events:
        deliver(academy, each)
    assert [has(academy, buyer, course) for course in courses] == [True, True]
    # One leaves the offer, one is added, and later one changes hands.
    take_out(academy, seller, plan, courses[0])
    added = academy.course(seller, price_amount=500)
    add(academy, seller, plan, added)
    renew(academy, started, 1)
    (newest, *_) = rows(academy.call(buyer, "GET", "/rest/v1/orders?order=period_ends_at.desc"))
    assert set(contents(academy, buyer, newest)) == {course.id for course in (*courses, added)}
    assert has(academy, buyer, added)
    heir = academy.member("teacher")
    assert academy.rpc(admin, "transfer_course", course_id=courses[1].id, creator_id=heir.id).status_code == 200
    renew(academy, started, 2)
    (newest, *_) = rows(academy.call(buyer, "GET", "/rest/v1/orders?order=period_ends_at.desc"))
    assert set(contents(academy, buyer, newest)) == {courses[0].id, added.id}


def renew(academy: Academy, started: Started, months: int) -> None:
    """Pay a later period of a subscription."""
    starts_at = started.ends_at + (months - 1) * 30 * DAY
    paid = invoice(started.subscription, 1000, starts_at, starts_at + 30 * DAY, reason="subscription_cycle")
    assert deliver(academy, event("invoice.paid", paid, created=this_second() + months)) == "applied"


def test_a_membership_without_an_open_course_is_not_sold(
    academy: Academy, seller: Person, buyer: Person, courses: list[Course]
) -> None:
    plan = offer(academy, seller, "membership", billing_interval="month")
    assert placed(academy, academy.member(), offer_id=plan["id"])["status"] == "pending"
    for course in courses:
        add(academy, seller, plan, course)
    academy.sql("update public.courses set status = 'draft' where id = %s", courses[0].id)
    assert contents(academy, buyer, placed(academy, buyer, offer_id=plan["id"])) == [courses[1].id]
    academy.sql("update public.courses set status = 'draft' where id = %s", courses[1].id)
    refused(academy.rpc(buyer, "place_order", offer_id=plan["id"]), 409, "courses_unavailable")


def test_a_course_without_lessons_is_not_sold(
    academy: Academy, seller: Person, buyer: Person, courses: list[Course], bundle: dict[str, Any]
) -> None:
    hollow = courses[0]
    (own,) = rows(academy.call(seller, "GET", f"/rest/v1/offers?course_id=eq.{hollow.id}"))
    # A published course keeps its last lesson; this one was emptied before such a rule.
    academy.sql("update public.courses set status = 'draft' where id = %s", hollow.id)
    deleted = academy.call(seller, "DELETE", f"/rest/v1/lessons?course_id=eq.{hollow.id}")
    assert deleted.status_code == 204, deleted.text
    academy.sql("update public.courses set status = 'published' where id = %s", hollow.id)
    refused(academy.rpc(buyer, "place_order", course_id=hollow.id), 409, "courses_unavailable")
    refused(academy.rpc(buyer, "place_order", offer_id=bundle["id"]), 409, "courses_unavailable")
    for sold in (bundle, own):
        assert problems(academy, seller, sold) == [("course_unavailable", hollow.id)]
    assert placed(academy, buyer, course_id=courses[1].id)["status"] == "pending"


@pytest.mark.parametrize("part", ["lessons", "modules"])
def test_a_course_that_was_sold_is_not_emptied(
    academy: Academy, seller: Person, buyer: Person, courses: list[Course], part: str
) -> None:
    sold, waiting = courses[0], courses[1]
    debited = academy.course(seller, price_amount=4000)
    pay(academy, placed(academy, buyer, course_id=sold.id))
    order = placed(academy, buyer, course_id=debited.id)
    assert deliver(academy, event("checkout.session.completed", session(order, paid=False))) == "applied"
    for course in (sold, debited):
        assert academy.rpc(seller, "unpublish_course", course_id=course.id).status_code == 200
        emptied = academy.call(seller, "DELETE", f"/rest/v1/{part}?course_id=eq.{course.id}")
        refused(emptied, 409, "course_sold")
    assert len(rows(academy.call(buyer, "GET", f"/rest/v1/lessons?course_id=eq.{sold.id}"))) == 2
    # A lesson less is the seller's business.
    one = academy.call(seller, "DELETE", f"/rest/v1/lessons?id=eq.{sold.lesson_ids[1]}")
    assert one.status_code == 204, one.text
    # Nobody pays for what was emptied since the order.
    pending = placed(academy, buyer, course_id=waiting.id)
    assert academy.rpc(seller, "unpublish_course", course_id=waiting.id).status_code == 200
    assert academy.call(seller, "DELETE", f"/rest/v1/{part}?course_id=eq.{waiting.id}").status_code == 204
    assert academy.sql("select status::text from public.orders where id = %s", pending["id"]) == [("cancelled",)]


def test_a_free_bundle_is_delivered_as_it_is(
    academy: Academy, seller: Person, buyer: Person, admin: Person, courses: list[Course]
) -> None:
    made = academy.insert(seller, "offers", kind="bundle", title="Gift", price_amount=0)
    add(academy, seller, made, courses[0])
    academy.rpc(seller, "publish_offer", offer_id=made["id"])
    order = placed(academy, buyer, offer_id=made["id"])
    assert (order["status"], has(academy, buyer, courses[0])) == ("paid", True)
    # By hand, too.
    other = academy.insert(seller, "offers", kind="bundle", title="Other", price_amount=900)
    add(academy, seller, other, courses[1])
    academy.rpc(seller, "publish_offer", offer_id=other["id"])
    waiting = placed(academy, buyer, offer_id=other["id"])
    take_out(academy, seller, other, courses[1])
    assert mark_paid(academy, admin, waiting)["status"] == "paid"
    assert has(academy, buyer, courses[1])
