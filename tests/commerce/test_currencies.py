"""Amounts are what the payment provider can move: limits and steps of each currency, the same in the double."""

import uuid
from typing import Any

import pytest

from stack.doubles.stripe import money
from stack.doubles.stripe.errors import StripeError
from tests.commerce.payouts import hold_balance
from tests.commerce.stripe_events import deliver, event, offer, pay, placed, stripe_id
from tests.people import Academy, Person, refused, rows
from tests.stripe_double import StripeDouble

Row = tuple[str, int, int, int, int]


@pytest.fixture(scope="module")
def currencies(academy: Academy) -> list[Row]:
    """Code, decimals, minimum, maximum and step of each currency."""
    found = academy.sql("select code, decimals, minimum_amount, maximum_amount, step from private.currencies")
    assert len(found) > 50
    return [(str(code), int(a), int(b), int(c), int(d)) for code, a, b, c, d in found]


def is_charged(amount: int, currency: str) -> bool:
    """Whether Stripe's double charges an amount."""
    try:
        money.check_charge(amount, currency, "amount")
    except StripeError:
        return False
    return True


def test_the_double_charges_what_the_database_allows(academy: Academy, currencies: list[Row]) -> None:
    for code, decimals, minimum, maximum, step in currencies:
        currency = code.lower()
        assert money.decimals(currency) == decimals, code
        largest = maximum - maximum % step
        assert is_charged(minimum, currency), code
        assert is_charged(largest, currency), code
        for wrong in (largest + step, minimum + 1 if step > 1 else 0):
            assert not is_charged(wrong, currency), (code, wrong)
        for right in (minimum, largest):
            academy.sql("select private.require_payable(%s, %s)", right, code)


def test_a_price_in_a_large_currency_is_larger(academy: Academy, teacher: Person) -> None:
    for code, amount in (("IDR", 150_000_000), ("JPY", 150_000_000), ("HUF", 150_000_000)):
        made = offer(academy, teacher, "service", price_amount=amount, price_currency=code)
        assert placed(academy, academy.member(), offer_id=made["id"])["amount"] == amount
    for code, amount in (("EUR", 100_000_000), ("JPY", 10_000_000_000)):
        draft = academy.insert(
            teacher, "offers", kind="service", title="Too dear", price_amount=amount, price_currency=code
        )
        answer = academy.rpc(teacher, "publish_offer", offer_id=draft["id"])
        refused(answer, 422, "amount_unpayable")
        assert str(99_999_999 if code == "EUR" else 9_999_999_999) in answer.json()["details"]


@pytest.mark.parametrize(
    ("currency", "right", "wrong"), [("ISK", 9900, 9950), ("UGX", 250_000, 250_050), ("KWD", 1230, 1235)]
)
def test_amounts_are_multiples_of_the_step(
    academy: Academy, teacher: Person, currency: str, right: int, wrong: int
) -> None:
    made = offer(academy, teacher, "service", price_amount=right, price_currency=currency)
    assert placed(academy, academy.member(), offer_id=made["id"])["amount"] == right
    draft = academy.insert(teacher, "offers", kind="service", title="Odd", price_amount=wrong, price_currency=currency)
    refused(academy.rpc(teacher, "publish_offer", offer_id=draft["id"]), 422, "amount_unpayable")


def coupon(academy: Academy, seller: Person, **columns: Any) -> str:
    """The code of a new coupon."""
    code: str = academy.insert(seller, "coupons", code=uuid.uuid4().hex[:12].upper(), **columns)["code"]
    return code


@pytest.mark.parametrize(
    ("currency", "price", "columns", "amount"),
    [
        ("ISK", 9900, {"percent_off": 15}, 8500),  # 1485 off would leave 8415
        ("UGX", 250_000, {"percent_off": 7}, 232_500),
        ("KWD", 1230, {"percent_off": 15}, 1050),  # 184.5 off
        ("EUR", 1000, {"percent_off": 97}, 50),  # 30 could not be charged
        ("EUR", 1000, {"amount_off": 999, "currency": "EUR"}, 50),
        ("HUF", 20_000, {"percent_off": 50}, 17_500),
        ("EUR", 1000, {"percent_off": 100}, 0),
        ("EUR", 1000, {"amount_off": 5000, "currency": "EUR"}, 0),
    ],
)
def test_a_discount_leaves_what_can_be_charged(
    academy: Academy, teacher: Person, *, currency: str, price: int, columns: dict[str, Any], amount: int
) -> None:
    made = offer(academy, teacher, "service", price_amount=price, price_currency=currency)
    order = placed(academy, academy.member(), offer_id=made["id"], coupon=coupon(academy, teacher, **columns))
    assert (order["amount"], order["discount_amount"]) == (amount, price - amount)
    assert amount == 0 or is_charged(amount, currency.lower())


def test_a_coupon_that_takes_nothing_off_keeps_its_use(academy: Academy, teacher: Person) -> None:
    made = offer(academy, teacher, "service", price_amount=50)
    code = coupon(academy, teacher, percent_off=50)
    answer = academy.rpc(academy.member(), "place_order", offer_id=made["id"], coupon=code)
    refused(answer, 422, "coupon_invalid")
    assert academy.sql("select used_count from public.coupons where code = %s", code) == [(0,)]


def test_parts_that_cannot_be_moved_are_refused(academy: Academy, stripe_double: StripeDouble, admin: Person) -> None:
    hold_balance(academy, stripe_double, "ISK")
    seller = academy.member("teacher")
    account = stripe_id("acct")
    academy.sql("select private.bind_payout_account(%s, %s)", seller.id, account)
    person = {
        "id": account,
        "object": "account",
        "details_submitted": True,
        "payouts_enabled": True,
        "capabilities": {"transfers": "active"},
    }
    assert deliver(academy, event("account.updated", person)) == "applied"
    made = offer(academy, seller, "service", price_amount=500_300, price_currency="ISK")
    order = placed(academy, academy.member(), offer_id=made["id"])
    pay(academy, order)
    refused(academy.rpc(admin, "refund_order", order_id=order["id"], amount=150), 422, "amount_unpayable")
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", seller.id)
    # 425,255 are the seller's.
    refused(academy.rpc(seller, "request_payout", currency="ISK", amount=200_050), 422, "amount_unpayable")
    answer = academy.rpc(seller, "request_payout", currency="ISK")
    assert (answer.status_code, answer.json()["amount"]) == (200, 425_200), answer.text
    balances = f"/rest/v1/balances?user_id=eq.{seller.id}&currency=eq.ISK"
    assert rows(academy.call(seller, "GET", balances))[0]["balance_amount"] == 55
    # Nor can what is paid out after the account was deleted.
    assert academy.rpc(admin, "cancel_payout", payout_id=answer.json()["id"]).status_code == 200
    assert academy.rpc(seller, "deliver_order", order_id=order["id"]).status_code == 200
    assert academy.rpc(admin, "delete_user", user_id=seller.id, obligations={"balance": "keep"}).status_code == 204
    left = academy.rpc(admin, "close_obligations", user_id=seller.id, obligations={"balance": "pay_out"})
    assert {(each["kind"], each["amount"]) for each in rows(left)} == {("payout", 425_200), ("balance", 55)}
