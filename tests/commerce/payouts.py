"""Earnings, payout accounts and payouts for tests, without jobs that would ask Stripe."""

import time
from typing import Any

from tests.commerce.stripe_events import Object, acting_as, deliver, event, offer, pay, placed, stripe_id
from tests.people import Academy, Person, rows
from tests.stripe_double import StripeDouble


def payable_seller(academy: Academy) -> Person:
    """A seller with a payout account and 85 euros that can be paid out."""
    one = academy.member("teacher")
    ready_account(academy, one)
    earn(academy, one, 10000)
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", one.id)
    return one


def ready_account(academy: Academy, seller: Person) -> str:
    """Give a seller an account that can receive; returns its id at Stripe."""
    account = stripe_id("acct")
    academy.sql("select private.bind_payout_account(%s, %s)", seller.id, account)
    assert deliver(academy, event("account.updated", account_object(account))) == "applied"
    return account


def account_object(account: str, **fields: Any) -> Object:
    """A connected account that can receive, as Stripe has it."""
    return {
        "id": account, "object": "account", "country": "DE", "details_submitted": True, "payouts_enabled": True,
        "capabilities": {"transfers": "active"}, **fields,
    }  # fmt: skip


def earn(academy: Academy, seller: Person, amount: int) -> tuple[dict[str, Any], str]:
    """Sell a service at this price; returns the order and the payment."""
    made = offer(academy, seller, "service", price_amount=amount)
    order = placed(academy, academy.member(), offer_id=made["id"])
    return order, pay(academy, order)


def hold_balance(academy: Academy, double: StripeDouble, currency: str) -> None:
    """Have the platform hold money in a currency at Stripe, and the worker know it."""
    double.post("balance", amount=100, currency=currency.lower())
    known = "select from private.provider_balances where currency = %s"
    while not academy.sql(known, currency):
        job = "select private.defer_job('sync_balance', '{\"provider\": \"stripe\"}', 'sync_balance:stripe')"
        academy.sql(job)
        time.sleep(0.1)


def balance(academy: Academy, who: Person) -> dict[str, int]:
    """A person's balance in euros."""
    (row,) = rows(academy.call(who, "GET", f"/rest/v1/balances?user_id=eq.{who.id}&currency=eq.EUR"))
    return {name: row[f"{name}_amount"] for name in ("balance", "pending", "in_transit")}


def requested(academy: Academy, who: Person, **arguments: Any) -> dict[str, Any]:
    """Request a payout; returns it."""
    answer = academy.rpc(who, "request_payout", currency="EUR", **arguments)
    assert answer.status_code == 200, answer.text
    row: dict[str, Any] = answer.json()
    return row


def processed(academy: Academy, admin: Person, payouts: list[str]) -> int:
    """Process payouts, without the jobs that would ask Stripe; returns the number of these jobs."""
    with acting_as(academy, admin) as connection:
        connection.execute("select public.process_payouts(%s::uuid[])", [payouts])
        return connection.execute(
            "delete from procrastinate.procrastinate_jobs where args ->> 'payout_id' = any(%s)", [payouts]
        ).rowcount
