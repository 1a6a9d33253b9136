"""Charges that Stripe settles in another currency than the buyer paid: reconciliation, fees and conversions."""

import time
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.commerce.stripe_events import Object, deliver, event, imbalance, offer, pay, placed, refund, stripe_id
from tests.people import Academy, Person


@pytest.fixture
def sold(academy: Academy, teacher: Person) -> Object:
    """An order of 20.00 dollars that is paid: its id, payment and charge."""
    made = offer(academy, teacher, "service", price_amount=2000, price_currency="USD")
    order = placed(academy, academy.member(), offer_id=made["id"])
    payment = pay(academy, order)
    charge = {
        "id": stripe_id("ch"), "object": "charge", "amount": 2000, "currency": "usd", "payment_intent": payment,
        "metadata": {},
    }  # fmt: skip
    assert deliver(academy, event("charge.succeeded", charge)) == "applied"
    return {"order": order, "payment": payment, "charge": charge}


def transaction(kind: str, amount: int, fee: int, source: Object | None) -> Object:
    """A balance transaction in euros, at 0.9 euros a dollar."""
    return {
        "id": stripe_id("txn"), "object": "balance_transaction", "type": kind, "amount": amount, "fee": fee,
        "currency": "eur", "exchange_rate": 0.9 if source else None, "source": source, "created": 1,
    }  # fmt: skip


def keep(academy: Academy, *transactions: Object) -> None:
    """Store balance transactions as the worker does, twice."""
    for _ in range(2):
        academy.sql("select private.upsert_balance_transactions(%s)", Jsonb(list(transactions)))


def entries(academy: Academy, order: Object) -> dict[tuple[str, str, str], int]:
    """The sums of an order's entries by kind of journal, kind of account and currency, without the people's."""
    found = academy.sql(
        "select kind, account_kind::text, currency, sum(amount)::bigint from public.ledger_entries"
        " where order_id = %s and account_kind <> 'payable' group by 1, 2, 3",
        order["id"],
    )
    return {(kind, account, currency): amount for kind, account, currency, amount in found}


def differences(academy: Academy, admin: Person, order: Object) -> list[Any]:
    """The differences of an order between the ledger and Stripe."""
    return list(academy.call(admin, "GET", f"/rest/v1/reconciliation?order_id=eq.{order['id']}").json())


def test_a_charge_that_settles_in_another_currency_agrees_with_the_ledger(
    academy: Academy, admin: Person, sold: Object
) -> None:
    keep(academy, transaction("charge", 1800, 55, sold["charge"]))
    assert differences(academy, admin, sold["order"]) == []
    assert entries(academy, sold["order"]) == {
        ("payment", "provider", "USD"): 2000,
        ("payment", "platform", "USD"): -300,
        ("conversion", "provider", "USD"): -2000,
        ("conversion", "conversion", "USD"): 2000,
        ("conversion", "provider", "EUR"): 1800,
        ("conversion", "conversion", "EUR"): -1800,
        ("fee", "fees", "EUR"): 55,
        ("fee", "provider", "EUR"): -55,
    }
    assert imbalance(academy) == []


def test_a_refund_that_settles_in_another_currency_agrees_with_the_ledger(
    academy: Academy, admin: Person, sold: Object
) -> None:
    made = refund(sold["payment"], 500) | {"currency": "usd"}
    assert deliver(academy, event("refund.created", made)) == "applied"
    # The rate of the refund is another one.
    keep(academy, transaction("charge", 1800, 55, sold["charge"]), transaction("refund", -460, 0, made))
    assert differences(academy, admin, sold["order"]) == []
    found = entries(academy, sold["order"])
    assert found["conversion", "provider", "USD"] == -1500
    assert found["conversion", "provider", "EUR"] == 1800 - 460
    assert imbalance(academy) == []


def test_a_wrong_amount_is_still_found(academy: Academy, admin: Person, sold: Object) -> None:
    keep(academy, transaction("charge", 1620, 55, sold["charge"] | {"amount": 1800}))
    (row,) = differences(academy, admin, sold["order"])
    assert (row["currency"], row["ledger_amount"], row["provider_amount"], row["reason"]) == (
        "USD", 2000, 1800, "amounts_differ",
    )  # fmt: skip


def test_a_transaction_of_a_test_clock_hides_no_later_one(academy: Academy) -> None:
    with psycopg.connect(academy.admin_db_url) as connection:
        connection.execute("delete from private.balance_transactions")
        future = transaction("stripe_fee", -10, 0, None) | {"created": int(time.time()) + 90 * 86_400}
        present = transaction("stripe_fee", -10, 0, None) | {"created": int(time.time()) - 60}
        connection.execute("select private.upsert_balance_transactions(%s)", [Jsonb([future, present])])
        since = connection.execute("select private.newest_balance_transaction()").fetchone()
        assert since == (present["created"] - 86_400,)
        connection.rollback()


def test_a_charge_that_settles_in_its_own_currency_converts_nothing(
    academy: Academy, admin: Person, sold: Object
) -> None:
    keep(academy, transaction("charge", 2000, 60, sold["charge"]) | {"currency": "usd"})
    assert differences(academy, admin, sold["order"]) == []
    assert not any(kind == "conversion" for kind, _, _ in entries(academy, sold["order"]))
