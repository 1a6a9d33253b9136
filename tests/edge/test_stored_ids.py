"""Ids that Stripe does not know any more, as after a change of the key, and failures that it keeps for a day."""

import uuid
from typing import Any

import pytest
import stripe

from common.errors import TransientError
from edge.payments import client
from tests.commerce.stripe_events import imbalance, offer, requested_refund
from tests.edge.shop import CHECKOUT, Object, Shop, json_of
from tests.people import Academy, Person, refused, rows
from tests.waiting import wait_until

ACCOUNT = "/functions/v1/payout-account"
PORTAL = "/functions/v1/billing-portal"


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A buyer."""
    return academy.member()


def stored(academy: Academy, kind: str, row_id: str) -> str | None:
    """The id at Stripe that is in use for a row."""
    ((found,),) = academy.sql("select private.stripe_id_of(%s, %s)", kind, row_id)
    assert found is None or isinstance(found, str)
    return found


def lose(academy: Academy, kind: str, row_id: str) -> str:
    """Make the stored id of a row one that the key does not see; returns it."""
    ((name,),) = academy.sql(
        "update private.provider_references set reference = split_part(reference, '_', 1) || '_' || %s"
        " where provider = 'stripe' and object = %s and row_id = %s returning reference",
        uuid.uuid4().hex, kind, row_id,
    )  # fmt: skip
    assert isinstance(name, str)
    return name


def on_sale(academy: Academy, seller: Person, kind: str = "playlist_submission", **columns: Any) -> str:
    """An offer whose product and price Stripe has; returns its id."""
    offer_id: str = offer(academy, seller, kind, **columns)["id"]
    wait_until(lambda: stored(academy, "price", offer_id))
    return offer_id


def buys(shop: Shop, buyer: Person, offer_id: str) -> Object:
    """Check out and pay; returns the order."""
    begun = shop.begin(buyer, offer_id=offer_id)
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    return shop.order(buyer, begun["order_id"])


@pytest.mark.parametrize("lost", [("customer",), ("session",), ("product",), ("customer", "session", "product")])
def test_a_checkout_makes_anew_what_stripe_does_not_have(
    academy: Academy, shop: Shop, teacher: Person, *, buyer: Person, lost: tuple[str, ...]
) -> None:
    offer_id = on_sale(academy, teacher)
    begun = shop.begin(buyer, offer_id=offer_id)
    if "session" not in lost:
        # Its page is closed, so that another is opened.
        shop.double.post("webhooks/drop", contains=begun["order_id"], types=["checkout.session.expired"])
        shop.double.client.v1.checkout.sessions.expire(begun["session_id"])
    subjects = {"customer": buyer.id, "session": begun["order_id"], "product": offer_id}
    names = {kind: lose(academy, kind, subjects[kind]) for kind in lost}
    again = shop.begin(buyer, offer_id=offer_id)
    assert (again["order_id"], again["status"]) == (begun["order_id"], "pending")
    assert again["session_id"] != begun["session_id"]
    for kind, name in names.items():
        if kind == "product":
            wait_until(lambda: stored(academy, "product", offer_id) not in {None, names["product"]})
        assert stored(academy, kind, subjects[kind]) not in {None, name}
    shop.double.pay(again["session_id"])
    assert shop.verify(buyer, again["session_id"])["status"] == "paid"
    assert shop.session(again["session_id"])["customer"] == stored(academy, "customer", buyer.id)


def test_the_portal_of_a_lost_customer_is_404_until_the_next_checkout(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    offer_id = on_sale(academy, teacher)
    buys(shop, buyer, offer_id)
    assert academy.call(buyer, "POST", PORTAL, {}).status_code == 200
    lose(academy, "customer", buyer.id)
    refused(academy.call(buyer, "POST", PORTAL, {}), 404, "customer_not_found")
    assert stored(academy, "customer", buyer.id) is None
    buys(shop, buyer, on_sale(academy, teacher))
    assert academy.call(buyer, "POST", PORTAL, {}).status_code == 200


@pytest.mark.parametrize("word", ["cancel", "resume"])
def test_a_lost_subscription_has_ended_and_another_can_be_bought(
    academy: Academy, shop: Shop, teacher: Person, *, buyer: Person, word: str
) -> None:
    offer_id = on_sale(academy, teacher, "membership", billing_interval="month")
    buys(shop, buyer, offer_id)
    shop.delivered(offer_id)
    (subscription,) = rows(academy.call(buyer, "GET", "/rest/v1/subscriptions"))
    lose(academy, "subscription", subscription["id"])
    answer = academy.call(buyer, "POST", f"/functions/v1/subscriptions/{subscription['id']}/{word}")
    refused(answer, 409, "subscription_ended")
    (ended,) = rows(academy.call(buyer, "GET", "/rest/v1/subscriptions"))
    assert (ended["status"], ended["ended_at"]) == ("ended", ended["period_ends_at"])
    # What was paid stays.
    assert shop.entitlements(buyer)[0]["ends_at"] == ended["period_ends_at"]


def test_a_lost_product_and_price_are_made_anew(academy: Academy, shop: Shop, teacher: Person) -> None:
    offer_id = on_sale(academy, teacher, "membership", billing_interval="month")
    names = {lose(academy, "product", offer_id), lose(academy, "price", offer_id)}
    assert academy.rpc(teacher, "sync_offer", offer_id=offer_id).status_code in {200, 204}
    for kind in ("product", "price"):
        wait_until(lambda: stored(academy, kind, offer_id) not in names | {None})  # noqa: B023
    price = json_of(shop.double.client.v1.prices.retrieve(stored(academy, "price", offer_id) or ""))
    assert (price["product"], price["active"]) == (stored(academy, "product", offer_id), True)


def test_an_archived_product_is_sold_and_activated_again(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    offer_id = on_sale(academy, teacher)
    product = stored(academy, "product", offer_id) or ""
    shop.double.client.v1.products.update(product, {"active": False})
    wait_until(lambda: shop.double.client.v1.products.retrieve(product).active)
    price = stored(academy, "price", offer_id) or ""
    shop.double.client.v1.prices.update(price, {"active": False})
    wait_until(lambda: stored(academy, "price", offer_id) != price)
    assert buys(shop, buyer, offer_id)["status"] == "paid"


# Accounts for payouts


def earner_of(academy: Academy, shop: Shop) -> Person:
    """A teacher with a ready account and earnings of 17.00."""
    seller = academy.member("teacher")
    onboard(academy, shop, seller)
    shop.buy(academy.member(), offer_id=offer(academy, seller, "playlist_submission", price_amount=2000)["id"])
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", seller.id)
    shop.double.post("balance", amount=100_000, currency="eur")
    return seller


def onboard(academy: Academy, shop: Shop, seller: Person) -> None:
    """Make an account, and complete its onboarding."""
    assert academy.call(seller, "POST", ACCOUNT, {}).status_code == 200
    shop.double.post(f"accounts/{stored(academy, 'account', seller.id)}/complete")
    assert academy.call(seller, "GET", ACCOUNT).json()["can_receive"] is True


def approved(academy: Academy, admin: Person, seller: Person) -> str:
    """The id of an approved payout."""
    payout = academy.rpc(seller, "request_payout", currency="EUR")
    assert payout.status_code == 200, payout.text
    assert academy.rpc(admin, "approve_payouts", payout_ids=[payout.json()["id"]]).status_code == 200
    payout_id: str = payout.json()["id"]
    return payout_id


def payout_of(academy: Academy, seller: Person, payout_id: str) -> Object:
    """A payout as the person reads it."""
    (row,) = rows(academy.call(seller, "GET", f"/rest/v1/payouts?id=eq.{payout_id}"))
    return row


def balance_of(academy: Academy, seller: Person) -> int:
    """A person's balance in euros."""
    (row,) = rows(academy.call(seller, "GET", f"/rest/v1/balances?user_id=eq.{seller.id}&currency=eq.EUR"))
    amount: int = row["balance_amount"]
    return amount


