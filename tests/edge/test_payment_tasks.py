"""Payment tasks at Stripe's double, and a provider that is away, slow, or refuses."""

import asyncio
import time
import uuid
from typing import Any

import httpx
import msgspec
import pytest

from edge.app import create_app
from edge.payments import client
from edge.payments.types import DiscountPayload, OrderPayload, PayoutPayload
from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import CHECKOUT, VERIFY, Object, Shop, json_of
from tests.edge.support import NOWHERE, Refused, Upstream, serving, settings_for
from tests.people import Academy, Person, refused
from tests.waiting import wait_until


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A buyer."""
    return academy.member()


@pytest.fixture
def sold(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> Object:
    """A paid order of 10.00, and its session."""
    begun = shop.begin(buyer, offer_id=offer(academy, teacher, "playlist_submission")["id"])
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    return begun


def refund(academy: Academy, admin: Person, order_id: str, amount: int | None = None) -> str:
    """Refund an order, and return the id of the refund."""
    answer = academy.rpc(admin, "refund_order", order_id=order_id, amount=amount)
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["id"]
    return name


def has_status(academy: Academy, refund_id: str, status: str) -> bool:
    """Whether a refund has this status."""
    return academy.sql("select status::text from public.refunds where id = %s", refund_id) == [(status,)]


def refunds(shop: Shop, sold: Object) -> list[int]:
    """The amounts of the refunds at Stripe, the oldest first."""
    found = shop.double.client.v1.refunds.list({"payment_intent": shop.intent(sold["session_id"])}).data
    return [each.amount for each in reversed(found)]


def test_an_order_is_refunded_in_two_parts(
    academy: Academy, shop: Shop, admin: Person, buyer: Person, sold: Object
) -> None:
    first = refund(academy, admin, sold["order_id"], 300)
    wait_until(lambda: has_status(academy, first, "succeeded"))
    assert shop.entitlements(buyer)[0]["ends_at"] is None
    rest = refund(academy, admin, sold["order_id"])
    wait_until(lambda: has_status(academy, rest, "succeeded"))
    shop.delivered(sold["order_id"])
    assert refunds(shop, sold) == [300, 700]
    assert shop.balance(sold["order_id"]) == [("payment", 1000), ("refund", -300), ("refund", -700)]
    assert shop.entitlements(buyer)[0]["ends_at"] is not None
    assert imbalance(academy) == []


def test_a_refund_that_stripe_refuses_has_failed(academy: Academy, shop: Shop, admin: Person, sold: Object) -> None:
    charge = shop.charge(sold["session_id"])
    shop.double.post("next", on="refund", outcome="error", contains=charge)
    refused_one = refund(academy, admin, sold["order_id"])
    wait_until(lambda: has_status(academy, refused_one, "failed"))
    assert refunds(shop, sold) == []
    again = refund(academy, admin, sold["order_id"])
    wait_until(lambda: has_status(academy, again, "succeeded"))
    assert refunds(shop, sold) == [1000]


def test_a_refund_that_fails_later_is_undone(
    academy: Academy, shop: Shop, admin: Person, buyer: Person, sold: Object
) -> None:
    charge = shop.charge(sold["session_id"])
    shop.double.post("next", on="refund", outcome="pending", contains=charge)
    refund_id = refund(academy, admin, sold["order_id"])
    name = wait_until(lambda: academy.sql("select private.stripe_id_of('refund', %s)", refund_id)[0][0])
    assert has_status(academy, refund_id, "pending")
    shop.double.post(f"refunds/{name}/settle", outcome="failed")
    shop.delivered(name)
    assert has_status(academy, refund_id, "failed")
    assert shop.order(buyer, sold["order_id"])["refunded_amount"] == 0
    assert shop.entitlements(buyer)[0]["ends_at"] is None


@pytest.mark.parametrize("status", [0, 500, 409, 429, 401])
def test_a_refund_whose_answer_was_lost_is_made_once(
    academy: Academy, shop: Shop, admin: Person, sold: Object, status: int
) -> None:
    intent = shop.intent(sold["session_id"])
    fault: dict[str, Any] = {"status": status} if status else {"seconds": 12}
    times = 3 if status == 500 else 1
    shop.double.post("faults", path="/v1/refunds", method="POST", contains=intent, when="after", times=times, **fault)
    refund_id = refund(academy, admin, sold["order_id"], 400)
    wait_until(lambda: has_status(academy, refund_id, "succeeded"), seconds=40)
    assert refunds(shop, sold) == [400]


# Products and prices


def product_of(academy: Academy, shop: Shop, offer_id: str) -> Object | None:
    """The product of an offer at Stripe."""
    ((name,),) = academy.sql("select private.stripe_id_of('product', %s)", offer_id)
    return json_of(shop.double.client.v1.products.retrieve(name)) if name else None


def prices(shop: Shop, product: str) -> list[tuple[int, str | None, bool]]:
    """The prices of a product: amount, interval, and whether it is active; the active one first."""
    found = [json_of(each) for each in shop.double.client.v1.prices.list({"product": product, "limit": 100}).data]
    shown = [(each["unit_amount"], (each["recurring"] or {}).get("interval"), each["active"]) for each in found]
    return sorted(shown, key=lambda each: not each[2])


@pytest.mark.route("CM-023", call="POST /rest/v1/rpc/sync_offer")
def test_an_offer_has_a_product(academy: Academy, shop: Shop, teacher: Person, stranger: Person) -> None:
    plan = offer(academy, teacher, "membership", billing_interval="month", description="All of it")
    refused(academy.rpc(stranger, "sync_offer", offer_id=plan["id"]), 404, "offer_not_found")
    assert academy.rpc(teacher, "sync_offer", offer_id=plan["id"]).status_code in {200, 204}
    wait_until(lambda: academy.sql("select private.stripe_id_of('price', %s)", plan["id"])[0][0])
    product = product_of(academy, shop, plan["id"])
    assert product is not None
    assert (product["name"], product["description"], product["active"]) == (plan["title"], "All of it", True)
    assert prices(shop, product["id"]) == [(1000, "month", True)]
    changed = {"title": "More of it", "price_amount": 1200, "description": None}
    answer = academy.call(teacher, "PATCH", f"/rest/v1/offers?id=eq.{plan['id']}", changed)
    assert answer.status_code == 204, answer.text
    wait_until(lambda: prices(shop, product["id"]) == [(1200, "month", True), (1000, "month", False)])
    academy.call(teacher, "PATCH", f"/rest/v1/offers?id=eq.{plan['id']}", {"price_amount": 1000})
    wait_until(
        lambda: len(prices(shop, product["id"])) == 3 and prices(shop, product["id"])[0] == (1000, "month", True)
    )
    wait_until(lambda: [each[2] for each in prices(shop, product["id"])] == [True, False, False])
    assert academy.rpc(teacher, "archive_offer", offer_id=plan["id"]).status_code == 200
    wait_until(lambda: (product_of(academy, shop, plan["id"]) or {})["active"] is False)
    after = product_of(academy, shop, plan["id"])
    assert after is not None
    assert (after["name"], after["description"]) == ("More of it", None)


def test_a_checkout_uses_the_product_of_the_offer(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    wait_until(lambda: academy.sql("select private.stripe_id_of('price', %s)", beat["id"])[0][0])
    begun = shop.begin(buyer, offer_id=beat["id"])
    (item,) = shop.double.client.v1.checkout.sessions.line_items.list(begun["session_id"]).data
    product = product_of(academy, shop, beat["id"])
    assert product is not None
    assert json_of(item)["price"]["product"] == product["id"]


# A provider that is away, slow, or refuses


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("status", [500, 503, 429, 409])
def test_a_brief_failure_is_retried(
    academy: Academy, shop: Shop, teacher: Person, *, buyer: Person, status: int, when: str
) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    for path, contains in (("/v1/customers", buyer.id), ("/v1/checkout/sessions", "")):
        if contains:
            shop.double.post("faults", path=path, method="POST", contains=contains, status=status, when=when)
    begun = shop.begin(buyer, offer_id=beat["id"])
    found = shop.double.client.v1.customers.list({"email": buyer.email}).data
    assert [each.id for each in found] == [shop.session(begun["session_id"])["customer"]]


def test_a_lasting_failure_is_503_and_a_refusal_502(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person, refused: Refused
) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    fault = {"path": "/v1/customers", "method": "POST", "contains": buyer.id}
    shop.double.post("faults", status=503, times=3, **fault)
    error = refused(
        academy.call(buyer, "POST", CHECKOUT, {"offer_id": beat["id"]}), 503, "payment_provider_unavailable"
    )
    assert "double" not in str(error)
    shop.double.post("faults", status=401, type="invalid_request_error", **fault)
    refused(academy.call(buyer, "POST", CHECKOUT, {"offer_id": beat["id"]}), 503, "payment_provider_unavailable")
    shop.double.post("faults", status=402, type="card_error", **fault)
    refused(academy.call(buyer, "POST", CHECKOUT, {"offer_id": beat["id"]}), 502, "payment_provider_refused")
    shop.double.post("faults", status=400, type="invalid_request_error", **fault)
    refused(academy.call(buyer, "POST", CHECKOUT, {"offer_id": beat["id"]}), 502, "payment_provider_refused")
    assert shop.begin(buyer, offer_id=beat["id"])["status"] == "pending"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/checkout", {"offer_id": str(uuid.UUID(int=1))}),
        ("POST", "/checkout/verify", {"session_id": "cs_1"}),
        ("POST", "/billing-portal", {}),
        ("POST", f"/subscriptions/{uuid.UUID(int=1)}/cancel", None),
        ("POST", f"/subscriptions/{uuid.UUID(int=1)}/resume", None),
        ("POST", "/payout-account", {}),
        ("POST", "/payout-account/onboarding", {}),
        ("GET", "/payout-account", None),
    ],
)
def test_a_missing_key_is_503_and_named(
    user: httpx.Client, refused: Refused, method: str, path: str, body: Any
) -> None:
    error = refused(user.request(method, path, json=body), 503, "provider_not_configured")
    assert "EDGE_STRIPE_API_KEY" in error["details"]


def test_an_unreachable_provider_is_503(upstream: Upstream, token: str, refused: Refused) -> None:
    app = create_app(settings_for(upstream.url, EDGE_STRIPE_API_KEY="sk_test_x", EDGE_STRIPE_API_URL=NOWHERE))
    with serving(app) as url:
        answer = httpx.post(
            f"{url}/checkout/verify",
            json={"session_id": "cs_1"},
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=20,
        )
        refused(answer, 503, "payment_provider_unavailable")


ORDER = OrderPayload(
    order_id=str(uuid.uuid4()),
    buyer_id=str(uuid.uuid4()),
    email=None,
    name=None,
    customer="cus_1",
    session=None,
    product=None,
    title="A beat",
    unit_amount=1000,
    quantity=1,
    discount=None,
    currency="eur",
    billing_interval=None,
    trial_days=0,
    expires_at=10_000,
)


@pytest.mark.parametrize(("now", "ends"), [(1_000, 10_000), (8_140, 10_000), (8_141, 10_200), (9_999, 12_000)])
def test_a_session_is_open_for_as_long_as_stripe_requires(now: int, ends: int) -> None:
    params = client.session_params(ORDER, "cus_1", "https://x.test", "https://x.test", now=now)
    assert params["expires_at"] == ends
    assert ends - now >= 1800


def test_a_session_has_the_trial_and_the_product_of_its_order() -> None:
    order = msgspec.structs.replace(ORDER, billing_interval="year", trial_days=14, product="prod_1")
    params = client.session_params(order, "cus_1", "https://x.test", "https://x.test", now=0)
    assert params["mode"] == "subscription"
    assert params["subscription_data"] == {"metadata": {"order_id": order.order_id}, "trial_period_days": 14}
    assert params["line_items"][0]["price_data"] == {
        "currency": "eur",
        "unit_amount": 1000,
        "product": "prod_1",
        "recurring": {"interval": "year"},
    }
    assert "payment_intent_data" not in params


def test_a_session_has_the_discount_of_its_order() -> None:
    discount = DiscountPayload(code="SPRING", amount=300, duration="repeating", months=3)
    order = msgspec.structs.replace(ORDER, billing_interval="month", discount=discount)
    params = client.session_params(order, "cus_1", "https://x.test", "https://x.test", now=0)
    assert params["discounts"] == [{"coupon": "SPRING-eur-300-repeating-3"}]
    assert params["line_items"][0]["price_data"]["unit_amount"] == 1000
    once = msgspec.structs.replace(discount, duration="once", months=None)
    assert client.coupon_id(order, once) == "SPRING-eur-300-once"


def test_a_snapshot_is_not_newer_than_its_request(shop: Shop) -> None:
    async def ask() -> client.StripeSnapshot:
        provider = client.Stripe(shop.double.key, shop.double.url)
        try:
            return await provider.transfers(
                msgspec.convert(
                    {"payout_id": "x", "amount": 1, "currency": "eur", "attempts": 1, "account": None},
                    PayoutPayload,
                )
            )
        finally:
            await provider.aclose()

    before = time.time()
    snapshot = asyncio.run(ask())
    assert before - 3 < snapshot.observed_at.timestamp() <= time.time()
    assert snapshot.not_before(None) is snapshot
    assert snapshot.items() == []


def test_a_session_of_another_buyer_is_not_applied(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    begun = shop.begin(buyer, offer_id=offer(academy, teacher, "playlist_submission")["id"])
    shop.double.post("webhooks/drop", contains=begun["order_id"])
    shop.double.pay(begun["session_id"])
    answer = academy.call(academy.member(), "POST", VERIFY, {"session_id": begun["session_id"]})
    refused(answer, 404, "order_not_found")
    assert shop.order(buyer, begun["order_id"])["status"] == "pending"


# Balance transactions


def test_balance_transactions_are_stored_and_agree_with_the_ledger(
    academy: Academy, shop: Shop, admin: Person, buyer: Person, sold: Object
) -> None:
    beat = offer(academy, academy.member("teacher"), "playlist_submission")
    begun = shop.begin(buyer, offer_id=beat["id"])
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    refund_id = refund(academy, admin, sold["order_id"], 300)
    wait_until(lambda: has_status(academy, refund_id, "succeeded"))
    # Twice at once, and not at night: one job runs.
    for _ in range(2):
        academy.sql(
            "select private.defer_job('sync_balance_transactions', '{\"timestamp\": 0}', 'sync_balance_transactions')"
        )
    theirs = "select sum(amount)::bigint from private.balance_transactions where order_id = %s"
    for order_id, moved in ((sold["order_id"], 700), (begun["order_id"], 1000)):
        wait_until(lambda: academy.sql(theirs, order_id) == [(moved,)])  # noqa: B023
        answer = academy.call(admin, "GET", f"/rest/v1/reconciliation?order_id=eq.{order_id}")
        assert answer.json() == [], answer.text
    assert imbalance(academy) == []


def test_balance_transactions_are_listed_page_by_page(shop: Shop) -> None:
    async def ask() -> list[str]:
        provider = client.Stripe(shop.double.key, shop.double.url)
        try:
            first = await provider.balance_transactions(None, None)
            later = await provider.balance_transactions(0, first.items()[0]["id"])
            return [each["id"] for each in (*first.items()[:1], *later.items())]
        finally:
            await provider.aclose()

    for _ in range(2):
        shop.double.post("balance", amount=1, currency="eur")
    found = asyncio.run(ask())
    assert len(found) == len(set(found)) >= 2
