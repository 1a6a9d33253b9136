"""Downloads of bought files: by tier, by the buyer, until the order is refunded."""

import re
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest

from tests.commerce.goods import BYTES, Beat, beat, fetch, give_files, mark_paid, upload
from tests.commerce.stripe_events import offer, pay, placed
from tests.people import Academy, Person, refused, rows


@pytest.fixture(scope="module")
def sold(academy: Academy, teacher: Person) -> Beat:
    """A beat on sale; nobody buys its exclusive licence."""
    return beat(academy, teacher)


@pytest.fixture(scope="module")
def buyer(academy: Academy) -> Person:
    """The buyer of the premium licence."""
    return academy.member()


@pytest.fixture(scope="module")
def order(academy: Academy, sold: Beat, buyer: Person, admin: Person) -> dict[str, Any]:
    """The buyer's paid order."""
    return mark_paid(academy, admin, placed(academy, buyer, offer_id=sold.offers["premium"]))


def downloads(academy: Academy, who: Person | None, order: dict[str, Any], query: str = "") -> httpx.Response:
    return academy.call(who, "GET", f"/functions/v1/orders/{order['id']}/downloads{query}")


@pytest.mark.route("CM-010", call="GET /functions/v1/orders/{order_id}/downloads?file_type=mp3")
def test_a_buyer_downloads_the_files_of_the_tier(
    *,
    academy: Academy,
    sold: Beat,
    buyer: Person,
    order: dict[str, Any],
    stranger: Person,
    student: Person,
    admin: Person,
) -> None:
    for who in (student, stranger, sold.creator, admin):
        refused(downloads(academy, who, order), 404, "order_not_found")
        refused(academy.rpc(who, "order_files", order_id=order["id"]), 404, "order_not_found")
    assert downloads(academy, None, order).status_code == 401
    refused(downloads(academy, buyer, order, "?file_type=stems"), 403, "file_type_not_included")
    for query in ("?expires_in=59", "?expires_in=601", "?file_type=exe"):
        refused(downloads(academy, buyer, order, query), 400, "invalid_request")

    answer = downloads(academy, buyer, order)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "private, no-store"
    files = answer.json()["files"]
    assert [(file["file_type"], file["name"]) for file in files] == [
        ("mp3", "mp3 of it.bin"), ("wav", "wav of it.bin"),
    ]  # fmt: skip
    for file in files:
        # The link needs no token.
        got = httpx.get(file["url"])
        assert (got.status_code, got.content) == (200, BYTES[file["file_type"]])
        assert f"filename*=UTF-8''{file['name']}" in unquote(got.headers["content-disposition"])
        assert httpx.get(file["url"].replace(file["file_type"], "stems")).status_code == 400
    (one,) = downloads(academy, buyer, order, "?file_type=mp3&expires_in=600").json()["files"]
    assert one["file_type"] == "mp3"


def test_links_to_files_of_any_name_can_be_followed(
    academy: Academy, sold: Beat, buyer: Person, order: dict[str, Any]
) -> None:
    """Browsers, mail readers and redirects take an address in ASCII; the names are in any script."""
    path = f"{sold.id}/Noten für 歌?.mp3"
    assert upload(academy, sold.creator, quote(path), b"notes", "audio/mpeg").status_code == 200
    columns = {"file_type": "mp3", "path": path, "mime_type": "audio/mpeg", "size_bytes": 5}
    added = academy.insert(sold.creator, "product_files", product_id=sold.id, **columns)
    files = {file["id"]: file for file in downloads(academy, buyer, order, "?file_type=mp3").json()["files"]}
    url = files[added["id"]]["url"]
    assert files[added["id"]]["name"] == "Noten für 歌?.mp3"
    assert re.fullmatch(r"[!-~]+", url)
    assert httpx.get(url).content == b"notes"
    removed = academy.call(sold.creator, "DELETE", f"/rest/v1/product_files?id=eq.{added['id']}")
    assert removed.status_code == 204, removed.text


