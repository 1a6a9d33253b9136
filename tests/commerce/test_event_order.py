"""Stripe's events in any order: delivered late, twice and out of order, they end in the same state."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commerce.additions import Extended, extended
from tests.commerce.stripe_events import (
    Event,
    Object,
    charge,
    dispute,
    event,
    invoice,
    invoice_line,
    invoice_payment,
    refund,
    session,
    stripe_id,
    subscription,
    this_second,
)
from tests.databases import Databases
from tests.people import Academy, Person

MONTH = 30 * 86_400
STATE = """
select jsonb_build_object(
    'orders', (
        select jsonb_agg(
            jsonb_build_array(
                o.title, o.status, o.paid_amount, o.tax_amount, o.refunded_amount, o.disputed_amount,
                -- A switch of plans counts from the second in which it was reported.
                case when o.paid_amount > 0 then o.period_starts_at end, o.period_ends_at,
                (
                    select jsonb_agg(coalesce(e.ends_at > now(), true)) from public.entitlements as e
                    where e.order_id = o.id
                )
            )
            order by o.period_ends_at, o.title, o.paid_amount, o.status
        )
        from public.orders as o where o.buyer_id = %(buyer)s
    ),
    'subscriptions', (
        select jsonb_agg(
            jsonb_build_array(s.status, s.is_ending, s.period_ends_at, s.offer_id, s.ended_at) order by s.created_at
        )
        from public.subscriptions as s where s.user_id = %(buyer)s
    ),
    'ledger', (
        select jsonb_object_agg(t.kind, t.amount)
        from (
            select l.account_kind::text as kind, sum(l.amount) as amount from public.ledger_entries as l
            join public.orders as o on o.id = l.order_id
            where o.buyer_id = %(buyer)s
            group by 1
        ) as t
        where t.amount <> 0
    ),
    'refunds', (
        select jsonb_agg(jsonb_build_array(r.amount, r.status) order by r.amount, r.status) from public.refunds as r
        where r.buyer_id = %(buyer)s
    ),
    'disputes', (
        select jsonb_agg(jsonb_build_array(d.amount, d.status) order by d.amount, d.status) from public.disputes as d
        join public.orders as o on o.id = d.order_id where o.buyer_id = %(buyer)s
    ),
    'exceptions', (
        select jsonb_agg(jsonb_build_array(x.kind, x.reason, x.resolved_at is null) order by x.kind, x.reason)
        from public.payment_exceptions as x
        join public.orders as o on o.id = x.order_id where o.buyer_id = %(buyer)s
    ),
    'splits', (
        select jsonb_agg(jsonb_build_array(p.amount, p.returned_amount) order by p.amount, p.returned_amount)
        from public.payment_splits as p
        join public.orders as o on o.id = p.order_id where o.buyer_id = %(buyer)s
    )
)
"""
"""What must not depend on the order of events, of one buyer."""

EventSequence = Callable[["Market", Person], list[Event]]


class Market:
    """A seller with a service and two plans, and a database without a worker, which would ask Stripe."""

    def __init__(self, database: Extended) -> None:
        self.database = database
        self.seller = database.member("teacher")
        self.service = self.offer("service", "Critique", 5000, None)
        self.plan = self.offer("membership", "Plain", 1000, "month")
        self.better = self.offer("membership", "Better", 3000, "month")
        self.product, self.better_product = (self.product_of(each) for each in (self.plan, self.better))
        # Whole seconds, the same for all sequences, so that ends of periods can be compared.
        self.now = this_second()

    def offer(self, kind: str, title: str, price: int, interval: str | None) -> str:
        """An offer on sale; its id."""
        offer_id: str = self.database.act(
            self.seller,
            "insert into public.offers (kind, title, price_amount, billing_interval) values (%s, %s, %s, %s)"
            " returning id::text",
            kind,
            title,
            price,
            interval,
        )
        self.database.act(self.seller, "select public.publish_offer(%s)", offer_id)
        return offer_id

    def product_of(self, offer_id: str) -> str:
        """The product that an offer gets at Stripe."""
        product = stripe_id("prod")
        self.database.sql("select private.bind_stripe_object(%s, 'product', %s)::text", product, offer_id)
        return product

    def order(self, buyer: Person, offer_id: str) -> Object:
        """An order."""
        row: Object = self.database.act(buyer, "select to_jsonb(public.place_order(offer_id => %s))", offer_id)
        return row

    def run(self, sequence: EventSequence, arrange: Callable[[list[Event]], Sequence[Event]]) -> Object:
        """Deliver the events of a new buyer as arranged; returns the state in the end."""
        buyer = self.database.member()
        events = sequence(self, buyer)
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            for each in arrange(events):
                payload = json.dumps({"id": each.id, "created": each.created, "data": {"object": each.object}})
                row = connection.execute(
                    "select private.receive_webhook('stripe', %s, %s, %s)::text", [each.id, each.type, payload]
                ).fetchone()
                assert row is not None
                assert row[0] != "failed", connection.execute(
                    "select type, error from private.webhook_inbox where event_id = %s", [each.id]
                ).fetchall()
            self._refetch(connection, events)
            left = "select type, waits_for from private.webhook_inbox where event_id = any(%s) and status = 'waiting'"
            assert connection.execute(left, [[each.id for each in events]]).fetchall() == []
            found = connection.execute(STATE.encode(), {"buyer": buyer.id}).fetchone()
        assert found is not None
        state: Object = found[0]
        return state

    @staticmethod
    def _refetch(connection: psycopg.Connection, events: list[Event]) -> None:
        """Apply the last state of a subscription, as the worker does after two events of one second."""
        last = [each for each in events if each.object["object"] == "subscription"][-1:]
        for each in last:
            jobs = "select from procrastinate.procrastinate_jobs where queueing_lock = %s"
            if connection.execute(jobs, [f"refetch_subscription:{each.object['id']}"]).fetchall():
                connection.execute(
                    "select private.apply_stripe_object(%s, to_timestamp(%s))",
                    [json.dumps(each.object), each.created + 1],
                )


def card(market: Market, buyer: Person) -> list[Event]:
    """A payment by card, refunded in part in the dashboard, disputed, lost, and won by an appeal."""
    order = market.order(buyer, market.service)
    done, at = session(order), market.now
    intent = done["payment_intent"]
    paid = charge(intent, customer=done["customer"], metadata={"order_id": order["id"]})
    back, about = refund(intent, 1500), dispute(intent, 3500)
    return [
        event("charge.succeeded", paid, created=at),
        event("checkout.session.completed", done, created=at),
        event("refund.created", {**back, "status": "pending"}, created=at + 10),
        event("refund.updated", back, created=at + 10),
        event("charge.dispute.created", {**about, "status": "warning_needs_response"}, created=at + 20),
        event("charge.dispute.updated", about, created=at + 21),
        event("charge.dispute.funds_withdrawn", about, created=at + 21),
        event("charge.dispute.closed", {**about, "status": "lost"}, created=at + 30),
        event("charge.dispute.updated", {**about, "status": "appeal_under_review"}, created=at + 40),
        event("charge.dispute.closed", {**about, "status": "won"}, created=at + 50),
        event("charge.dispute.funds_reinstated", {**about, "status": "won"}, created=at + 50),
    ]


def failed_refund(market: Market, buyer: Person) -> list[Event]:
    """A payment by card whose refund fails after it had succeeded."""
    order = market.order(buyer, market.service)
    done, at = session(order, amount_total=6050, amount_subtotal=5000, total_details={"amount_tax": 1050}), market.now
    back = refund(done["payment_intent"], 6050)
    return [
        event("checkout.session.completed", done, created=at),
        event("refund.created", back, created=at + 1),
        event("refund.failed", {**back, "status": "failed"}, created=at + 2),
    ]


def debit(market: Market, buyer: Person) -> list[Event]:
    """A payment by bank debit, which takes days and succeeds."""
    order = market.order(buyer, market.service)
    slow, at = session(order, paid=False), market.now
    return [
        event("checkout.session.completed", slow, created=at),
        event("checkout.session.async_payment_succeeded", {**slow, "payment_status": "paid"}, created=at + 86_400),
        event("charge.succeeded", charge(slow["payment_intent"], customer=slow["customer"]), created=at + 86_400),
    ]


def failed_debit(market: Market, buyer: Person) -> list[Event]:
    """A payment by bank debit, which fails."""
    order = market.order(buyer, market.service)
    slow, at = session(order, paid=False), market.now
    return [
        event("checkout.session.completed", slow, created=at),
        event("checkout.session.async_payment_failed", slow, created=at + 86_400),
    ]


def paid_twice(market: Market, buyer: Person) -> list[Event]:
    """An order that was paid on two pages, and the refund of the second payment."""
    order = market.order(buyer, market.service)
    first, at = session(order), market.now
    return [
        event("checkout.session.completed", first, created=at),
        event("checkout.session.completed", first, created=at + 1),
    ]


def membership(market: Market, buyer: Person, *, trial: bool = False) -> list[Event]:
    """A subscription: first payment, renewal, upgrade with prorations, dispute, refunds, and its end."""
    order = market.order(buyer, market.plan)
    at, customer = market.now, stripe_id("cus")
    begun = at + (7 * 86_400 if trial else 0)
    ends = [begun + MONTH, begun + 2 * MONTH]
    about = subscription(order, begun if trial else ends[0], status="trialing" if trial else "active")
    price = {"id": stripe_id("price"), "product": market.product}
    better = {"id": stripe_id("price"), "product": market.better_product}

    def as_of(created: int, ends_at: int, item: Object, **more: Any) -> Event:
        kind = "deleted" if more.get("status") == "canceled" else "updated"
        items = {"data": [{"current_period_end": ends_at, "price": item}]}
        state = {**about, "status": "active", "items": items, **more}
        return event(f"customer.subscription.{kind}", state, created=created)

    def invoiced(
        amount: int, created: int, lines: list[Object], reason: str, intent: str | None, **more: Any
    ) -> list[Event]:
        paid = invoice(about, amount, 0, 0, reason=reason, lines=lines, **more)
        found = [event("invoice.paid", paid, created=created)]
        if intent is not None:
            found = [
                event("charge.succeeded", charge(intent, customer=customer), created=created),
                event("invoice_payment.paid", invoice_payment(paid, intent), created=created),
                *found,
            ]
        return found

    first, second, third = stripe_id("pi"), stripe_id("pi"), stripe_id("pi")
    upgraded, over = begun + MONTH + 86_400, begun + MONTH + 5 * 86_400
    back, taken = refund(first, 400), dispute(second, 1210)
    events = [
        event(
            "checkout.session.completed",
            session(order, mode="subscription", payment_intent=None, customer=customer),
            created=at,
        ),
        event("customer.subscription.created", about, created=at),
    ]
    line = invoice_line(at, begun, 0, product=market.product)
    if trial:
        events += invoiced(0, at, [line], "subscription_create", None)
    line = invoice_line(begun, ends[0], 1000, product=market.product)
    reason = "subscription_cycle" if trial else "subscription_create"
    events += invoiced(1000, begun, [line], reason, first)
    events += [
        as_of(begun, ends[0], price),
        event("refund.created", back, created=begun + 60),
        as_of(ends[0], ends[1], price),
        *invoiced(
            1210,
            ends[0],
            [invoice_line(ends[0], ends[1], 1000, product=market.product)],
            "subscription_cycle",
            second,
            subtotal=1000,
            total_taxes=[{"amount": 210}],
        ),
        as_of(upgraded, ends[1], better),
        *invoiced(
            1900,
            upgraded,
            [
                invoice_line(upgraded, ends[1], -900, product=market.product, proration=True),
                invoice_line(upgraded, ends[1], 2800, product=market.better_product, proration=True),
            ],
            "subscription_update",
            third,
        ),
        event("charge.dispute.created", taken, created=upgraded + 9),
        event("charge.dispute.closed", {**taken, "status": "lost"}, created=upgraded + 99),
        as_of(over, ends[1], better, cancel_at_period_end=True),
        as_of(over + 9, ends[1], better, status="canceled", ended_at=over + 9),
        event("refund.created", refund(third, 1900), created=over + 9),
    ]
    return events


def trial(market: Market, buyer: Person) -> list[Event]:
    """The same after a free trial."""
    return membership(market, buyer, trial=True)


SEQUENCES: list[EventSequence] = [card, failed_refund, debit, failed_debit, paid_twice, membership, trial]


@pytest.fixture(scope="module")
def market(academy: Academy, databases: Databases) -> Any:
    """A market in a database of its own."""
    with extended(academy, databases, "select 1") as database:
        yield Market(database)


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.__name__)
def test_every_order_of_arrival_ends_alike(market: Market, sequence: EventSequence) -> None:
    expected = market.run(sequence, list)

    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(seed=st.integers(0, 2**32), repeated=st.floats(0, 1))
    def check(seed: int, repeated: float) -> None:
        chance = random.Random(seed)

        def arrange(events: list[Event]) -> list[Event]:
            found = events + [each for each in events if chance.random() < repeated]
            chance.shuffle(found)
            return found

        assert market.run(sequence, arrange) == expected

    check()


def of_one_second(sequence: EventSequence) -> EventSequence:
    """The same events, those of subscriptions in one second: only Stripe knows which of them came later."""

    def tied(market: Market, buyer: Person) -> list[Event]:
        return [
            msgspec.structs.replace(each, created=market.now) if each.object["object"] == "subscription" else each
            for each in sequence(market, buyer)
        ]

    return tied


@pytest.mark.parametrize("sequence", [membership, trial], ids=lambda sequence: sequence.__name__)
def test_ties_of_one_second_end_alike(market: Market, sequence: EventSequence) -> None:
    tied = of_one_second(sequence)
    expected = market.run(tied, list)

    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(seed=st.integers(0, 2**32))
    def check(seed: int) -> None:
        assert market.run(tied, lambda events: random.Random(seed).sample(events, len(events))) == expected

    check()


def test_a_difference_is_seen(market: Market) -> None:
    """The check itself finds an event that was lost."""
    whole = market.run(card, list)
    assert market.run(card, lambda events: [each for each in events if each.type != "refund.updated"]) != whole
    assert whole["orders"][0][4] == 1500
