"""Upload, read, list, move, copy and remove objects, as their owner."""

import base64
import json
import re
import threading
import time
import uuid
from urllib.parse import quote

import httpx
import psycopg
import pytest

from tests.stack.storage.support import (
    DUPLICATE,
    NO_BUCKET,
    NO_KEY,
    PNG,
    TEXT,
    Caller,
    Server,
    refusal,
)
from tests.waiting import wait_until


def upload(
    http: httpx.Client, caller: Caller, path: str, content: bytes = b"hello", bucket: str = "private", **headers: str
) -> httpx.Response:
    sent = {"content-type": "text/plain", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return http.post(f"/object/{bucket}/{path}", content=content, headers={**caller.headers, **sent})


def test_an_object_is_uploaded_and_read(server: Server, alice: Caller) -> None:
    http = server.http
    path = alice.path("notes/a.txt")
    attached = base64.b64encode(json.dumps({"mood": "good"}).encode()).decode()
    uploaded = upload(http, alice, path, cache_control="max-age=60", x_metadata=attached)
    assert uploaded.status_code == 200
    assert uploaded.json()["Key"] == f"private/{path}"
    [(owner, version, metadata)] = server.rows("private", path)
    assert owner == alice.id
    assert metadata["size"] == metadata["contentLength"] == 5
    assert metadata["mimetype"] == "text/plain"
    for route in ("/object", "/object/authenticated"):
        read = http.get(f"{route}/private/{path}", headers=alice.headers)
        assert read.status_code == 200
        assert read.content == b"hello"
        assert read.headers["content-type"] == "text/plain"
        assert read.headers["cache-control"] == "max-age=60"
        assert read.headers["etag"] == metadata["eTag"]
        assert read.headers["x-content-type-options"] == "nosniff"
        head = http.head(f"{route}/private/{path}", headers=alice.headers)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
    info = http.get(f"/object/info/private/{path}", headers=alice.headers).json()
    assert info == {
        "id": uploaded.json()["Id"],
        "name": path,
        "version": version,
        "bucket_id": "private",
        "size": 5,
        "content_type": "text/plain",
        "content_encoding": None,
        "cache_control": "max-age=60",
        "etag": metadata["eTag"],
        "metadata": {"mood": "good"},
        "last_modified": info["last_modified"],
        "created_at": info["created_at"],
    }


def test_an_object_is_uploaded_in_a_form(server: Server, alice: Caller) -> None:
    http = server.http
    path = alice.path("form.bin")
    uploaded = http.post(
        f"/object/private/{path}",
        headers=alice.headers,
        data={"cacheControl": "3600", "metadata": '{"a": 1}'},
        files={"": ("blob", b"\r\n--x\r\n" * 30_000, "application/x-thing")},
    )
    assert uploaded.status_code == 200
    [(_, _, metadata)] = server.rows("private", path)
    assert (metadata["mimetype"], metadata["cacheControl"]) == ("application/x-thing", "max-age=3600")
    assert http.get(f"/object/private/{path}", headers=alice.headers).content == b"\r\n--x\r\n" * 30_000
    assert http.get(f"/object/info/private/{path}", headers=alice.headers).json()["metadata"] == {"a": 1}


def test_an_empty_object_is_stored(http: httpx.Client, alice: Caller) -> None:
    assert upload(http, alice, alice.path("empty"), b"").status_code == 200
    read = http.get(f"/object/private/{alice.path('empty')}", headers=alice.headers)
    assert (read.status_code, read.content) == (200, b"")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
        (b"--x--\r\n", "multipart/form-data; boundary=x"),
        (b"not a form", "multipart/form-data; boundary=x"),
        (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nhalf',
            "multipart/form-data; boundary=x",
        ),
        (b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\ntext\r\n--x--', "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data"),
    ],
)
def test_malformed_forms_leave_nothing(
    http: httpx.Client, server: Server, alice: Caller, content: bytes, content_type: str
) -> None:
    answer = upload(http, alice, alice.path("bad-form"), content, content_type=content_type)
    assert refusal(answer) == (400, "400", "InvalidRequest")
    assert server.rows("private", alice.path("bad-form")) == []
    assert server.incoming() == []


