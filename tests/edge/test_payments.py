"""Checkout at Stripe's double: every kind of offer, with webhooks in every order."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.commerce.goods import TIERS, give_files
from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import CHECKOUT, VERIFY, Object, Shop, json_of
from tests.edge.support import Refused
from tests.people import Academy, Course, Person, concurrently, refused, rows
from tests.waiting import wait_until

SOON = (datetime.now(UTC) + timedelta(days=9)).isoformat(timespec="seconds")
MUSIC = "https://open.spotify.com"
SITE = "http://127.0.0.1:3000"
PLATFORM: dict[str, Any] = {"seller_id": None}
MONTHLY: dict[str, Any] = {"billing_interval": "month"}
CALL = "POST /functions/v1/checkout"


GOODS = {"beat_licence": "beat", "digital_product": "digital_product"}
"""The kinds of offers that sell products, and the kinds of the products."""


def product(academy: Academy, creator: Person, kind: str) -> str:
    """A published product with its files."""
    made: str = academy.insert(creator, "products", kind=kind, title=f"A {kind}")["id"]
    give_files(academy, creator, made)
    assert academy.rpc(creator, "publish_product", product_id=made).status_code == 200
    return made


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A buyer."""
    return academy.member(name="Bea Buyer")


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Person) -> Course:
    """A published course with a price, which no test changes."""
    return academy.course(teacher, price_amount=4900)


def kind(*ids: str, details: dict[str, Any] | None = None, **columns: Any) -> Any:
    """A kind of offer, what its buyers send, and the endpoints that sell it."""
    return pytest.param(
        columns, details or {"note": "soon"}, id=columns["kind"], marks=pytest.mark.route(*ids, call=CALL)
    )


def gives(academy: Academy, shop: Shop, buyer: Person, order: Object, on_sale: Object) -> None:
    """Assert that a paid order gave the buyer, and the seller, what its kind promises."""
    seller, what = on_sale["seller_id"], on_sale["kind"]
    held = [(each["kind"], each["order_id"], each["access"]) for each in shop.entitlements(buyer)]
    assert held == ([] if what in {"tip", "credit_package"} else [(what, order["id"], "open")])
    (subscription,) = rows(academy.call(buyer, "GET", "/rest/v1/subscriptions")) or (None,)
    assert (subscription is not None) == (on_sale["billing_interval"] is not None)
    if subscription is not None:
        assert (subscription["offer_id"], subscription["order_id"]) == (on_sale["id"], order["id"])
        assert subscription["status"] == ("trialing" if on_sale["trial_days"] else "active")
    work = rows(academy.call(buyer, "GET", f"/rest/v1/fulfilments?order_id=eq.{order['id']}"))
    is_work = what in {"coaching", "mixing_service", "service", "playlist_submission"}
    assert [(row["seller_id"], row["status"]) for row in work] == ([(seller, "open")] if is_work else [])
    if what in GOODS:
        files = academy.call(buyer, "GET", f"/functions/v1/orders/{order['id']}/downloads").json()["files"]
        assert [file["file_type"] for file in files] == (["mp3"] if what == "beat_licence" else ["mp3", "wav", "stems"])
    assert (order["licence"] or {}).get("tier") == ("basic" if what == "beat_licence" else None)
    if on_sale["credits"]:
        (account,) = rows(academy.call(buyer, "GET", "/rest/v1/ledger_accounts?kind=eq.credits"))
        assert account["balance"] == order["credits"] == on_sale["credits"] * order["quantity"]
    if on_sale["duration_minutes"]:
        (terms,) = rows(academy.call(buyer, "GET", f"/rest/v1/order_terms?order_id=eq.{order['id']}"))
        assert terms["duration_minutes"] == on_sale["duration_minutes"]
    earned = academy.sql(
        "select user_id::text, role::text, amount from public.payment_splits where order_id = %s", order["id"]
    )
    part = order["paid_amount"] * 8500 // 10000
    assert earned == ([(seller, "seller", part)] if seller and part else [])


