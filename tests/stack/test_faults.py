"""A kill -9 of any part during writes loses no acknowledged write: the stack, or the next `up`, restarts the part."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest
from psycopg import sql

from stack.state import Process
from tests.run_stack import TEST_SETTINGS, lift_limits
from tests.stack.own_stack import STUDENT_ID, OwnStack, descendants, kill, own_stack, seeded_stack, wait_for_end
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
PASSWORD = "correct horse battery"
PAUSE = float(os.environ.get("GUILDHALL_PAUSE", "2"))
"""Seconds for which the database is paused, after the edge has noticed."""
IMAGE = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
CHECKSUMS = """
select n.nspname, c.relname from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname in ('auth', 'private', 'public', 'storage', 'supabase_migrations')
order by 1, 2
"""


class WriteStream:
    """Writes repeatedly in a thread, and records which writes were acknowledged."""

    def __init__(self, write: Callable[[int], bool], *, pause: float = 0.03) -> None:
        """Prepare the thread, which runs while the stream is entered.

        Args:
            write: makes the write with a number; returns whether it was acknowledged.
            pause: seconds between two writes.
        """
        self._pause = pause
        self.acknowledged: list[int] = []
        self.sent = 0
        self._write = write
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "WriteStream":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            self.sent += 1
            with contextlib.suppress(httpx.HTTPError, psycopg.Error):
                if self._write(self.sent):
                    self.acknowledged.append(self.sent)

    def wait_for_new_write(self) -> None:
        """Wait until a write that began after this call is acknowledged."""
        sent_before = self.sent
        wait_until(lambda: self.acknowledged and self.acknowledged[-1] > sent_before, seconds=60)


class Writers:
    """Streams of writes to a stack: to PostgREST, to auth, to Postgres, and of mails to send."""

    def __init__(self, stack: OwnStack, *, student: httpx.Client, visitor: httpx.Client) -> None:
        """Prepare the streams.

        Args:
            stack: to which they write.
            student: a client with the demo student's token.
            visitor: a client with the publishable key.
        """
        self.stack = stack
        self._prefix = uuid.uuid4().hex[:8]
        self._rest, self._auth = student, visitor
        with stack.database() as connection:
            connection.execute("create table if not exists private.fault_log (prefix text, number int)")
        self.rest = WriteStream(self._write_profile)
        self.auth = WriteStream(self._sign_up)
        self.sql = WriteStream(self._insert)
        self.mail = WriteStream(self._enqueue, pause=0.2)  # the mailbox keeps a thousand mails
        self._streams = {"rest": self.rest, "auth": self.auth, "sql": self.sql, "mail": self.mail}

    def _write_profile(self, number: int) -> bool:
        answer = self._rest.patch(f"/rest/v1/profiles?id=eq.{STUDENT_ID}", json={"bio": str(number)})
        return answer.status_code == 204

    def _sign_up(self, number: int) -> bool:
        body = {"email": f"{self._prefix}-{number}@example.com", "password": PASSWORD}
        return self._auth.post("/auth/v1/signup", json=body).status_code == 200

    def _insert(self, number: int) -> bool:
        with self.stack.database() as connection:
            connection.execute("insert into private.fault_log values (%s, %s)", [self._prefix, number])
        return True

    def _enqueue(self, number: int) -> bool:
        with self.stack.database() as connection:
            connection.execute(
                "select private.enqueue_mail(%s, 'certificate_issued',"
                " jsonb_build_object('course_title', %s::text, 'code', 'x'), %s)",
                [STUDENT_ID, f"{self._prefix}-{number}", f"{self._prefix}-{number}"],
            )
        return True

    def _arrived(self) -> set[int]:
        """The numbers of the mails in the mailbox."""
        query = {"subject": self._prefix, "limit": "1000"}
        found = httpx.get(f"http://127.0.0.1:{self.stack.ports.mail}/api/messages", params=query, timeout=10).json()
        return {int(mail["subject"].rpartition("-")[2]) for mail in found if " for " in mail["subject"]}

    def lost(self) -> dict[str, set[int]]:
        """The acknowledged writes that are missing: rows that the database lacks and mails that do not arrive."""
        acknowledged = {name: set(stream.acknowledged) for name, stream in self._streams.items()}
        # Mails that a killed worker had claimed are sent after its heartbeat has expired.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: acknowledged["mail"] <= self._arrived(), seconds=60)
        with self.stack.database() as connection:
            bio = connection.execute("select bio from public.profiles where id = %s", [STUDENT_ID]).fetchone()
            emails = connection.execute("select email from auth.users where email like %s", [f"{self._prefix}-%"])
            accounts = {int(row[0].partition("-")[2].partition("@")[0]) for row in emails.fetchall()}
            logged = connection.execute("select number from private.fault_log where prefix = %s", [self._prefix])
            numbers = {row[0] for row in logged.fetchall()}
        assert bio is not None
        # The one row that changes must have the last acknowledged change or a later one.
        kept = {"rest": set(range(int(bio[0]) + 1)), "auth": accounts, "sql": numbers, "mail": self._arrived()}
        return {name: missing for name in kept if (missing := acknowledged[name] - kept[name])}

    def wait_for_new_writes(self) -> None:
        """Wait until each stream has a new acknowledged write."""
        for stream in self._streams.values():
            stream.wait_for_new_write()


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    """A stack whose parts are killed, with a short heartbeat of its worker."""
    with pytest.MonkeyPatch.context() as environment, seeded_stack() as stack:
        environment.setenv("WORKER_HEARTBEAT", "1")
        environment.setenv("WORKER_FIRST_PAUSE_MS", "100")
        # Limited requests would look like failures.
        for name, value in TEST_SETTINGS.items():
            environment.setenv(name, value)
        stack.up()
        with stack.database() as connection:
            lift_limits(connection)
        yield stack


@pytest.fixture(scope="module")
def token(own: OwnStack) -> str:
    """The demo student's access token."""
    return own.token()