def test_two_files_in_a_form_are_refused(http: httpx.Client, server: Server, alice: Caller) -> None:
    answer = http.post(
        f"/object/private/{alice.path('two')}",
        headers=alice.headers,
        files=[("a", ("a", b"1", "text/plain")), ("b", ("b", b"2", "text/plain"))],
    )
    assert refusal(answer) == (400, "400", "InvalidRequest")
    assert server.incoming() == []


def test_metadata_must_be_a_json_object(http: httpx.Client, alice: Caller) -> None:
    for bad in ("%%%", base64.b64encode(b"[1]").decode(), base64.b64encode(b"{").decode()):
        assert refusal(upload(http, alice, alice.path("m"), x_metadata=bad)) == (400, "400", "InvalidParameter")
    nul = base64.b64encode(b'{"a": "\\u0000"}').decode()
    assert refusal(upload(http, alice, alice.path("m"), x_metadata=nul)) == (400, "400", "InvalidParameter")


def test_a_second_upload_needs_upsert(http: httpx.Client, server: Server, alice: Caller) -> None:
    path = alice.path("twice")
    first = upload(http, alice, path, b"one").json()["Id"]
    assert refusal(upload(http, alice, path, b"two")) == DUPLICATE
    assert http.get(f"/object/private/{path}", headers=alice.headers).content == b"one"
    before = server.stored()
    replaced = upload(http, alice, path, b"two", x_upsert="true")
    assert replaced.json()["Id"] == first
    assert http.get(f"/object/private/{path}", headers=alice.headers).content == b"two"
    assert len(server.stored() - before) == len(before - server.stored()) == 1, "the old file is deleted"


def test_an_object_is_replaced_by_put(http: httpx.Client, alice: Caller) -> None:
    path = alice.path("updated")
    upload(http, alice, path, b"one")
    put = http.put(f"/object/private/{path}", content=b"two", headers={**alice.headers, "content-type": "text/css"})
    assert put.json()["Key"] == f"private/{path}"
    read = http.get(f"/object/private/{path}", headers=alice.headers)
    assert (read.content, read.headers["content-type"]) == (b"two", "text/css")
    made = http.put(f"/object/private/{alice.path('made')}", content=b"x", headers=alice.headers)
    assert made.status_code == 200


def test_missing_buckets_and_objects_are_not_found(http: httpx.Client, alice: Caller) -> None:
    assert refusal(upload(http, alice, "x", bucket="nowhere")) == NO_BUCKET
    assert refusal(http.get("/object/nowhere/x", headers=alice.headers)) == NO_BUCKET
    for route in ("/object", "/object/authenticated", "/object/info", "/object/info/authenticated"):
        assert refusal(http.get(f"{route}/private/{alice.path('none')}", headers=alice.headers)) == NO_KEY
    assert http.head(f"/object/private/{alice.path('none')}", headers=alice.headers).status_code == 400
    assert refusal(http.delete(f"/object/private/{alice.path('none')}", headers=alice.headers)) == NO_KEY


def test_objects_are_removed(http: httpx.Client, server: Server, alice: Caller) -> None:
    before = server.stored()
    names = [alice.path(name) for name in ("a", "b", "c")]
    for name in names:
        upload(http, alice, name)
    answer = http.request(
        "DELETE", "/object/private", headers=alice.headers, json={"prefixes": [*names[:2], alice.path("no")]}
    )
    assert sorted(row["name"] for row in answer.json()) == names[:2]
    assert answer.json()[0]["bucket_id"] == "private"
    assert http.delete(f"/object/private/{names[2]}", headers=alice.headers).json() == {
        "message": "Successfully deleted"
    }
    assert server.stored() == before
    bodies: tuple[object, ...] = (
        {"prefixes": []},
        {"prefixes": ["x"] * 1001},
        {"prefixes": "x"},
        {},
        {"prefixes": ["\0"]},
        [],
    )
    for bad in bodies:
        answer = http.request("DELETE", "/object/private", headers=alice.headers, json=bad)
        assert refusal(answer)[:2] == (400, "400")


def list_names(http: httpx.Client, caller: Caller, **body: object) -> list[str]:
    answer = http.post("/object/list/private", headers=caller.headers, json=body)
    assert answer.status_code == 200, answer.text
    return [line["name"] for line in answer.json()]


