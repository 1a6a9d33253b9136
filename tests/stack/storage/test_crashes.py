"""Interrupted uploads leave no row without its file, and no file without its row."""

import asyncio
import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from stack.ports import LOOPBACK
from stack.storage import http as storage_http
from stack.storage.app import create_app
from stack.storage.errors import StorageError
from stack.storage.http import Message, Request
from stack.storage.settings import Settings
from tests.stack.storage.support import NO_KEY, TEXT, Caller, Server, refusal, running_server
from tests.waiting import wait_until


def begin_upload(
    server: Server, caller: Caller, path: str, *, form: bool = False, chunked: bool = False
) -> socket.socket:
    """Send the headers and half of the body of an upload, and wait until the server writes it."""
    body = b"x" * 100_000
    kind = "text/plain"
    if form:
        kind = "multipart/form-data; boundary=cut"
        body = b'--cut\r\nContent-Disposition: form-data; name=""; filename="blob"\r\n\r\n' + body
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 200000"
    head = (
        f"POST /object/private/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {caller.headers['Authorization']}\r\n"
        f"x-upsert: true\r\nContent-Type: {kind}\r\n{length}\r\n\r\n"
    )
    connection = socket.create_connection((LOOPBACK, server.port), timeout=5)
    connection.sendall(head.encode() + (b"%x\r\n%s\r\n" % (len(body), body) if chunked else body))
    wait_until(lambda: len(server.incoming()) == 1)
    return connection


def consistent_names(server: Server, admin_url: str) -> set[str]:
    """The names of the objects of this server; asserts that each file has a row."""
    with psycopg.connect(admin_url) as connection:
        rows = connection.execute("select id || '.' || version, name from storage.objects").fetchall()
    files = server.stored()
    names = {name for file, name in rows if file in files}
    assert len(names) == len(files)
    return names


def test_a_disconnected_client_leaves_nothing(server: Server, http: httpx.Client, alice: Caller) -> None:
    path = alice.path("cut")
    stored = server.stored()
    for form, chunked in ((False, False), (False, True), (True, False), (True, True)):
        begin_upload(server, alice, path, form=form, chunked=chunked).close()
        wait_until(lambda: server.incoming() == [])
        assert server.rows("private", path) == []
        assert server.stored() == stored
    http.post(f"/object/private/{path}", content=b"whole", headers={**alice.headers, **TEXT})
    begin_upload(server, alice, path).close()
    wait_until(lambda: server.incoming() == [])
    assert http.get(f"/object/private/{path}", headers=alice.headers).content == b"whole"


def test_a_client_that_sends_nothing_more_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive() -> Message:
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never

    async def read() -> None:
        scope: Message = {"method": "POST", "raw_path": b"/", "headers": [], "query_string": b""}
        async for _ in Request(scope, receive).chunks():
            raise AssertionError("nothing was sent")

    monkeypatch.setattr(storage_http, "SILENCE_SECONDS", 0.01)
    with pytest.raises(StorageError) as refused:
        asyncio.run(read())
    assert refused.value.code == "RequestTimeout"


def test_a_kill_during_an_upload_leaves_nothing(own_server: Server, alice: Caller) -> None:
    with httpx.Client(base_url=own_server.url) as http:
        http.post(f"/object/private/{alice.path('kept')}", content=b"kept", headers={**alice.headers, **TEXT})
        kept = own_server.stored()
        connection = begin_upload(own_server, alice, alice.path("cut"))
        own_server.kill()
        connection.close()
        # As after a kill between the file and the row, and after an overwrite.
        for name in (f"{uuid.uuid4()}.{uuid.uuid4()}", f"{next(iter(kept)).split('.')[0]}.{uuid.uuid4()}"):
            (own_server.files / "objects" / name[:2] / name).write_bytes(b"orphan")
        own_server.start()
        assert own_server.incoming() == []
        assert own_server.rows("private", alice.path("cut")) == []
        wait_until(lambda: own_server.stored() == kept)
        assert http.get(f"/object/private/{alice.path('kept')}", headers=alice.headers).content == b"kept"
        assert refusal(http.get(f"/object/private/{alice.path('cut')}", headers=alice.headers)) == NO_KEY
    assert own_server.stop() == 0


def test_repeated_kills_lose_no_acknowledged_upload(own_server: Server, alice: Caller, admin_url: str) -> None:
    acknowledged: dict[str, bytes] = {}
    stop = threading.Event()

    def write_repeatedly(number: int) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            # Each third turn overwrites and each fifth deletes what an earlier one uploaded.
            name, content = alice.path(f"{number}-{turn - (turn % 3 == 0)}"), f"{number} {turn} ".encode() * 3000
            try:
                with httpx.Client(base_url=own_server.url, timeout=5) as http:
                    headers = {**alice.headers, **TEXT, "x-upsert": "true"}
                    answer = http.post(f"/object/private/{name}", content=content, headers=headers)
                    if answer.status_code == 200:
                        acknowledged[name] = content
                    if turn % 5 == 0:
                        deleted = http.delete(f"/object/private/{name}", headers=alice.headers)
                        assert deleted.status_code == 200, deleted.text
                        del acknowledged[name]
            except httpx.TransportError:
                acknowledged.pop(name, None)  # the outcome is unknown
                time.sleep(0.02)

    threads = [threading.Thread(target=write_repeatedly, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) >= 5)
    own_server.kill()
    own_server.start()
    wait_until(lambda: len(acknowledged) >= 15)
    own_server.kill()
    stop.set()
    for thread in threads:
        thread.join()
    own_server.start()
    wait_until(lambda: len(own_server.stored()) == len(owned_names(admin_url, alice)))
    assert own_server.incoming() == []
    assert consistent_names(own_server, admin_url) == owned_names(admin_url, alice) >= set(acknowledged)
    for name, content in acknowledged.items():
        assert own_server.http.get(f"/object/private/{name}", headers=alice.headers).content == content


