"""The servers that tests of auth share, each started on first use."""

from collections.abc import Iterator

import pytest

from tests.stack.auth.support import AuthServer, Database, Mailbox, Rig


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """What the tests of the auth server share."""
    rig = Rig()
    yield rig
    rig.close()


@pytest.fixture(scope="session")
def database(rig: Rig) -> Database:
    """The database."""
    return rig.database


@pytest.fixture(scope="session")
def mailbox(rig: Rig) -> Mailbox:
    """The receiver of mails."""
    return rig.mailbox


@pytest.fixture(scope="session")
def auth(rig: Rig) -> AuthServer:
    """The server in which email addresses must be confirmed."""
    return rig.auth


@pytest.fixture(scope="session")
def auto(rig: Rig) -> AuthServer:
    """The server in which every email address counts as confirmed."""
    return rig.auto


@pytest.fixture(scope="session")
def hooked(rig: Rig) -> AuthServer:
    """The server that calls an access token hook."""
    return rig.hooked
