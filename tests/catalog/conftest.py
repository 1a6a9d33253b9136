"""People and a course that the tests of this folder do not change."""

import pytest

from tests.people import Academy, Course, Person


@pytest.fixture(scope="module")
def student(academy: Academy) -> Person:
    """Somebody without any role."""
    return academy.member()


@pytest.fixture(scope="module")
def admin(academy: Academy) -> Person:
    """Somebody who runs the academy."""
    return academy.member("admin")


@pytest.fixture(scope="module")
def published(academy: Academy, teacher: Person) -> Course:
    """A published course of the teacher; not to be changed."""
    return academy.course(teacher)


@pytest.fixture
def draft(academy: Academy, teacher: Person) -> Course:
    """A complete course of the teacher that is not published yet."""
    return academy.course(teacher, published=False)
