"""Payments through the edge, against Stripe's double: what is bought, told and paid out."""

import pytest

from tests.people import Academy, Person, refused, rows
from tests.stripe_double import StripeDouble

CHECKOUT = "/functions/v1/checkout"
VERIFY = "/functions/v1/checkout/verify"


def test_a_course_is_bought(academy: Academy, stripe_double: StripeDouble) -> None:
    teacher, buyer = academy.member("teacher"), academy.member()
    course = academy.course(teacher, price_amount=4900)
    begun = academy.call(buyer, "POST", CHECKOUT, {"course_id": course.id})
    assert begun.status_code == 200, begun.text
    session = begun.json()
    assert session["status"] == "pending"
    stripe_double.pay(session["session_id"])
    answer = academy.call(buyer, "POST", VERIFY, {"session_id": session["session_id"]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "paid"
    stripe_double.quiet(session["order_id"])
    assert len(rows(academy.call(buyer, "GET", f"/rest/v1/entitlements?course_id=eq.{course.id}"))) == 1
