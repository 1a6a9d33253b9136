"""Sessions, payments and pages in tests of the double."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import stripe

from tests.stripe_double import OwnDouble

RETURN_URL = "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}"
CANCEL_URL = "https://shop.example/cart"


def open_session(double: OwnDouble, amount: int = 1500, currency: str = "eur", **changes: Any) -> Any:
    """An open session for one item."""
    price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "A course"}}
    params: Any = {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 1}],
        "success_url": RETURN_URL,
        "cancel_url": CANCEL_URL,
    }
    return double.v1.checkout.sessions.create(params | changes)


def intent_of(double: OwnDouble, session_id: str) -> Any:
    """The payment intent of a session, with its charge."""
    intent_id = double.v1.checkout.sessions.retrieve(session_id).payment_intent
    return double.v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]})


def paid_charge(double: OwnDouble, amount: int = 1500, currency: str = "eur", **changes: Any) -> Any:
    """The charge of a paid session."""
    session = open_session(double, amount, currency, **changes)
    double.pay(session.id)
    return intent_of(double, session.id).latest_charge


def transaction(double: OwnDouble, transaction_id: str) -> Any:
    """A balance transaction."""
    [found] = [each for each in transactions(double) if each.id == transaction_id]
    return found


def transactions(double: OwnDouble) -> list[Any]:
    """The newest balance transactions."""
    found: list[Any] = double.v1.balance_transactions.list({"limit": 100}).data
    return found


def available(double: OwnDouble, currency: str) -> int:
    """The available balance."""
    return sum(each.net for each in transactions(double) if each.currency == currency)


def assert_refused(call: Callable[[], object], status: int, code: str | None, param: str | None = None) -> str:
    """Assert that a call fails with this error; returns its message."""
    with pytest.raises(stripe.StripeError) as failure:
        call()
    error = failure.value
    assert (error.http_status, error.code, getattr(error, "param", None)) == (status, code, param), str(error)
    return str(error)


def as_dict(found: Any) -> dict[str, Any]:
    """An object of the client as a dict."""
    fields: dict[str, Any] = found.to_dict()
    return fields


def press(page: httpx.Response, action: str) -> httpx.Response:
    """Submit the form of a page by one of its buttons."""
    form = re.search(rf'<form method="post" action="([^"]+)">(?:(?!</form>).)*value="{action}"', page.text)
    assert form is not None, page.text
    return httpx.post(page.url.join(form[1]), data={"action": action})


def day(instant: int) -> str:
    """The date of an instant in seconds since 1970."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d")


def noon(year: int, month: int, date: int) -> datetime:
    """Noon of a date."""
    return datetime(year, month, date, 12, tzinfo=UTC)
