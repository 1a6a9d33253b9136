"""Policies decide: whatever a stranger tries on another's objects fails and changes nothing."""

import time
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from stack.keys import Keys
from tests.stack.storage.support import (
    DENIED,
    DUPLICATE,
    NO_BUCKET,
    NO_KEY,
    PNG,
    Person,
    Server,
    person,
    refusal,
)

TEXT = {"content-type": "text/plain"}


@pytest.fixture
def secret(http: httpx.Client, alice: Person) -> str:
    """An object of Alice's, in a private bucket."""
    path = alice.path("secret.txt")
    answer = http.post(f"/object/private/{path}", content=b"of alice", headers={**alice.headers, **TEXT})
    assert answer.status_code == 200
    return path


@pytest.mark.parametrize("who", ["bob", "nobody"])
def test_a_stranger_gets_nowhere(server: Server, alice: Person, bob: Person, secret: str, who: str) -> None:
    http = server.http
    headers = bob.headers if who == "bob" else {}
    before, files = server.rows("private", secret), server.stored()
    own = bob.path("stolen") if who == "bob" else "stolen"
    hidden = NO_KEY if who == "bob" else NO_BUCKET
    assert refusal(http.get(f"/object/private/{secret}", headers=headers)) == hidden
    assert refusal(http.get(f"/object/info/private/{secret}", headers=headers)) == hidden
    assert refusal(http.get(f"/object/public/private/{secret}", headers=headers)) == NO_BUCKET
    assert http.head(f"/object/private/{secret}", headers=headers).status_code == 400
    sign = http.post(f"/object/sign/private/{secret}", headers=headers, json={"expiresIn": 60})
    assert refusal(sign) == NO_KEY
    [line] = http.post("/object/sign/private", headers=headers, json={"expiresIn": 60, "paths": [secret]}).json()
    assert line["signedURL"] is None
    assert line["error"]
    assert http.post("/object/list/private", headers=headers, json={"prefix": alice.id}).json() == []
    listed = http.post("/object/list-v2/private", headers=headers, json={"prefix": alice.id}).json()
    assert (listed["objects"], listed["folders"]) == ([], [])
    gone = http.request("DELETE", "/object/private", headers=headers, json={"prefixes": [secret]})
    assert (gone.status_code, gone.json()) == (200, [])
    assert refusal(http.delete(f"/object/private/{secret}", headers=headers)) == NO_KEY
    for call in ("move", "copy"):
        take = {"bucketId": "private", "sourceKey": secret, "destinationKey": own}
        assert refusal(http.post(f"/object/{call}", headers=headers, json=take)) == NO_KEY
    assert refusal(http.post(f"/object/private/{secret}", content=b"x", headers={**headers, **TEXT})) == DENIED
    upsert = {**headers, **TEXT, "x-upsert": "true"}
    assert refusal(http.post(f"/object/private/{secret}", content=b"x", headers=upsert)) == DENIED
    assert refusal(http.put(f"/object/private/{secret}", content=b"x", headers={**headers, **TEXT})) == DENIED
    assert refusal(http.post(f"/object/upload/sign/private/{secret}", headers=headers)) == DENIED
    assert refusal(http.post(f"/object/upload/sign/private/{secret}", headers=upsert)) == DENIED
    assert http.post("/bucket/private/empty", headers=headers, json={}).json()["code"] == "NoSuchBucket"
    assert server.rows("private", secret) == before
    assert server.stored() == files
    assert server.incoming() == []


def test_own_objects_cannot_be_put_into_anothers_folder(
    http: httpx.Client, server: Server, alice: Person, bob: Person, secret: str
) -> None:
    files = server.stored()
    body = {"bucketId": "private", "sourceKey": secret, "destinationKey": bob.path("gift")}
    for call in ("move", "copy"):
        assert refusal(http.post(f"/object/{call}", headers=alice.headers, json=body)) == DENIED
    assert server.rows("private", bob.path("gift")) == []
    assert server.stored() == files


def test_a_taken_hidden_name_is_not_overwritten(server: Server, admin: Person, alice: Person) -> None:
    http = server.http
    name = f"{alice.id}.txt"
    http.post(f"/object/dropbox/{name}", content=b"first", headers={**admin.headers, **TEXT})
    before = server.rows("dropbox", name)
    assert refusal(http.post(f"/object/dropbox/{name}", content=b"x", headers={**alice.headers, **TEXT})) == DUPLICATE
    upsert = {**alice.headers, **TEXT, "x-upsert": "true"}
    assert refusal(http.post(f"/object/dropbox/{name}", content=b"x", headers=upsert)) == DENIED
    assert server.rows("dropbox", name) == before


def test_upload_needs_insert_and_nothing_else(server: Server, alice: Person) -> None:
    http = server.http
    name = f"{alice.id}/dropped"
    assert http.post(f"/object/dropbox/{name}", content=b"x", headers={**alice.headers, **TEXT}).status_code == 200
    assert len(server.rows("dropbox", name)) == 1
    assert refusal(http.get(f"/object/dropbox/{name}", headers=alice.headers)) == NO_KEY
    css = {**alice.headers, "content-type": "text/css"}
    assert refusal(http.post(f"/object/dropbox/{name}2", content=b"x", headers=css)) == DENIED, (
        "the policy sees metadata"
    )


