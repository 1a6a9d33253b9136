"""The end of an account or a role at Stripe's double: subscriptions, payment pages, customers, refunds."""

import uuid
from typing import Any

import httpx
import pytest

from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import Object, Shop
from tests.edge.test_subscriptions import PORTAL, Subscriber
from tests.people import Academy, Person, refused, rows
from tests.waiting import wait_until


@pytest.fixture
def seller(academy: Academy) -> Person:
    """A teacher whom the test stops."""
    return academy.member("teacher", name="Odile")


@pytest.fixture
def subscriber(academy: Academy, shop: Shop) -> Subscriber:
    """A new subscriber."""
    return Subscriber(academy, shop)


def end(academy: Academy, admin: Person, person: Person, how: str, **more: Any) -> None:
    """Delete, ban, suspend or reinstate a person, or take the role teacher away or give it back."""
    if how == "delete":
        answer = academy.rpc(admin, "delete_user", user_id=person.id, **more)
    elif how in {"revoke_role", "grant_role"}:
        answer = academy.rpc(admin, how, user_id=person.id, role="teacher")
    else:
        answer = academy.rpc(admin, "set_account_status", user_id=person.id, status=how)
    assert answer.status_code == 204, answer.text


def monthly(academy: Academy, seller: Person, **columns: Any) -> Object:
    """Monthly support of a seller."""
    return offer(academy, seller, "creator_subscription", billing_interval="month", **columns)


def statuses(shop: Shop, customer: str) -> list[str]:
    """The statuses of all subscriptions of a customer at Stripe."""
    found = shop.double.client.v1.subscriptions.list({"customer": customer, "status": "all"})
    return sorted(each.status for each in found.data)


def at_stripe(academy: Academy, shop: Shop, subscription_id: str) -> Object:
    """A subscription of ours as Stripe has it."""
    ((name,),) = academy.sql("select private.stripe_id_of('subscription', %s)", subscription_id)
    found: Object = shop.double.client.v1.subscriptions.retrieve(name).to_dict()
    return found


def resumed(subscriber: Subscriber, subscription: Object) -> httpx.Response:
    """The answer to the subscriber who resumes a subscription."""
    return subscriber.act("resume", subscription)


@pytest.mark.parametrize("how", ["delete", "banned"])
def test_a_person_who_is_stopped_is_charged_no_more(
    academy: Academy, shop: Shop, admin: Person, seller: Person, subscriber: Subscriber, *, how: str
) -> None:
    """Seen: after the trial, a person whose account was deleted was charged 10.00."""
    on_trial = monthly(academy, seller, trial_days=14)
    begun = subscriber.subscribe(on_trial["id"])
    assert begun["status"] == "trialing"
    end(academy, admin, subscriber.person, how)
    wait_until(lambda: statuses(shop, subscriber.customer) == ["canceled"])
    wait_until(
        lambda: academy.sql("select status from public.subscriptions where id = %s", begun["id"]) == [("ended",)]
    )
    subscriber.wait(40)
    assert academy.sql("select sum(paid_amount) from public.orders where buyer_id = %s", subscriber.person.id) == [(0,)]
    assert imbalance(academy) == []


def customer_of(academy: Academy, person: Person) -> str | None:
    """The customer of a person at Stripe."""
    ((name,),) = academy.sql("select private.stripe_id_of('customer', %s)", person.id)
    return None if name is None else str(name)


@pytest.mark.parametrize("how", ["delete", "banned"])
def test_the_customer_is_deleted_and_a_reinstated_person_gets_another(
    academy: Academy, shop: Shop, admin: Person, seller: Person, how: str
) -> None:
    person = academy.member()
    tip = offer(academy, seller, "tip", maximum_amount=5000)
    shop.begin(person, offer_id=tip["id"], amount=2000)
    former = customer_of(academy, person)
    assert former is not None
    end(academy, admin, person, how)
    wait_until(lambda: shop.double.client.v1.customers.retrieve(former).to_dict().get("deleted"))
    assert customer_of(academy, person) is None
    if how == "banned":
        end(academy, admin, person, "active")
        shop.buy(person, offer_id=tip["id"], amount=2000)
        assert customer_of(academy, person) not in {None, former}


