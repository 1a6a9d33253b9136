"""Buckets: create, change, empty and delete, as far as policies permit."""

import httpx
import psycopg
import pytest
from psycopg import sql

from stack.keys import Keys
from tests.stack.storage.support import (
    DENIED,
    FILE_SIZE_LIMIT,
    NO_BUCKET,
    TEXT,
    TOO_LARGE,
    WRONG_TYPE,
    Caller,
    Server,
    new_user,
    refusal,
)


@pytest.fixture
def bucket(http: httpx.Client, admin: Caller, alice: Caller) -> str:
    """A new bucket."""
    name = f"b-{alice.id}"
    assert http.post("/bucket", headers=admin.headers, json={"name": name}).json() == {"name": name}
    return name


def test_a_bucket_is_created_changed_emptied_and_deleted(
    http: httpx.Client, admin: Caller, bucket: str, server: Server
) -> None:
    made = http.get(f"/bucket/{bucket}", headers=admin.headers).json()
    assert made == {
        "id": bucket,
        "name": bucket,
        "owner": "",
        "public": False,
        "file_size_limit": None,
        "allowed_mime_types": None,
        "created_at": made["created_at"],
        "updated_at": made["updated_at"],
    }
    assert {**made, "type": "STANDARD"} in http.get("/bucket/", headers=admin.headers).json()
    again = http.post("/bucket", headers=admin.headers, json={"name": bucket})
    assert refusal(again) == (400, "409", "ResourceAlreadyExists")
    change = {"public": True, "file_size_limit": "2KB", "allowed_mime_types": ["text/*", ""]}
    answer = http.put(f"/bucket/{bucket}", headers=admin.headers, json=change)
    assert answer.json() == {"message": "Successfully updated"}
    changed = http.get(f"/bucket/{bucket}", headers=admin.headers).json()
    assert (changed["public"], changed["file_size_limit"], changed["allowed_mime_types"]) == (True, 2000, ["text/*"])
    http.put(f"/bucket/{bucket}", headers=admin.headers, json={"public": False})
    kept = http.get(f"/bucket/{bucket}", headers=admin.headers).json()
    assert (kept["public"], kept["file_size_limit"], kept["allowed_mime_types"]) == (False, 2000, ["text/*"])
    http.put(f"/bucket/{bucket}", headers=admin.headers, json={"file_size_limit": None, "allowed_mime_types": None})
    cleared = http.get(f"/bucket/{bucket}", headers=admin.headers).json()
    assert (cleared["file_size_limit"], cleared["allowed_mime_types"]) == (None, None)

    files = server.stored()
    for name in ("a", "b/c"):
        http.post(f"/object/{bucket}/{name}", content=b"x", headers={**admin.headers, **TEXT})
    assert refusal(http.delete(f"/bucket/{bucket}", headers=admin.headers)) == (400, "409", "ResourceNotEmpty")
    emptied = http.post(f"/bucket/{bucket}/empty", headers=admin.headers, json={})
    assert emptied.json() == {"message": "Empty bucket has been queued. Completion may take up to an hour."}
    assert server.stored() == files
    deleted = http.request("DELETE", f"/bucket/{bucket}", headers=admin.headers, json={})
    assert deleted.json() == {"message": "Successfully deleted"}
    for method in ("GET", "DELETE"):
        assert refusal(http.request(method, f"/bucket/{bucket}", headers=admin.headers)) == NO_BUCKET
    assert refusal(http.put(f"/bucket/{bucket}", headers=admin.headers, json={"public": True})) == NO_BUCKET
    assert refusal(http.post(f"/bucket/{bucket}/empty", headers=admin.headers)) == NO_BUCKET


def test_the_owner_of_a_bucket_of_a_migration_is_shown(
    http: httpx.Client, admin: Caller, alice: Caller, admin_url: str
) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for column, shown in (("owner", alice.id), ("owner_id", "")):
            name = f"{column}-{alice.id}"
            query = sql.SQL("insert into storage.buckets (id, name, {}) values (%s, %s, %s)")
            connection.execute(query.format(sql.Identifier(column)), [name, name, alice.id])
            assert http.get(f"/bucket/{name}", headers=admin.headers).json()["owner"] == shown


def test_buckets_without_a_policy_are_hidden(http: httpx.Client, keys: Keys, alice: Caller, bucket: str) -> None:
    for headers in (alice.headers, {"Authorization": f"Bearer {keys.anon}"}):
        assert refusal(http.post("/bucket", headers=headers, json={"name": "mine", "public": True})) == DENIED
        assert refusal(http.get(f"/bucket/{bucket}", headers=headers)) == NO_BUCKET
        assert refusal(http.put(f"/bucket/{bucket}", headers=headers, json={"public": True})) == NO_BUCKET
        assert refusal(http.put("/bucket/private", headers=headers, json={"public": True})) == NO_BUCKET
        assert refusal(http.delete(f"/bucket/{bucket}", headers=headers)) == NO_BUCKET
        assert refusal(http.post(f"/bucket/{bucket}/empty", headers=headers)) == NO_BUCKET
        assert http.get("/bucket", headers=headers).json() == []


