"""Coupons: an order reserves a use, releases it when it ends unpaid, and no coupon is used too often."""

import uuid
from typing import Any

import pytest

from tests.commerce.stripe_events import offer, pay, placed
from tests.people import Academy, Person, concurrently, refused, rows


@pytest.fixture(scope="module")
def made(academy: Academy, teacher: Person) -> dict[str, Any]:
    """An offer of 10 euros; not to be changed."""
    return offer(academy, teacher, "service")


def coupon(academy: Academy, seller: Person, **columns: Any) -> dict[str, Any]:
    """A new coupon."""
    code = uuid.uuid4().hex[:12].upper()
    return academy.insert(seller, "coupons", code=code, **columns or {"percent_off": 15})


def used(academy: Academy, one: dict[str, Any]) -> int:
    """How many orders use it now."""
    ((count,),) = academy.sql("select used_count from public.coupons where id = %s", one["id"])
    assert isinstance(count, int)
    return count


def test_a_coupon_is_reserved_and_released(academy: Academy, teacher: Person, made: dict[str, Any]) -> None:
    one, buyer = coupon(academy, teacher, percent_off=33, maximum_uses=1), academy.member()
    order = placed(academy, buyer, offer_id=made["id"], coupon=one["code"].lower())
    assert (order["amount"], order["discount_amount"]) == (670, 330)
    assert placed(academy, buyer, offer_id=made["id"], coupon=one["code"])["id"] == order["id"]
    other = academy.member()
    refused(academy.rpc(other, "place_order", offer_id=made["id"], coupon=one["code"]), 409, "coupon_used_up")
    academy.rpc(buyer, "cancel_order", order_id=order["id"])
    assert used(academy, one) == 0
    taken = placed(academy, other, offer_id=made["id"], coupon=one["code"])
    pay(academy, taken)
    assert used(academy, one) == 1
    refused(academy.rpc(buyer, "place_order", offer_id=made["id"], coupon=one["code"]), 409, "coupon_used_up")
    # A late payment of the cancelled order: it keeps its price, and the coupon its limit.
    pay(academy, order)
    assert used(academy, one) == 1


def test_an_overdue_order_releases_its_coupon(academy: Academy, teacher: Person, made: dict[str, Any]) -> None:
    one, late, other = coupon(academy, teacher, percent_off=10, maximum_uses=1), academy.member(), academy.member()
    order = placed(academy, late, offer_id=made["id"], coupon=one["code"])
    refused(academy.rpc(other, "place_order", offer_id=made["id"], coupon=one["code"]), 409, "coupon_used_up")
    academy.sql("update public.orders set expires_at = now() - interval '1 hour' where id = %s", order["id"])
    assert placed(academy, other, offer_id=made["id"], coupon=one["code"])["discount_amount"] == 100
    assert used(academy, one) == 1
    assert academy.sql("select status::text from public.orders where id = %s", order["id"]) == [("expired",)]


def test_thirty_concurrent_buyers_get_ten_uses(academy: Academy, teacher: Person, made: dict[str, Any]) -> None:
    one, buyers = (
        coupon(academy, teacher, amount_off=100, currency="EUR", maximum_uses=10),
        [academy.member() for _ in range(30)],
    )
    answers = concurrently(
        30, lambda number: academy.rpc(buyers[number], "place_order", offer_id=made["id"], coupon=one["code"])
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [409] * 20
    assert used(academy, one) == 10


def test_an_order_of_nothing_to_pay_is_paid_at_once(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher, price_amount=5000)
    one, buyer = coupon(academy, teacher, percent_off=100), academy.member()
    order = placed(academy, buyer, course_id=course.id, coupon=one["code"])
    assert (order["amount"], order["status"]) == (0, "paid")
    contents = academy.call(buyer, "GET", f"/rest/v1/lesson_contents?course_id=eq.{course.id}&select=lesson_id")
    assert len(rows(contents)) == 2
    plan = offer(academy, teacher, "creator_subscription", billing_interval="month")
    refused(academy.rpc(buyer, "place_order", offer_id=plan["id"], coupon=one["code"]), 409, "coupon_used_up")
    refused(
        academy.rpc(academy.member(), "place_order", offer_id=plan["id"], coupon=one["code"]), 422, "amount_too_small"
    )
    assert used(academy, one) == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"percent_off": 10, "ends_at": "2020-01-02T00:00:00Z", "starts_at": "2020-01-01T00:00:00Z"},
        {"percent_off": 10, "starts_at": "2099-01-01T00:00:00Z"},
        {"percent_off": 10, "is_active": False},
        {"amount_off": 100, "currency": "USD"},
    ],
)
def test_a_coupon_is_limited_in_time_and_currency(
    academy: Academy, teacher: Person, made: dict[str, Any], columns: dict[str, Any]
) -> None:
    one = coupon(academy, teacher, **columns)
    refused(academy.rpc(academy.member(), "place_order", offer_id=made["id"], coupon=one["code"]), 422,
            "coupon_invalid")  # fmt: skip