def test_a_lost_account_is_made_anew_by_the_onboarding(academy: Academy, shop: Shop) -> None:
    seller = academy.member("teacher")
    academy.call(seller, "POST", ACCOUNT, {})
    lost = lose(academy, "account", seller.id)
    link = academy.call(seller, "POST", f"{ACCOUNT}/onboarding", {})
    assert link.status_code == 200, link.text
    fresh = stored(academy, "account", seller.id)
    assert fresh not in {None, lost}
    shop.double.post(f"accounts/{fresh}/complete")
    assert academy.call(seller, "GET", ACCOUNT).json()["can_receive"] is True


def test_a_lost_account_is_404_and_made_anew_on_request(academy: Academy, shop: Shop, admin: Person) -> None:
    seller = earner_of(academy, shop)
    payout_id = approved(academy, admin, seller)
    lose(academy, "account", seller.id)
    refused(academy.call(seller, "GET", ACCOUNT), 404, "payout_account_not_found")
    assert payout_of(academy, seller, payout_id)["status"] == "cancelled"
    assert balance_of(academy, seller) == 1700
    refused(academy.rpc(seller, "request_payout", currency="EUR"), 409, "payout_account_missing")
    onboard(academy, shop, seller)
    again = approved(academy, admin, seller)
    assert academy.rpc(admin, "process_payouts", payout_ids=[again]).status_code == 200
    wait_until(lambda: payout_of(academy, seller, again)["status"] == "paid")
    assert imbalance(academy) == []