def test_a_refused_upload_is_refused_before_its_bytes(server: Server, bob: Person) -> None:
    def body() -> Iterator[bytes]:
        yield b"x" * 100_000
        time.sleep(0.3)
        assert server.incoming() == []
        yield b"y"

    answer = server.http.post("/object/private/elsewhere", content=body(), headers={**bob.headers, **TEXT})
    assert refusal(answer) == DENIED


def test_policies_see_the_true_size(server: Server, alice: Person, admin_url: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("""
            create policy objects_insert_small on storage.objects for insert to authenticated
            with check (bucket_id = 'readable' and coalesce((metadata ->> 'size')::int, 0) <= 10);
        """)
    stored = server.stored()
    for name, size, status in (("small", 10, 200), ("large", 11, 400)):
        raw = server.http.post(
            f"/object/readable/{alice.path(name)}", content=b"x" * size, headers={**alice.headers, **TEXT}
        )
        form = server.http.post(
            f"/object/readable/{alice.path(name)}-form",
            files={"": ("blob", b"x" * size, "text/plain")},
            headers=alice.headers,
        )
        assert (raw.status_code, form.status_code) == (status, status)
    assert len(server.stored() - stored) == 2


def test_delete_needs_delete_and_select(server: Server, admin: Person, alice: Person) -> None:
    http = server.http
    path = alice.path("of-the-admin")
    http.post(f"/object/private/{path}", content=b"x", headers={**admin.headers, **TEXT})
    assert http.get(f"/object/private/{path}", headers=alice.headers).status_code == 200
    gone = http.request("DELETE", "/object/private", headers=alice.headers, json={"prefixes": [path]})
    assert gone.json() == []
    assert len(server.rows("private", path)) == 1


def test_bucket_rules_hold_for_those_whom_policies_let_in(http: httpx.Client, alice: Person, secret: str) -> None:
    for call in ("move", "copy"):
        body = {
            "bucketId": "private",
            "sourceKey": secret,
            "destinationBucket": "avatars",
            "destinationKey": alice.path(call),
        }
        answer = http.post(f"/object/{call}", headers=alice.headers, json=body)
        assert refusal(answer) == (400, "415", "InvalidMimeType")
    lie = {**alice.headers, "content-type": "image/png"}
    http.post(f"/object/private/{alice.path('lie.png')}", content=b"<html>", headers=lie)
    http.post(f"/object/private/{alice.path('big.png')}", content=PNG + b"\0" * 10_000, headers=lie)
    for call in ("move", "copy"):
        for name, code in (("lie.png", "InvalidMimeType"), ("big.png", "EntityTooLarge")):
            body = {
                "bucketId": "private",
                "sourceKey": alice.path(name),
                "destinationBucket": "avatars",
                "destinationKey": alice.path(name),
            }
            assert refusal(http.post(f"/object/{call}", headers=alice.headers, json=body))[2] == code
    relabel = {
        "bucketId": "private",
        "sourceKey": secret,
        "destinationBucket": "avatars",
        "destinationKey": alice.path("relabelled"),
        "copyMetadata": False,
        "metadata": {"mimetype": "image/png"},
    }
    assert refusal(http.post("/object/copy", headers=alice.headers, json=relabel))[2] == "InvalidMimeType"


def test_errors_that_our_sql_raises_keep_their_token(http: httpx.Client, server: Server, alice: Person) -> None:
    answer = http.post("/object/full/x", content=b"x", headers={**alice.headers, **TEXT})
    assert refusal(answer) == (400, "409", "slot_taken")
    assert server.incoming() == []


def test_claims_reach_the_policies(http: httpx.Client, keys: Keys, admin_url: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("""
            create policy objects_select_claim on storage.objects for select to authenticated
            using (
                bucket_id = 'dropbox'
                and ((select auth.jwt()) -> 'app_metadata' ->> 'desk') = 'front'
                and current_setting('request.method', true) = 'GET'
                and current_setting('request.path', true) like '/object/dropbox/%'
            )
        """)
    front = person(keys, app_metadata={"desk": "front"})
    back = person(keys, app_metadata={"desk": "back"}, user_metadata={"desk": "front"})
    http.post(f"/object/dropbox/{front.id}", content=b"x", headers={**front.headers, **TEXT})
    assert http.get(f"/object/dropbox/{front.id}", headers=front.headers).status_code == 200
    assert refusal(http.get(f"/object/dropbox/{front.id}", headers=back.headers)) == NO_KEY
    assert refusal(http.get(f"/object/authenticated/dropbox/{front.id}", headers=front.headers)) == NO_KEY


def test_an_object_that_other_tables_need_stays(server: Server, admin: Person, alice: Person, admin_url: str) -> None:
    path = alice.path("needed")
    made = server.http.post(f"/object/private/{path}", content=b"x", headers={**admin.headers, **TEXT}).json()
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("create table public.uses (object_id uuid references storage.objects (id))")
        try:
            connection.execute("insert into public.uses values (%s)", [made["Id"]])
            gone = server.http.request("DELETE", "/object/private", headers=admin.headers, json={"prefixes": [path]})
            assert refusal(gone) == (400, "409", "ResourceReferenced")
            assert server.http.get(f"/object/private/{path}", headers=admin.headers).content == b"x"
        finally:
            connection.execute("drop table public.uses")