def test_objects_are_listed(http: httpx.Client, alice: Caller) -> None:
    for name in ("b.txt", "a.txt", "sub/one", "sub/two", "sub/deep/three", "Zed", "100%/x"):
        upload(http, alice, alice.path(name.replace("%", "+")))
    lines = http.post("/object/list/private", headers=alice.headers, json={"prefix": alice.id}).json()
    assert [line["name"] for line in lines] == ["100+", "Zed", "a.txt", "b.txt", "sub"]
    folder, file = lines[4], lines[2]
    assert {folder[key] for key in ("id", "updated_at", "created_at", "last_accessed_at", "metadata")} == {None}
    assert file["metadata"]["size"] == 5
    assert uuid.UUID(file["id"])
    assert list_names(http, alice, prefix=f"{alice.id}/sub") == ["deep", "one", "two"]
    assert list_names(http, alice, prefix=f"{alice.id}/sub/") == ["deep", "one", "two"]
    assert list_names(http, alice, prefix=f"{alice.id}/sub", limit=1, offset=1) == ["one"]
    assert list_names(http, alice, prefix=f"{alice.id}/", search="A") == ["a.txt"]
    assert list_names(http, alice, prefix=f"{alice.id}/", search="%") == []
    assert list_names(http, alice, prefix=f"{alice.id}/su") == []
    by_name = {"column": "name", "order": "desc"}
    assert list_names(http, alice, prefix=alice.id, sortBy=by_name) == ["sub", "b.txt", "a.txt", "Zed", "100+"]
    by_time = {"column": "created_at", "order": "desc"}
    assert list_names(http, alice, prefix=alice.id, sortBy=by_time) == ["sub", "100+", "Zed", "a.txt", "b.txt"]
    for bad in (
        {},
        {"prefix": "", "limit": 0},
        {"prefix": "", "offset": -1},
        {"prefix": "", "limit": "many"},
        {"prefix": "", "sortBy": {"column": "version"}},
        {"prefix": "\0"},
        {"prefix": "", "search": 'x"; drop table storage.objects; --', "sortBy": {"column": "name", "order": "up"}},
    ):
        assert refusal(http.post("/object/list/private", headers=alice.headers, json=bad))[:2] == (400, "400")


def test_objects_are_listed_with_cursors(http: httpx.Client, alice: Caller) -> None:
    names = [alice.path(name) for name in ("a", "b/one", "b/two", "c", "d/x")]
    for name in names:
        upload(http, alice, name)

    def pages(**body: object) -> tuple[list[str], list[str], int]:
        found: tuple[list[str], list[str]] = ([], [])
        cursor, count = None, 0
        while True:
            answer = http.post(
                "/object/list-v2/private", headers=alice.headers, json={"limit": 2, "cursor": cursor, **body}
            ).json()
            count += 1
            found[0].extend(line["name"] for line in answer["objects"])
            found[1].extend(line["name"] for line in answer["folders"])
            cursor = answer.get("nextCursor")
            if not answer["hasNext"]:
                assert cursor is None
                return (*found, count)

    assert pages(prefix=f"{alice.id}/") == (names, [], 3)
    assert pages(prefix=f"{alice.id}/", with_delimiter=True) == (
        [names[0], names[3]],
        [alice.path("b/"), alice.path("d/")],
        2,
    )
    for prefix, keys in (("", [alice.id]), (alice.id, [alice.id]), (f"{alice.id}/", ["b", "d"])):
        body = {"prefix": prefix, "with_delimiter": True}
        listed = http.post("/object/list-v2/private", headers=alice.headers, json=body).json()
        assert [line["key"] for line in listed["folders"]] == keys
        assert [line["key"] for line in listed["objects"]] == [
            line["name"].split("/")[-1] for line in listed["objects"]
        ]
    flat = http.post("/object/list-v2/private", headers=alice.headers, json={"prefix": alice.id}).json()["objects"]
    assert [line["key"] for line in flat] == [line["name"] for line in flat] == names
    for column in ("created_at", "updated_at", "name"):
        sort_by = {"column": column, "order": "desc"}
        assert pages(prefix=f"{alice.id}/", sortBy=sort_by)[0] == names[::-1]
        assert pages(prefix=f"{alice.id}/", sortBy={"column": column, "order": "asc"})[0] == names
    for bad in ({"cursor": "?"}, {"cursor": "bnVsbA=="}, {"limit": 0}, {"sortBy": {"column": "id"}}):
        assert refusal(http.post("/object/list-v2/private", headers=alice.headers, json=bad))[:2] == (400, "400")
    invalid_time = base64.urlsafe_b64encode(b'["not-a-time", "x"]').decode()
    answer = http.post(
        "/object/list-v2/private",
        headers=alice.headers,
        json={"cursor": invalid_time, "sortBy": {"column": "created_at"}},
    )
    assert refusal(answer)[:2] == (400, "400")