def test_a_payout_to_a_lost_account_returns_to_the_balance(academy: Academy, shop: Shop, admin: Person) -> None:
    seller = earner_of(academy, shop)
    payout_id = approved(academy, admin, seller)
    lose(academy, "account", seller.id)
    assert academy.rpc(admin, "process_payouts", payout_ids=[payout_id]).status_code == 200
    wait_until(lambda: payout_of(academy, seller, payout_id)["status"] == "cancelled")
    assert payout_of(academy, seller, payout_id)["failure"]
    assert balance_of(academy, seller) == 1700
    assert stored(academy, "account", seller.id) is None


def test_a_refund_of_a_payment_that_stripe_does_not_have_fails(
    academy: Academy, shop: Shop, admin: Person, *, teacher: Person, buyer: Person
) -> None:
    order = buys(shop, buyer, on_sale(academy, teacher))
    academy.sql("update private.payments set reference = %s where order_id = %s", f"pi_{uuid.uuid4().hex}", order["id"])
    refund = academy.rpc(admin, "refund_order", order_id=order["id"])
    assert refund.status_code == 200, refund.text
    status = "select status::text from public.refunds where id = %s"
    wait_until(lambda: academy.sql(status, refund.json()["id"]) == [("failed",)])
    # It blocks no other one.
    assert requested_refund(academy, admin, order)["status"] == "pending"


# A failure that Stripe keeps


def fail(shop: Shop, path: str, contains: str, *, status: int = 500, times: int = 1) -> None:
    """Have Stripe fail in the next calls, and repeat that to the same idempotency key."""
    fault = {"path": path, "method": "POST", "contains": contains}
    shop.double.post("faults", is_saved=True, status=status, times=times, **fault)


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/checkout/sessions"])
def test_a_saved_failure_does_not_block_a_buyer(
    academy: Academy, shop: Shop, teacher: Person, *, buyer: Person, path: str
) -> None:
    offer_id = on_sale(academy, teacher)
    fail(shop, path, buyer.id if path == "/v1/customers" else offer_id)
    if path == "/v1/checkout/sessions":
        order = academy.rpc(buyer, "place_order", offer_id=offer_id).json()
        fail(shop, path, order["id"])
    refused(academy.call(buyer, "POST", CHECKOUT, {"offer_id": offer_id}), 503, "payment_provider_unavailable")
    assert buys(shop, buyer, offer_id)["status"] == "paid"
    found = shop.double.client.v1.customers.list({"email": buyer.email}).data
    assert len(found) == 1


