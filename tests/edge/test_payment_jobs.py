"""What the worker asks of Stripe's double, and a provider that is away, late, or refuses."""

import asyncio
import time
import uuid
from typing import Any

import httpx
import msgspec
import pytest

from edge.app import create_app
from edge.payments import client
from edge.payments.types import OrderBrief, PayoutBrief
from tests.commerce.told import imbalance, offer
from tests.edge.shop import CHECKOUT, VERIFY, Object, Shop, eventually, json_of
from tests.edge.support import NOWHERE, Refused, Upstream, serving, settings_for
from tests.people import Academy, Person, refused


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """Somebody who buys."""
    return academy.member()


@pytest.fixture
def sold(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> Object:
    """An order of 10.00 that is paid, and its session."""
    begun = shop.begin(buyer, offer_id=offer(academy, teacher, "playlist_submission")["id"])
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    return begun


def refund(academy: Academy, admin: Person, order_id: str, amount: int | None = None) -> str:
    """Have an order refunded; the refund's id."""
    answer = academy.rpc(admin, "refund_order", order_id=order_id, amount=amount)
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["id"]
    return name


def has_become(academy: Academy, refund_id: str, status: str) -> bool:
    """Whether a refund has this status."""
    return academy.sql("select status::text from public.refunds where id = %s", refund_id) == [(status,)]


def refunds(shop: Shop, sold: Object) -> list[int]:
    """What Stripe gave back, the oldest first."""
    found = shop.double.client.v1.refunds.list({"payment_intent": shop.intent(sold["session_id"])}).data
    return [each.amount for each in reversed(found)]


def test_a_part_and_then_the_rest(academy: Academy, shop: Shop, admin: Person, buyer: Person, sold: Object) -> None:
    first = refund(academy, admin, sold["order_id"], 300)
    eventually(lambda: has_become(academy, first, "succeeded"))
    assert shop.entitlements(buyer)[0]["ends_at"] is None
    rest = refund(academy, admin, sold["order_id"])
    eventually(lambda: has_become(academy, rest, "succeeded"))
    shop.delivered(sold["order_id"])
    assert refunds(shop, sold) == [300, 700]
    assert shop.balance(sold["order_id"]) == [("payment", 1000), ("refund", -300), ("refund", -700)]
    assert shop.entitlements(buyer)[0]["ends_at"] is not None
    assert imbalance(academy) == []


def test_a_refund_that_is_refused_has_failed(academy: Academy, shop: Shop, admin: Person, sold: Object) -> None:
    charge = shop.charge(sold["session_id"])
    shop.double.post("next", on="refund", outcome="error", contains=charge)
    refused_one = refund(academy, admin, sold["order_id"])
    eventually(lambda: has_become(academy, refused_one, "failed"))
    assert refunds(shop, sold) == []
    again = refund(academy, admin, sold["order_id"])
    eventually(lambda: has_become(academy, again, "succeeded"))
    assert refunds(shop, sold) == [1000]


def test_a_refund_that_comes_back(academy: Academy, shop: Shop, admin: Person, buyer: Person, sold: Object) -> None:
    charge = shop.charge(sold["session_id"])
    shop.double.post("next", on="refund", outcome="pending", contains=charge)
    refund_id = refund(academy, admin, sold["order_id"])
    name = eventually(lambda: academy.sql("select private.stripe_id('refund', %s)", refund_id)[0][0])
    assert has_become(academy, refund_id, "pending")
    shop.double.post(f"refunds/{name}/settle", outcome="failed")
    shop.delivered(name)
    assert has_become(academy, refund_id, "failed")
    assert shop.order(buyer, sold["order_id"])["refunded_amount"] == 0
    assert shop.entitlements(buyer)[0]["ends_at"] is None


@pytest.mark.parametrize("status", [0, 500, 409, 429, 401])
def test_a_refund_whose_answer_is_lost_is_not_made_twice(
    academy: Academy, shop: Shop, admin: Person, sold: Object, status: int
) -> None:
    intent = shop.intent(sold["session_id"])
    fault: dict[str, Any] = {"status": status} if status else {"seconds": 12}
    times = 3 if status == 500 else 1
    shop.double.post("faults", path="/v1/refunds", method="POST", contains=intent, when="after", times=times, **fault)
    refund_id = refund(academy, admin, sold["order_id"], 400)
    eventually(lambda: has_become(academy, refund_id, "succeeded"), seconds=40)
    assert refunds(shop, sold) == [400]


# The catalogue


def product_of(academy: Academy, shop: Shop, offer_id: str) -> Object | None:
    """The product of an offer at Stripe."""
    ((name,),) = academy.sql("select private.stripe_id('product', %s)", offer_id)
    return json_of(shop.double.client.v1.products.retrieve(name)) if name else None


def prices(shop: Shop, product: str) -> list[tuple[int, str | None, bool]]:
    """The prices of a product: amount, interval, and whether it is sold at; the active one first."""
    found = [json_of(each) for each in shop.double.client.v1.prices.list({"product": product, "limit": 100}).data]
    told = [(each["unit_amount"], (each["recurring"] or {}).get("interval"), each["active"]) for each in found]
    return sorted(told, key=lambda each: not each[2])


@pytest.mark.route("CM-023", call="POST /rest/v1/rpc/sync_offer")
def test_an_offer_has_a_product(academy: Academy, shop: Shop, teacher: Person, stranger: Person) -> None:
    plan = offer(academy, teacher, "membership", billing_interval="month", description="All of it")
    refused(academy.rpc(stranger, "sync_offer", offer_id=plan["id"]), 404, "offer_not_found")
    assert academy.rpc(teacher, "sync_offer", offer_id=plan["id"]).status_code in {200, 204}
    eventually(lambda: academy.sql("select private.stripe_id('price', %s)", plan["id"])[0][0])
    product = product_of(academy, shop, plan["id"])
    assert product is not None
    assert (product["name"], product["description"], product["active"]) == (plan["title"], "All of it", True)
    assert prices(shop, product["id"]) == [(1000, "month", True)]
    changed = {"title": "More of it", "price_amount": 1200, "description": None}
    answer = academy.call(teacher, "PATCH", f"/rest/v1/offers?id=eq.{plan['id']}", changed)
    assert answer.status_code == 204, answer.text
    eventually(lambda: prices(shop, product["id"]) == [(1200, "month", True), (1000, "month", False)])
    academy.call(teacher, "PATCH", f"/rest/v1/offers?id=eq.{plan['id']}", {"price_amount": 1000})
    eventually(
        lambda: len(prices(shop, product["id"])) == 3 and prices(shop, product["id"])[0] == (1000, "month", True)
    )
    eventually(lambda: [each[2] for each in prices(shop, product["id"])] == [True, False, False])
    assert academy.rpc(teacher, "archive_offer", offer_id=plan["id"]).status_code == 200
    eventually(lambda: (product_of(academy, shop, plan["id"]) or {})["active"] is False)
    after = product_of(academy, shop, plan["id"])
    assert after is not None
    assert (after["name"], after["description"]) == ("More of it", None)


def test_a_checkout_takes_the_offers_product(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    eventually(lambda: academy.sql("select private.stripe_id('price', %s)", beat["id"])[0][0])
    begun = shop.begin(buyer, offer_id=beat["id"])
    (item,) = shop.double.client.v1.checkout.sessions.line_items.list(begun["session_id"]).data
    product = product_of(academy, shop, beat["id"])
    assert product is not None
    assert json_of(item)["price"]["product"] == product["id"]


# A provider that is away, late, or refuses


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("status", [500, 503, 429, 409])
def test_what_passes_is_tried_again(
    academy: Academy, shop: Shop, teacher: Person, *, buyer: Person, status: int, when: str
) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    for path, contains in (("/v1/customers", buyer.id), ("/v1/checkout/sessions", "")):
        if contains:
            shop.double.post("faults", path=path, method="POST", contains=contains, status=status, when=when)
    begun = shop.begin(buyer, offer_id=beat["id"])
    found = shop.double.client.v1.customers.list({"email": buyer.email}).data
    assert [each.id for each in found] == [shop.session(begun["session_id"])["customer"]]


def test_a_provider_that_does_not_recover_is_503(
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
def test_without_a_key_it_says_which_setting_is_missing(
    user: httpx.Client, refused: Refused, method: str, path: str, body: Any
) -> None:
    error = refused(user.request(method, path, json=body), 503, "provider_not_configured")
    assert "EDGE_STRIPE_API_KEY" in error["details"]


def test_nobody_at_the_providers_address_is_503(upstream: Upstream, token: str, refused: Refused) -> None:
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


BRIEF = OrderBrief(
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
    currency="eur",
    billing_interval=None,
    trial_days=0,
    expires_at=10_000,
)


@pytest.mark.parametrize(("now", "ends"), [(1_000, 10_000), (8_140, 10_000), (8_141, 10_200), (9_999, 12_000)])
def test_a_page_is_open_for_as_long_as_stripe_wants(now: int, ends: int) -> None:
    params = client.session_params(BRIEF, "cus_1", "https://x.test", "https://x.test", now=now)
    assert params["expires_at"] == ends
    assert ends - now >= 1800


def test_a_trial_and_a_product_are_told() -> None:
    brief = msgspec.structs.replace(BRIEF, billing_interval="year", trial_days=14, product="prod_1")
    params = client.session_params(brief, "cus_1", "https://x.test", "https://x.test", now=0)
    assert params["mode"] == "subscription"
    assert params["subscription_data"] == {"metadata": {"order_id": brief.order_id}, "trial_period_days": 14}
    assert params["line_items"][0]["price_data"] == {
        "currency": "eur",
        "unit_amount": 1000,
        "product": "prod_1",
        "recurring": {"interval": "year"},
    }
    assert "payment_intent_data" not in params


def test_what_is_told_is_as_old_as_the_question(shop: Shop) -> None:
    async def ask() -> client.Told:
        provider = client.Stripe(shop.double.key, shop.double.url)
        try:
            return await provider.transfers(
                msgspec.convert(
                    {"payout_id": "x", "amount": 1, "currency": "eur", "attempts": 1, "account": None},
                    PayoutBrief,
                )
            )
        finally:
            await provider.aclose()

    before = time.time()
    told = asyncio.run(ask())
    assert before - 3 < told.as_of.timestamp() <= time.time()
    assert told.since(None) is told
    assert told.items() == []


def test_a_session_of_somebody_else_is_not_applied(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    begun = shop.begin(buyer, offer_id=offer(academy, teacher, "playlist_submission")["id"])
    shop.double.post("webhooks/drop", contains=begun["order_id"])
    shop.double.pay(begun["session_id"])
    answer = academy.call(academy.member(), "POST", VERIFY, {"session_id": begun["session_id"]})
    refused(answer, 404, "order_not_found")
    assert shop.order(buyer, begun["order_id"])["status"] == "pending"


# Stripe's own books


def test_the_books_are_fetched_page_by_page_and_agree(
    academy: Academy, shop: Shop, admin: Person, buyer: Person, sold: Object
) -> None:
    beat = offer(academy, academy.member("teacher"), "playlist_submission")
    begun = shop.begin(buyer, offer_id=beat["id"])
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    refund_id = refund(academy, admin, sold["order_id"], 300)
    eventually(lambda: has_become(academy, refund_id, "succeeded"))
    # Now, and not in the night; twice at once are one.
    for _ in range(2):
        academy.sql("select private.defer_job('fetch_books', '{\"timestamp\": 0}', 'fetch_books')")
    theirs = "select sum(amount)::bigint from private.balance_transactions where order_id = %s"
    for order_id, moved in ((sold["order_id"], 700), (begun["order_id"], 1000)):
        eventually(lambda order_id=order_id, moved=moved: academy.sql(theirs, order_id) == [(moved,)])
        answer = academy.call(admin, "GET", f"/rest/v1/reconciliation?order_id=eq.{order_id}")
        assert answer.json() == [], answer.text
    assert imbalance(academy) == []


def test_a_page_of_the_books_follows_another(shop: Shop) -> None:
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