@pytest.mark.parametrize(
    ("columns", "details"),
    [
        kind("CM-009", kind="beat_licence", licence_terms={"tier": "basic", **TIERS["basic"]}),
        kind("CM-012", details={"starts_at": SOON}, kind="coaching", price_amount=9000, duration_minutes=60),
        kind("CM-025", kind="credit_package", price_amount=1500, credits=100, maximum_quantity=4, **PLATFORM),
        kind("CM-027", kind="creator_plan", price_amount=1900, **MONTHLY, **PLATFORM),
        kind("CM-046", "WC-046", "WC-048", kind="membership", price_amount=1200, trial_days=7, **MONTHLY),
        kind(
            "CM-048",
            details={"options": {"stems": 12, "is_rush": True}, "files_url": "https://files.example.com/mix.zip"},
            kind="mixing_service",
            price_amount=25000,
        ),
        kind("CM-053", kind="pro_plan", price_amount=9900, billing_interval="year", **PLATFORM),
        kind("CM-058", kind="digital_product", price_amount=700),
        kind(
            "CM-067",
            details={"playlist_url": f"{MUSIC}/playlist/37i9dQZF1DX4", "track_url": f"{MUSIC}/track/11dFghVXANMl"},
            kind="playlist_submission",
            price_amount=500,
        ),
        kind("CM-068", kind="creator_subscription", price_amount=400, **MONTHLY),
        kind("CM-069", kind="tip", price_amount=100, maximum_amount=10000),
        kind("WC-032", kind="service", price_amount=6000, maximum_quantity=3),
    ],
)
def test_every_kind_is_sold(
    academy: Academy,
    shop: Shop,
    admin: Person,
    teacher: Person,
    *,
    buyer: Person,
    columns: dict[str, Any],
    details: dict[str, Any],
) -> None:
    if columns["kind"] in GOODS:
        columns = columns | {"product_id": product(academy, teacher, GOODS[columns["kind"]])}
    on_sale = offer(academy, admin if "seller_id" in columns else teacher, **columns)
    body: dict[str, Any] = {"offer_id": on_sale["id"], "details": details}
    due, quantity, interval, trial = on_sale["price_amount"], 1, on_sale["billing_interval"], on_sale["trial_days"]
    if on_sale["kind"] == "tip":
        body["amount"] = due = 333
    if on_sale["maximum_quantity"] > 1:
        body["quantity"] = quantity = 3
    refused(academy.call(None, "POST", CHECKOUT, body), 401, "sign_in_required")
    begun = shop.begin(buyer, **body)
    assert begun["status"] == "pending"
    assert begun["url"].startswith(shop.double.url)
    session = shop.session(begun["session_id"])
    assert session["mode"] == ("subscription" if interval else "payment")
    assert session["amount_total"] == (0 if trial else due * quantity)
    assert (session["client_reference_id"], session["metadata"]["order_id"]) == (begun["order_id"],) * 2
    assert (session["currency"], session["url"]) == ("eur", begun["url"])
    (item,) = map(json_of, shop.double.client.v1.checkout.sessions.line_items.list(begun["session_id"]).data)
    assert item["quantity"] == quantity
    assert (item["price"]["unit_amount"], (item["price"]["recurring"] or {}).get("interval")) == (due, interval)
    placed = shop.order(buyer, begun["order_id"])
    assert (placed["details"], placed["quantity"], placed["seller_id"]) == (details, quantity, on_sale["seller_id"])
    assert (placed["unit_amount"], placed["billing_interval"], placed["kind"]) == (due, interval, on_sale["kind"])

    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    order = shop.order(buyer, begun["order_id"])
    assert (order["status"], order["paid_amount"]) == ("paid", 0 if trial else due * quantity)
    gives(academy, shop, buyer, order, on_sale)
    shop.delivered(begun["order_id"])
    assert shop.order(buyer, begun["order_id"]) == order
    assert imbalance(academy) == []


@pytest.mark.route("CM-015", "WC-024", call=CALL)
def test_a_course_is_sold(academy: Academy, shop: Shop, course: Course, buyer: Person) -> None:
    refused(academy.call(None, "POST", CHECKOUT, {"course_id": course.id}), 401, "sign_in_required")
    begun = shop.begin(buyer, course_id=course.id)
    assert (begun["status"], begun["session_id"][:3], shop.session(begun["session_id"])["amount_total"]) == (
        "pending", "cs_", 4900,
    )  # fmt: skip
    assert begun["url"] == shop.session(begun["session_id"])["url"]
    assert rows(academy.call(buyer, "GET", "/rest/v1/enrolments")) == []
    order = shop.buy(buyer, course_id=course.id)
    assert (order["id"], order["course_id"], order["paid_amount"]) == (begun["order_id"], course.id, 4900)
    (enrolment,) = rows(academy.call(buyer, "GET", "/rest/v1/enrolments"))
    assert (enrolment["course_id"], enrolment["source"], enrolment["access"]) == (course.id, "purchase", "open")
    refused(academy.call(buyer, "POST", CHECKOUT, {"course_id": course.id}), 409, "already_enrolled")


