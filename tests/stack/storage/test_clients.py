"""The official clients, unmodified: storage-js and storage3."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from storage3 import SyncStorageClient
from storage3.exceptions import StorageApiError

from tests.stack.storage.support import PNG, Caller, Server


def test_storage_js_works(server: Server, alice: Caller, bob: Caller) -> None:
    tokens = [caller.headers["Authorization"].removeprefix("Bearer ") for caller in (alice, bob)]
    ran = subprocess.run(
        ["node", Path(__file__).with_name("client.mjs"), server.url, *tokens, alice.id],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ran.returncode == 0, ran.stderr
    answers = json.loads(ran.stdout)
    path = f"{alice.id}/folder/a b&c.txt"
    assert answers["upload"]["path"] == path
    assert answers["upload"]["fullPath"] == f"private/{path}"
    assert answers["upload"]["id"] == answers["update"]["id"] == answers["upsert"]["id"] == answers["info"]["id"]
    assert answers["duplicate"] == [400, "409", "ResourceAlreadyExists"]
    assert answers["download"] == "raw"
    assert answers["info"]["metadata"] == {"b": 2}
    assert (answers["info"]["bucketId"], answers["info"]["contentType"]) == ("private", "text/plain;charset=UTF-8")
    assert answers["exists"] == [True, False]
    assert answers["list"] == [["folder", True]]
    assert answers["search"] == ["a b&c.txt"]
    assert [(folder["key"], folder["name"]) for folder in answers["listV2"]] == [("folder", f"{alice.id}/folder/")]
    assert answers["signed"] == ["string", "attachment; filename=x%20y.txt; filename*=UTF-8''x%20y.txt"]
    assert answers["signedMany"] == ["string", None, True]
    assert answers["toSigned"]["fullPath"] == f"private/{alice.id}/link.txt"
    assert answers["japanese"] == ["la la", "la la"]
    assert answers["copy"] == {"path": f"private/{alice.id}/copy.txt"}
    assert answers["move"] == "Successfully moved"
    assert answers["moved"] == "string"
    assert answers["otherUser"] == [
        [400, "404", "NoSuchKey"],
        [400, "403", "AccessDenied"],
        [400, "404", "NoSuchKey"],
        0,
    ]
    assert answers["tooLarge"] == answers["tooLargeForm"] == [400, "413", "EntityTooLarge"]
    assert answers["wrongType"] == [400, "415", "InvalidMimeType"]
    assert answers["publicType"] == "image/png"
    assert answers["transform"] == [400, "409", "FeatureNotEnabled"]
    assert answers["removed"] == sorted([path, *(f"{alice.id}/{name}" for name in ("link.txt", "moved.txt", "stream"))])
    assert answers["buckets"] == []
    assert answers["noBucket"] == [400, "404", "NoSuchBucket"]
    assert answers["createBucket"] == [400, "403", "AccessDenied"]


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[[Caller], SyncStorageClient]]:
    """Creates clients of supabase-py's storage for callers."""
    with httpx.Client(timeout=20) as session:
        yield lambda caller: SyncStorageClient(f"{server.url}/", caller.headers, http_client=session)


def status_and_code(error: pytest.ExceptionInfo[StorageApiError]) -> tuple[str, str]:
    return str(error.value.status), error.value.code


def test_objects_with_storage3(
    connect: Callable[[Caller], SyncStorageClient], alice: Caller, bob: Caller, tmp_path: Path
) -> None:
    bucket, others = connect(alice).from_("private"), connect(bob).from_("private")
    path = alice.path("py/a b.txt")
    uploaded = bucket.upload(path, b"one", {"content-type": "text/plain", "metadata": {"a": 1}})
    assert uploaded.full_path == f"private/{path}"
    with pytest.raises(StorageApiError) as error:
        bucket.upload(path, b"two")
    assert status_and_code(error) == ("409", "Duplicate")
    file = tmp_path / "two.txt"
    file.write_bytes(b"two" * 50_000)
    bucket.upload(path, file, {"upsert": "true"})
    assert bucket.download(path) == b"two" * 50_000
    bucket.update(path, b"three", {"cache-control": "9"})
    info = bucket.info(path)
    assert (info["size"], info["cache_control"], info["metadata"]) == (5, "max-age=9", {})
    assert bucket.exists(path)
    assert not bucket.exists(alice.path("no"))
    assert [line["name"] for line in bucket.list(alice.path("py"))] == ["a b.txt"]
    assert [line.name for line in bucket.list_v2({"prefix": alice.id}).objects] == [path]
    signed = bucket.create_signed_url(path, 60, {"download": "n.txt"})["signedURL"]
    assert signed is not None
    answer = httpx.get(signed)
    assert (answer.content, "n.txt" in answer.headers["content-disposition"]) == (b"three", True)
    first, second = bucket.create_signed_urls([path, alice.path("no")], 60)
    assert httpx.get(first["signedURL"] or "").content == b"three"
    assert second["signedURL"] is None
    link = bucket.create_signed_upload_url(alice.path("link"))
    bucket.upload_to_signed_url(link["path"], link["token"], b"by link")
    assert bucket.download(alice.path("link")) == b"by link"
    bucket.copy(path, alice.path("copy"))
    bucket.move(alice.path("copy"), alice.path("moved"))
    assert bucket.download(alice.path("moved")) == b"three"
    with pytest.raises(StorageApiError) as error:
        others.download(path)
    assert status_and_code(error) == ("404", "not_found")
    with pytest.raises(StorageApiError) as error:
        others.upload(alice.path("theirs"), b"x")
    assert status_and_code(error) == ("403", "Unauthorized")
    assert others.remove([path]) == []
    removed = bucket.remove([path, alice.path("link"), alice.path("moved")])
    assert len(removed) == 3
    with pytest.raises(StorageApiError) as error:
        bucket.download(path)
    assert status_and_code(error) == ("404", "not_found")


def test_buckets_with_storage3(connect: Callable[[Caller], SyncStorageClient], admin: Caller, alice: Caller) -> None:
    storage = connect(admin)
    name = f"py-{alice.id}"
    limits = {"public": True, "file_size_limit": 5000, "allowed_mime_types": ["image/*"]}
    assert storage.create_bucket(name, options=limits) == {"name": name}  # type: ignore[arg-type]
    made = storage.get_bucket(name)
    assert (made.public, made.file_size_limit, made.allowed_mime_types) == (True, 5000, ["image/*"])
    assert name in [bucket.id for bucket in storage.list_buckets()]
    storage.update_bucket(name, {"public": False})
    assert not storage.get_bucket(name).public
    storage.from_(name).upload("a.png", PNG, {"content-type": "image/png"})
    with pytest.raises(StorageApiError) as error:
        storage.delete_bucket(name)
    assert status_and_code(error)[0] == "409"
    storage.empty_bucket(name)
    storage.delete_bucket(name)
    with pytest.raises(StorageApiError) as error:
        storage.get_bucket(name)
    assert status_and_code(error) == ("404", "Bucket not found")
