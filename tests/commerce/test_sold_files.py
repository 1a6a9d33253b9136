"""Files of products: a product without them is not sold, and what was sold stays as it was sold."""

from typing import Any

import httpx
import pytest

from tests.commerce.goods import BYTES, KINDS, TIERS, Beat, beat, fetch, give_files, mark_paid, upload
from tests.commerce.stripe_events import offer, pay, placed
from tests.commerce.test_downloads import downloads
from tests.people import Academy, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}


@pytest.fixture
def seller(academy: Academy) -> Person:
    """A teacher of the test's own."""
    return academy.member("teacher", name="Ines")


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A new buyer."""
    return academy.member()


@pytest.fixture
def fresh(academy: Academy, seller: Person) -> Beat:
    """A beat on sale of the test's own."""
    return beat(academy, seller)


@pytest.fixture
def kit(academy: Academy, seller: Person) -> dict[str, Any]:
    """A digital product of three files, on sale."""
    product = academy.insert(seller, "products", kind="digital_product", title="Drum kit")
    give_files(academy, seller, product["id"])
    academy.rpc(seller, "publish_product", product_id=product["id"])
    return offer(academy, seller, "digital_product", product_id=product["id"])


def remove(academy: Academy, who: Person, *paths: str) -> httpx.Response:
    return academy.call(who, "DELETE", "/storage/v1/object/products", {"prefixes": list(paths)})


def move(academy: Academy, who: Person, path: str, to: str) -> httpx.Response:
    body = {"bucketId": "products", "sourceKey": path, "destinationKey": to}
    return academy.call(who, "POST", "/storage/v1/object/move", body)


def path_of(product_id: str, file_type: str) -> str:
    return f"{product_id}/{file_type} of it.bin"


def file_row(academy: Academy, who: Person, product_id: str, file_type: str) -> dict[str, Any]:
    query = f"product_id=eq.{product_id}&file_type=eq.{file_type}&retired_at=is.null"
    (row,) = rows(academy.call(who, "GET", f"/rest/v1/product_files?{query}"))
    return row


def problems(academy: Academy, who: Person, offer_id: str) -> list[tuple[str, str | None]]:
    found = rows(academy.call(who, "GET", f"/rest/v1/offer_problems?offer_id=eq.{offer_id}&order=file_type"))
    return [(row["problem"], row["file_type"]) for row in found]


def test_a_product_without_uploaded_files_is_not_published(academy: Academy, seller: Person) -> None:
    product = academy.insert(seller, "products", kind="digital_product", title="Air")
    academy.rpc(seller, "publish_product", product_id=product["id"])
    path = f"{product['id']}/air.zip"
    academy.insert(seller, "product_files", product_id=product["id"], file_type="other", path=path)
    made = academy.insert(seller, "offers", kind="digital_product", title="Air", product_id=product["id"])
    refused(academy.rpc(seller, "publish_offer", offer_id=made["id"]), 409, "files_missing")
    assert problems(academy, seller, made["id"]) == [("file_missing", None)]
    assert upload(academy, seller, path, BYTES["stems"], "application/zip").status_code == 200
    assert academy.rpc(seller, "publish_offer", offer_id=made["id"]).status_code == 200
    assert problems(academy, seller, made["id"]) == []


def test_a_product_that_lost_a_file_is_not_sold(academy: Academy, seller: Person, buyer: Person, fresh: Beat) -> None:
    assert len(remove(academy, seller, path_of(fresh.id, "wav")).json()) == 1
    refused(academy.rpc(buyer, "place_order", offer_id=fresh.offers["premium"]), 409, "files_missing")
    assert problems(academy, seller, fresh.offers["premium"]) == [("file_missing", "wav")]
    assert problems(academy, buyer, fresh.offers["premium"]) == []
    # The tier that needs only the other file is sold; a free one, too, is asked.
    assert placed(academy, buyer, offer_id=fresh.offers["basic"])["status"] == "pending"
    row = file_row(academy, seller, fresh.id, "stems")
    assert academy.call(seller, "DELETE", f"/rest/v1/product_files?id=eq.{row['id']}").status_code == 204
    refused(academy.rpc(buyer, "place_order", offer_id=fresh.offers["exclusive"]), 409, "files_missing")


