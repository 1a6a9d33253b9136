"""By which price of the payment provider a course is sold: admins bind it, and nobody reads it."""

import uuid

import pytest

from tests.people import Academy, Person, refused


@pytest.mark.route("WC-084", call="POST /rest/v1/rpc/bind_course_price")
def test_admins_bind_a_price(academy: Academy, admin: Person, teacher: Person) -> None:
    published, draft = (academy.course(teacher, price_amount=900) for _ in range(2))
    price, product = f"price_{uuid.uuid4().hex}", f"prod_{uuid.uuid4().hex}"
    asked = {"course_id": published.id, "price_id": price, "product_id": product}
    for who in (teacher, academy.member("moderator")):
        refused(academy.rpc(who, "bind_course_price", **asked), 403, "role_required")
    refused(academy.rpc(admin, "bind_course_price", **asked | {"course_id": teacher.id}), 404, "course_not_found")
    bad = academy.rpc(admin, "bind_course_price", **asked | {"price_id": "no id"})
    assert (bad.status_code, bad.json()["code"]) == (400, "23514"), bad.text

    bound = (
        "select s.stripe_id from private.stripe_objects as s join public.offers as o on o.id = s.id"
        " where o.course_id = %s order by s.object"
    )
    assert academy.rpc(admin, "bind_course_price", **asked).status_code == 204
    assert academy.sql(bound, published.id) == [(price,), (product,)]
    taken = academy.rpc(admin, "bind_course_price", **asked | {"course_id": draft.id})
    assert (taken.status_code, taken.json()["code"]) == (409, "23505"), taken.text
    assert academy.rpc(admin, "bind_course_price", course_id=published.id, price_id=None).status_code == 204
    assert academy.sql(bound, published.id) == []
    log = academy.sql(
        "select actor_id::text, after ->> 'price_id' from public.audit_log"
        " where action = 'course.bind_price' and target_id = %s order by id",
        published.id,
    )
    assert log == [(admin.id, price), (admin.id, None)]
    for viewer in (None, teacher, admin):
        assert academy.call(viewer, "GET", "/rest/v1/stripe_objects").status_code == 404
