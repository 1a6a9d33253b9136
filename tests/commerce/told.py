"""What Stripe tells of orders, in its words, handed to the database as the edge hands a verified webhook on."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg

from tests.people import Academy, Person

Object = dict[str, Any]


def stripe_id(kind: str) -> str:
    """An id as Stripe makes them: `pi_...`."""
    return f"{kind}_{uuid.uuid4().hex}"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event that may be told again and again."""

    id: str
    type: str
    created: int
    object: Object


def event(type_: str, object_: Object, *, created: int | None = None) -> Event:
    """An event about an object, now or at that second."""
    return Event(id=stripe_id("evt"), type=type_, created=created or int(time.time()), object=object_)


def tell(academy: Academy, told: Event) -> str:
    """Tell the database; answers what became of it."""
    payload = {"id": told.id, "type": told.type, "created": told.created, "data": {"object": told.object}}
    ((status,),) = academy.sql(
        "select private.receive_webhook('stripe', %s, %s, %s)::text", told.id, told.type, json.dumps(payload)
    )
    assert isinstance(status, str)
    return status


def session(order: Object, *, payment: str | None = None, paid: bool = True, **more: Any) -> Object:
    """A Checkout Session of an order that is complete, paid by a payment intent or still under way."""
    return {
        "id": stripe_id("cs"),
        "object": "checkout.session",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid" if paid else "unpaid",
        "payment_intent": payment or stripe_id("pi"),
        "customer": stripe_id("cus"),
        "amount_total": order["amount"],
        "currency": order["currency"].lower(),
        "metadata": {"order_id": order["id"]},
        **more,
    }


def refund(payment: str, amount: int, *, status: str = "succeeded", refund_id: str | None = None) -> Object:
    """A refund of a payment; of ours where `refund_id` says which."""
    return {
        "id": stripe_id("re"),
        "object": "refund",
        "amount": amount,
        "payment_intent": payment,
        "status": status,
        "reason": None,
        "metadata": {"refund_id": refund_id} if refund_id else {},
    }


def dispute(payment: str, amount: int, status: str = "needs_response") -> Object:
    """A dispute of a payment."""
    return {
        "id": stripe_id("du"),
        "object": "dispute",
        "amount": amount,
        "payment_intent": payment,
        "reason": "fraudulent",
        "status": status,
        "metadata": {},
    }


def subscription(order: Object, ends_at: int, status: str = "active", **more: Any) -> Object:
    """A subscription that an order began, paid until then (seconds since 1970)."""
    return {
        "id": stripe_id("sub"),
        "object": "subscription",
        "status": status,
        "cancel_at_period_end": False,
        "trial_end": None,
        "ended_at": None,
        "items": {"data": [{"current_period_end": ends_at}]},
        "metadata": {"order_id": order["id"]},
        **more,
    }


def invoice(about: Object, amount: int, starts_at: int, ends_at: int, *, reason: str = "subscription_create") -> Object:
    """A paid invoice of a period of a subscription."""
    return {
        "id": stripe_id("in"),
        "object": "invoice",
        "status": "paid",
        "amount_paid": amount,
        "currency": "eur",
        "billing_reason": reason,
        "parent": {"subscription_details": {"subscription": about["id"], "metadata": about["metadata"]}},
        "lines": {"data": [{"period": {"start": starts_at, "end": ends_at}}]},
    }


def pay(academy: Academy, order: Object) -> str:
    """Have an order paid by card; answers the payment intent."""
    done = session(order)
    assert tell(academy, event("checkout.session.completed", done)) == "applied"
    payment: str = done["payment_intent"]
    return payment


def offer(academy: Academy, seller: Person, kind: str, **columns: Any) -> Object:
    """An offer on sale."""
    made = academy.insert(seller, "offers", kind=kind, **{"title": f"A {kind}", "price_amount": 1000, **columns})
    answer = academy.rpc(seller, "publish_offer", offer_id=made["id"])
    assert answer.status_code == 200, answer.text
    row: Object = answer.json()
    return row


def placed(academy: Academy, buyer: Person, **arguments: Any) -> Object:
    """An order that was just placed."""
    answer = academy.rpc(buyer, "place_order", **arguments)
    assert answer.status_code == 200, answer.text
    row: Object = answer.json()
    return row


@contextmanager
def acting_as(academy: Academy, who: Person) -> Iterator[psycopg.Connection]:
    """A transaction in which functions take the superuser for somebody; committed at the end.

    It can take away the jobs that it defers, before the worker asks Stripe, which knows nothing of what is told here.
    """
    with psycopg.connect(academy.admin_db_url) as connection:
        claims = json.dumps({"sub": who.id, "role": "authenticated"})
        connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        yield connection


def refund_asked(academy: Academy, admin: Person, order: Object, amount: int | None = None, reason: str = "") -> Object:
    """A refund that an admin asks for, without the job that would ask Stripe, which knows nothing of it."""
    with acting_as(academy, admin) as connection:
        row = connection.execute(
            "select to_jsonb(r) from public.refund_order(%s, %s, %s) as r", [order["id"], amount, reason or None]
        ).fetchone()
        assert row is not None
        asked: Object = row[0]
        connection.execute(
            "delete from procrastinate.procrastinate_jobs where args ->> 'refund_id' = %s", [asked["id"]]
        )
    return asked


def imbalance(academy: Academy) -> list[tuple[Any, ...]]:
    """The currencies in which the ledger does not sum to zero: none, ever."""
    return academy.sql(
        "select currency, sum(amount) from public.ledger_lines group by currency having sum(amount) <> 0"
    )
