"""Stripe's objects and events for tests, delivered to the database as the edge delivers a verified webhook."""

import functools
import json
import os
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


@functools.lru_cache(maxsize=1)
def _second_of(_test: str) -> int:
    return int(time.time())


def this_second() -> int:
    """The second in which all events of a test happen that name no other one, however long the test takes."""
    return _second_of(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event that can be delivered more than once."""

    id: str
    type: str
    created: int
    object: Object


def event(type_: str, object_: Object, *, created: int | None = None) -> Event:
    """An event about an object, at that second or in the second of the test."""
    return Event(id=stripe_id("evt"), type=type_, created=created or this_second(), object=object_)


def deliver(academy: Academy, sent: Event) -> str:
    """Deliver an event to the database; returns its status."""
    payload = {"id": sent.id, "type": sent.type, "created": sent.created, "data": {"object": sent.object}}
    ((status,),) = academy.sql(
        "select private.receive_webhook('stripe', %s, %s, %s)::text", sent.id, sent.type, json.dumps(payload)
    )
    assert isinstance(status, str)
    return status


def session(order: Object, *, payment: str | None = None, paid: bool = True, **more: Any) -> Object:
    """A complete Checkout Session of an order, paid by a payment intent or still processing."""
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
    """A refund of a payment; `refund_id` names the refund of ours that it carries out."""
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
    """A subscription that an order started, paid until `ends_at` (seconds since 1970)."""
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


def charge(payment: str, **more: Any) -> Object:
    """The charge of a payment."""
    return {
        "id": stripe_id("ch"),
        "object": "charge",
        "payment_intent": payment,
        "customer": None,
        "metadata": {},
        **more,
    }


def invoice_payment(about: Object, payment: str) -> Object:
    """The payment of an invoice."""
    return {
        "id": stripe_id("inpay"),
        "object": "invoice_payment",
        "invoice": about["id"],
        "status": "paid",
        "payment": {"type": "payment_intent", "payment_intent": payment},
    }


def invoice_line(starts_at: int, ends_at: int, amount: int, *, product: str = "", proration: bool = False) -> Object:
    """A line of an invoice: a period of a product at Stripe, or what a switch to it within a period costs."""
    return {
        "amount": amount,
        "period": {"start": starts_at, "end": ends_at},
        "parent": {"subscription_item_details": {"proration": proration}},
        "pricing": {"price_details": {"price": stripe_id("price"), "product": product or stripe_id("prod")}},
    }


def invoice(
    about: Object,
    amount: int,
    starts_at: int,
    ends_at: int,
    *,
    reason: str = "subscription_create",
    lines: list[Object] | None = None,
    **more: Any,
) -> Object:
    """A paid invoice of a period of a subscription."""
    return {
        "id": stripe_id("in"),
        "object": "invoice",
        "status": "paid",
        "amount_paid": amount,
        "currency": "eur",
        "billing_reason": reason,
        "parent": {"subscription_details": {"subscription": about["id"], "metadata": about["metadata"]}},
        "lines": {"data": lines or [invoice_line(starts_at, ends_at, amount)]},
        **more,
    }


def pay(academy: Academy, order: Object) -> str:
    """Pay an order by card; returns the payment intent."""
    done = session(order)
    assert deliver(academy, event("checkout.session.completed", done)) == "applied"
    payment: str = done["payment_intent"]
    return payment


def offer(
    academy: Academy, seller: Person, kind: str, *, licence_terms: Object | None = None, **columns: Any
) -> Object:
    """An offer on sale."""
    made = academy.insert(seller, "offers", kind=kind, **{"title": f"A {kind}", "price_amount": 1000, **columns})
    if licence_terms is not None:
        academy.insert(seller, "licence_terms", offer_id=made["id"], **licence_terms)
    answer = academy.rpc(seller, "publish_offer", offer_id=made["id"])
    assert answer.status_code == 200, answer.text
    row: Object = answer.json()
    return row


def bind_product(academy: Academy, made: Object) -> str:
    """Give an offer a product at Stripe."""
    product = stripe_id("prod")
    academy.sql("select private.bind_stripe_object(%s, 'product', %s)", product, made["id"])
    return product


def placed(academy: Academy, buyer: Person, **arguments: Any) -> Object:
    """Place an order; returns it."""
    answer = academy.rpc(buyer, "place_order", **arguments)
    assert answer.status_code == 200, answer.text
    row: Object = answer.json()
    return row


@contextmanager
def acting_as(academy: Academy, who: Person) -> Iterator[psycopg.Connection]:
    """A transaction of the superuser in which functions see a person as the caller; committed at the end.

    It can delete the jobs that it defers before the worker runs them: Stripe's double does not know these objects.
    """
    with psycopg.connect(academy.admin_db_url) as connection:
        claims = json.dumps({"sub": who.id, "role": "authenticated"})
        connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        yield connection


def requested_refund(
    academy: Academy, admin: Person, order: Object, amount: int | None = None, reason: str = ""
) -> Object:
    """Request a refund as an admin, without the job that would ask Stripe, which does not know the payment."""
    with acting_as(academy, admin) as connection:
        row = connection.execute(
            "select to_jsonb(r) from public.refund_order(%s, %s, %s) as r", [order["id"], amount, reason or None]
        ).fetchone()
        assert row is not None
        requested: Object = row[0]
        connection.execute(
            "delete from procrastinate.procrastinate_jobs where args ->> 'refund_id' = %s", [requested["id"]]
        )
    return requested


def imbalance(academy: Academy) -> list[tuple[Any, ...]]:
    """The currencies in which the ledger does not sum to zero; always empty."""
    return academy.sql(
        "select currency, sum(amount) from public.ledger_entries group by currency having sum(amount) <> 0"
    )
