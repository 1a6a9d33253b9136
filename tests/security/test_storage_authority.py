"""Links to storage carry no authority of their own: what their maker may do is asked again when they are used."""

import time
import uuid
from collections.abc import Callable

import httpx
import jwt
import psycopg
import pytest

from tests.commerce.goods import beat, mark_paid
from tests.commerce.stripe_events import placed
from tests.identity.test_verified_documents import put_link, upload_link
from tests.people import Academy, Person

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
MP3 = b"ID3\x04" + b"m" * 60
MINUTES = 15 * 60


def written(academy: Academy, path: str) -> bool:
    bucket, _, name = path.partition("/")
    return academy.sql("select from storage.objects where bucket_id = %s and name = %s", bucket, name) != []


def ban(academy: Academy, who: Person) -> None:
    academy.sql("update public.accounts set status = 'banned' where user_id = %s", who.id)


def suspend(academy: Academy, who: Person) -> None:
    academy.suspend(who)


def take_role(academy: Academy, who: Person) -> None:
    academy.sql("delete from public.user_roles where user_id = %s", who.id)


def erase(academy: Academy, who: Person) -> None:
    academy.sql("update public.accounts set status = 'deleted' where user_id = %s", who.id)


def transfer(academy: Academy, who: Person) -> None:
    heir = academy.member("teacher")
    academy.sql("update public.courses set creator_id = %s where creator_id = %s", heir.id, who.id)


@pytest.mark.parametrize("end", [ban, suspend, take_role, erase])
def test_an_upload_link_to_a_product_ends_with_the_right(
    academy: Academy, end: Callable[[Academy, Person], None]
) -> None:
    seller = academy.member("teacher")
    product = academy.insert(seller, "products", kind="digital_product", title="Drum kit")
    used, unused = (f"products/{product['id']}/{uuid.uuid4()}.mp3" for _ in range(2))
    urls = {path: upload_link(academy, seller, path, upsert=True) for path in (used, unused)}
    assert put_link(academy, urls[used], MP3, "audio/mpeg").status_code == 200
    end(academy, seller)
    for path, url in urls.items():
        answer = put_link(academy, url, MP3 + b"more", "audio/mpeg")
        assert (answer.json()["statusCode"], answer.json()["code"]) == ("403", "upload_not_allowed"), answer.text
        assert written(academy, path) is (path == used)


@pytest.mark.parametrize("end", [ban, suspend, take_role, erase, transfer])
def test_an_upload_link_to_a_course_ends_with_the_right(
    academy: Academy, end: Callable[[Academy, Person], None]
) -> None:
    teacher = academy.member("teacher")
    course = academy.course(teacher)
    path = f"course-thumbnails/{course.id}/{uuid.uuid4()}.png"
    url = upload_link(academy, teacher, path)
    end(academy, teacher)
    answer = put_link(academy, url, PNG, "image/png")
    assert (answer.json()["statusCode"], answer.json()["code"]) == ("403", "upload_not_allowed"), answer.text
    assert not written(academy, path)


@pytest.mark.parametrize("bucket", ["avatars", "qualifications"])
@pytest.mark.parametrize("end", [ban, suspend, erase])
def test_an_upload_link_to_a_folder_ends_with_the_account(
    academy: Academy, end: Callable[[Academy, Person], None], bucket: str
) -> None:
    person = academy.member()
    path = f"{bucket}/{person.id}/{uuid.uuid4()}.png"
    first, second = (upload_link(academy, person, f"{path[:-4]}{number}.png") for number in (1, 2))
    assert put_link(academy, first, PNG, "image/png").status_code == 200
    end(academy, person)
    answer = put_link(academy, second, PNG, "image/png")
    assert (answer.json()["statusCode"], answer.json()["code"]) == ("403", "upload_not_allowed"), answer.text


