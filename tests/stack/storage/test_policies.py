"""Row level security: calls that policies do not permit are refused and change nothing."""

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
    TEXT,
    Caller,
    Server,
    new_user,
    refusal,
)


@pytest.mark.parametrize("caller", ["bob", "no user"])
def test_other_callers_cannot_access_an_object(
    server: Server, alice: Caller, bob: Caller, secret: str, *, keys: Keys, caller: str
) -> None:
    http = server.http
    headers = bob.headers if caller == "bob" else {"Authorization": f"Bearer {keys.anon}"}
    before, files = server.rows("private", secret), server.stored()
    own = bob.path("stolen") if caller == "bob" else "stolen"
    assert refusal(http.get(f"/object/private/{secret}", headers=headers)) == NO_KEY
    assert refusal(http.get(f"/object/info/private/{secret}", headers=headers)) == NO_KEY
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
    deleted = http.request("DELETE", "/object/private", headers=headers, json={"prefixes": [secret]})
    assert (deleted.status_code, deleted.json()) == (200, [])
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


def test_without_a_token_only_public_buckets_and_links_can_be_used(server: Server, alice: Caller, secret: str) -> None:
    http = server.http
    before, files = server.rows("private", secret), server.stored()
    move = {"bucketId": "private", "sourceKey": secret, "destinationKey": "stolen"}
    many = {"expiresIn": 60, "paths": [secret]}
    calls: list[tuple[str, str, object]] = [
        ("GET", "/bucket", None),
        ("POST", "/bucket", {"name": "mine"}),
        ("GET", "/bucket/private", None),
        ("PUT", "/bucket/private", {"public": True}),
        ("DELETE", "/bucket/private", {}),
        ("POST", "/bucket/private/empty", {}),
        ("POST", f"/object/private/{alice.path('new')}", {}),
        ("PUT", f"/object/private/{secret}", {}),
        ("DELETE", f"/object/private/{secret}", None),
        ("DELETE", "/object/private", {"prefixes": [secret]}),
        ("POST", "/object/move", move),
        ("POST", "/object/copy", move),
        ("POST", "/object/list/private", {"prefix": alice.id}),
        ("POST", "/object/list-v2/private", {"prefix": alice.id}),
        ("POST", f"/object/sign/private/{secret}", {"expiresIn": 60}),
        ("POST", "/object/sign/private", many),
        ("POST", f"/object/upload/sign/private/{alice.path('new')}", {}),
        ("GET", f"/object/authenticated/private/{secret}", None),
        ("GET", f"/object/info/authenticated/private/{secret}", None),
    ]
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer"}):
        for method, path, body in calls:
            answer = http.request(method, path, json=body, headers=headers)
            assert refusal(answer) == DENIED, (method, path)
            assert (answer.json()["error"], answer.json()["message"]) == ("Unauthorized", "Invalid Compact JWS")
    for headers in ({}, {"Authorization": ""}):
        for path in (f"/object/private/{secret}", f"/object/info/private/{secret}", "/object/readable/x"):
            assert refusal(http.get(path, headers=headers)) == NO_BUCKET
        assert http.head(f"/object/private/{secret}", headers=headers).status_code == 400
    assert (server.rows("private", secret), server.stored()) == (before, files)


def test_objects_cannot_be_moved_to_a_folder_of_another_user(
    http: httpx.Client, server: Server, alice: Caller, bob: Caller, secret: str
) -> None:
    files = server.stored()
    body = {"bucketId": "private", "sourceKey": secret, "destinationKey": bob.path("gift")}
    for call in ("move", "copy"):
        assert refusal(http.post(f"/object/{call}", headers=alice.headers, json=body)) == DENIED
    assert server.rows("private", bob.path("gift")) == []
    assert server.stored() == files


def test_an_object_that_is_hidden_is_not_overwritten(server: Server, admin: Caller, alice: Caller) -> None:
    http = server.http
    name = f"{alice.id}.txt"
    http.post(f"/object/dropbox/{name}", content=b"first", headers={**admin.headers, **TEXT})
    before = server.rows("dropbox", name)
    assert refusal(http.post(f"/object/dropbox/{name}", content=b"x", headers={**alice.headers, **TEXT})) == DUPLICATE
    upsert = {**alice.headers, **TEXT, "x-upsert": "true"}
    assert refusal(http.post(f"/object/dropbox/{name}", content=b"x", headers=upsert)) == DENIED
    assert server.rows("dropbox", name) == before


