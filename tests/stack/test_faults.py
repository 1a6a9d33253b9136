"""A kill -9 of any part while people write loses nothing acknowledged: the stack or the next `up` mends it."""

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
from tests.conftest import UNLIMITED, lift_limits
from tests.stack.own_stack import STUDENT, OwnStack, descendants, gone, kill, own_stack, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
PASSWORD = "correct horse battery"
PAUSE = float(os.environ.get("GUILDHALL_PAUSE", "2"))
"""Seconds for which the database is paused, after everybody has noticed."""
PICTURE = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
CHECKSUMS = """
select n.nspname, c.relname from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname in ('auth', 'private', 'public', 'storage', 'supabase_migrations')
order by 1, 2
"""


class Stream:
    """One person who writes again and again, whatever happens, and notes what was acknowledged."""

    def __init__(self, write: Callable[[int], bool], *, pause: float = 0.03) -> None:
        """Prepare.

        Args:
            write: makes the write of a number; whether it was acknowledged.
            pause: seconds between two writes.
        """
        self._pause = pause
        self.acknowledged: list[int] = []
        self.sent = 0
        self._write = write
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Stream":
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

    def goes_on(self) -> bool:
        """Whether a write that began after this question is acknowledged, within a minute."""
        asked = self.sent
        wait_until(lambda: self.acknowledged and self.acknowledged[-1] > asked, seconds=60)
        return True


class Writers:
    """A stack with people who write: over PostgREST, to auth, straight to Postgres; one who is mailed."""

    def __init__(self, stack: OwnStack, *, student: httpx.Client, visitor: httpx.Client) -> None:
        """Prepare them; they begin when their streams are entered."""
        self.stack = stack
        self._mark = uuid.uuid4().hex[:8]
        self._rest, self._auth = student, visitor
        with stack.database() as connection:
            connection.execute("create table if not exists private.fault_log (mark text, number int)")
        self.rest = Stream(self._write_profile)
        self.auth = Stream(self._sign_up)
        self.sql = Stream(self._insert)
        self.mail = Stream(self._enqueue, pause=0.2)  # the mailbox keeps a thousand
        self._streams = {"rest": self.rest, "auth": self.auth, "sql": self.sql, "mail": self.mail}

    def _write_profile(self, number: int) -> bool:
        answer = self._rest.patch(f"/rest/v1/profiles?id=eq.{STUDENT}", json={"bio": str(number)})
        return answer.status_code == 204

    def _sign_up(self, number: int) -> bool:
        body = {"email": f"{self._mark}-{number}@example.com", "password": PASSWORD}
        return self._auth.post("/auth/v1/signup", json=body).status_code == 200

    def _insert(self, number: int) -> bool:
        with self.stack.database() as connection:
            connection.execute("insert into private.fault_log values (%s, %s)", [self._mark, number])
        return True

    def _enqueue(self, number: int) -> bool:
        with self.stack.database() as connection:
            connection.execute(
                "select private.enqueue_mail(%s, 'certificate_issued',"
                " jsonb_build_object('course_title', %s::text, 'code', 'x'), %s)",
                [STUDENT, f"{self._mark}-{number}", f"{self._mark}-{number}"],
            )
        return True

    def _arrived(self) -> set[int]:
        """The mails that are in the mailbox."""
        query = {"subject": self._mark, "limit": "1000"}
        found = httpx.get(f"http://127.0.0.1:{self.stack.ports.mail}/api/messages", params=query, timeout=10).json()
        return {int(mail["subject"].rpartition("-")[2]) for mail in found if " for " in mail["subject"]}

    def lost(self) -> dict[str, set[int]]:
        """The acknowledged writes that are not in the database, and mails that do not come."""
        told = {name: set(stream.acknowledged) for name, stream in self._streams.items()}
        # A killed worker's mails are sent when it is known to be dead.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: told["mail"] <= self._arrived(), seconds=60)
        with self.stack.database() as connection:
            bio = connection.execute("select bio from public.profiles where id = %s", [STUDENT]).fetchone()
            signed = connection.execute("select email from auth.users where email like %s", [f"{self._mark}-%"])
            people = {int(row[0].partition("-")[2].partition("@")[0]) for row in signed.fetchall()}
            logged = connection.execute("select number from private.fault_log where mark = %s", [self._mark])
            numbers = {row[0] for row in logged.fetchall()}
        assert bio is not None
        # One row is changed again and again: it must not have gone back behind the last acknowledged change.
        kept = {"rest": set(range(int(bio[0]) + 1)), "auth": people, "sql": numbers, "mail": self._arrived()}
        return {name: told[name] - kept[name] for name in told if told[name] - kept[name]}

    def go_on(self) -> None:
        """See that each of them gets writes acknowledged again."""
        for stream in self._streams.values():
            assert stream.goes_on()


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    """A stack to kill parts of, whose worker is soon known to be dead when it is."""
    with pytest.MonkeyPatch.context() as environment, own_stack() as stack:
        environment.setenv("JOBS_HEARTBEAT", "1")
        environment.setenv("JOBS_FIRST_PAUSE_MS", "100")
        # Whoever is limited would seem to wait for what was killed.
        for name, value in UNLIMITED.items():
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
    """People who write to it while the test runs."""
    with own.http(token) as student, own.http() as visitor:
        writers = Writers(own, student=student, visitor=visitor)
        with writers.rest, writers.auth, writers.sql, writers.mail:
            writers.go_on()
            yield writers


