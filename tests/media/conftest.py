"""What the tests of media share."""

import pytest

from tests.people import Academy, Course, Person


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Person) -> Course:
    """A published course; its first lesson is an intro."""
    return academy.course(teacher)


@pytest.fixture
def student(academy: Academy, course: Course) -> Person:
    """A new student of the course."""
    person = academy.member()
    assert academy.rpc(person, "enrol", course_id=course.id).status_code == 200
    return person