def test_an_upload_needs_only_an_insert_policy(server: Server, alice: Caller) -> None:
    http = server.http
    name = f"{alice.id}/dropped"
    assert http.post(f"/object/dropbox/{name}", content=b"x", headers={**alice.headers, **TEXT}).status_code == 200
    assert len(server.rows("dropbox", name)) == 1
    assert refusal(http.get(f"/object/dropbox/{name}", headers=alice.headers)) == NO_KEY
    css = {**alice.headers, "content-type": "text/css"}
    assert refusal(http.post(f"/object/dropbox/{name}2", content=b"x", headers=css)) == DENIED, (
        "the policy sees metadata"
    )


def test_an_upload_is_refused_before_its_content(server: Server, bob: Caller) -> None:
    def body() -> Iterator[bytes]:
        yield b"x" * 100_000
        time.sleep(0.3)
        assert server.incoming() == []
        yield b"y"

    answer = server.http.post("/object/private/elsewhere", content=body(), headers={**bob.headers, **TEXT})
    assert refusal(answer) == DENIED


def test_policies_can_depend_on_the_size(server: Server, alice: Caller, admin_url: str) -> None:
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


def test_a_deletion_needs_select_and_delete_policies(server: Server, admin: Caller, alice: Caller) -> None:
    http = server.http
    path = alice.path("of-the-admin")
    http.post(f"/object/private/{path}", content=b"x", headers={**admin.headers, **TEXT})
    assert http.get(f"/object/private/{path}", headers=alice.headers).status_code == 200
    deleted = http.request("DELETE", "/object/private", headers=alice.headers, json={"prefixes": [path]})
    assert deleted.json() == []
    assert len(server.rows("private", path)) == 1


def test_limits_of_a_bucket_apply_to_moves_and_copies(http: httpx.Client, alice: Caller, secret: str) -> None:
    for call in ("move", "copy"):
        body = {
            "bucketId": "private",
            "sourceKey": secret,
            "destinationBucket": "avatars",
            "destinationKey": alice.path(call),
        }
        answer = http.post(f"/object/{call}", headers=alice.headers, json=body)
        assert refusal(answer) == (400, "415", "InvalidMimeType")
    png = {**alice.headers, "content-type": "image/png"}
    http.post(f"/object/private/{alice.path('page.png')}", content=b"<html>", headers=png)
    http.post(f"/object/private/{alice.path('big.png')}", content=PNG + b"\0" * 10_000, headers=png)
    for call in ("move", "copy"):
        for name, code in (("page.png", "InvalidMimeType"), ("big.png", "EntityTooLarge")):
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


def test_errors_of_triggers_keep_their_code(http: httpx.Client, server: Server, alice: Caller) -> None:
    answer = http.post("/object/full/x", content=b"x", headers={**alice.headers, **TEXT})
    assert refusal(answer) == (400, "409", "slot_taken")
    assert server.incoming() == []


def test_policies_can_depend_on_claims(http: httpx.Client, keys: Keys, admin_url: str) -> None:
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
    front = new_user(keys, app_metadata={"desk": "front"})
    back = new_user(keys, app_metadata={"desk": "back"}, user_metadata={"desk": "front"})
    http.post(f"/object/dropbox/{front.id}", content=b"x", headers={**front.headers, **TEXT})
    assert http.get(f"/object/dropbox/{front.id}", headers=front.headers).status_code == 200
    assert refusal(http.get(f"/object/dropbox/{front.id}", headers=back.headers)) == NO_KEY
    assert refusal(http.get(f"/object/authenticated/dropbox/{front.id}", headers=front.headers)) == NO_KEY


def test_an_object_that_rows_reference_is_not_deleted(
    server: Server, admin: Caller, alice: Caller, admin_url: str
) -> None:
    path = alice.path("needed")
    made = server.http.post(f"/object/private/{path}", content=b"x", headers={**admin.headers, **TEXT}).json()
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("create table public.uses (object_id uuid references storage.objects (id))")
        try:
            connection.execute("insert into public.uses values (%s)", [made["Id"]])
            deleted = server.http.request("DELETE", "/object/private", headers=admin.headers, json={"prefixes": [path]})
            assert refusal(deleted) == (400, "409", "ResourceReferenced")
            assert server.http.get(f"/object/private/{path}", headers=admin.headers).content == b"x"
        finally:
            connection.execute("drop table public.uses")
