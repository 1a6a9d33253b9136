"""Start, reset, key rotation and end of a stack."""

import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from edge.auth import FRESH
from stack import database
from stack.errors import StackError
from stack.keys import Keys
from stack.paths import ROOT
from stack.project import Project
from stack.state import Folder
from stack.tools.project import GUILDHALL
from tests.conftest import Stack
from tests.run_stack import command
from tests.stack.own_stack import STUDENT_ID, OwnStack, own_stack, wait_for_end
from tests.waiting import wait_until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    """A stack whose first start was killed during the migrations."""
    with own_stack() as stack:
        with subprocess.Popen(
            command("up", "--data", stack.data, "--port", str(stack.ports.base)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as first:
            assert first.stdout is not None
            for line in first.stdout:
                if "migrations" in line:
                    break
            started = stack.processes()
            first.kill()
        if sys.platform == "linux":
            wait_for_end(started)
        yield stack


@pytest.fixture
def running(own: OwnStack) -> OwnStack:
    """The same stack, running."""
    if own("status").returncode != 0:
        own.up()
    return own


def write_bio(stack: OwnStack, text: str) -> None:
    """Change the demo student's bio."""
    with stack.database() as connection:
        connection.execute("update public.profiles set bio = %s where id = %s", [text, STUDENT_ID])


def read_bio(stack: OwnStack) -> str:
    """The demo student's bio."""
    with stack.database() as connection:
        row = connection.execute("select bio from public.profiles where id = %s", [STUDENT_ID]).fetchone()
    assert row is not None
    bio: str = row[0]
    return bio


def write_object_file(stack: OwnStack) -> Path:
    """Write a file into the folder of storage."""
    file = stack.data / "storage" / "objects" / "00" / f"{uuid.uuid4()}.{uuid.uuid4()}"
    file.write_bytes(b"bytes")
    return file


def upload(stack: OwnStack) -> int:
    """Upload an avatar as the demo student; returns the status."""
    with stack.http(stack.token()) as http:
        path = f"/storage/v1/object/avatars/{STUDENT_ID}/{uuid.uuid4()}.png"
        return http.post(path, content=PNG, headers={"content-type": "image/png"}).status_code


def test_an_interrupted_first_start_is_repeated(running: OwnStack) -> None:
    assert read_bio(running)
    with running.database() as connection:
        assert connection.execute("select from pg_database where datname = 'guildhall_new'").fetchone() is None


def test_files_with_secrets_are_readable_by_their_owner_only(running: OwnStack) -> None:
    for name in ("stack.json", "keys.json", "processes.json", "postgrest.conf"):
        assert (running.data / name).stat().st_mode & 0o077 == 0, name
    for name in ("logs", "storage", "mailbox", "doubles/stripe", "postgres"):
        assert (running.data / name).stat().st_mode & 0o077 == 0, name


def test_tokens_remain_valid_after_a_rotation_and_not_after_a_revocation(running: OwnStack) -> None:
    pdf = f"/functions/v1/certificates/{uuid.uuid4()}/pdf"
    older = running.token()
    before = Keys.load(running.data / "keys.json")
    assert running("rotate-keys").returncode == 0
    assert Keys.load(running.data / "keys.json").current.kid != before.current.kid
    newer = running.token()
    for token in (older, newer):
        with running.http(token) as http:
            assert http.get("/rest/v1/profiles?limit=1").status_code == 200
            assert http.get("/auth/v1/user").status_code == 200
            assert http.get("/storage/v1/bucket").status_code == 200
            assert http.get(pdf).status_code == 404
    legacy = Keys.load(running.data / "keys.json").anon
    assert running("rotate-keys", "--revoke").returncode == 0
    revoked_at = time.monotonic()
    for token in (older, newer):
        with running.http(token) as http:
            assert http.get("/rest/v1/profiles?limit=1").status_code == 401
            assert http.get("/auth/v1/user").status_code == 403
            assert http.get("/storage/v1/bucket").status_code == 400
    assert httpx.get(f"{running.status()['API_URL']}/rest/v1/courses", headers={"apikey": legacy}).status_code == 401
    # The edge asks auth for its keys again after some seconds, used meanwhile or not.
    time.sleep(max(0.0, revoked_at + FRESH - time.monotonic()))
    for token in (older, newer):
        with running.http(token) as http:
            assert http.get(pdf).status_code == 401
    with running.http(running.token()) as http:
        assert http.get("/rest/v1/profiles?limit=1").status_code == 200
    with running.http() as http:
        assert http.get("/rest/v1/courses?limit=1").status_code == 200, "the publishable key remains valid"


def test_a_reset_of_a_running_stack_removes_data_and_keeps_keys(running: OwnStack) -> None:
    before = running.status()
    write_bio(running, "gone after the reset")
    stored = write_object_file(running)
    running.create_customer()
    assert running.count_customers() == 1
    with running.http() as http:
        http.post("/auth/v1/recover", json={"email": "student@example.com"}).raise_for_status()
        mail = f"{before['MAIL_URL']}/api/messages"
        wait_until(lambda: http.get(mail).json())
        assert running("reset").returncode == 0
        assert read_bio(running) != "gone after the reset"
        assert http.get(mail).json() == []
        assert http.get("/rest/v1/courses?limit=1").status_code == 200
    assert not stored.exists()
    assert running.count_customers() == 0
    assert running.status() == before
    assert upload(running) == 200


def test_a_failed_reset_changes_nothing(running: OwnStack, tmp_path: Path) -> None:
    shutil.copytree(GUILDHALL.folder / "supabase", tmp_path / "supabase")
    project = Project(folder=tmp_path)
    (project.migrations / "20981231235959_wrong_file.sql").write_text("select 1;\n\nselect from nowhere;\n")
    write_bio(running, "still here")
    with pytest.raises(StackError, match=r"20981231235959_wrong_file\.sql, line 3"):
        database.make(project, Folder(running.data).state(), lambda _: None)
    assert read_bio(running) == "still here"


@linux_only
def test_down_and_ctrl_c_end_every_process_and_keep_data(running: OwnStack, stack: Stack) -> None:
    write_bio(running, "kept")
    running.create_customer()
    processes = running.processes()
    assert running("down").returncode == 0
    wait_for_end(processes, seconds=0.1)
    assert running.has_free_ports()
    assert running("status").returncode == 1

    with subprocess.Popen(
        command("up", "--data", running.data), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as foreground:
        assert foreground.stdout is not None
        started = time.monotonic()
        while "Ctrl-C" not in (line := foreground.stdout.readline()):
            assert line, "it ended before it was ready"
        assert time.monotonic() - started < 15, "a warm start takes under 5 s on two idle cores"
        assert running.status()["API_URL"] == f"http://127.0.0.1:{running.ports.base}", "the ports are remembered"
        assert read_bio(running) == "kept"
        assert running.count_customers() > 0
        assert httpx.get(f"{stack.mail_url}/health").status_code == 200, "two stacks run side by side"
        processes = running.processes()
        assert len(processes) > 7
        foreground.send_signal(signal.SIGINT)
        assert foreground.wait(timeout=20) == 0
    wait_for_end(processes, seconds=0.1)
    assert running.has_free_ports()


def test_a_reset_of_a_stopped_stack_removes_data(own: OwnStack) -> None:
    if own("status").returncode == 0:
        write_bio(own, "gone after the reset")
        own.create_customer()
        assert own("down").returncode == 0
    stored = write_object_file(own)
    assert own("reset").returncode == 0
    assert own.has_free_ports()
    assert not stored.exists()
    own.up()
    assert read_bio(own) not in {"kept", "gone after the reset"}
    assert own.count_customers() == 0
    assert upload(own) == 200