@pytest.mark.parametrize("who", ["buyer", "seller"])
@pytest.mark.parametrize("how", ["delete", "banned", "suspended"])
def test_open_pages_close(academy: Academy, shop: Shop, admin: Person, seller: Person, *, who: str, how: str) -> None:
    """Seen: the open payment pages of a deleted buyer stayed payable, and those of a banned seller sold."""
    buyer = academy.member()
    tip = offer(academy, seller, "tip", maximum_amount=5000)
    begun = shop.begin(buyer, offer_id=tip["id"], amount=2000)
    end(academy, admin, {"buyer": buyer, "seller": seller}[who], how)
    assert academy.sql("select status from public.orders where id = %s", begun["order_id"]) == [("cancelled",)]
    wait_until(lambda: shop.session(begun["session_id"])["status"] == "expired")


def test_a_suspended_person_may_stop_paying_and_not_begin_again(
    academy: Academy, admin: Person, seller: Person, subscriber: Subscriber
) -> None:
    """Seen: a suspended user could resume a subscription."""
    begun = subscriber.subscribe(monthly(academy, seller)["id"])
    end(academy, admin, subscriber.person, "suspended")
    ending = subscriber.act("cancel", begun)
    assert (ending.status_code, ending.json()["is_ending"]) == (200, True), ending.text
    refused(resumed(subscriber, begun), 403, "account_inactive")
    refused(academy.call(subscriber.person, "POST", PORTAL, {}), 403, "account_inactive")
    assert subscriber.subscription()["is_ending"] is True
    end(academy, admin, subscriber.person, "active")
    assert resumed(subscriber, begun).json()["is_ending"] is False


@pytest.mark.parametrize(("stop", "undo"), [("suspended", "active"), ("revoke_role", "grant_role")])
def test_renewals_pause_with_the_seller_and_go_on_afterwards(
    academy: Academy, shop: Shop, admin: Person, seller: Person, subscriber: Subscriber, *, stop: str, undo: str
) -> None:
    begun = subscriber.subscribe(monthly(academy, seller)["id"])
    end(academy, admin, seller, stop)
    assert subscriber.subscription()["is_paused"] is True
    wait_until(lambda: (at_stripe(academy, shop, begun["id"])["pause_collection"] or {}).get("behavior") == "void")
    subscriber.wait(31.5)
    assert subscriber.orders() == [("paid", 1000)]
    assert subscriber.subscription()["status"] == "active"
    subscriber.wait(2)
    assert not subscriber.is_entitled()

    end(academy, admin, seller, undo)
    assert subscriber.subscription()["is_paused"] is False
    wait_until(lambda: at_stripe(academy, shop, begun["id"])["pause_collection"] is None)
    subscriber.wait(31)
    assert subscriber.orders() == [("paid", 1000), ("paid", 1000)]
    assert subscriber.is_entitled()
    mails = academy.sql(
        "select template from private.mail_outbox where user_id = %s and template like 'renewals%%' order by id",
        subscriber.person.id,
    )
    assert mails == [("renewals_paused",), ("renewals_resumed",)]


def test_a_pause_that_somebody_else_made_at_stripe_stays(
    academy: Academy, shop: Shop, admin: Person, seller: Person, subscriber: Subscriber
) -> None:
    begun = subscriber.subscribe(monthly(academy, seller)["id"])
    name = at_stripe(academy, shop, begun["id"])["id"]
    shop.double.client.v1.subscriptions.update(name, {"pause_collection": {"behavior": "keep_as_draft"}})
    shop.delivered(name)
    done = "select from procrastinate.procrastinate_jobs where args ->> 'subscription_id' = %s"
    for how in ("suspended", "active"):
        end(academy, admin, seller, how)
        wait_until(lambda: academy.sql(done, begun["id"]) == [])
    assert at_stripe(academy, shop, begun["id"])["pause_collection"]["behavior"] == "keep_as_draft"


