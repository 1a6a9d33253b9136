"""Products and licences of beats: who writes and reads them, and that an exclusive licence is sold once."""

from typing import Any

import pytest

from tests.commerce.goods import BYTES, PRICES, TIERS, Beat, beat, mark_paid, upload
from tests.commerce.stripe_events import deliver, dispute, event, offer, pay, placed, session
from tests.people import Academy, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}


@pytest.fixture(scope="module")
def shown(academy: Academy, teacher: Person) -> Beat:
    """A beat on sale, whose exclusive licence nobody buys."""
    return beat(academy, teacher)


@pytest.fixture
def fresh(academy: Academy, teacher: Person) -> Beat:
    """A beat on sale of the test's own."""
    return beat(academy, teacher)


def test_teachers_create_and_change_their_own_products_only(
    academy: Academy, teacher: Person, stranger: Person, student: Person, admin: Person
) -> None:
    new = {"kind": "beat", "title": "Dawn", "bpm": 90, "musical_key": "F# minor"}
    suspended = academy.member("teacher")
    academy.suspend(suspended)
    for who in (student, suspended, admin):
        assert academy.call(who, "POST", "/rest/v1/products", new).status_code == 403
    assert academy.call(None, "POST", "/rest/v1/products", new).status_code == 401
    for columns in ({"creator_id": stranger.id}, {"status": "published"}, {"is_sold": True}, {"id": stranger.id}):
        assert academy.call(teacher, "POST", "/rest/v1/products", new | columns).status_code == 403

    made = academy.insert(teacher, "products", **new)
    assert (made["creator_id"], made["status"], made["is_sold"]) == (teacher.id, "draft", False)
    path = f"/rest/v1/products?id=eq.{made['id']}"
    assert rows(academy.call(None, "GET", path)) == []
    for who in (student, stranger):
        assert rows(academy.call(who, "GET", path)) == []
        refused(academy.rpc(who, "publish_product", product_id=made["id"]), 404, "product_not_found")
        assert rows(academy.call(who, "PATCH", path, {"title": "Mine"}, **SHOWN)) == []
        assert rows(academy.call(who, "DELETE", path, **SHOWN)) == []
    for columns in ({"status": "published"}, {"is_sold": True}, {"creator_id": stranger.id}, {"kind": "beat"}):
        assert academy.call(teacher, "PATCH", path, columns).status_code == 403

    assert rows(academy.call(teacher, "PATCH", path, {"bpm": 91}, **SHOWN))[0]["bpm"] == 91
    refused(academy.rpc(teacher, "archive_product", product_id=made["id"]), 409, "illegal_transition")
    for _ in range(2):
        assert academy.rpc(teacher, "publish_product", product_id=made["id"]).json()["status"] == "published"
    assert [row["title"] for row in rows(academy.call(None, "GET", path))] == ["Dawn"]
    assert rows(academy.call(teacher, "DELETE", path, **SHOWN)) == []
    draft = academy.insert(teacher, "products", kind="digital_product", title="Drum kit")
    assert len(rows(academy.call(teacher, "DELETE", f"/rest/v1/products?id=eq.{draft['id']}", **SHOWN))) == 1


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"title": " "}, "products_title_check"),
        ({"bpm": 5}, "products_bpm_check"),
        ({"musical_key": "H major"}, "products_musical_key_check"),
        ({"kind": "digital_product", "bpm": 90}, "products_beat_check"),
    ],
)
def test_a_product_out_of_bounds_names_the_constraint(
    academy: Academy, teacher: Person, columns: dict[str, Any], constraint: str
) -> None:
    answer = academy.call(teacher, "POST", "/rest/v1/products", {"kind": "beat", "title": "New"} | columns)
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert constraint in answer.json()["message"]