@pytest.mark.parametrize("is_paid", [False, True])
def test_a_file_that_was_ordered_is_kept(
    *, academy: Academy, seller: Person, buyer: Person, fresh: Beat, is_paid: bool
) -> None:
    order = placed(academy, buyer, offer_id=fresh.offers["basic"])
    if is_paid:
        pay(academy, order)
    path = path_of(fresh.id, "mp3")
    row = file_row(academy, seller, fresh.id, "mp3")
    refused(academy.call(seller, "DELETE", f"/rest/v1/product_files?id=eq.{row['id']}"), 409, "file_sold")
    for answer in (
        remove(academy, seller, path),
        remove(academy, seller, path_of(fresh.id, "wav"), path),
        academy.call(seller, "DELETE", f"/storage/v1/object/products/{path}"),
        move(academy, seller, path, f"{fresh.id}/elsewhere.mp3"),
        move(academy, seller, path_of(fresh.id, "wav"), path),
        upload(academy, seller, path, b"ID3 nothing", KINDS["mp3"]),
    ):
        assert answer.status_code in {400, 409}, answer.text
        assert answer.json()["statusCode"] == "409", answer.text
    # A server key cannot either, nor SQL.
    key = {"apikey": academy.secret_key}
    gone = academy.http.request("DELETE", f"/storage/v1/object/products/{path}", headers=key)
    assert (gone.json()["statusCode"], gone.json()["code"]) == ("409", "file_sold")
    with academy.connection() as connection, pytest.raises(Exception, match="file_sold"):
        connection.execute(b"delete from public.product_files where path = %s", [path])
    assert fetch(academy, seller, path).content == BYTES["mp3"]
    # What no order includes can go.
    assert len(remove(academy, seller, path_of(fresh.id, "wav")).json()) == 1
    if is_paid:
        (file,) = downloads(academy, buyer, order).json()["files"]
        assert httpx.get(file["url"]).content == BYTES["mp3"]


def test_an_upload_link_does_not_replace_a_sold_file(
    academy: Academy, seller: Person, buyer: Person, kit: dict[str, Any]
) -> None:
    path = path_of(kit["product_id"], "mp3")
    link = academy.call(seller, "POST", f"/storage/v1/object/upload/sign/products/{path}", {}, x_upsert="true")
    assert link.status_code == 200, link.text
    pay(academy, placed(academy, buyer, offer_id=kit["id"]))
    put = academy.http.put(
        f"/storage/v1{link.json()['url']}", content=b"ID3 nothing",
        headers={"apikey": academy.publishable_key, "content-type": KINDS["mp3"]},
    )  # fmt: skip
    assert (put.json()["statusCode"], put.json()["code"]) == ("409", "file_sold")
    assert fetch(academy, buyer, path).content == BYTES["mp3"]


def test_a_new_version_reaches_buyers_and_the_old_one_stays(
    *, academy: Academy, seller: Person, buyer: Person, stranger: Person, kit: dict[str, Any]
) -> None:
    product_id = kit["product_id"]
    order = placed(academy, buyer, offer_id=kit["id"])
    pay(academy, order)
    old = file_row(academy, seller, product_id, "mp3")
    new_path = f"{product_id}/second.mp3"
    assert upload(academy, seller, new_path, b"ID3 second", KINDS["mp3"]).status_code == 200
    call = {"product_file_id": old["id"], "path": new_path}
    for who in (buyer, stranger):
        refused(academy.rpc(who, "replace_product_file", **call), 404, "product_file_not_found")
        refused(academy.rpc(who, "retire_product_file", product_file_id=old["id"]), 404, "product_file_not_found")
    made = academy.rpc(seller, "replace_product_file", **call)
    assert (made.status_code, made.json()["version"], made.json()["file_type"]) == (200, 2, "mp3"), made.text
    files = [file for file in downloads(academy, buyer, order).json()["files"] if file["file_type"] == "mp3"]
    assert [httpx.get(file["url"]).content for file in files] == [b"ID3 second", BYTES["mp3"]]
    # A later buyer gets the new one only, and cannot reach the old one.
    later = academy.member()
    second = placed(academy, later, offer_id=kit["id"])
    pay(academy, second)
    (file,) = [file for file in downloads(academy, later, second).json()["files"] if file["file_type"] == "mp3"]
    assert httpx.get(file["url"]).content == b"ID3 second"
    assert fetch(academy, later, path_of(product_id, "mp3")).json()["statusCode"] == "404"
    refused(academy.call(seller, "DELETE", f"/rest/v1/product_files?id=eq.{old['id']}"), 409, "file_sold")
    # A file that was added by mistake, after the last order, can be taken back.
    mistake = academy.insert(
        seller, "product_files", product_id=product_id, file_type="other", path=f"{product_id}/mine.pdf"
    )
    path = f"/rest/v1/product_files?id=eq.{mistake['id']}"
    assert len(rows(academy.call(seller, "DELETE", path, **SHOWN))) == 1


