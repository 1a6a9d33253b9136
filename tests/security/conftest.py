"""The live catalog, and throwaway databases in which violations are planted."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from stack import postgrest
from stack.keys import Keys
from stack.ports import free_block
from stack.state import Folder
from tests.conftest import Stack
from tests.security import schema
from tests.security.databases import Databases
from tests.security.siege import Field
from tests.security.world import PEOPLE, World


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


@pytest.fixture(scope="session")
def field(databases: Databases, stack_data: Path) -> Iterator[Field]:
    """The world in a database of its own, with the stack's own PostgREST settings but for the end of transactions."""
    world = World()
    port = free_block().base
    with databases.cloned() as name:
        with psycopg.connect(databases.url(name), autocommit=True) as connection:
            world.build(connection)
            tables, functions = schema.tables(connection), schema.functions(connection)
            labels = schema.labels(connection)
        environment = {
            "PGRST_DB_URI": databases.url(name, "authenticator"),
            "PGRST_DB_TX_END": "rollback",
            "PGRST_SERVER_PORT": str(port),
            "PGRST_ADMIN_SERVER_PORT": str(port + 1),
        }
        command = [postgrest.binary(), stack_data / "postgrest.conf"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                wait_until_ready(f"http://127.0.0.1:{port + 1}/ready", server)
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
                    yield Field(
                        database=name,
                        http=http,
                        tokens={"anon": None} | {name: access_token(stack_data, world.ids[name]) for name in PEOPLE},
                        world=world,
                        tables=tables,
                        functions=functions,
                        labels=labels,
                    )
            finally:
                server.terminate()


def access_token(stack_data: Path, user_id: str) -> str:
    """A token for a user, as auth signs it."""
    claims = {"sub": user_id, "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 3600}
    return Keys.load(stack_data / "keys.json").sign(claims)


def wait_until_ready(url: str, server: subprocess.Popen[bytes], *, seconds: float = 20) -> None:
    """Wait for PostgREST to have read the schema."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert server.poll() is None, "PostgREST ended"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("PostgREST does not answer")