def test_only_the_creator_writes_and_reads_files(
    academy: Academy, shown: Beat, stranger: Person, student: Person, admin: Person
) -> None:
    path = f"{shown.id}/new.mp3"
    row = {"product_id": shown.id, "file_type": "mp3", "path": path}
    for who in (stranger, student, admin, None):
        assert upload(academy, who, path, b"ID3", "audio/mpeg").json()["statusCode"] == "403"
        assert academy.call(who, "POST", "/rest/v1/product_files", row).status_code == (403 if who else 401)
        listed = academy.call(who, "GET", f"/rest/v1/product_files?product_id=eq.{shown.id}")
        assert listed.status_code == 401 if who is None else rows(listed) == []
        assert academy.call(who, "POST", "/storage/v1/object/list/products", {"prefix": shown.id}).json() == []
    creator = shown.creator
    wrong = academy.call(creator, "POST", "/rest/v1/product_files", row | {"path": f"{creator.id}/new.mp3"})
    assert "product_files_path_check" in wrong.text
    assert upload(academy, creator, f"{creator.id}/new.mp3", b"ID3", "audio/mpeg").json()["statusCode"] == "403"
    assert upload(academy, creator, f"{shown.id}/page.html", b"<p>", "text/html").json()["statusCode"] == "415"
    for _ in range(2):
        assert upload(academy, creator, path, b"ID3", "audio/mpeg").status_code == 200
    made = academy.insert(creator, "product_files", **row)
    for who in (stranger, student, admin):
        assert rows(academy.call(who, "DELETE", f"/rest/v1/product_files?id=eq.{made['id']}", **SHOWN)) == []
    assert len(rows(academy.call(creator, "DELETE", f"/rest/v1/product_files?id=eq.{made['id']}", **SHOWN))) == 1
    gone = academy.call(creator, "DELETE", "/storage/v1/object/products", {"prefixes": [path]})
    assert [file["name"] for file in gone.json()] == [path]


def test_an_offer_sells_a_product_of_its_seller_and_kind(
    academy: Academy, shown: Beat, teacher: Person, stranger: Person
) -> None:
    kit = academy.insert(teacher, "products", kind="digital_product", title="Drum kit")
    licence = {"kind": "beat_licence", "title": "X"}
    beat = {"kind": "digital_product", "title": "X", "product_id": shown.id}
    bad: list[tuple[Person, dict[str, Any], int, str]] = [
        (stranger, licence | {"product_id": shown.id}, 404, "product_not_found"),
        (teacher, licence | {"product_id": kit["id"]}, 404, "product_not_found"),
        (teacher, licence | {"product_id": teacher.id}, 404, "product_not_found"),
        (teacher, beat, 404, "product_not_found"),
        (teacher, licence, 422, "offer_column_missing"),
        (teacher, {"kind": "digital_product", "title": "X"}, 422, "offer_column_missing"),
        (teacher, {"kind": "service", "title": "X", "product_id": shown.id}, 422, "offer_column_not_allowed"),
    ]
    for who, body, status, token in bad:
        answer = academy.call(who, "POST", "/rest/v1/offers", body)
        refused(answer, status, token)
        assert "product" in answer.json()["details"], answer.text