def test_an_object_is_moved(http: httpx.Client, server: Server, alice: Caller) -> None:
    upload(http, alice, alice.path("from"), b"moved")
    files = server.stored()
    body = {"bucketId": "private", "sourceKey": alice.path("from"), "destinationKey": alice.path("to")}
    moved = http.post("/object/move", headers=alice.headers, json=body)
    assert moved.json()["message"] == "Successfully moved"
    assert http.get(f"/object/private/{alice.path('to')}", headers=alice.headers).content == b"moved"
    assert server.stored() == files
    assert refusal(http.post("/object/move", headers=alice.headers, json=body)) == NO_KEY
    upload(http, alice, alice.path("from"), b"second")
    assert refusal(http.post("/object/move", headers=alice.headers, json=body)) == DUPLICATE
    back = {**body, "destinationBucket": "nowhere"}
    assert refusal(http.post("/object/move", headers=alice.headers, json=back)) == NO_BUCKET


def test_an_object_is_copied(http: httpx.Client, server: Server, alice: Caller) -> None:
    upload(http, alice, alice.path("original"), b"bytes", cache_control="max-age=5")
    body = {"bucketId": "private", "sourceKey": alice.path("original"), "destinationKey": alice.path("copy")}
    assert http.post("/object/copy", headers=alice.headers, json=body).json()["Key"] == f"private/{alice.path('copy')}"
    assert refusal(http.post("/object/copy", headers=alice.headers, json=body)) == DUPLICATE
    http.delete(f"/object/private/{alice.path('original')}", headers=alice.headers)
    read = http.get(f"/object/private/{alice.path('copy')}", headers=alice.headers)
    assert (read.content, read.headers["cache-control"]) == (b"bytes", "max-age=5")
    upload(http, alice, alice.path("original"), b"newer")
    before = len(server.stored())
    replace = {**body, "copyMetadata": False, "metadata": {"mimetype": "text/css", "cacheControl": "no-store"}}
    assert http.post("/object/copy", headers={**alice.headers, "x-upsert": "true"}, json=replace).status_code == 200
    read = http.get(f"/object/private/{alice.path('copy')}", headers=alice.headers)
    assert (read.content, read.headers["content-type"], read.headers["cache-control"]) == (
        b"newer",
        "text/css",
        "no-store",
    )
    assert len(server.stored()) == before
    onto_itself = {**body, "destinationKey": alice.path("original")}
    answer = http.post("/object/copy", headers={**alice.headers, "x-upsert": "true"}, json=onto_itself)
    assert answer.status_code == 200
    assert http.get(f"/object/private/{alice.path('original')}", headers=alice.headers).content == b"newer"


def test_a_public_bucket_needs_no_key(http: httpx.Client, alice: Caller) -> None:
    path = alice.path("portrait.png")
    assert upload(http, alice, path, PNG, "avatars", content_type="image/png").status_code == 200
    for url in (f"/object/public/avatars/{path}", f"/object/avatars/{path}"):
        assert http.get(url).content == PNG
        assert http.head(url).status_code == 200
        assert http.get(url, headers={"Authorization": "Bearer not-a-token"}).status_code == 200
    assert http.get(f"/object/info/public/avatars/{path}").json()["size"] == len(PNG)
    assert refusal(http.get("/object/public/avatars/none.png")) == NO_KEY
    upload(http, alice, alice.path("secret"))
    for url in ("/object/public/private/", "/object/info/public/private/"):
        assert refusal(http.get(url + alice.path("secret"))) == NO_BUCKET


