"""The live catalog, databases for planting violations, and people and courses to attack."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from tests.databases import Databases
from tests.people import Academy, Course, Person
from tests.security.access_probe import ProbeDatabase
from tests.security.probe_database import probe_database
from tests.security.reviewed import ReviewedList

Review = Callable[[ReviewedList, set[str]], None]
"""The fixture `review`."""


@pytest.fixture(scope="session")
def review(pytestconfig: pytest.Config) -> Review:
    """Fails where a reviewed list differs from what is, and with --update writes the list instead."""

    def compare(reviewed: ReviewedList, actual: set[str]) -> None:
        if pytestconfig.getoption("update"):
            reviewed.update(actual)
        problems = reviewed.problems(actual)
        if problems:
            pytest.fail(problems, pytrace=False)

    return compare


@pytest.fixture(scope="session")
def clone(databases: Databases) -> Iterator[str]:
    """The name of a migrated database without rows. Its tests leave it as it was."""
    with databases.cloned() as name:
        yield name


@pytest.fixture
def scratch(databases: Databases, clone: str) -> Iterator[psycopg.Connection]:
    """The clone as its superuser, in a transaction that is rolled back, for planting violations."""
    with psycopg.connect(databases.url(clone)) as connection:
        yield connection
        connection.rollback()


class School(msgspec.Struct, frozen=True, kw_only=True):
    """People and courses of a teacher in the running stack. No test changes them."""

    teacher: Person
    rival: Person
    student: Person
    """Has passed the quiz of `free` and holds its certificate."""
    stranger: Person
    moderator: Person
    free: Course
    paid: Course
    draft: Course
    enrolment_id: str
    certificate: dict[str, Any]


@pytest.fixture(scope="session")
def school(academy: Academy) -> School:
    """A person of each kind, and three courses of one teacher."""
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
    passed = academy.rpc(student, "submit_quiz", quiz_id=free.quiz_id, answers=free.correct_answers)
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
def probed(databases: Databases, stack_data: Path) -> Iterator[ProbeDatabase]:
    """The test world in a database of its own."""
    with probe_database(databases, stack_data) as target:
        yield target