def test_a_seller_adds_terms_to_their_own_licences(
    academy: Academy, fresh: Beat, stranger: Person, student: Person, admin: Person
) -> None:
    seller = fresh.creator
    made = academy.insert(seller, "offers", kind="beat_licence", title="Unlimited", product_id=fresh.id)
    terms = {"offer_id": made["id"], "tier": "unlimited", **TIERS["premium"]}
    refused(academy.rpc(seller, "publish_offer", offer_id=made["id"]), 409, "licence_terms_missing")
    for who in (stranger, student, admin):
        refused(academy.call(who, "POST", "/rest/v1/licence_terms", terms), 404, "offer_not_found")
    assert academy.call(None, "POST", "/rest/v1/licence_terms", terms).status_code == 401
    service = academy.insert(seller, "offers", kind="service", title="A critique")
    wrong = terms | {"offer_id": service["id"]}
    refused(academy.call(seller, "POST", "/rest/v1/licence_terms", wrong), 404, "offer_not_found")
    for columns in ({"seller_id": seller.id}, {"product_id": fresh.id}):
        assert academy.call(seller, "POST", "/rest/v1/licence_terms", terms | columns).status_code == 403
    bad: list[tuple[dict[str, Any], str]] = [
        ({"tier": "basic"}, "licence_terms_product_id_tier_key"),
        ({"tier": None}, '"tier"'),
        ({"file_types": []}, "licence_terms_file_types_check"),
        ({"file_types": None}, '"file_types"'),
        ({"is_credit_required": None}, '"is_credit_required"'),
        ({"term_years": 0}, "licence_terms_term_years_check"),
        ({"maximum_copies": -1}, "licence_terms_maximum_copies_check"),
    ]
    for columns, constraint in bad:
        answer = academy.call(seller, "POST", "/rest/v1/licence_terms", terms | columns)
        assert answer.status_code in {400, 409}, answer.text
        assert constraint.strip('"') in answer.text, answer.text
    assert academy.insert(seller, "licence_terms", **terms)["product_id"] == fresh.id
    assert academy.call(seller, "POST", "/rest/v1/licence_terms", terms).status_code == 409

    # Buyers read the terms with the offer, once it is on sale.
    path = f"/rest/v1/offers?id=eq.{made['id']}&select=title,licence_terms(tier,maximum_copies)"
    assert rows(academy.call(student, "GET", path)) == []
    assert rows(academy.call(student, "GET", f"/rest/v1/licence_terms?offer_id=eq.{made['id']}")) == []
    assert academy.rpc(seller, "publish_offer", offer_id=made["id"]).status_code == 200
    for reader in (None, student):
        (seen,) = rows(academy.call(reader, "GET", path))
        assert seen["licence_terms"] == {"tier": "unlimited", "maximum_copies": 5000}
    own = f"/rest/v1/licence_terms?offer_id=eq.{made['id']}"
    for who in (stranger, student):
        assert rows(academy.call(who, "PATCH", own, {"maximum_copies": 1}, **SHOWN)) == []
    for who in (seller, admin):
        assert len(rows(academy.call(who, "PATCH", own, {"maximum_copies": 7}, **SHOWN))) == 1
    for body in ({"tier": "premium"}, {"offer_id": fresh.offers["basic"]}):
        assert academy.call(seller, "PATCH", own, body).status_code == 403
    assert academy.call(seller, "DELETE", own).status_code == 403


def test_an_offer_without_its_files_is_not_sold(academy: Academy, teacher: Person) -> None:
    product = academy.insert(teacher, "products", kind="digital_product", title="Drum kit")
    made = academy.insert(teacher, "offers", kind="digital_product", title="Kit", price_amount=900,
                          product_id=product["id"])  # fmt: skip
    refused(academy.rpc(teacher, "publish_offer", offer_id=made["id"]), 409, "product_unpublished")
    academy.rpc(teacher, "publish_product", product_id=product["id"])
    refused(academy.rpc(teacher, "publish_offer", offer_id=made["id"]), 409, "files_missing")
    academy.insert(teacher, "product_files", product_id=product["id"], file_type="other",
                   path=f"{product['id']}/kit.zip")  # fmt: skip
    refused(academy.rpc(teacher, "publish_offer", offer_id=made["id"]), 409, "files_missing")
    assert upload(academy, teacher, f"{product['id']}/kit.zip", BYTES["stems"], "application/zip").status_code == 200
    assert academy.rpc(teacher, "publish_offer", offer_id=made["id"]).json()["status"] == "active"
    assert academy.rpc(teacher, "archive_product", product_id=product["id"]).json()["status"] == "archived"
    assert rows(academy.call(None, "GET", f"/rest/v1/offers?id=eq.{made['id']}")) == []


def test_the_shop_shows_a_beat_with_its_tiers(academy: Academy, shown: Beat) -> None:
    tiers = "select=title,bpm,is_sold,offers(price_amount,licence_terms(tier,file_types))&offers.order=price_amount"
    (found,) = rows(academy.call(None, "GET", f"/rest/v1/products?id=eq.{shown.id}&status=eq.published&{tiers}"))
    assert [(row["price_amount"], row["licence_terms"]) for row in found["offers"]] == [
        (PRICES[tier], {"tier": tier, "file_types": terms["file_types"]}) for tier, terms in TIERS.items()
    ]