def test_concurrent_upserts_leave_one_object_and_reads_are_complete(
    http: httpx.Client, server: Server, alice: Caller
) -> None:
    path = alice.path("contended")
    contents = [bytes([number]) * 50_000 for number in range(24)]
    assert upload(http, alice, path, contents[0]).status_code == 200
    others = len(server.stored()) - 1
    wrong: list[object] = []
    done = threading.Event()

    def write(own: list[bytes]) -> None:
        with httpx.Client(base_url=server.url, timeout=20) as client:
            for content in own:
                answer = upload(client, alice, path, content, x_upsert="true")
                if answer.status_code != 200:
                    wrong.append(answer.text)

    def read() -> None:
        with httpx.Client(base_url=server.url, timeout=20) as client:
            while not done.is_set():
                answer = client.get(f"/object/private/{path}", headers=alice.headers)
                if answer.content not in contents:
                    wrong.append(answer.text[:200])

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write, args=[contents[number::6]]) for number in range(6)]
    for thread in [*readers, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    [(_, version, metadata)] = server.rows("private", path)
    assert len(server.stored()) == others + 1
    assert any(name.endswith(version) for name in server.stored())
    read_last = http.get(f"/object/private/{path}", headers=alice.headers)
    assert read_last.content in contents
    assert read_last.headers["etag"] == metadata["eTag"]


def test_a_read_without_its_file_waits_for_the_overwrite(server: Server, alice: Caller, admin_url: str) -> None:
    path = alice.path("awaited")
    upload(server.http, alice, path)
    [(_, version, _)] = server.rows("private", path)
    set_version = "update storage.objects set version = %s where name = %s"
    answers: list[httpx.Response] = []

    def read() -> None:
        answers.append(server.http.get(f"/object/private/{path}", headers=alice.headers))

    with psycopg.connect(admin_url, autocommit=True) as watcher, psycopg.connect(admin_url) as writer:
        # As just before an overwrite commits: the row names a file that is deleted already.
        watcher.execute(set_version, [str(uuid.uuid4()), path])
        writer.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"private/{path}"])
        writer.execute(set_version, [version, path])
        reading = threading.Thread(target=read)
        reading.start()
        waiting = "select from pg_locks where locktype = 'advisory' and not granted"
        wait_until(lambda: watcher.execute(waiting).fetchone() is not None)
        writer.commit()
        reading.join()
    assert answers[0].content == b"hello"