@pytest.fixture
def writers(own: OwnStack, token: str) -> Iterator[Writers]:
    """Writes to the stack while the test runs."""
    with own.http(token) as student, own.http() as visitor:
        writers = Writers(own, student=student, visitor=visitor)
        with writers.rest, writers.auth, writers.sql, writers.mail:
            writers.wait_for_new_writes()
            yield writers


def signal_if_alive(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def edge_is_ready(own: OwnStack) -> bool:
    """Whether the edge answers that it is ready."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{own.url('edge')}/ready").status_code == 200
    return False


@pytest.mark.parametrize("part", ["postgrest", "auth", "storage", "edge", "worker", "mailbox", "gateway", "stripe"])
def test_a_killed_part_is_restarted(part: str, own: OwnStack, writers: Writers) -> None:
    killed = own.part_pid(part)
    kill(killed)
    wait_until(lambda: own.part_pid(part) != killed)
    writers.wait_for_new_writes()
    wait_until(lambda: edge_is_ready(own))
    assert writers.lost() == {}


def test_a_killed_backend_rolls_back_its_transaction(own: OwnStack, writers: Writers) -> None:
    with contextlib.closing(own.database()) as busy:
        busy.execute("begin")
        busy.execute("insert into private.fault_log values ('open', 1)")
        backend = Process.of(busy.info.backend_pid)
        os.kill(backend.pid, signal.SIGKILL)
        wait_for_end([backend])
    writers.wait_for_new_writes()
    wait_until(lambda: edge_is_ready(own))
    assert writers.lost() == {}
    with own.database() as connection:
        assert connection.execute("select from private.fault_log where prefix = 'open'").fetchall() == []


def test_a_paused_database_loses_nothing(own: OwnStack, writers: Writers) -> None:
    postmaster = own.part_pid("postgres")
    try:
        # First the postmaster: from then on no backend begins, though one may still end.
        signal_if_alive(postmaster, signal.SIGSTOP)
        for pid in descendants(postmaster):
            signal_if_alive(pid, signal.SIGSTOP)
        wait_until(lambda: not edge_is_ready(own))
        threading.Event().wait(PAUSE)
    finally:
        for pid in reversed(descendants(postmaster)):
            signal_if_alive(pid, signal.SIGCONT)
    writers.wait_for_new_writes()
    wait_until(lambda: edge_is_ready(own))
    assert writers.lost() == {}


def test_schema_changes_under_load_fail_no_request(own: OwnStack, writers: Writers) -> None:
    streams = (writers.rest, writers.auth, writers.sql)
    before = [stream.sent - len(stream.acknowledged) for stream in streams]
    for number in range(5):
        with own.database() as connection:
            connection.execute(f"create table public.fault_{number} (id int)".encode())
            connection.execute("notify pgrst, 'reload schema'")
            connection.execute(f"drop table public.fault_{number}".encode())
        writers.wait_for_new_writes()
    after = [stream.sent - len(stream.acknowledged) for stream in streams]
    # At each count, one write may not be answered yet.
    assert all(late - early <= 1 for early, late in zip(before, after, strict=True))
    assert writers.lost() == {}


def test_a_killed_postgres_loses_nothing(own: OwnStack, writers: Writers) -> None:
    killed = own.part_pid("postgres")
    kill(killed)
    wait_until(lambda: own.part_pid("postgres") != killed)
    writers.wait_for_new_writes()
    wait_until(lambda: edge_is_ready(own))
    assert writers.lost() == {}


def test_a_killed_stack_loses_nothing_and_can_be_started(own: OwnStack, writers: Writers) -> None:
    processes = own.processes()
    kill(own.supervisor_pid())
    wait_for_end(processes)
    own.up()
    writers.wait_for_new_writes()
    assert writers.lost() == {}


def checksums(stack: OwnStack) -> dict[str, str]:
    """A checksum of all rows of each table."""
    found = {}
    with stack.database() as connection:
        # `postgres` sees all rows: it owns our tables, and bypasses row level security on those of auth and storage.
        for schema, table in connection.execute(CHECKSUMS.encode()).fetchall():
            query = sql.SQL(
                "select md5(coalesce(string_agg(t::text, ' ' order by t::text), '')), count(*) from {} as t"
            )
            row = connection.execute(query.format(sql.Identifier(schema, table))).fetchone()
            found[f"{schema}.{table}"] = str(row)
    return found


def test_a_copy_of_the_data_folder_is_a_working_backup(own: OwnStack, token: str) -> None:
    """A backup: stop the stack, copy its folder, start the copy. The last test, because it stops the stack."""
    path = f"/storage/v1/object/avatars/{STUDENT_ID}/me.png"
    with own.http(token) as student:
        stored = student.post(path, content=IMAGE, headers={"content-type": "image/png", "x-upsert": "true"})
        assert stored.status_code == 200, stored.text
    before = checksums(own)
    assert len(before) > 30
    assert own("down").returncode == 0
    with own_stack() as copy:
        subprocess.run(["cp", "-a", own.data, copy.data], check=True)
        copy.up()
        assert checksums(copy) == before
        with copy.http(token) as student:
            served = student.get(path.replace("/object/", "/object/public/"))
            assert served.content == IMAGE
            # Tokens remain valid, because the keys are in the folder.
            own_rows = student.get(f"/rest/v1/enrolments?select=id&student_id=eq.{STUDENT_ID}")
            assert own_rows.status_code == 200, own_rows.text