def owned_names(admin_url: str, caller: Caller) -> set[str]:
    """The names of a user's objects."""
    with psycopg.connect(admin_url) as connection:
        return {
            row[0]
            for row in connection.execute(
                "select name from storage.objects where owner_id = %s", [caller.id]
            ).fetchall()
        }


def test_a_failed_commit_removes_the_file(http: httpx.Client, server: Server, alice: Caller, admin_url: str) -> None:
    stored = server.stored()
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"""
            create function public.tg_late() returns trigger language plpgsql set search_path = '' as $$
            begin
                raise sqlstate 'PT422' using message = 'too_late';
            end $$;
            create constraint trigger late after insert or update on storage.objects deferrable initially deferred
            for each row when (new.name like '%late-{alice.id}') execute function public.tg_late();
        """)
        try:
            path = alice.path(f"late-{alice.id}")
            headers = {**alice.headers, **TEXT}
            answer = http.post(f"/object/private/{path}", content=b"x", headers=headers)
            assert refusal(answer) == (400, "422", "too_late")
            http.post(f"/object/private/{alice.path('source')}", content=b"x", headers=headers)
            copy = {"bucketId": "private", "sourceKey": alice.path("source"), "destinationKey": path}
            assert refusal(http.post("/object/copy", headers=alice.headers, json=copy)) == (400, "422", "too_late")
            http.delete(f"/object/private/{alice.path('source')}", headers=alice.headers)
        finally:
            connection.execute("drop trigger late on storage.objects; drop function public.tg_late()")
    assert server.stored() == stored
    assert server.incoming() == []
    assert server.rows("private", path) == []


@pytest.fixture
def slow_commit(admin_url: str) -> Iterator[Callable[[], int]]:
    """Delays commits of objects named `slow`; returns the process id of the backend that commits."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("""
            create function public.tg_slow() returns trigger language plpgsql set search_path = '' as $$
            begin
                perform pg_sleep(1.5);
                return null;
            end $$;
            create constraint trigger slow after insert on storage.objects deferrable initially deferred
            for each row when (new.name like '%/slow') execute function public.tg_slow();
        """)

        def committing() -> int:
            found = connection.execute(
                "select pid from pg_stat_activity where application_name = 'storage' and wait_event = 'PgSleep'"
            ).fetchone()
            return 0 if found is None else int(found[0])

        yield committing
        connection.execute("drop trigger slow on storage.objects; drop function public.tg_slow()")


def upload_slow(server: Server, caller: Caller, answers: list[httpx.Response]) -> threading.Thread:
    """Begin an upload with a slow commit."""

    def upload() -> None:
        with contextlib.suppress(httpx.TransportError):
            path = f"/object/private/{caller.path('slow')}"
            answers.append(httpx.post(server.url + path, content=b"slow", headers={**caller.headers, **TEXT}))

    thread = threading.Thread(target=upload)
    thread.start()
    return thread


def test_a_commit_after_the_servers_death_keeps_its_file(
    own_server: Server, alice: Caller, slow_commit: Callable[[], int]
) -> None:
    """The sweep at the next start must not delete the file before Postgres has committed."""
    answers: list[httpx.Response] = []
    uploading = upload_slow(own_server, alice, answers)
    wait_until(slow_commit)
    own_server.kill()
    uploading.join()
    assert answers == []
    assert own_server.rows("private", alice.path("slow")) == [], "not committed yet"
    own_server.start()
    wait_until(lambda: own_server.rows("private", alice.path("slow")) != [])
    time.sleep(0.2)
    read = own_server.http.get(f"/object/private/{alice.path('slow')}", headers=alice.headers)
    assert read.content == b"slow"


def test_a_commit_with_an_unknown_outcome_is_swept_later(
    own_server: Server, alice: Caller, admin_url: str, slow_commit: Callable[[], int]
) -> None:
    answers: list[httpx.Response] = []
    uploading = upload_slow(own_server, alice, answers)
    wait_until(slow_commit)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s)", [slow_commit()])
    uploading.join()
    assert refusal(answers[0]) == (503, "503", "DatabaseUnavailable")
    assert own_server.rows("private", alice.path("slow")) == []
    assert len(own_server.stored()) == 1, "the row may have been committed"
    own_server.kill()
    own_server.start()
    wait_until(lambda: own_server.stored() == set())


def test_without_a_database_requests_are_refused(keys_file: Path, tmp_path: Path, alice: Caller) -> None:
    closed_url = f"postgresql://supabase_storage_admin:x@{LOOPBACK}:1/postgres"
    with (
        running_server(closed_url, closed_url, keys_file, tmp_path / "files") as server,
        httpx.Client(base_url=server.url) as http,
    ):
        answer = http.get("/bucket", headers=alice.headers, timeout=10)
        assert refusal(answer) == (503, "503", "DatabaseUnavailable")
        assert answer.headers["retry-after"] == "1"
        assert [http.get(path, timeout=10).status_code for path in ("/health", "/ready")] == [200, 503]
        assert server.stop() == 0


def test_terminated_connections_are_replaced(http: httpx.Client, alice: Caller, admin_url: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'storage'"
        )
    assert http.get("/bucket", headers=alice.headers).status_code == 200
    assert http.get("/ready").status_code == 200


def test_two_servers_do_not_share_a_folder(server: Server, storage_url: str, keys_file: Path) -> None:
    settings = Settings(port=0, db_url=storage_url, keys_file=keys_file, files=server.files, file_size_limit=1)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(create_app(settings)({"type": "lifespan"}, receive, send))
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