def test_a_retired_file_is_not_sold(academy: Academy, seller: Person, buyer: Person, fresh: Beat) -> None:
    order = placed(academy, buyer, offer_id=fresh.offers["basic"])
    pay(academy, order)
    row = file_row(academy, seller, fresh.id, "mp3")
    for _ in range(2):
        retired = academy.rpc(seller, "retire_product_file", product_file_id=row["id"]).json()
        assert retired["retired_at"] is not None
    refused(academy.rpc(academy.member(), "place_order", offer_id=fresh.offers["basic"]), 409, "files_missing")
    assert problems(academy, seller, fresh.offers["basic"]) == [("file_missing", "mp3")]
    assert len(downloads(academy, buyer, order).json()["files"]) == 1


def test_a_missing_file_is_an_error_and_not_an_empty_link(academy: Academy, buyer: Person, kit: dict[str, Any]) -> None:
    order = placed(academy, buyer, offer_id=kit["id"])
    pay(academy, order)
    # As if the disk had lost them: nobody can delete them.
    academy.sql("alter table storage.objects disable trigger guildhall_keep_sold_files")
    try:
        with academy.connection() as connection, connection.transaction():
            connection.execute("select set_config('storage.allow_delete_query', 'true', true)")
            connection.execute("delete from storage.objects where starts_with(name, %s)", [kit["product_id"]])
    finally:
        academy.sql("alter table storage.objects enable trigger guildhall_keep_sold_files")
    refused(downloads(academy, buyer, order), 409, "files_unavailable")
    refused(downloads(academy, buyer, order, "?file_type=wav"), 409, "files_unavailable")


def test_a_free_licence_without_files_is_not_given(academy: Academy, seller: Person, buyer: Person) -> None:
    made = academy.insert(seller, "products", kind="beat", title="Free")
    give_files(academy, seller, made["id"])
    academy.rpc(seller, "publish_product", product_id=made["id"])
    terms = {"tier": "basic", **TIERS["basic"]}
    free = offer(academy, seller, "beat_licence", price_amount=0, product_id=made["id"], licence_terms=terms)
    remove(academy, seller, path_of(made["id"], "mp3"))
    refused(academy.rpc(buyer, "place_order", offer_id=free["id"]), 409, "files_missing")


def test_an_order_and_a_deletion_at_once_leave_no_order_without_its_file(
    academy: Academy, seller: Person, admin: Person
) -> None:
    for _ in range(5):
        product = academy.insert(seller, "products", kind="digital_product", title="Race")
        path = f"{product['id']}/only.zip"
        assert upload(academy, seller, path, BYTES["stems"], "application/zip").status_code == 200
        academy.insert(seller, "product_files", product_id=product["id"], file_type="other", path=path)
        academy.rpc(seller, "publish_product", product_id=product["id"])
        sold = offer(academy, seller, "digital_product", product_id=product["id"])
        who = academy.member()

        def act(number: int, *, path: str = path, who: Person = who, sold: dict[str, Any] = sold) -> httpx.Response:
            if number == 0:
                return remove(academy, seller, path)
            return academy.rpc(who, "place_order", offer_id=sold["id"])

        removed, ordered = concurrently(2, act)
        if ordered.status_code == 200:
            assert removed.json()["code"] == "file_sold", removed.text
            paid = mark_paid(academy, admin, ordered.json())
            assert httpx.get(downloads(academy, who, paid).json()["files"][0]["url"]).content == BYTES["stems"]
        else:
            refused(ordered, 409, "files_missing")
            assert len(removed.json()) == 1