def test_storage_serves_the_buyer_and_the_creator_only(
    *,
    academy: Academy,
    sold: Beat,
    buyer: Person,
    order: dict[str, Any],
    stranger: Person,
    student: Person,
    admin: Person,
) -> None:
    assert order["status"] == "paid"
    for file_type, content in BYTES.items():
        path = f"{sold.id}/{file_type} of it.bin"
        for who in (student, stranger, admin):
            assert fetch(academy, who, path).json()["statusCode"] == "404"
        assert fetch(academy, None, path).status_code == 400
        got = fetch(academy, buyer, path)
        signed = academy.call(buyer, "POST", f"/storage/v1/object/sign/products/{path}", {"expiresIn": 60})
        if file_type == "stems":
            assert {got.json()["statusCode"], signed.json()["statusCode"]} == {"404"}
        else:
            assert (got.content, signed.status_code) == (content, 200)
        assert fetch(academy, sold.creator, path).content == content
    seen = rows(academy.call(buyer, "GET", f"/rest/v1/product_files?product_id=eq.{sold.id}&order=file_type"))
    assert [row["file_type"] for row in seen] == ["mp3", "wav"]
    for path in (f"{sold.id}/mp3 of it.bin", f"{sold.id}/new.bin"):
        headers = {"apikey": academy.publishable_key, "authorization": f"Bearer {buyer.token}", "x-upsert": "true"}
        put = academy.http.post(f"/storage/v1/object/products/{path}", content=b"x", headers=headers)
        assert put.status_code == 400


def test_a_full_refund_ends_downloads(academy: Academy, sold: Beat, admin: Person) -> None:
    buyer = academy.member()
    waiting = placed(academy, buyer, offer_id=sold.offers["basic"])
    refused(downloads(academy, buyer, waiting), 409, "order_unpaid")
    order = mark_paid(academy, admin, waiting)
    path = f"{sold.id}/mp3 of it.bin"
    assert downloads(academy, buyer, order).status_code == fetch(academy, buyer, path).status_code == 200
    assert academy.rpc(admin, "refund_order", order_id=order["id"], amount=500).status_code == 200
    assert downloads(academy, buyer, order).status_code == fetch(academy, buyer, path).status_code == 200
    assert academy.rpc(admin, "refund_order", order_id=order["id"]).status_code == 200
    refused(downloads(academy, buyer, order), 403, "entitlement_ended")
    assert fetch(academy, buyer, path).json()["statusCode"] == "404"
    assert rows(academy.call(buyer, "GET", f"/rest/v1/product_files?product_id=eq.{sold.id}")) == []


def test_a_suspended_buyer_downloads_nothing(academy: Academy, sold: Beat, admin: Person) -> None:
    buyer = academy.member()
    order = mark_paid(academy, admin, placed(academy, buyer, offer_id=sold.offers["basic"]))
    academy.suspend(buyer)
    refused(downloads(academy, buyer, order), 403, "account_inactive")
    assert fetch(academy, buyer, f"{sold.id}/mp3 of it.bin").json()["statusCode"] == "404"


def test_a_digital_product_includes_all_its_files(academy: Academy, teacher: Person) -> None:
    product = academy.insert(teacher, "products", kind="digital_product", title="Drum kit")
    give_files(academy, teacher, product["id"])
    notes = f"{product['id']}/notes.pdf"
    academy.insert(teacher, "product_files", product_id=product["id"], file_type="other", path=notes)
    academy.rpc(teacher, "publish_product", product_id=product["id"])
    buyer = academy.member()
    order = placed(academy, buyer, offer_id=offer(academy, teacher, "digital_product", product_id=product["id"])["id"])
    assert (order["licence"], order["licence_code"], order["product_id"]) == (None, None, product["id"])
    pay(academy, order)
    files = {file["file_type"]: file["url"] for file in downloads(academy, buyer, order).json()["files"]}
    # What is listed, but was never uploaded, has no link.
    assert files.keys() == {"mp3", "wav", "stems"}
    refused(downloads(academy, buyer, order, "?file_type=other"), 409, "files_unavailable")
    assert httpx.get(files["stems"]).content == BYTES["stems"]
    assert upload(academy, teacher, notes, b"%PDF-1.7", "application/pdf").status_code == 200
    # The buyer keeps it after it is archived.
    academy.rpc(teacher, "archive_product", product_id=product["id"])
    assert len(downloads(academy, buyer, order).json()["files"]) == 4


def test_other_orders_have_no_files(academy: Academy, teacher: Person) -> None:
    buyer = academy.member()
    order = placed(academy, buyer, offer_id=offer(academy, teacher, "service", price_amount=0)["id"])
    refused(downloads(academy, buyer, order), 409, "order_without_files")