def test_a_policy_can_permit_users_to_create_buckets(http: httpx.Client, keys: Keys, admin_url: str) -> None:
    creator, other = new_user(keys, app_metadata={"creator": True}), new_user(keys)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("""
            create policy buckets_insert_creator on storage.buckets for insert to authenticated
            with check (owner_id = (select auth.uid())::text and (select auth.jwt()) -> 'app_metadata' ? 'creator');
            create policy buckets_select_own on storage.buckets for select to authenticated
            using (owner_id = (select auth.uid())::text);
        """)
    name = f"of-{creator.id}"
    assert http.post("/bucket", headers=creator.headers, json={"id": name, "name": name}).status_code == 200
    assert http.get(f"/bucket/{name}", headers=creator.headers).json()["owner"] == creator.id
    assert refusal(http.get(f"/bucket/{name}", headers=other.headers)) == NO_BUCKET
    assert refusal(http.post("/bucket", headers=other.headers, json={"name": "x-" + other.id})) == DENIED


def test_a_bucket_is_emptied_completely_or_not_at_all(
    server: Server, keys: Keys, admin: Caller, bucket: str, admin_url: str
) -> None:
    http = server.http
    keeper = new_user(keys)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"""
            create policy "buckets_{bucket}" on storage.buckets for select to authenticated
            using (id = '{bucket}' and (select auth.uid()) = '{keeper.id}');
            create policy "select_{bucket}" on storage.objects for select to authenticated
            using (bucket_id = '{bucket}' and (select auth.uid()) = '{keeper.id}');
            create policy "delete_{bucket}" on storage.objects for delete to authenticated
            using (bucket_id = '{bucket}' and name <> 'kept');
        """)
    for name in ("kept", "other"):
        http.post(f"/object/{bucket}/{name}", content=b"x", headers={**admin.headers, **TEXT})
    assert refusal(http.post(f"/bucket/{bucket}/empty", headers=keeper.headers)) == DENIED
    assert len(server.rows(bucket, "other")) == 1
    assert http.get(f"/object/{bucket}/other", headers=keeper.headers).content == b"x"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"file_size_limit": FILE_SIZE_LIMIT + 1}, TOO_LARGE),
        ({"file_size_limit": "50GB"}, TOO_LARGE),
        ({"file_size_limit": -1}, (400, "400", "InvalidParameter")),
        ({"file_size_limit": "large"}, (400, "400", "InvalidParameter")),
        ({"file_size_limit": 10**30}, TOO_LARGE),
        ({"file_size_limit": 1.5}, (400, "400", "InvalidRequest")),
        ({"allowed_mime_types": ["image"]}, WRONG_TYPE),
        ({"allowed_mime_types": ["image/*; drop"]}, WRONG_TYPE),
        ({"allowed_mime_types": "image/png"}, (400, "400", "InvalidRequest")),
        ({"type": "ANALYTICS"}, (400, "409", "FeatureNotEnabled")),
        ({"id": "a/b"}, (400, "400", "InvalidBucketName")),
        ({"id": ""}, (200, "", "")),
        ({"public": "maybe"}, (400, "400", "InvalidRequest")),
    ],
)
def test_the_settings_of_a_bucket_are_validated(
    http: httpx.Client, admin: Caller, alice: Caller, body: dict[str, object], expected: tuple[int, str, str]
) -> None:
    answer = http.post("/bucket", headers=admin.headers, json={"name": f"c-{alice.id}", **body})
    if expected[0] == 200:
        assert answer.status_code == 200
    else:
        assert refusal(answer) == expected


def test_a_limit_of_zero_permits_empty_objects_only(http: httpx.Client, admin: Caller, bucket: str) -> None:
    http.put(f"/bucket/{bucket}", headers=admin.headers, json={"file_size_limit": 0})
    for body, expected in ((b"", 200), (b"x", 400)):
        answer = http.post(f"/object/{bucket}/x", content=body, headers={**admin.headers, **TEXT})
        assert answer.status_code == expected


def test_buckets_are_listed(http: httpx.Client, admin: Caller, bucket: str) -> None:
    def names(query: str) -> list[str]:
        return [line["name"] for line in http.get(f"/bucket?{query}", headers=admin.headers).json()]

    everything = names("")
    assert everything == sorted(everything)
    assert names("sortColumn=name&sortOrder=desc") == everything[::-1]
    assert names("limit=2&offset=1") == everything[1:3]
    assert names(f"search={bucket[2:20].upper()}") == [bucket]
    assert names("sortColumn=created_at&sortOrder=desc")[0] == bucket
    for bad in ("limit=0", "limit=x", "limit=-1", "sortColumn=owner", "sortOrder=up", "offset=99999999999"):
        assert refusal(http.get(f"/bucket?{bad}", headers=admin.headers)) == (400, "400", "InvalidParameter")
