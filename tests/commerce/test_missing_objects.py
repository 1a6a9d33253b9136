"""What Stripe deleted, archived, or has only in another account or mode: no stored id blocks for ever."""

import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.commerce.stripe_events import (
    deliver,
    event,
    invoice,
    offer,
    placed,
    stripe_id,
    subscription,
    this_second,
)
from tests.people import Academy, Person, concurrently, refused, rows
from tests.waiting import wait_until


def stored(academy: Academy, kind: str, row_id: str) -> str | None:
    """The id at Stripe that is in use for a row."""
    ((found,),) = academy.sql("select private.stripe_id_of(%s, %s)", kind, row_id)
    assert found is None or isinstance(found, str)
    return found


def bind(academy: Academy, kind: str, row_id: str, prefix: str) -> str:
    """Store an id for a row; returns it."""
    name = stripe_id(prefix)
    academy.sql("select private.bind_stripe_object(%s, %s, %s)", name, kind, row_id)
    return name


def attempt(academy: Academy, kind: str, subject: str) -> int:
    """The number in the idempotency key of the next creation."""
    ((number,),) = academy.sql("select private.stripe_attempt(%s, %s)", kind, subject)
    assert isinstance(number, int)
    return number


def test_a_deleted_customer_is_forgotten(academy: Academy) -> None:
    buyer = academy.member()
    customer = bind(academy, "customer", buyer.id, "cus")
    gone = {"id": customer, "object": "customer"}
    assert [deliver(academy, event("customer.deleted", gone)) for _ in range(2)] == ["applied", "ignored"]
    assert stored(academy, "customer", buyer.id) is None
    # The next one has another idempotency key: Stripe would answer the deleted customer to the first one.
    assert attempt(academy, "customer", buyer.id) == 1
    bind_again = bind(academy, "customer", buyer.id, "cus")
    assert stored(academy, "customer", buyer.id) == bind_again
    # A late event of a session that named the deleted customer does not bring it back.
    academy.sql("select private.bind_reference('stripe', 'customer', %s, %s)", customer, uuid.UUID(buyer.id))
    assert stored(academy, "customer", buyer.id) == bind_again


def test_a_customer_of_another_shop_is_foreign(academy: Academy) -> None:
    assert deliver(academy, event("customer.deleted", {"id": stripe_id("cus"), "object": "customer"})) == "foreign"


def test_concurrent_failures_of_one_attempt_count_once(academy: Academy) -> None:
    subject = str(uuid.uuid4())
    concurrently(6, lambda _: academy.sql("select private.renew_stripe_attempt('session', %s, 0)", subject))
    assert attempt(academy, "session", subject) == 1
    academy.sql("select private.renew_stripe_attempt('session', %s, 0)", subject)
    assert attempt(academy, "session", subject) == 1
    academy.sql("select private.renew_stripe_attempt('session', %s, 1)", subject)
    assert attempt(academy, "session", subject) == 2


def deferred(academy: Academy, offer_id: str, kind: str, object_: dict[str, Any]) -> tuple[bool | None, int]:
    """Apply a notice in a transaction that is rolled back; returns its effect, and the jobs that it deferred."""
    with psycopg.connect(academy.admin_db_url) as connection:
        jobs = (
            "select count(*) from procrastinate.procrastinate_jobs where args ->> 'offer_id' = %s and status = 'todo'"
        )
        connection.execute(
            "update procrastinate.procrastinate_jobs set status = 'failed' where args ->> 'offer_id' = %s", [offer_id]
        )
        payload = Jsonb({"created": 1, "data": {"object": object_}})
        is_applied = connection.execute("select private.apply_stripe_notice(%s, %s)", [kind, payload]).fetchone()
        count = connection.execute(jobs, [offer_id]).fetchone()
        connection.rollback()
    assert is_applied is not None
    assert count is not None
    return is_applied[0], count[0]


@pytest.mark.parametrize(("kind", "prefix"), [("product", "prod"), ("price", "price")])
def test_what_was_archived_or_deleted_of_an_offer_on_sale_is_made_again(
    academy: Academy, teacher: Person, kind: str, prefix: str
) -> None:
    draft = academy.insert(teacher, "offers", kind="service", title="A service", price_amount=1000)
    name = bind(academy, kind, draft["id"], prefix)
    archived = {"id": name, "object": kind, "active": False}
    # Not on sale: it is as it should be.
    assert deferred(academy, draft["id"], f"{kind}.updated", archived) == (False, 0)
    on_sale = offer(academy, teacher, "service")
    current = wait_until(lambda: stored(academy, "price", on_sale["id"]) and stored(academy, kind, on_sale["id"]))
    archived = {"id": current, "object": kind, "active": False}
    assert deferred(academy, on_sale["id"], f"{kind}.updated", archived) == (True, 1)
    assert deferred(academy, on_sale["id"], f"{kind}.updated", archived | {"active": True}) == (False, 0)
    assert deferred(academy, on_sale["id"], f"{kind}.updated", archived | {"id": stripe_id(prefix)}) == (None, 0)
    assert deferred(academy, on_sale["id"], f"{kind}.deleted", archived) == (True, 1)