@pytest.mark.route("CM-011", "WC-080", call=CALL)
def test_a_bundle_is_sold(academy: Academy, shop: Shop, teacher: Person, course: Course, buyer: Person) -> None:
    other = academy.course(teacher, price_amount=1000)
    bundle = academy.insert(teacher, "offers", kind="bundle", title="Both", price_amount=5000)
    for each in (course, other):
        academy.insert(teacher, "offer_courses", offer_id=bundle["id"], course_id=each.id)
    assert academy.rpc(teacher, "publish_offer", offer_id=bundle["id"]).status_code == 200
    refused(academy.call(None, "POST", CHECKOUT, {"offer_id": bundle["id"]}), 401, "sign_in_required")
    begun = shop.begin(buyer, offer_id=bundle["id"])
    assert begun["url"] == shop.session(begun["session_id"])["url"]
    order = shop.buy(buyer, offer_id=bundle["id"])
    assert (order["id"], order["kind"], order["paid_amount"]) == (begun["order_id"], "bundle", 5000)
    assert {each["course_id"] for each in shop.entitlements(buyer)} == {course.id, other.id}
    enrolments = rows(academy.call(buyer, "GET", "/rest/v1/enrolments"))
    assert {(row["course_id"], row["source"]) for row in enrolments} == {
        (course.id, "purchase"),
        (other.id, "purchase"),
    }


