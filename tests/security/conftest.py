"""The live catalog, and throwaway databases in which violations are planted."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stack.state import Folder
from tests.conftest import Stack
from tests.security.databases import Databases


@pytest.fixture(scope="session")
def databases(stack: Stack, stack_data: Path) -> Databases:  # noqa: ARG001  the stack must run
    """Makes databases in the cluster of the run's stack."""
    return Databases(state=Folder(stack_data).state(), lock=stack_data.with_suffix(".databases.lock"))


@pytest.fixture(scope="session")
def live(admin_db_url: str) -> Iterator[psycopg.Connection]:
    """The running stack's database, for reading its catalog."""
    with psycopg.connect(admin_db_url, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = on")
        yield connection


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
