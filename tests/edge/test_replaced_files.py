"""Files that no row names any more are removed from storage, by the worker."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import cast

import httpx
import pytest

from common.errors import TransientError
from edge.database import Database
from edge.files.settings import FileSettings
from edge.files.tasks import FileTasks
from tests.identity.test_profiles import PNG, upload
from tests.people import Academy, Person
from tests.waiting import wait_until

BUCKETS = ("avatars", "course-thumbnails", "qualifications")


def put(academy: Academy, who: Person, bucket: str, folder: str) -> str:
    """Upload a file into a folder; its name."""
    name = f"{folder}/{uuid.uuid4()}.png"
    answer = upload(academy, who, f"{bucket}/{name}", PNG + name.encode(), "image/png")
    assert answer.status_code == 200, answer.text
    return name


class Holder:
    """A row that names a file of a bucket."""

    def __init__(self, academy: Academy, bucket: str) -> None:
        self.academy, self.bucket = academy, bucket
        self.owner = academy.member("teacher")
        if bucket == "avatars":
            self.folder, self.row, self.column = self.owner.id, f"profiles?id=eq.{self.owner.id}", "avatar_path"
        elif bucket == "course-thumbnails":
            self.folder = academy.course(self.owner, published=False).id
            self.row, self.column = f"courses?id=eq.{self.folder}", "thumbnail_path"
        else:
            made = academy.insert(self.owner, "user_qualifications", title="Master potter")
            self.folder = self.owner.id
            self.row, self.column = f"user_qualifications?id=eq.{made['id']}", "document_path"

    def upload(self) -> str:
        return put(self.academy, self.owner, self.bucket, self.folder)

    def name(self, file: str | None) -> None:
        answer = self.academy.call(self.owner, "PATCH", f"/rest/v1/{self.row}", {self.column: file})
        assert answer.status_code == 204, answer.text

    def exists(self, file: str) -> bool:
        found = self.academy.sql("select from storage.objects where bucket_id = %s and name = %s", self.bucket, file)
        return bool(found)


@pytest.fixture(scope="module")
def disk(stack_data: Path) -> Path:
    return stack_data / "storage"


def bytes_of(disk: Path, file: str) -> list[Path]:
    """Where the disk has the content of a file, which `put` made of its name."""
    return [path for path in disk.rglob("*") if path.is_file() and path.read_bytes().endswith(file.encode())]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_replaced_file_is_removed(academy: Academy, disk: Path, bucket: str) -> None:
    holder = Holder(academy, bucket)
    first, second, unused = holder.upload(), holder.upload(), holder.upload()
    assert bytes_of(disk, first)
    holder.name(first)
    holder.name(second)
    wait_until(lambda: not holder.exists(first))
    wait_until(lambda: not bytes_of(disk, first))
    assert holder.exists(second)
    holder.name(None)
    wait_until(lambda: not holder.exists(second))
    assert holder.exists(unused)  # no row has ever named it: it may be about to be used


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_file_in_use_stays(academy: Academy, bucket: str) -> None:
    """Also where it was replaced, and is named again before the worker comes to it."""
    holder = Holder(academy, bucket)
    file, marker = holder.upload(), holder.upload()
    holder.name(file)
    academy.sql("select private.discard_file(%s, %s)", bucket, file)
    academy.sql("select private.discard_file(%s, %s)", bucket, marker)
    wait_until(lambda: not holder.exists(marker))
    assert holder.exists(file)
    wait_until(lambda: academy.sql("select from private.discarded_files where name = %s", file) == [])


def test_files_of_what_is_deleted_are_removed(academy: Academy) -> None:
    picture, document = Holder(academy, "course-thumbnails"), Holder(academy, "qualifications")
    named, beside, paper = picture.upload(), picture.upload(), document.upload()
    picture.name(named)
    document.name(paper)
    assert academy.rpc(picture.owner, "delete_course", course_id=picture.folder).json() is True
    assert academy.call(document.owner, "DELETE", f"/rest/v1/{document.row}").status_code == 204
    wait_until(lambda: not any((picture.exists(named), picture.exists(beside), document.exists(paper))))


def test_the_token_removes_no_other_file(academy: Academy) -> None:
    """Of the worker: it removes what no row names any more, and reads nothing that a stranger does not."""
    holder = Holder(academy, "qualifications")
    file = holder.upload()
    holder.name(file)
    worker = Person(id="", email="", token=academy.keys.api_token("file_remover"))
    body = {"prefixes": [file]}
    assert academy.call(worker, "DELETE", f"/storage/v1/object/{holder.bucket}", body).json() == []
    assert academy.call(worker, "GET", f"/storage/v1/object/authenticated/{holder.bucket}/{file}").status_code == 400
    assert holder.exists(file)
    for table in ("accounts", "user_settings", "audit_log", "orders"):
        assert academy.call(worker, "GET", f"/rest/v1/{table}").status_code in {401, 403}, table
    unknown = Person(id="", email="", token=academy.keys.api_token("nobody_at_all"))
    assert academy.call(unknown, "DELETE", f"/storage/v1/object/{holder.bucket}", body).json()["statusCode"] == "403"


class OneFile:
    """A database with one file to remove, which storage leaves."""

    async def call(self, function: str, **_parameters: object) -> object:
        return {"removable_files": ["avatars/somebody/face.png"], "forget_removed_files": 1}[function]


@pytest.mark.parametrize("status", [200, 403, 500, 503, None])
def test_a_failed_removal_is_retried(status: int | None) -> None:
    """With 200, storage answers that it removed nothing."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("DELETE", "/object/avatars")
        assert (request.headers["authorization"], json.loads(request.content)) == (
            "Bearer token", {"prefixes": ["somebody/face.png"]}
        )  # fmt: skip
        if status is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(status, json=[])

    async def run() -> None:
        settings = FileSettings(storage_url="http://storage", publishable_key="key", storage_token="token")
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            await FileTasks(settings, cast(Database, OneFile()), http).remove_files()

    with pytest.raises(TransientError):
        asyncio.run(run())


def test_a_file_that_was_not_removed_stays_listed(academy: Academy) -> None:
    """Until it is gone, or in use again."""
    holder = Holder(academy, "avatars")
    file = holder.upload()
    with academy.connection() as connection, connection.transaction(force_rollback=True):
        connection.execute("select private.discard_file('avatars', %s)", [file])
        left = connection.execute("select private.forget_removed_files(%s)", [[f"avatars/{file}"]]).fetchone()
        assert left == (1,)
        connection.execute("update public.profiles set avatar_path = %s where id = %s", [file, holder.owner.id])
        left = connection.execute("select private.forget_removed_files(%s)", [[f"avatars/{file}"]]).fetchone()
        assert left == (0,)