def test_a_subscription_that_stripe_does_not_have_ends_with_what_was_paid(
    academy: Academy, teacher: Person, student: Person
) -> None:
    plan = offer(academy, teacher, "membership", billing_interval="month")
    buyer = academy.member()
    order = placed(academy, buyer, offer_id=plan["id"])
    name = stripe_id("sub")
    subscription = {
        "id": name, "object": "subscription", "status": "active", "metadata": {"order_id": order["id"]},
        "items": {"data": [{"current_period_end": 4_000_000_000}]},
    }  # fmt: skip
    assert deliver(academy, event("customer.subscription.created", subscription)) == "applied"
    assert academy.sql("select private.drop_stripe_id('subscription', %s)", name) == [(True,)]
    assert academy.sql("select private.drop_stripe_id('subscription', %s)", name) == [(False,)]
    (row,) = rows(academy.call(buyer, "GET", "/rest/v1/subscriptions"))
    assert (row["status"], row["ended_at"]) == ("ended", row["period_ends_at"])
    assert rows(academy.call(student, "GET", "/rest/v1/subscriptions")) == []


# Plans of which people have one


def plans(academy: Academy, admin: Person, kind: str) -> tuple[str, str]:
    """Two plans of the platform of a kind."""
    first, second = (
        offer(academy, admin, kind, seller_id=None, title=title, price_amount=1900, billing_interval="month")["id"]
        for title in ("Small", "Large")
    )
    return first, second


@pytest.mark.parametrize("kind", ["creator_plan", "pro_plan"])
def test_two_plans_of_a_kind_at_once_are_refused(academy: Academy, admin: Person, kind: str) -> None:
    buyer = academy.member()
    small, large = plans(academy, admin, kind)
    order = placed(academy, buyer, offer_id=small)
    # Of two open payment pages only one remains.
    other = placed(academy, buyer, offer_id=large)
    statuses = academy.sql("select status::text from public.orders where buyer_id = %s order by created_at", buyer.id)
    assert statuses == [("cancelled",), ("pending",)]
    academy.sql("update public.orders set status = 'processing' where id = %s", other["id"])
    refused(academy.rpc(buyer, "place_order", offer_id=small), 409, "already_subscribed")
    academy.sql("update public.orders set status = 'failed' where id = %s", other["id"])
    order = placed(academy, buyer, offer_id=small)
    academy.sql(
        "insert into public.entitlements (user_id, order_id, offer_id, kind, starts_at, ends_at)"
        " values (%s, %s, %s, %s, now(), now() + interval '1 day')",
        buyer.id, order["id"], small, kind,
    )  # fmt: skip
    refused(academy.rpc(buyer, "place_order", offer_id=large), 409, "already_subscribed")
    academy.sql("update public.entitlements set ends_at = now() where order_id = %s", order["id"])
    assert placed(academy, buyer, offer_id=large)["status"] == "pending"


def test_a_plan_that_renews_excludes_another_though_it_gives_nothing_now(academy: Academy, admin: Person) -> None:
    buyer, now = academy.member(), this_second()
    small, large = plans(academy, admin, "creator_plan")
    order = placed(academy, buyer, offer_id=small)
    about = subscription(order, now + 86400)
    deliver(academy, event("customer.subscription.created", about))
    paid = invoice(about, order["amount"], now, now + 86400, currency=order["currency"].lower())
    assert deliver(academy, event("invoice.paid", paid)) == "applied"
    academy.sql("update public.entitlements set ends_at = greatest(now(), starts_at) where user_id = %s", buyer.id)
    refused(academy.rpc(buyer, "place_order", offer_id=large), 409, "already_subscribed")


def test_memberships_of_several_sellers_are_possible(academy: Academy, teacher: Person) -> None:
    buyer = academy.member()
    ours, theirs = (
        offer(academy, seller, "membership", billing_interval="month")["id"]
        for seller in (teacher, academy.member("teacher"))
    )
    placed(academy, buyer, offer_id=ours)
    assert placed(academy, buyer, offer_id=theirs)["status"] == "pending"
    assert academy.sql("select count(*) from public.orders where buyer_id = %s and status = 'pending'", buyer.id) == [
        (2,)
    ]
