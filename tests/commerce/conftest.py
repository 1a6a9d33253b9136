"""People for the tests of commerce."""

import pytest

from tests.people import Academy, Person


@pytest.fixture(scope="session")
def admin(academy: Academy) -> Person:
    """An admin; not to be changed."""
    return academy.member("admin")


@pytest.fixture(scope="session")
def student(academy: Academy) -> Person:
    """A member without a role; not to be changed."""
    return academy.member()
