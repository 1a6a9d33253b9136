"""Buying through the edge, against Stripe's double: everything that can be sold, told in every order."""

import uuid
from typing import Any

import pytest

from tests.commerce.goods import TIERS, give_files
from tests.commerce.told import imbalance, offer
from tests.edge.shop import CHECKOUT, VERIFY, Shop, eventually
from tests.edge.support import Refused
from tests.people import Academy, Course, Person, refused, rows, together

SITE = "http://127.0.0.1:3000"
PLATFORM = {"seller_id": None}
MONTHLY = {"billing_interval": "month"}
CALL = "POST /functions/v1/checkout"


GOODS = {"beat_licence": "beat", "digital_product": "digital_product"}
"""Kinds of offers that sell products, and of what kind."""


def product(academy: Academy, creator: Person, kind: str) -> str:
    """A published product with its files."""
    made: str = academy.insert(creator, "products", kind=kind, title=f"A {kind}")["id"]
    give_files(academy, creator, made)
    assert academy.rpc(creator, "publish_product", product_id=made).status_code == 200
    return made


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """Somebody who buys."""
    return academy.member(name="Bea Buyer")


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Person) -> Course:
    """A published course that costs something; not to be changed."""
    return academy.course(teacher, price_amount=4900)


def kind(*ids: str, **columns: Any) -> Any:
    """A kind of offer, and the endpoints that sell it."""
    return pytest.param(columns, id=columns["kind"], marks=pytest.mark.route(*ids, call=CALL))


@pytest.mark.parametrize(
    "columns",
    [
        kind("CM-009", kind="beat_licence", licence_tier="basic", **TIERS["basic"]),
        kind("CM-012", kind="coaching", price_amount=9000, duration_minutes=60),
        kind("CM-025", kind="credit_package", price_amount=1500, credits=100, **PLATFORM),
        kind("CM-027", kind="creator_plan", price_amount=1900, **MONTHLY, **PLATFORM),
        kind("CM-046", "WC-046", "WC-048", kind="membership", price_amount=1200, trial_days=7, **MONTHLY),
        kind("CM-048", kind="mixing_service", price_amount=25000),
        kind("CM-053", kind="pro_plan", price_amount=9900, billing_interval="year", **PLATFORM),
        kind("CM-058", kind="digital_product", price_amount=700),
        kind("CM-067", kind="playlist_submission", price_amount=500),
        kind("CM-068", kind="creator_subscription", price_amount=400, **MONTHLY),
        kind("CM-069", kind="tip", price_amount=100, maximum_amount=10000),
        kind("WC-032", kind="service", price_amount=6000, maximum_quantity=3),
    ],
)
def test_every_kind_is_sold(
    academy: Academy, shop: Shop, admin: Person, teacher: Person, *, buyer: Person, columns: dict[str, Any]
) -> None:
    if columns["kind"] in GOODS:
        columns = columns | {"product_id": product(academy, teacher, GOODS[columns["kind"]])}
    on_sale = offer(academy, admin if "seller_id" in columns else teacher, **columns)
    body: dict[str, Any] = {"offer_id": on_sale["id"], "details": {"note": "soon"}}
    due, quantity, interval, trial = on_sale["price_amount"], 1, on_sale["billing_interval"], on_sale["trial_days"]
    if on_sale["kind"] == "tip":
        body["amount"] = due = 333
    if on_sale["maximum_quantity"] > 1:
        body["quantity"] = quantity = 3
    refused(academy.call(None, "POST", CHECKOUT, body), 401, "unauthorized")
    begun = shop.begin(buyer, **body)
    assert begun["status"] == "pending"
    assert begun["url"].startswith(shop.double.url)
    session = shop.session(begun["session_id"])
    assert session["mode"] == ("subscription" if interval else "payment")
    assert session["amount_total"] == (0 if trial else due * quantity)
    assert (session["client_reference_id"], session["metadata"]["order_id"]) == (begun["order_id"],) * 2
    assert session["currency"] == "eur"

    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    order = shop.order(buyer, begun["order_id"])
    assert (order["status"], order["paid_amount"]) == ("paid", 0 if trial else due * quantity)
    held = [(each["kind"], each["order_id"]) for each in shop.entitlements(buyer)]
    assert held == ([] if on_sale["kind"] in {"tip", "credit_package"} else [(on_sale["kind"], order["id"])])
    if on_sale["credits"]:
        (account,) = rows(academy.call(buyer, "GET", "/rest/v1/ledger_accounts?kind=eq.credits"))
        assert account["balance"] == 100
    shop.delivered(begun["order_id"])
    assert shop.order(buyer, begun["order_id"]) == order
    assert imbalance(academy) == []


@pytest.mark.route("CM-015", "WC-024", call=CALL)
def test_a_course_is_sold(academy: Academy, shop: Shop, course: Course, buyer: Person) -> None:
    refused(academy.call(None, "POST", CHECKOUT, {"course_id": course.id}), 401, "unauthorized")
    order = shop.buy(buyer, course_id=course.id)
    assert (order["course_id"], order["paid_amount"]) == (course.id, 4900)
    assert [row["source"] for row in rows(academy.call(buyer, "GET", "/rest/v1/enrolments"))] == ["purchase"]
    refused(academy.call(buyer, "POST", CHECKOUT, {"course_id": course.id}), 409, "already_enrolled")