def edge_is_ready(own: OwnStack) -> bool:
    """Whether the edge answers, and finds what it needs."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{own.ports.edge}/ready").status_code == 200
    return False


@pytest.mark.parametrize("part", ["postgrest", "auth", "storage", "edge", "worker", "mailbox", "gateway", "stripe"])
def test_a_killed_part_is_started_again(part: str, own: OwnStack, writers: Writers) -> None:
    killed = own.part(part)
    kill(killed)
    wait_until(lambda: own.part(part) != killed)
    writers.go_on()
    wait_until(lambda: edge_is_ready(own))
    assert writers.lost() == {}


def test_a_backend_killed_amid_a_write_loses_nothing_and_leaves_nothing_of_it(own: OwnStack, writers: Writers) -> None:
    with contextlib.closing(own.database()) as busy:
        busy.execute("begin")
        busy.execute("insert into private.fault_log values ('half', 1)")
        backend = Process.of(busy.info.backend_pid)
        os.kill(backend.pid, signal.SIGKILL)
        gone([backend])
    writers.go_on()
    wait_until(lambda: edge_is_ready(own))
    assert writers.lost() == {}
    with own.database() as connection:
        assert connection.execute("select from private.fault_log where mark = 'half'").fetchall() == []


def test_a_paused_database_loses_nothing(own: OwnStack, writers: Writers) -> None:
    paused = descendants(own.part("postgres"))
    for pid in paused:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not edge_is_ready(own))
        threading.Event().wait(PAUSE)
    finally:
        for pid in reversed(paused):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    writers.go_on()
    wait_until(lambda: edge_is_ready(own))
    assert writers.lost() == {}


def test_changes_of_the_schema_under_load_fail_nobody(own: OwnStack, writers: Writers) -> None:
    streams = (writers.rest, writers.auth, writers.sql)
    before = [stream.sent - len(stream.acknowledged) for stream in streams]
    for number in range(5):
        with own.database() as connection:
            connection.execute(f"create table public.fault_{number} (id int)".encode())
            connection.execute("notify pgrst, 'reload schema'")
            connection.execute(f"drop table public.fault_{number}".encode())
        writers.go_on()
    after = [stream.sent - len(stream.acknowledged) for stream in streams]
    # One may be under way at each of the two looks.
    assert all(now - then <= 1 for then, now in zip(before, after, strict=True))
    assert writers.lost() == {}


def test_a_killed_postgres_loses_nothing(own: OwnStack, writers: Writers) -> None:
    killed = own.part("postgres")
    kill(killed)
    wait_until(lambda: own.part("postgres") != killed)
    writers.go_on()
    wait_until(lambda: edge_is_ready(own))
    assert writers.lost() == {}


def test_a_killed_stack_loses_nothing_and_starts_again(own: OwnStack, writers: Writers) -> None:
    family = own.family()
    kill(own.supervisor())
    gone(family)
    own.up()
    writers.go_on()
    assert writers.lost() == {}


def checksums(stack: OwnStack) -> dict[str, str]:
    """Of all rows of each table."""
    found = {}
    with stack.database() as connection:
        # The owner sees all rows of ours; those of auth and storage, their bypass of row level security shows.
        for schema, table in connection.execute(CHECKSUMS.encode()).fetchall():
            query = sql.SQL(
                "select md5(coalesce(string_agg(t::text, ' ' order by t::text), '')), count(*) from {} as t"
            )
            row = connection.execute(query.format(sql.Identifier(schema, table))).fetchone()
            found[f"{schema}.{table}"] = str(row)
    return found


def test_a_copy_of_the_folder_is_the_same_stack(own: OwnStack, token: str) -> None:
    """The backup of the embedded stack: stop it, copy its folder, start it. Last here, for it stops the stack."""
    path = f"/storage/v1/object/avatars/{STUDENT}/me.png"
    with own.http(token) as student:
        stored = student.post(path, content=PICTURE, headers={"content-type": "image/png", "x-upsert": "true"})
        assert stored.status_code == 200, stored.text
    told = checksums(own)
    assert len(told) > 30
    assert own("down").returncode == 0
    with own_stack() as copy:
        subprocess.run(["cp", "-a", own.data, copy.data], check=True)
        copy.up()
        assert checksums(copy) == told
        with copy.http(token) as student:
            shown = student.get(path.replace("/object/", "/object/public/"))
            assert shown.content == PICTURE
            # Who was signed in, still is: the keys are in the folder.
            mine = student.get(f"/rest/v1/enrolments?select=id&student_id=eq.{STUDENT}")
            assert mine.status_code == 200, mine.text