def test_an_order_that_a_coupon_makes_free_needs_no_session(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    code = f"FREE-{uuid.uuid4().hex[:12]}".upper()
    academy.insert(teacher, "coupons", code=code, percent_off=100)
    begun = shop.begin(buyer, offer_id=beat["id"], coupon=code)
    assert (begun["status"], begun["session_id"], begun["url"]) == ("paid", None, None)


def test_a_coupon_and_a_quantity_change_the_amount(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    hours = offer(academy, teacher, "coaching", price_amount=1999, maximum_quantity=5)
    code = f"TENTH-{uuid.uuid4().hex[:12]}".upper()
    academy.insert(teacher, "coupons", code=code, percent_off=10)
    begun = shop.begin(buyer, offer_id=hours["id"], coupon=code, quantity=3)
    assert shop.session(begun["session_id"])["amount_total"] == 5997 - 599
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"


def test_refusals_of_place_order_are_passed_on(academy: Academy, teacher: Person, buyer: Person) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    cases: list[tuple[Person, dict[str, Any], int, str]] = [
        (teacher, {"offer_id": beat["id"]}, 409, "own_offer"),
        (buyer, {"offer_id": str(uuid.uuid4())}, 404, "offer_not_found"),
        (buyer, {}, 404, "offer_not_found"),
        (buyer, {"offer_id": beat["id"], "quantity": 2}, 422, "quantity_invalid"),
        (buyer, {"offer_id": beat["id"], "amount": 1}, 422, "amount_fixed"),
        (buyer, {"offer_id": beat["id"], "coupon": "NONE-SUCH"}, 422, "coupon_invalid"),
        (buyer, {"offer_id": "x"}, 400, "invalid_request"),
        (buyer, {"offer_id": beat["id"], "price": 1}, 400, "invalid_request"),
    ]
    for who, body, status, token in cases:
        refused(academy.call(who, "POST", CHECKOUT, body), status, token)
    academy.suspend(buyer)
    refused(academy.call(buyer, "POST", CHECKOUT, {"offer_id": beat["id"]}), 403, "account_inactive")


def test_repeated_checkouts_answer_the_same_session(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    begun = concurrently(8, lambda _: shop.begin(buyer, offer_id=beat["id"]))
    assert len({each["session_id"] for each in begun}) == 1
    assert shop.begin(buyer, offer_id=beat["id"], success_url=f"{SITE}/thanks") == begun[0]
    customers = academy.sql(
        "select reference from private.provider_references where object = 'customer' and row_id = %s", buyer.id
    )
    assert len(customers) == 1
    other = offer(academy, teacher, "playlist_submission")
    second = shop.begin(buyer, offer_id=other["id"])
    assert shop.session(second["session_id"])["customer"] == customers[0][0]


def test_concurrent_checkouts_that_differ_leave_one_session_open(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    """Each has another page to come back to, so Stripe makes a session for each."""
    beat = offer(academy, teacher, "playlist_submission")
    begun = concurrently(
        8, lambda number: shop.begin(buyer, offer_id=beat["id"], success_url=f"{SITE}/thanks/{number}")
    )
    (session_id,) = {each["session_id"] for each in begun}
    shop.double.wait_for_deliveries(begun[0]["order_id"])
    assert shop.session(session_id)["status"] == "open"
    assert shop.begin(buyer, offer_id=beat["id"]) == begun[0]
    shop.double.pay(session_id)
    assert shop.verify(buyer, session_id)["status"] == "paid"


def test_an_expired_session_is_replaced(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    begun = shop.begin(buyer, offer_id=beat["id"])
    shop.double.post("webhooks/drop", contains=begun["order_id"], types=["checkout.session.expired"])
    shop.double.client.v1.checkout.sessions.expire(begun["session_id"])
    again = shop.begin(buyer, offer_id=beat["id"])
    assert again["order_id"] == begun["order_id"]
    assert again["session_id"] != begun["session_id"]
    shop.double.pay(again["session_id"])
    assert shop.verify(buyer, again["session_id"])["status"] == "paid"


def test_a_repeated_checkout_of_a_paid_order_answers_paid(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    begun = shop.begin(buyer, offer_id=beat["id"])
    shop.double.post("webhooks/drop", contains=begun["order_id"])
    shop.double.pay(begun["session_id"])
    again = shop.begin(buyer, offer_id=beat["id"])
    assert again == {"order_id": begun["order_id"], "status": "paid", "session_id": None, "url": None}


def test_a_withdrawn_order_cannot_be_paid(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> None:
    hours = offer(academy, teacher, "coaching", maximum_quantity=2)
    begun = shop.begin(buyer, offer_id=hours["id"])
    replaced = shop.begin(buyer, offer_id=hours["id"], quantity=2)
    assert academy.rpc(buyer, "cancel_order", order_id=replaced["order_id"]).status_code == 200
    for each in (begun, replaced):
        wait_until(lambda: shop.session(each["session_id"])["status"] == "expired")  # noqa: B023


# Returning from the session


WAYS = ["before", "after", "never"]


def sell(academy: Academy, shop: Shop, teacher: Person, buyer: Person, *, what: str, way: str) -> dict[str, Any]:
    """Sell something whose webhooks arrive before the buyer returns, after, or never; returns the state."""
    columns: dict[str, Any] = MONTHLY if what == "membership" else {}
    on_sale = offer(academy, teacher, what, **columns)
    begun = shop.begin(buyer, offer_id=on_sale["id"])
    if way == "after":
        shop.double.post("webhooks/hold", contains=begun["order_id"])
    elif way == "never":
        shop.double.post("webhooks/drop", contains=begun["order_id"])
    shop.double.pay(begun["session_id"])
    if way == "before":
        shop.delivered(begun["order_id"])
    state = shop.verify(buyer, begun["session_id"])
    if way == "after":
        shop.double.post("webhooks/release", contains=begun["order_id"], order="random")
        shop.delivered(begun["order_id"])
    return begun | {"state": state, "offer_id": on_sale["id"]}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "what",
    [
        pytest.param("playlist_submission", marks=pytest.mark.route("CM-085", call=f"POST {VERIFY}")),
        pytest.param("membership", marks=pytest.mark.route("CM-047", "WC-049", call=f"POST {VERIFY}")),
    ],
)
def test_the_return_and_the_webhook_have_the_same_effect(
    academy: Academy, shop: Shop, teacher: Person, *, buyer: Person, stranger: Person, what: str, way: str
) -> None:
    sold = sell(academy, shop, teacher, buyer, what=what, way=way)
    order_id = sold["order_id"]
    assert (sold["state"]["order_id"], sold["state"]["status"], sold["state"]["kind"]) == (order_id, "paid", what)
    for who in (stranger, teacher):
        answer = academy.call(who, "POST", VERIFY, {"session_id": sold["session_id"]})
        refused(answer, 404, "order_not_found")
    assert shop.verify(buyer, sold["session_id"]) == sold["state"]
    assert len(academy.sql("select from private.payments where order_id = %s", order_id)) == 1
    assert len(shop.entitlements(buyer)) == 1
    assert shop.balance(order_id) == [("payment", 1000)]
    if what == "membership":
        (subscription,) = rows(academy.call(buyer, "GET", "/rest/v1/subscriptions"))
        assert (subscription["status"], subscription["order_id"]) == ("active", order_id)
    assert academy.sql("select from public.ledger_journals where idempotency_key = %s", f"payment:{order_id}") == [()]


@pytest.mark.route("CM-019", "CM-024", call=f"POST {VERIFY}")
def test_returning_from_a_course_enrols(
    academy: Academy, shop: Shop, course: Course, buyer: Person, stranger: Person
) -> None:
    begun = shop.begin(buyer, course_id=course.id)
    assert shop.verify(buyer, begun["session_id"])["status"] == "pending"
    shop.double.pay(begun["session_id"])
    refused(academy.call(stranger, "POST", VERIFY, {"session_id": begun["session_id"]}), 404, "order_not_found")
    state = shop.verify(buyer, begun["session_id"])
    assert (state["status"], state["course_id"]) == ("paid", course.id)
    assert state["paid_at"] is not None
    (enrolment,) = rows(academy.call(buyer, "GET", "/rest/v1/enrolments"))
    assert (enrolment["course_id"], enrolment["source"], enrolment["status"]) == (course.id, "purchase", "active")


def test_an_unknown_session_is_404(academy: Academy, shop: Shop, buyer: Person, refused: Refused) -> None:
    for name, status, token in (
        ("cs_test_nonesuch", 404, "order_not_found"),
        ("pi_1", 400, "invalid_request"),
        ("cs_/../../customers", 400, "invalid_request"),
    ):
        refused(academy.call(buyer, "POST", VERIFY, {"session_id": name}), status, token)
    foreign = shop.double.client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "success_url": "https://elsewhere.example.test",
            "line_items": [
                {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 500, "product_data": {"name": "x"}}}
            ],
        }
    )
    refused(academy.call(buyer, "POST", VERIFY, {"session_id": foreign.id}), 404, "order_not_found")


# URLs to return to


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.test/",
        "https://evil.example.test/?http://127.0.0.1:3000/",
        "http://127.0.0.1:3000.evil.example.test/",
        "http://127.0.0.1:3000@evil.example.test/",
        "http://127.0.0.1:30001/",
        "http://127.0.0.1:3000\\@evil.example.test/",
        "//evil.example.test",
        "/relative",
        "javascript:alert(1)",
        " http://127.0.0.1:3000/",
        "http://127.0.0.1:3000/\n",
        "",
    ],
)
def test_a_foreign_return_url_is_422(academy: Academy, teacher: Person, buyer: Person, url: str) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    for field in ("success_url", "cancel_url"):
        refused(academy.call(buyer, "POST", CHECKOUT, {"offer_id": beat["id"], field: url}), 422, "url_foreign")
    assert rows(academy.call(buyer, "GET", "/rest/v1/orders")) == []


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, f"{SITE}/checkout/return?session_id={{CHECKOUT_SESSION_ID}}"),
        (f"{SITE}/thanks", f"{SITE}/thanks?session_id={{CHECKOUT_SESSION_ID}}"),
        (f"{SITE}/thanks?a=b#top", f"{SITE}/thanks?a=b&session_id={{CHECKOUT_SESSION_ID}}#top"),
        (f"{SITE}/thanks/{{CHECKOUT_SESSION_ID}}", f"{SITE}/thanks/{{CHECKOUT_SESSION_ID}}"),
    ],
)
def test_the_success_url_carries_the_session(
    academy: Academy, shop: Shop, teacher: Person, *, buyer: Person, given: str | None, sent: str
) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    begun = shop.begin(buyer, offer_id=beat["id"], **({"success_url": given} if given else {}))
    session = shop.session(begun["session_id"])
    assert session["success_url"] == sent
    assert session["cancel_url"] == f"{SITE}/checkout/cancelled"
