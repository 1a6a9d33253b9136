"""What an unpaid order reserves: who may, how long, and how often."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.commerce.goods import Beat, beat
from tests.commerce.stripe_events import offer, pay, placed
from tests.people import Academy, Person, refused

Make = Callable[[Academy, Person], dict[str, Any]]


def exclusive(academy: Academy, seller: Person) -> dict[str, Any]:
    """The arguments of an order of an exclusive licence."""
    made: Beat = beat(academy, seller)
    return {"offer_id": made.offers["exclusive"]}


def last_use(academy: Academy, seller: Person) -> dict[str, Any]:
    """The arguments of an order with a coupon's only use."""
    code = uuid.uuid4().hex[:12].upper()
    academy.insert(seller, "coupons", code=code, percent_off=10, maximum_uses=1)
    return {"offer_id": offer(academy, seller, "service")["id"], "coupon": code}


RESERVATIONS = pytest.mark.parametrize("make", [exclusive, last_use])


@RESERVATIONS
@pytest.mark.parametrize("columns", ["is_anonymous = true", "email_confirmed_at = null"])
def test_a_reservation_needs_a_confirmed_address(academy: Academy, teacher: Person, make: Make, columns: str) -> None:
    arguments, guest = make(academy, teacher), academy.member()
    academy.sql(f"update public.accounts set {columns} where user_id = %s", guest.id)  # noqa: S608
    refused(academy.rpc(guest, "place_order", **arguments), 403, "email_not_confirmed")
    placed(academy, academy.member(), **arguments)


def test_a_guest_tries_no_coupons(academy: Academy, teacher: Person) -> None:
    made, guest = offer(academy, teacher, "service"), academy.member()
    academy.sql("update public.accounts set is_anonymous = true where user_id = %s", guest.id)
    for code in ("WRONG", uuid.uuid4().hex):
        refused(academy.rpc(guest, "place_order", offer_id=made["id"], coupon=code), 403, "email_not_confirmed")
    placed(academy, guest, offer_id=made["id"])


@RESERVATIONS
def test_who_did_not_pay_does_not_reserve_again(academy: Academy, teacher: Person, make: Make) -> None:
    arguments, slow = make(academy, teacher), academy.member()
    order = placed(academy, slow, **arguments)
    academy.sql("update public.orders set expires_at = now() - interval '1 hour' where id = %s", order["id"])
    refused(academy.rpc(slow, "place_order", **arguments), 409, "reservation_lapsed")
    academy.sql("select private.expire_overdue_orders(null, null)")
    refused(academy.rpc(slow, "place_order", **arguments), 409, "reservation_lapsed")
    # Another person can, and so can the first one after a day.
    other = academy.member()
    taken = placed(academy, other, **arguments)
    academy.rpc(other, "cancel_order", order_id=taken["id"])
    academy.sql("update public.orders set expires_at = now() - interval '25 hours' where id = %s", order["id"])
    again = placed(academy, slow, **arguments)
    pay(academy, again)


@RESERVATIONS
def test_a_reservation_is_made_no_longer_by_cancelling_or_changing_it(
    academy: Academy, teacher: Person, make: Make
) -> None:
    arguments, buyer = make(academy, teacher), academy.member()
    order = placed(academy, buyer, **arguments)
    academy.sql("update public.orders set expires_at = now() + interval '20 minutes' where id = %s", order["id"])
    [(ends_at,)] = academy.sql("select expires_at from public.orders where id = %s", order["id"])
    # Changed terms replace the order.
    academy.sql("update public.offers set title = 'Another title' where id = %s", arguments["offer_id"])
    changed = placed(academy, buyer, **arguments)
    academy.rpc(buyer, "cancel_order", order_id=changed["id"])
    anew = placed(academy, buyer, **arguments)
    assert len({order["id"], changed["id"], anew["id"]}) == 3
    assert academy.sql("select expires_at from public.orders where id = %s", anew["id"]) == [(ends_at,)]


def test_other_orders_can_be_placed_again_and_again(academy: Academy, teacher: Person) -> None:
    code = uuid.uuid4().hex[:12].upper()
    academy.insert(teacher, "coupons", code=code, percent_off=10)
    made, buyer = offer(academy, teacher, "service"), academy.member()
    for _ in range(3):
        order = placed(academy, buyer, offer_id=made["id"], coupon=code)
        academy.sql("update public.orders set expires_at = now() - interval '1 hour' where id = %s", order["id"])


def test_an_operator_asks_for_codes_that_nobody_guesses(academy: Academy, teacher: Person) -> None:
    """For hosted Supabase, where nothing counts the refused guesses."""
    academy.sql("update private.app_config set value = '10' where key = 'coupon_code_length'")
    try:
        answer = academy.call(teacher, "POST", "/rest/v1/coupons", {"code": "SHORT-ONE", "percent_off": 10})
        refused(answer, 422, "coupon_code_short")
        academy.insert(teacher, "coupons", code=uuid.uuid4().hex[:10], percent_off=10)
    finally:
        academy.sql("update private.app_config set value = '3' where key = 'coupon_code_length'")