def test_an_order_keeps_its_licence_terms(academy: Academy, fresh: Beat, admin: Person) -> None:
    buyer = academy.member(name="Lior")
    path = f"/rest/v1/licence_terms?offer_id=eq.{fresh.offers['basic']}"
    order = placed(academy, buyer, offer_id=fresh.offers["basic"])
    assert placed(academy, buyer, offer_id=fresh.offers["basic"]) == order
    assert academy.call(fresh.creator, "PATCH", path, {"maximum_copies": 9, "term_years": 1}).status_code == 204
    # A pending order with other terms is replaced, so that the buyer gets the present ones.
    newer = placed(academy, buyer, offer_id=fresh.offers["basic"])
    assert (newer["id"] == order["id"], newer["licence"]["copies"], order["licence"]["copies"]) == (False, 9, 500)
    paid = mark_paid(academy, admin, newer)
    academy.call(fresh.creator, "PATCH", path, {"maximum_copies": 1})
    academy.call(fresh.creator, "PATCH", f"/rest/v1/products?id=eq.{fresh.id}", {"title": "Renamed"})
    (kept,) = rows(academy.call(buyer, "GET", f"/rest/v1/orders?id=eq.{paid['id']}"))
    assert (kept["buyer_name"], kept["seller_name"], kept["product_id"]) == ("Lior", "Ines", fresh.id)
    assert kept["licence"] == {
        "product_title": "Midnight in Osu", "tier": "basic", "file_types": ["mp3"], "copies": 9, "streams": None,
        "videos": None, "performances": None, "is_credit_required": True, "term_years": 1,
    }  # fmt: skip
    verified = academy.rpc(None, "verify_licence", code=kept["licence_code"].lower()).json()
    assert (verified["is_valid"], verified["tier"], verified["licensee_name"]) == (True, "basic", "Lior")
    refused(academy.rpc(None, "verify_licence", code="0000-0000-0000-0000-0000"), 404, "licence_not_found")
    forged: list[dict[str, Any]] = [{"licence": {}}, {"licence_code": None}, {"reserved_product_id": fresh.id}]
    for who in (buyer, fresh.creator):
        for body in forged:
            assert academy.call(who, "PATCH", f"/rest/v1/orders?id=eq.{paid['id']}", body).status_code == 403


def test_an_exclusive_licence_is_sold_once(academy: Academy, fresh: Beat, admin: Person, student: Person) -> None:
    first, second = academy.member(), academy.member()
    waiting = placed(academy, second, offer_id=fresh.offers["basic"])
    won = placed(academy, first, offer_id=fresh.offers["exclusive"])
    assert (won["reserved_product_id"], placed(academy, first, offer_id=fresh.offers["exclusive"])) == (fresh.id, won)
    # While it is pending, nobody else can order the exclusive licence; the other tiers stay on sale.
    refused(academy.rpc(second, "place_order", offer_id=fresh.offers["exclusive"]), 409, "licence_exclusive")
    early = mark_paid(academy, admin, placed(academy, student, offer_id=fresh.offers["premium"]))
    mark_paid(academy, admin, won)
    assert rows(academy.call(None, "GET", f"/rest/v1/products?id=eq.{fresh.id}"))[0]["is_sold"] is True
    for tier in TIERS:
        answer = academy.rpc(academy.member(), "place_order", offer_id=fresh.offers[tier])
        refused(answer, 409, "licence_exclusive")
    (cancelled,) = rows(academy.call(second, "GET", f"/rest/v1/orders?id=eq.{waiting['id']}"))
    assert cancelled["status"] == "cancelled"
    assert len(academy.rpc(student, "order_files", order_id=early["id"]).json()) == 2

    # A late payment of the cancelled order is refunded.
    payment = pay(academy, waiting)
    assert academy.sql("select status from public.orders where id = %s", waiting["id"]) == [("cancelled",)]
    kept = academy.sql("select is_surplus from private.payments where reference = %s", payment)
    assert kept == [(True,)]
    refused(academy.rpc(second, "order_files", order_id=waiting["id"]), 409, "order_unpaid")

    # After a full refund it can be sold again.
    assert academy.rpc(admin, "refund_order", order_id=won["id"], amount=1).status_code == 200
    assert rows(academy.call(None, "GET", f"/rest/v1/products?id=eq.{fresh.id}"))[0]["is_sold"] is True
    assert academy.rpc(admin, "refund_order", order_id=won["id"]).status_code == 200
    assert rows(academy.call(None, "GET", f"/rest/v1/products?id=eq.{fresh.id}"))[0]["is_sold"] is False
    assert academy.rpc(None, "verify_licence", code=won["licence_code"]).json()["is_valid"] is False
    mark_paid(academy, admin, placed(academy, second, offer_id=fresh.offers["exclusive"]))


