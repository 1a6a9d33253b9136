"""People that tests only read, or let act on their own data."""

import pytest

from tests.people import Academy, Person


@pytest.fixture(scope="module")
def stranger(academy: Academy) -> Person:
    """A signed-in user without any relation to the tested rows."""
    return academy.member()


@pytest.fixture(scope="module")
def moderator(academy: Academy) -> Person:
    """A moderator."""
    return academy.member("moderator")


@pytest.fixture(scope="module")
def admin(academy: Academy) -> Person:
    """An admin who is no superadmin."""
    return academy.member("admin")
