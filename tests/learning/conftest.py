"""People and a course that the tests of this folder do not change."""

import pytest

from tests.people import Academy, Course, Person


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Person) -> Course:
    """A published free course; not to be changed."""
    return academy.course(teacher)


@pytest.fixture
def student(academy: Academy) -> Person:
    """A student without an enrolment."""
    return academy.member(name="Amara")


@pytest.fixture
def enrolled(academy: Academy, student: Person, course: Course) -> Person:
    """The student, enrolled in the course."""
    academy.enrol(student, course)
    return student
