"""The live catalog, and throwaway databases in which violations are planted."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from stack import postgrest
from stack.keys import Keys
from stack.ports import free_block
from tests.databases import Databases
from tests.people import Academy, Course, Person
from tests.security import schema
from tests.security.siege import Field
from tests.security.wire import Wire
from tests.security.world import PEOPLE, World


@pytest.fixture(scope="session")
def clone(databases: Databases) -> Iterator[str]:
    """A migrated database without rows, which its tests leave as it was. Its name."""
    with databases.cloned() as name:
        yield name


@pytest.fixture
def plot(databases: Databases, clone: str) -> Iterator[psycopg.Connection]:
    """The clone as its superuser, in a transaction that is rolled back: the place to plant violations."""
    with psycopg.connect(databases.url(clone)) as connection:
        yield connection
        connection.rollback()


class School(msgspec.Struct, frozen=True, kw_only=True):
    """People and courses in the running stack, which no test changes."""

    teacher: Person
    rival: Person
    student: Person
    """Has passed the quiz of `free` and holds its certificate."""
    stranger: Person
    moderator: Person
    free: Course
    paid: Course
    draft: Course
    """All three are the teacher's."""
    enrolment_id: str
    certificate: dict[str, Any]


@pytest.fixture(scope="session")
def school(academy: Academy) -> School:
    """Somebody of each kind, and something to steal."""
    teacher, rival = academy.member("teacher"), academy.member("teacher")
    student = academy.member()
    free, paid = academy.course(teacher), academy.course(teacher, price_amount=4900)
    draft = academy.course(teacher, published=False)
    academy.sql(
        "update public.courses as c set category_id = (select k.id from public.categories as k limit 1)"
        " where c.creator_id = %s",
        teacher.id,
    )
    enrolment_id = academy.enrol(student, free)
    passed = academy.rpc(student, "submit_quiz", quiz_id=free.quiz_id, answers=free.right_answers)
    assert passed.status_code == 200, passed.text
    return School(
        teacher=teacher,
        rival=rival,
        student=student,
        stranger=academy.member(),
        moderator=academy.member("moderator"),
        free=free,
        paid=paid,
        draft=draft,
        enrolment_id=enrolment_id,
        certificate=passed.json()["certificate"],
    )


@pytest.fixture(scope="session")
def field(databases: Databases, stack_data: Path) -> Iterator[Field]:
    """The world in a database of its own."""
    with battlefield(databases, stack_data) as field:
        yield field


@contextmanager
def battlefield(
    databases: Databases,
    stack_data: Path,
    *,
    planted: str = "",
    prepare: Callable[[psycopg.Connection], None] | None = None,
) -> Iterator[Field]:
    """A world behind a PostgREST with the stack's own settings, but for the end of transactions: nothing is committed.

    Args:
        databases: makes its database.
        stack_data: where the settings lie.
        planted: SQL to run when the world is there.
        prepare: what else to do to the database.
    """
    world = World()
    port = free_block().base
    with databases.cloned() as name:
        with psycopg.connect(databases.url(name), autocommit=True) as connection:
            world.build(connection)
            if planted:
                connection.execute(planted.encode())
            if prepare is not None:
                prepare(connection)
            tables, functions = schema.tables(connection), schema.functions(connection)
            labels = schema.labels(connection)
        world.learn(row for table in tables.values() for row in table.rows)
        environment = {
            "PGRST_DB_URI": databases.url(name, "authenticator"),
            "PGRST_DB_TX_END": "rollback",
            "PGRST_SERVER_PORT": str(port),
            "PGRST_ADMIN_SERVER_PORT": str(port + 1),
        }
        command = [postgrest.binary(), stack_data / "postgrest.conf"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                wait_until_ready(f"http://127.0.0.1:{port + 1}/ready", server)
                with Wire(port) as wire:
                    yield Field(
                        database=name,
                        wire=wire,
                        tokens={"anon": None} | {name: access_token(stack_data, world.ids[name]) for name in PEOPLE},
                        world=world,
                        tables=tables,
                        functions=functions,
                        labels=labels,
                    )
            finally:
                server.terminate()


def access_token(stack_data: Path, user_id: str) -> str:
    """A token for a user, as auth signs it."""
    claims = {"sub": user_id, "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 3600}
    return Keys.load(stack_data / "keys.json").sign(claims)


def wait_until_ready(url: str, server: subprocess.Popen[bytes], *, seconds: float = 20) -> None:
    """Wait for PostgREST to have read the schema."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert server.poll() is None, "PostgREST ended"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("PostgREST does not answer")
