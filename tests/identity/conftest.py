"""People whom the tests of this folder only read or let act within what is their own."""

import pytest

from tests.people import Academy, Person


@pytest.fixture(scope="module")
def stranger(academy: Academy) -> Person:
    """Somebody signed in who has nothing to do with the matter."""
    return academy.member()


@pytest.fixture(scope="module")
def moderator(academy: Academy) -> Person:
    """Somebody who keeps order."""
    return academy.member("moderator")


@pytest.fixture(scope="module")
def admin(academy: Academy) -> Person:
    """Somebody who runs the academy, but makes no admins."""
    return academy.member("admin")