def test_concurrent_first_upserts_leave_one_file(server: Server, alice: Caller) -> None:
    before = len(server.stored())
    start = threading.Barrier(6)

    def write(number: int) -> None:
        with httpx.Client(base_url=server.url, timeout=20) as client:
            for turn in range(5):
                start.wait()
                upload(client, alice, alice.path(f"first-{turn}"), bytes([number]) * 1000, x_upsert="true")

    threads = [threading.Thread(target=write, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.stored()) == before + 5


def test_one_of_concurrent_uploads_without_upsert_succeeds(http: httpx.Client, server: Server, alice: Caller) -> None:
    path = alice.path("raced")
    outcomes: list[int] = []
    start = threading.Barrier(6)

    def write(content: bytes) -> None:
        with httpx.Client(base_url=server.url, timeout=20) as client:
            start.wait()
            outcomes.append(upload(client, alice, path, content).status_code)

    threads = [threading.Thread(target=write, args=[bytes([number]) * 1000]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [200, 400, 400, 400, 400, 400]
    assert len(http.get(f"/object/private/{path}", headers=alice.headers).content) == 1000
    assert server.incoming() == []


def test_missing_features_are_refused_with_a_code(http: httpx.Client, alice: Caller) -> None:
    upload(http, alice, alice.path("pic"))
    refused = (400, "409", "FeatureNotEnabled")
    assert refusal(http.get(f"/render/image/authenticated/private/{alice.path('pic')}?width=10")) == refused
    assert refusal(http.post("/upload/resumable", headers=alice.headers)) == refused
    body = {"expiresIn": 60, "transform": {"width": 10}}
    answer = http.post(f"/object/sign/private/{alice.path('pic')}", headers=alice.headers, json=body)
    assert refusal(answer) == refused


def test_unknown_routes_and_malformed_bodies_are_refused(http: httpx.Client, alice: Caller) -> None:
    for method, path in (("GET", "/"), ("PATCH", "/object/private/x"), ("GET", "/object"), ("POST", "/object/list/")):
        answer = http.request(method, path, headers=alice.headers)
        assert (answer.status_code, answer.json()["statusCode"]) == (404, "404")
    for content in (b"{", b"[]", b"\xff", b'"\\ud800"', b"null"):
        answer = http.post("/object/move", headers=alice.headers, content=content)
        assert refusal(answer) == (400, "400", "InvalidRequest")
    answer = http.post("/object/move", headers=alice.headers, content=b" " * 2_000_000)
    assert refusal(answer) == (400, "413", "EntityTooLarge")


def test_policies_can_depend_on_the_operation(http: httpx.Client, admin: Caller, alice: Caller) -> None:
    for bucket in ("listable", "readable"):
        upload(http, admin, f"{alice.id}.txt", bucket=bucket)
    started = time.monotonic()
    lines = http.post("/object/list/listable", headers=alice.headers, json={"prefix": "", "limit": 1000}).json()
    assert f"{alice.id}.txt" in [line["name"] for line in lines]
    assert refusal(http.get(f"/object/listable/{alice.id}.txt", headers=alice.headers)) == NO_KEY
    assert time.monotonic() - started < 2


def test_without_metadata_of_the_user_info_has_an_empty_object(http: httpx.Client, alice: Caller) -> None:
    upload(http, alice, alice.path("plain"))
    assert http.get(f"/object/info/private/{alice.path('plain')}", headers=alice.headers).json()["metadata"] == {}


def test_times_have_milliseconds_as_in_javascript(http: httpx.Client, admin: Caller, alice: Caller) -> None:
    upload(http, alice, alice.path("a/timed"))
    info = http.get(f"/object/info/private/{alice.path('a/timed')}", headers=alice.headers).json()
    [listed] = http.post("/object/list/private", headers=alice.headers, json={"prefix": alice.path("a")}).json()
    v2 = {"prefix": f"{alice.id}/", "with_delimiter": True}
    [folder] = http.post("/object/list-v2/private", headers=alice.headers, json=v2).json()["folders"]
    bucket = http.get("/bucket/private", headers=admin.headers).json()
    [removed] = http.request(
        "DELETE", "/object/private", headers=alice.headers, json={"prefixes": [alice.path("a/timed")]}
    ).json()
    answers = (info, listed, listed["metadata"], folder, bucket, removed)
    times = [value for answer in answers for name, value in answer.items() if name.endswith(("_at", "odified"))]
    assert len(times) == 13
    assert [value for value in times if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value)] == []


def test_names_in_any_script_are_one_name_in_either_spelling(http: httpx.Client, server: Server, alice: Caller) -> None:
    composed, apart = alice.path("café/Über 歌.mp3"), alice.path("cafe\u0301/U\u0308ber 歌.mp3")
    assert upload(http, alice, quote(apart), b"song").json()["Key"] == f"private/{composed}"
    assert len(server.rows("private", composed)) == 1
    assert refusal(upload(http, alice, quote(composed))) == DUPLICATE
    for spelling in (composed, apart):
        assert http.get(f"/object/private/{quote(spelling)}", headers=alice.headers).content == b"song"
        folder = spelling.rpartition("/")[0]
        [listed] = http.post("/object/list/private", headers=alice.headers, json={"prefix": folder}).json()
        assert listed["name"] == "Über 歌.mp3"
        v2 = http.post("/object/list-v2/private", headers=alice.headers, json={"prefix": folder}).json()
        assert [line["name"] for line in v2["objects"]] == [composed]
        # As from Supabase the address is not encoded: the clients do that.
        sign = http.post(f"/object/sign/private/{quote(spelling)}", headers=alice.headers, json={"expiresIn": 60})
        many = {"expiresIn": 60, "paths": [spelling]}
        [line] = http.post("/object/sign/private", headers=alice.headers, json=many).json()
        assert line["path"] == spelling
        for url in (sign.json()["signedURL"], line["signedURL"]):
            assert url.startswith(f"/object/sign/private/{composed}?token=")
            assert http.get(url).content == b"song"
    named = http.get(f"{url}&download={quote('Über 歌.mp3')}").headers["content-disposition"]
    assert named == f"attachment; filename={quote('Über 歌.mp3')}; filename*=UTF-8''{quote('Über 歌.mp3')}"
    link = http.post(
        f"/object/upload/sign/private/{quote(apart)}", headers={**alice.headers, "x-upsert": "true"}
    ).json()
    assert http.put(link["url"], content=b"again", headers=TEXT).json() == {"Key": f"private/{composed}"}
    move = {"bucketId": "private", "sourceKey": apart, "destinationKey": alice.path("e\u0301")}
    assert http.post("/object/move", headers=alice.headers, json=move).json()["Key"] == f"private/{alice.path('é')}"
    gone = {"prefixes": [alice.path("e\u0301")]}
    assert len(http.request("DELETE", "/object/private", headers=alice.headers, json=gone).json()) == 1
