"""A storage server process, its callers, and the answers that it refuses with."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg

from stack.keys import Keys
from stack.ports import LOOPBACK, free_block

FILE_SIZE_LIMIT = 1_000_000
WAIT_SECONDS = 10.0
TEXT = {"content-type": "text/plain"}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40

# As in a migration of a project; runs as `postgres`.
POLICIES = """
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values
    ('avatars', 'avatars', true, 10000, array['image/*']),
    ('private', 'private', false, null, null),
    ('dropbox', 'dropbox', false, null, null),
    ('readable', 'readable', false, null, null),
    ('listable', 'listable', false, null, null),
    ('full', 'full', false, null, null)
on conflict (id) do update set public = excluded.public;

create policy objects_insert_own on storage.objects for insert to authenticated
with check (
    bucket_id in ('avatars', 'private') and (storage.foldername(name))[1] = (select auth.uid())::text
);
create policy objects_select_own on storage.objects for select to authenticated
using (bucket_id in ('avatars', 'private') and (storage.foldername(name))[1] = (select auth.uid())::text);
create policy objects_update_own on storage.objects for update to authenticated
using (bucket_id in ('avatars', 'private') and (storage.foldername(name))[1] = (select auth.uid())::text);
create policy objects_delete_own on storage.objects for delete to authenticated
using (bucket_id in ('avatars', 'private') and owner_id = (select auth.uid())::text);

create policy objects_insert_dropbox on storage.objects for insert to authenticated
with check (bucket_id = 'dropbox' and (metadata ->> 'mimetype') = 'text/plain');
create policy objects_select_readable on storage.objects for select to anon, authenticated
using (bucket_id = 'readable');
create policy objects_select_listable on storage.objects for select to authenticated
using (bucket_id = 'listable' and storage.allow_only_operation('object.list'));
create policy objects_insert_full on storage.objects for insert to authenticated
with check (bucket_id = 'full');

create function public.tg_refuse() returns trigger language plpgsql set search_path = '' as $$
begin
    raise sqlstate 'PT409' using message = 'slot_taken', detail = 'The slot is taken.';
end
$$;
create trigger _100_refuse before insert on storage.objects
for each row when (new.bucket_id = 'full') execute function public.tg_refuse();
"""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A user's id, and the header with an access token."""

    id: str
    headers: dict[str, str]

    def path(self, name: str) -> str:
        """The path of a name in the user's own folder."""
        return f"{self.id}/{name}"


def new_user(keys: Keys, role: str = "authenticated", **claims: Any) -> Caller:
    """A new user with a token of this role."""
    user_id = str(uuid.uuid4())
    now = int(time.time())
    token = keys.sign({"sub": user_id, "role": role, "aud": "authenticated", "iat": now, "exp": now + 600, **claims})
    return Caller(id=user_id, headers={"Authorization": f"Bearer {token}"})


class Server:
    """A storage server process with its own folder and port."""

    def __init__(self, database_url: str, admin_url: str, keys_file: Path, files: Path) -> None:
        self.files = files
        self.port = free_block().storage
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=WAIT_SECONDS)
        self._admin_url = admin_url
        self._log = files.with_suffix(".log")
        self._environment = {
            **os.environ,
            "STORAGE_PORT": str(self.port),
            "STORAGE_DB_URL": database_url,
            "STORAGE_KEYS_FILE": str(keys_file),
            "STORAGE_FILES": str(files),
            "STORAGE_FILE_SIZE_LIMIT": str(FILE_SIZE_LIMIT),
        }
        self.start()

    def start(self) -> None:
        """Run the process and wait until it listens."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "stack.storage"], env=self._environment, stderr=log)
        end = time.monotonic() + WAIT_SECONDS
        while not self._listens():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, self.log
            time.sleep(0.02)

    def stop(self) -> int:
        """Stop the process by SIGTERM; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait(WAIT_SECONDS)

    @property
    def log(self) -> str:
        """The lines that it wrote to stderr."""
        return self._log.read_text()

    def stored(self) -> set[str]:
        """The names of the files of objects."""
        return {path.name for path in (self.files / "objects").glob("*/*")}

    def incoming(self) -> list[Path]:
        """The files of unfinished uploads."""
        return list((self.files / "incoming").iterdir())

    def rows(self, bucket: str, name: str) -> list[tuple[Any, ...]]:
        """Owner, version and metadata of the rows of a path."""
        with psycopg.connect(self._admin_url) as connection:
            return connection.execute(
                "select owner_id, version, metadata from storage.objects where bucket_id = %s and name = %s",
                [bucket, name],
            ).fetchall()

    def _listens(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running_server(database_url: str, admin_url: str, keys_file: Path, files: Path) -> Iterator[Server]:
    """Run a server until the end of the block."""
    server = Server(database_url, admin_url, keys_file, files)
    try:
        yield server
    finally:
        server.http.close()
        if server.process.poll() is None:
            server.kill()


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """The HTTP status, the status in the body, and the code of a refused request."""
    body = answer.json()
    assert set(body) == {"statusCode", "error", "code", "message"}, body
    return answer.status_code, body["statusCode"], body["code"]


DENIED = (400, "403", "AccessDenied")
NO_KEY = (400, "404", "NoSuchKey")
NO_BUCKET = (400, "404", "NoSuchBucket")
TOO_LARGE = (400, "413", "EntityTooLarge")
WRONG_TYPE = (400, "415", "InvalidMimeType")
DUPLICATE = (400, "409", "ResourceAlreadyExists")
INVALID_KEY = (400, "400", "InvalidKey")
INVALID_JWT = (400, "400", "InvalidJWT")