def test_a_saved_refusal_does_not_block_a_buyer(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> None:
    offer_id = on_sale(academy, teacher)
    fault = {"path": "/v1/customers", "method": "POST", "contains": buyer.id, "type": "invalid_request_error"}
    shop.double.post("faults", is_saved=True, status=400, **fault)
    refused(academy.call(buyer, "POST", CHECKOUT, {"offer_id": offer_id}), 502, "payment_provider_refused")
    assert buys(shop, buyer, offer_id)["status"] == "paid"


def test_a_saved_failure_does_not_block_an_account(academy: Academy, shop: Shop) -> None:
    seller = academy.member("teacher")
    fail(shop, "/v1/accounts", seller.id)
    refused(academy.call(seller, "POST", ACCOUNT, {}), 503, "payment_provider_unavailable")
    assert academy.call(seller, "POST", ACCOUNT, {}).status_code == 200


def test_a_saved_failure_of_a_refund_is_refunded_once(
    academy: Academy, shop: Shop, admin: Person, *, teacher: Person, buyer: Person
) -> None:
    order = buys(shop, buyer, on_sale(academy, teacher))
    ((intent,),) = academy.sql("select reference from private.payments where order_id = %s", order["id"])
    fail(shop, "/v1/refunds", intent)
    refund = academy.rpc(admin, "refund_order", order_id=order["id"], amount=300)
    status = "select status::text from public.refunds where id = %s"
    wait_until(lambda: academy.sql(status, refund.json()["id"]) == [("succeeded",)], seconds=40)
    assert [each.amount for each in shop.double.client.v1.refunds.list({"payment_intent": intent}).data] == [300]


def test_a_saved_failure_of_a_transfer_pays_once(academy: Academy, shop: Shop, admin: Person) -> None:
    seller = earner_of(academy, shop)
    payout_id = approved(academy, admin, seller)
    fail(shop, "/v1/transfers", payout_id)
    assert academy.rpc(admin, "process_payouts", payout_ids=[payout_id]).status_code == 200
    wait_until(lambda: payout_of(academy, seller, payout_id)["status"] == "paid", seconds=40)
    assert payout_of(academy, seller, payout_id)["attempts"] == 1
    assert len(shop.double.client.v1.transfers.list({"transfer_group": f"payout:{payout_id}"}).data) == 1


def test_a_saved_failure_does_not_block_an_offer(academy: Academy, shop: Shop, teacher: Person) -> None:
    draft = academy.insert(teacher, "offers", kind="service", title="A service", price_amount=1000)
    for path in ("/v1/products", "/v1/prices"):
        fail(shop, path, draft["id"])
    assert academy.rpc(teacher, "publish_offer", offer_id=draft["id"]).status_code == 200
    wait_until(lambda: stored(academy, "price", draft["id"]), seconds=60)


def test_a_key_that_had_other_parameters_does_not_block_an_offer(academy: Academy, shop: Shop, teacher: Person) -> None:
    """Its title was changed after an attempt whose answer got lost."""
    draft = academy.insert(teacher, "offers", kind="service", title="The new title", price_amount=1000)
    key = f"product:{draft['id']}"
    shop.double.client.v1.products.create({"name": "The old title"}, {"idempotency_key": key})
    assert academy.rpc(teacher, "publish_offer", offer_id=draft["id"]).status_code == 200
    wait_until(lambda: stored(academy, "price", draft["id"]), seconds=60)
    product = shop.double.client.v1.products.retrieve(stored(academy, "product", draft["id"]) or "")
    assert product.name == "The new title"


def test_a_key_in_use_is_not_replaced() -> None:
    in_use = stripe.IdempotencyError("in use", code="idempotency_key_in_use", http_status=409)
    other = stripe.IdempotencyError("Keys can only be used with the same parameters", http_status=400)
    assert [type(client._translate_error(each)) for each in (in_use, other)] == [
        TransientError, client.SavedFailureError,
    ]  # fmt: skip


# The platform's balance


def test_a_transfer_in_a_currency_without_balance_fails_and_returns(
    academy: Academy, shop: Shop, admin: Person
) -> None:
    """The double holds balances in euros and dollars, and not in kroner."""
    seller = academy.member("teacher")
    onboard(academy, shop, seller)
    payout_id = str(uuid.uuid4())
    academy.sql(
        "insert into public.payouts (id, user_id, amount, currency, status) values (%s, %s, 5000, 'SEK', 'approved')",
        payout_id, seller.id,
    )  # fmt: skip
    assert academy.rpc(admin, "process_payouts", payout_ids=[payout_id]).status_code == 200
    wait_until(lambda: payout_of(academy, seller, payout_id)["status"] == "failed")
    assert payout_of(academy, seller, payout_id)["failure"] == "The platform holds no balance in SEK."
    known = dict(academy.sql("select currency, available_amount from private.provider_balances"))
    assert {"EUR", "USD"} <= set(known)
    assert "SEK" not in known


# The billing portal


def test_the_portal_offers_no_change_of_plan(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> None:
    buys(shop, buyer, on_sale(academy, teacher))
    for _ in range(2):
        assert academy.call(buyer, "POST", PORTAL, {}).status_code == 200
    configurations = [json_of(each) for each in shop.double.v1.billing_portal.configurations.list().data]
    ours = [each for each in configurations if "guildhall_features" in each["metadata"]]
    assert len(ours) == 1
    features = ours[0]["features"]
    assert {name: features[name]["enabled"] for name in features if features[name]["enabled"]} == {
        "invoice_history": True, "payment_method_update": True, "subscription_cancel": True,
    }  # fmt: skip
    assert features["subscription_cancel"]["mode"] == "at_period_end"


def test_a_portal_that_somebody_deactivated_is_made_anew(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    buys(shop, buyer, on_sale(academy, teacher))
    assert academy.call(buyer, "POST", PORTAL, {}).status_code == 200
    configurations = shop.double.v1.billing_portal.configurations
    for each in configurations.list({"active": True}).data:
        if not each.is_default:
            configurations.update(each.id, {"active": False})
    answer = academy.call(buyer, "POST", PORTAL, {})
    assert answer.status_code == 200, answer.text
    made = [json_of(each) for each in configurations.list({"active": True}).data]
    assert len([each for each in made if "guildhall_features" in each["metadata"]]) == 1
