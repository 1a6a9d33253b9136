"""A course, its student-teacher and a student of them."""

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
def enrolment(academy: Academy, student: Person, course: Course) -> str:
    """The student's enrolment."""
    return academy.enrol(student, course)