def test_one_of_twenty_concurrent_buyers_gets_the_exclusive_licence(academy: Academy, fresh: Beat) -> None:
    buyers = [academy.member() for _ in range(20)]
    answers = concurrently(20, lambda n: academy.rpc(buyers[n], "place_order", offer_id=fresh.offers["exclusive"]))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19, [a.text for a in answers]
    assert {answer.json()["message"] for answer in answers if answer.status_code == 409} == {"licence_exclusive"}


def test_an_overdue_exclusive_order_releases_the_beat(academy: Academy, fresh: Beat) -> None:
    slow, quick = academy.member(), academy.member()
    first = placed(academy, slow, offer_id=fresh.offers["exclusive"])
    academy.sql("update public.orders set expires_at = now() - interval '10 minutes' where id = %s", first["id"])
    second = placed(academy, quick, offer_id=fresh.offers["exclusive"])
    assert academy.sql("select status from public.orders where id = %s", first["id"]) == [("expired",)]
    # The slow buyer pays after all, by card or by a delayed method: refunded. The quick buyer keeps the licence.
    late = session(first)
    assert deliver(academy, event("checkout.session.completed", session(first, paid=False))) == "ignored"
    assert deliver(academy, event("checkout.session.completed", late)) == "applied"
    assert academy.sql("select is_surplus from private.payments where reference = %s", late["payment_intent"]) == [
        (True,)
    ]
    pay(academy, second)
    states = (
        "select status, reserved_product_id is not null from public.orders where id = any(%s::uuid[]) order by number"
    )
    assert academy.sql(states, [first["id"], second["id"]]) == [("expired", False), ("paid", True)]


@pytest.mark.parametrize(("status", "is_sold"), [("needs_response", True), ("won", True), ("lost", False)])
def test_a_lost_dispute_releases_the_beat(*, academy: Academy, fresh: Beat, status: str, is_sold: bool) -> None:
    buyer = academy.member()
    order = placed(academy, buyer, offer_id=fresh.offers["exclusive"])
    bank = dispute(pay(academy, order), order["amount"])
    assert deliver(academy, event("charge.dispute.created", bank)) == "applied"
    refused(academy.rpc(buyer, "order_files", order_id=order["id"]), 403, "entitlement_ended")
    refused(academy.rpc(academy.member(), "place_order", offer_id=fresh.offers["basic"]), 409, "licence_exclusive")
    deliver(academy, event("charge.dispute.closed", {**bank, "status": status}))
    assert rows(academy.call(None, "GET", f"/rest/v1/products?id=eq.{fresh.id}"))[0]["is_sold"] is is_sold


def test_concurrent_orders_and_payments_leave_one_owner(academy: Academy, fresh: Beat, admin: Person) -> None:
    """An order of another tier, placed while the exclusive one is being paid, comes before it or is refused."""
    owner, others = academy.member(), [academy.member() for _ in range(8)]
    won = placed(academy, owner, offer_id=fresh.offers["exclusive"])

    def work(number: int) -> int:
        if number == 0:
            return academy.rpc(admin, "mark_order_paid", order_id=won["id"], reference="Now").status_code
        return academy.rpc(others[number - 1], "place_order", offer_id=fresh.offers["basic"]).status_code

    codes = concurrently(9, work)
    assert codes[0] == 200
    assert set(codes[1:]) <= {200, 409}
    for (order_id,) in academy.sql(
        "select id from public.orders where product_id = %s and status = 'pending'", fresh.id
    ):
        refused(academy.rpc(admin, "mark_order_paid", order_id=order_id, reference="Late"), 409, "licence_exclusive")


def test_a_free_licence_is_paid_at_once(academy: Academy, teacher: Person, shown: Beat) -> None:
    buyer = academy.member()
    free = offer(
        academy, teacher, "beat_licence", price_amount=0, product_id=shown.id,
        licence_terms={"tier": "unlimited", "file_types": ["mp3"], "is_credit_required": True},
    )  # fmt: skip
    order = placed(academy, buyer, offer_id=free["id"])
    assert order["status"] == "paid"
    assert [file["file_type"] for file in academy.rpc(buyer, "order_files", order_id=order["id"]).json()] == ["mp3"]
