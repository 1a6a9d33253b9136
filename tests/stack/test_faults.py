"""A kill -9 of any part while people write loses nothing acknowledged: the stack or the next `up` mends it."""

import contextlib
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest

from stack.state import Process
from tests.stack.own_stack import STUDENT, OwnStack, gone, kill, own_stack, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
PASSWORD = "correct horse battery"


class Stream:
    """One person who writes again and again, whatever happens, and notes what was acknowledged."""

    def __init__(self, write: Callable[[int], bool]) -> None:
        """Args: write: makes the write of a number; whether it was acknowledged."""
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
        while not self._stop.wait(0.03):
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
    """A stack with three people who write: over PostgREST, to auth, and straight to Postgres."""

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

    def lost(self) -> dict[str, set[int]]:
        """The acknowledged writes that are not in the database."""
        told = {name: set(getattr(self, name).acknowledged) for name in ("rest", "auth", "sql")}
        with self.stack.database() as connection:
            bio = connection.execute("select bio from public.profiles where id = %s", [STUDENT]).fetchone()
            signed = connection.execute("select email from auth.users where email like %s", [f"{self._mark}-%"])
            people = {int(row[0].partition("-")[2].partition("@")[0]) for row in signed.fetchall()}
            logged = connection.execute("select number from private.fault_log where mark = %s", [self._mark])
            numbers = {row[0] for row in logged.fetchall()}
        assert bio is not None
        # One row is changed again and again: it must not have gone back behind the last acknowledged change.
        kept = {"rest": set(range(int(bio[0]) + 1)), "auth": people, "sql": numbers}
        return {name: told[name] - kept[name] for name in told if told[name] - kept[name]}

    def go_on(self) -> None:
        """See that each of them gets writes acknowledged again."""
        for stream in (self.rest, self.auth, self.sql):
            assert stream.goes_on()


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    """A stack to kill parts of."""
    with own_stack() as stack:
        stack.up()
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
        with writers.rest, writers.auth, writers.sql:
            writers.go_on()
            yield writers


def edge_is_ready(own: OwnStack) -> bool:
    """Whether the edge answers, and finds what it needs."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{own.ports.edge}/ready").status_code == 200
    return False


@pytest.mark.parametrize("part", ["postgrest", "auth", "storage", "edge", "mailbox", "gateway"])
def test_a_killed_part_is_started_again(part: str, own: OwnStack, writers: Writers) -> None:
    killed = own.part(part)
    kill(killed)
    wait_until(lambda: own.part(part) != killed)
    writers.go_on()
    wait_until(lambda: edge_is_ready(own))
    assert writers.lost() == {}


def test_a_killed_backend_of_postgres_loses_nothing(own: OwnStack, writers: Writers) -> None:
    with own.database() as busy:
        backend = Process.of(busy.info.backend_pid)
        os.kill(backend.pid, signal.SIGKILL)
        gone([backend])
    writers.go_on()
    wait_until(lambda: edge_is_ready(own))
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