@pytest.mark.parametrize("how", ["banned", "delete"])
def test_subscriptions_to_a_seller_who_left_end_with_the_paid_period(
    academy: Academy, shop: Shop, admin: Person, seller: Person, subscriber: Subscriber, *, how: str
) -> None:
    begun = subscriber.subscribe(monthly(academy, seller)["id"])
    more: dict[str, Any] = {"obligations": {"subscriber": "end", "balance": "keep"}} if how == "delete" else {}
    end(academy, admin, seller, how, **more)
    wait_until(lambda: subscriber.subscription()["is_ending"])
    assert subscriber.is_entitled()
    refused(resumed(subscriber, begun), 409, "seller_unavailable")
    name = at_stripe(academy, shop, begun["id"])["id"]
    # The subscriber keeps it in the billing portal, which asks nobody.
    shop.double.client.v1.subscriptions.update(name, {"cancel_at_period_end": False})
    shop.delivered(name)
    wait_until(lambda: at_stripe(academy, shop, begun["id"])["cancel_at_period_end"])
    subscriber.wait(31.5)
    assert subscriber.subscription()["status"] == "ended"
    assert subscriber.orders() == [("paid", 1000)]
    mails = "select count(*) from private.mail_outbox where user_id = %s and template = 'membership_ending'"
    assert academy.sql(mails, subscriber.person.id) == [(1,)]


def test_a_subscription_that_begins_while_its_seller_is_banned_ends(
    academy: Academy, shop: Shop, admin: Person, seller: Person, subscriber: Subscriber
) -> None:
    begun = shop.begin(subscriber.person, offer_id=monthly(academy, seller)["id"])
    shop.double.post("webhooks/hold", contains=subscriber.customer)
    shop.double.pay(begun["session_id"])
    end(academy, admin, seller, "banned")
    shop.double.post("webhooks/release", contains=subscriber.customer, order="newest")
    shop.delivered(subscriber.customer)
    found = shop.double.client.v1.subscriptions
    wait_until(
        lambda: all(
            each.cancel_at_period_end or each.status == "canceled"
            for each in found.list({"customer": subscriber.customer, "status": "all"}).data
        )
    )


def test_open_work_of_a_banned_seller_is_refunded_at_stripe(
    academy: Academy, shop: Shop, admin: Person, seller: Person
) -> None:
    buyer = academy.member()
    service = offer(academy, seller, "service")
    order = shop.buy(buyer, offer_id=service["id"])
    end(academy, admin, seller, "banned")
    wait_until(lambda: shop.order(buyer, order["id"])["refunded_amount"] == 1000)
    assert academy.sql("select status from public.fulfilments where order_id = %s", order["id"]) == [("cancelled",)]
    assert academy.sql("select balance_amount from public.balances where user_id = %s", seller.id) == [(0,)]
    (entry,) = rows(academy.call(admin, "GET", f"/rest/v1/audit_log?target_id=eq.{order['id']}&action=eq.order.refund"))
    assert entry["actor_id"] == admin.id
    assert imbalance(academy) == []


def test_erasing_at_the_edge_asks_for_obligations_before_files_are_removed(
    academy: Academy, shop: Shop, admin: Person, seller: Person
) -> None:
    buyer = academy.member()
    shop.buy(buyer, offer_id=offer(academy, seller, "tip", maximum_amount=5000)["id"], amount=2000)
    path = f"avatars/{seller.id}/face.png"
    headers = {
        "apikey": academy.publishable_key,
        "authorization": f"Bearer {seller.token}",
        "content-type": "image/png",
    }
    made = academy.http.post(f"/storage/v1/object/{path}", content=b"\x89PNG\r\n\x1a\n" + b"x" * 50, headers=headers)
    assert made.status_code == 200, made.text
    own = f"/functions/v1/users/{seller.id}"
    for who in (seller, admin):
        refused(academy.call(who, "DELETE", own), 409, "account_has_obligations")
    assert academy.sql("select count(*) from storage.objects where name like %s", f"{seller.id}/%") == [(1,)]
    refused(academy.call(seller, "DELETE", f"{own}?obligations=balance:keep"), 403, "role_required")
    refused(
        academy.call(admin, "DELETE", f"{own}?obligations=balance:{uuid.uuid4().hex}"), 422, "obligation_way_unknown"
    )
    assert academy.call(admin, "DELETE", f"{own}?obligations=balance:keep").status_code == 204
    assert academy.sql("select count(*) from storage.objects where name like %s", f"{seller.id}/%") == [(0,)]