def test_an_upload_for_another_person_is_asked_like_their_own(academy: Academy) -> None:
    """As hosted Supabase finishes every upload: as a server, with the uploader as the owner."""
    seller = academy.member("teacher")
    product = academy.insert(seller, "products", kind="digital_product", title="Drum kit")
    insert = "insert into storage.objects (bucket_id, name, owner, owner_id, version) values (%s, %s, %s, %s, '1')"
    folder = product["id"]
    academy.sql(insert, "products", f"{folder}/1", seller.id, seller.id)
    academy.sql(insert, "products", f"{folder}/2", seller.id, None)
    for owner in (academy.member("teacher").id, academy.member().id, str(uuid.uuid4())):
        with pytest.raises(Exception, match="upload_not_allowed"):
            academy.sql(insert, "products", f"{folder}/{owner}", owner, owner)
        with pytest.raises(Exception, match="upload_not_allowed"):
            academy.sql(
                "update storage.objects set version = '2', owner_id = %s, owner = %s where name = %s",
                owner, owner, f"{folder}/1",
            )  # fmt: skip
    with pytest.raises(Exception, match="upload_not_allowed"):
        academy.sql(insert, "products", f"{folder}/x", None, "no uuid")
    academy.sql(insert, "products", f"{folder}/3", None, None)
    # The same as the role that hosted Storage takes.
    with psycopg.connect(academy.admin_db_url) as connection:
        connection.execute("select set_config('role', 'service_role', true)")
        connection.execute("""select set_config('request.jwt.claims', '{"role": "service_role"}', true)""")
        connection.execute(insert.encode(), ["products", f"{folder}/4", seller.id, seller.id])
        claims = connection.execute("select current_setting('request.jwt.claims')").fetchone()
        assert claims == ('{"role": "service_role"}',)
        with pytest.raises(psycopg.Error, match="upload_not_allowed"):
            connection.execute(insert.encode(), ["products", f"{folder}/5", owner, owner])


def test_policies_are_asked_as_they_are(academy: Academy) -> None:
    """A policy that refuses, of either kind, refuses an upload for its owner; one that is dropped allows nothing."""
    seller = academy.member("teacher")
    folder = academy.insert(seller, "products", kind="digital_product", title="Drum kit")["id"]
    insert = b"insert into storage.objects (bucket_id, name, owner_id, version) values ('products', %s, %s, '1')"
    for change in (
        b"create policy planted on storage.objects as restrictive for insert to authenticated with check (false)",
        b"drop policy objects_insert_seller on storage.objects",
    ):
        with psycopg.connect(academy.admin_db_url) as connection:
            connection.execute(insert, [f"{folder}/allowed", seller.id])
            connection.execute(change)
            with pytest.raises(psycopg.Error, match="upload_not_allowed"):
                connection.execute(insert, [f"{folder}/refused", seller.id])
            connection.rollback()


def lifetime(url: str) -> float:
    """Seconds until a signed URL expires."""
    claims = jwt.decode(httpx.URL(url).params["token"], options={"verify_signature": False})
    return float(claims["exp"]) - time.time()


def test_private_links_live_minutes(academy: Academy) -> None:
    seller = academy.member("teacher")
    sold = beat(academy, seller)
    name = f"{sold.id}/mp3 of it.bin"
    ten_years = 10 * 365 * 24 * 3600
    one = academy.call(seller, "POST", f"/storage/v1/object/sign/products/{name}", {"expiresIn": ten_years})
    many = academy.call(seller, "POST", "/storage/v1/object/sign/products", {"expiresIn": ten_years, "paths": [name]})
    for url in (one.json()["signedURL"], many.json()[0]["signedURL"]):
        assert 0 < lifetime(url) <= MINUTES
        assert academy.http.get(f"/storage/v1{url}").status_code == 200
    # Pictures in a public bucket are no secret.
    course = academy.course(seller)
    path = f"course-thumbnails/{course.id}/{uuid.uuid4()}.png"
    assert put_link(academy, upload_link(academy, seller, path), PNG, "image/png").status_code == 200
    public = academy.call(seller, "POST", f"/storage/v1/object/sign/{path}", {"expiresIn": ten_years})
    assert lifetime(public.json()["signedURL"]) > MINUTES


def test_a_download_link_ends_with_the_right(academy: Academy) -> None:
    seller, buyer, admin = academy.member("teacher"), academy.member(), academy.member("admin")
    sold = beat(academy, seller)
    order = mark_paid(academy, admin, placed(academy, buyer, offer_id=sold.offers["basic"]))
    (file,) = academy.call(buyer, "GET", f"/functions/v1/orders/{order['id']}/downloads").json()["files"]
    assert httpx.get(file["url"]).status_code == 200
    assert academy.rpc(admin, "refund_order", order_id=order["id"]).status_code == 200
    gone = httpx.get(file["url"])
    assert (gone.status_code, gone.json()["statusCode"]) == (400, "404"), gone.text
    # A suspended buyer, too.
    other = academy.member()
    second = mark_paid(academy, admin, placed(academy, other, offer_id=sold.offers["basic"]))
    (file,) = academy.call(other, "GET", f"/functions/v1/orders/{second['id']}/downloads").json()["files"]
    academy.suspend(other)
    assert httpx.get(file["url"]).json()["statusCode"] == "404"