@pytest.mark.route("CM-011", "WC-080", call=CALL)
def test_a_bundle_is_sold(academy: Academy, shop: Shop, teacher: Person, course: Course, buyer: Person) -> None:
    other = academy.course(teacher, price_amount=1000)
    bundle = academy.insert(teacher, "offers", kind="bundle", title="Both", price_amount=5000)
    for each in (course, other):
        academy.insert(teacher, "offer_courses", offer_id=bundle["id"], course_id=each.id)
    assert academy.rpc(teacher, "publish_offer", offer_id=bundle["id"]).status_code == 200
    refused(academy.call(None, "POST", CHECKOUT, {"offer_id": bundle["id"]}), 401, "unauthorized")
    shop.buy(buyer, offer_id=bundle["id"])
    assert {each["course_id"] for each in shop.entitlements(buyer)} == {course.id, other.id}


def test_what_is_free_by_a_coupon_needs_no_page(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    code = f"FREE-{uuid.uuid4().hex[:12]}".upper()
    academy.insert(teacher, "coupons", code=code, percent_off=100)
    begun = shop.begin(buyer, offer_id=beat["id"], coupon=code)
    assert (begun["status"], begun["session_id"], begun["url"]) == ("paid", None, None)


def test_a_coupon_takes_off_and_a_quantity_multiplies(
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


def test_asked_again_it_is_the_same_page(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    begun = together(8, lambda _: shop.begin(buyer, offer_id=beat["id"]))
    assert len({each["session_id"] for each in begun}) == 1
    assert shop.begin(buyer, offer_id=beat["id"], success_url=f"{SITE}/thanks") == begun[0]
    customers = academy.sql(
        "select stripe_id from private.stripe_objects where object = 'customer' and id = %s", buyer.id
    )
    assert len(customers) == 1
    other = offer(academy, teacher, "playlist_submission")
    second = shop.begin(buyer, offer_id=other["id"])
    assert shop.session(second["session_id"])["customer"] == customers[0][0]


def test_a_page_that_has_closed_is_followed_by_another(
    academy: Academy, shop: Shop, teacher: Person, buyer: Person
) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    begun = shop.begin(buyer, offer_id=beat["id"])
    shop.double.post("webhooks/drop", contains=begun["order_id"], types=["checkout.session.expired"])
    shop.double.client.v1.checkout.sessions.expire(begun["session_id"])
    again = shop.begin(buyer, offer_id=beat["id"])
    assert again["order_id"] == begun["order_id"]
    assert again["session_id"] != begun["session_id"]
    shop.double.pay(again["session_id"])
    assert shop.verify(buyer, again["session_id"])["status"] == "paid"


def test_who_paid_and_asks_again_is_told_so(academy: Academy, shop: Shop, teacher: Person, buyer: Person) -> None:
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
        eventually(lambda name=each["session_id"]: shop.session(name)["status"] == "expired")


# Coming back


WAYS = ["before", "after", "never"]


def sell(academy: Academy, shop: Shop, teacher: Person, buyer: Person, *, what: str, way: str) -> dict[str, Any]:
    """Sell something whose webhooks come before the buyer is back, after, or never; what the return answers."""
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
def test_the_return_and_the_webhook_say_the_same(
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
def test_coming_back_from_a_course_enrols(
    academy: Academy, shop: Shop, course: Course, buyer: Person, stranger: Person
) -> None:
    begun = shop.begin(buyer, course_id=course.id)
    assert shop.verify(buyer, begun["session_id"])["status"] == "pending"
    shop.double.pay(begun["session_id"])
    refused(academy.call(stranger, "POST", VERIFY, {"session_id": begun["session_id"]}), 404, "order_not_found")
    state = shop.verify(buyer, begun["session_id"])
    assert (state["status"], state["course_id"]) == ("paid", course.id)
    assert state["paid_at"] is not None
    assert len(rows(academy.call(buyer, "GET", "/rest/v1/enrolments"))) == 1


def test_a_session_that_is_none_is_not_found(academy: Academy, shop: Shop, buyer: Person, refused: Refused) -> None:
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


# Where the browser goes


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
def test_nobody_is_led_elsewhere(academy: Academy, teacher: Person, buyer: Person, url: str) -> None:
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
def test_the_browser_comes_back_with_the_session(
    academy: Academy, shop: Shop, teacher: Person, *, buyer: Person, given: str | None, sent: str
) -> None:
    beat = offer(academy, teacher, "playlist_submission")
    begun = shop.begin(buyer, offer_id=beat["id"], **({"success_url": given} if given else {}))
    session = shop.session(begun["session_id"])
    assert session["success_url"] == sent
    assert session["cancel_url"] == f"{SITE}/checkout/cancelled"
