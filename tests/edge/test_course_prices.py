"""The payment provider's price of a course: admins bind one that fits, and nobody reads it."""

from typing import Any

import pytest

from tests.edge.shop import Object, Shop, json_of
from tests.people import Academy, Course, Person, refused
from tests.stripe_double import StripeDouble

BOUND = (
    "select r.object, r.reference from private.provider_references as r join public.offers as o on o.id = r.row_id"
    " where o.course_id = %s order by r.object"
)


@pytest.fixture
def course(academy: Academy, teacher: Person) -> Course:
    """A course of 9 euros, whose own product and price the worker has made."""
    return academy.course(teacher, price_amount=900)


def made_by_hand(double: StripeDouble, product: str | None = None, **fields: Any) -> Object:
    """A price of 9 euros with a product, as an admin makes both on Stripe's dashboard."""
    product = product or json_of(double.client.v1.products.create({"name": "By hand"}))["id"]
    wanted: Any = {"product": product, "currency": "eur", "unit_amount": 900, **fields}
    return json_of(double.client.v1.prices.create(wanted))


def bind(academy: Academy, who: Person | None, course_id: str, price_id: str | None, **body: str) -> Any:
    return academy.call(who, "POST", f"/functions/v1/courses/{course_id}/price", {"price_id": price_id, **body})


@pytest.mark.route("WC-084", call="POST /functions/v1/courses/{course_id}/price")
def test_admins_bind_a_price(academy: Academy, shop: Shop, course: Course, admin: Person) -> None:
    price = made_by_hand(shop.double)
    for who in (course.teacher, academy.member("moderator")):
        refused(bind(academy, who, course.id, price["id"]), 403, "role_required")
    assert bind(academy, None, course.id, price["id"]).status_code == 401
    refused(bind(academy, admin, course.teacher.id, price["id"]), 404, "course_not_found")
    # The database takes no price that the edge has not read at the provider.
    unread = {"course_id": course.id, "price_id": made_by_hand(shop.double)["id"]}
    refused(academy.rpc(admin, "bind_course_price", **unread), 409, "price_unverified")

    answer = bind(academy, admin, course.id, price["id"], product_id=price["product"])
    assert answer.status_code == 204, answer.text
    bound = [("price", price["id"]), ("product", price["product"])]
    assert academy.sql(BOUND, course.id) == bound
    other = academy.course(course.teacher, price_amount=900)
    refused(bind(academy, admin, other.id, price["id"]), 409, "price_taken")
    same_product = made_by_hand(shop.double, price["product"])
    refused(bind(academy, admin, other.id, same_product["id"]), 409, "price_taken")
    assert bind(academy, admin, course.id, None).status_code == 204
    assert academy.sql(BOUND, course.id) == []
    log = academy.sql(
        "select actor_id::text, after ->> 'price_id', after ->> 'product_id' from public.audit_log"
        " where action = 'course.bind_price' and target_id = %s order by id",
        course.id,
    )
    assert log == [(admin.id, price["id"], price["product"]), (admin.id, None, None)]
    for viewer in (None, course.teacher, admin):
        for table in ("provider_references", "stripe_prices"):
            assert academy.call(viewer, "GET", f"/rest/v1/{table}").status_code == 404


def test_a_price_must_fit_the_course(academy: Academy, shop: Shop, course: Course, admin: Person) -> None:
    double = shop.double
    refused(bind(academy, admin, course.id, "price_1Nowhere"), 404, "price_not_found")
    assert bind(academy, admin, course.id, "no id").status_code == 400
    archived, without_product = made_by_hand(double), made_by_hand(double)
    double.post(f"prices/{archived['id']}/archive")
    double.post(f"products/{without_product['product']}/archive")
    unfit = {
        "archived": (archived["id"], {}),
        "its product": (without_product["id"], {}),
        "USD": (made_by_hand(double, currency="usd")["id"], {}),
        "901 minor units": (made_by_hand(double, unit_amount=901)["id"], {}),
        "recurs": (made_by_hand(double, recurring={"interval": "month"})["id"], {}),
        "another product": (made_by_hand(double)["id"], {"product_id": archived["product"]}),
    }
    for reason, (price, body) in unfit.items():
        answer = bind(academy, admin, course.id, price, **body)
        refused(answer, 409, "price_unfit")
        assert reason in answer.json()["details"], answer.text
    tried = {price for price, _ in unfit.values()}
    assert tried.isdisjoint(reference for _, reference in academy.sql(BOUND, course.id))


def test_what_was_read_at_the_provider_is_forgotten(
    academy: Academy, shop: Shop, course: Course, admin: Person
) -> None:
    """A price may be archived meanwhile, so that each binding reads it again."""
    price = made_by_hand(shop.double)
    assert bind(academy, admin, course.id, price["id"]).status_code == 204
    academy.sql(
        "update private.stripe_prices set observed_at = now() - interval '2 days' where price_id = %s", price["id"]
    )
    again = {"course_id": course.id, "price_id": price["id"]}
    refused(academy.rpc(admin, "bind_course_price", **again), 409, "price_unverified")
    academy.sql("select private.purge('purge__stripe_prices')")
    assert academy.sql("select 1 from private.stripe_prices where price_id = %s", price["id"]) == []