def test_a_coupon_is_for_offers_of_its_seller(
    academy: Academy, teacher: Person, student: Person, made: dict[str, Any]
) -> None:
    rival = academy.member("teacher")
    one = coupon(academy, rival)
    buyer = academy.member()
    refused(academy.rpc(buyer, "place_order", offer_id=made["id"], coupon=one["code"]), 422, "coupon_invalid")
    refused(academy.rpc(buyer, "place_order", offer_id=made["id"], coupon="NOSUCH"), 422, "coupon_invalid")
    for who in (teacher, student, buyer):
        assert rows(academy.call(who, "GET", f"/rest/v1/coupons?id=eq.{one['id']}")) == []
    body = {"code": uuid.uuid4().hex[:9].upper(), "percent_off": 99, "offer_id": made["id"]}
    refused(academy.call(rival, "POST", "/rest/v1/coupons", body), 404, "offer_not_found")
    assert academy.call(student, "POST", "/rest/v1/coupons", body | {"offer_id": None}).status_code == 403
    assert academy.call(teacher, "POST", "/rest/v1/coupons", body | {"seller_id": None}).status_code == 403
    for change in ({"percent_off": 100}, {"used_count": 0}, {"code": "OTHER"}):
        assert academy.call(rival, "PATCH", f"/rest/v1/coupons?id=eq.{one['id']}", change).status_code == 403


def test_a_coupon_says_for_how_long_it_discounts(academy: Academy, teacher: Person) -> None:
    plan = offer(academy, teacher, "membership", billing_interval="month")
    service = offer(academy, teacher, "service")
    for duration, months in (("once", None), ("repeating", 3), ("forever", None)):
        one = coupon(academy, teacher, percent_off=20, duration=duration, duration_months=months)
        order = placed(academy, academy.member(), offer_id=plan["id"], coupon=one["code"])
        assert (order["unit_amount"], order["amount"], order["discount_amount"]) == (1000, 800, 200)
        assert (order["discount_duration"], order["discount_months"]) == (duration, months)
        # One payment is discounted whatever the coupon says of subscriptions.
        single = placed(academy, academy.member(), offer_id=service["id"], coupon=one["code"])
        assert (single["amount"], single["discount_duration"], single["discount_months"]) == (800, None, None)
    assert coupon(academy, teacher, percent_off=5)["duration"] == "once"
    plain = placed(academy, academy.member(), offer_id=plan["id"])
    assert (plain["discount_amount"], plain["discount_duration"]) == (0, None)


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"duration": "repeating"}, "coupons_duration_check"),
        ({"duration": "forever", "duration_months": 3}, "coupons_duration_check"),
        ({"duration_months": 3}, "coupons_duration_check"),
        ({"duration": "repeating", "duration_months": 37}, "coupons_duration_months_check"),
        ({"duration": "repeating", "duration_months": 0}, "coupons_duration_months_check"),
    ],
)
def test_a_duration_is_whole(academy: Academy, teacher: Person, columns: dict[str, Any], rule: str) -> None:
    body = {"code": uuid.uuid4().hex[:9].upper(), "percent_off": 10} | columns
    answer = academy.call(teacher, "POST", "/rest/v1/coupons", body)
    assert (answer.status_code, rule in answer.text) == (400, True), answer.text


def test_the_duration_of_a_coupon_stays(academy: Academy, teacher: Person) -> None:
    one = coupon(academy, teacher, percent_off=10)
    path = f"/rest/v1/coupons?id=eq.{one['id']}"
    assert academy.call(teacher, "PATCH", path, {"duration": "forever"}).status_code == 403
    assert academy.call(teacher, "PATCH", path, {"duration_months": 3}).status_code == 403
