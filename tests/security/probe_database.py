"""A database of its own with the test world, behind a PostgREST that commits nothing."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from stack import postgrest
from stack.keys import Keys
from stack.ports import free_block
from tests.databases import Databases
from tests.security import schema
from tests.security.access_probe import ProbeDatabase
from tests.security.wire import Wire
from tests.security.worlds import build_world
from tests.security.worlds.identity import PEOPLE


@contextmanager
def probe_database(
    databases: Databases,
    stack_data: Path,
    *,
    planted: str = "",
    prepare: Callable[[psycopg.Connection], None] | None = None,
) -> Iterator[ProbeDatabase]:
    """Make the world behind a PostgREST with the stack's own settings, except that every transaction is rolled back.

    Args:
        databases: makes the database.
        stack_data: the data folder that holds the settings and keys.
        planted: SQL to run after the world is built.
        prepare: more to do to the database after that.
    """
    port = free_block().base
    with databases.cloned() as name:
        with psycopg.connect(databases.url(name), autocommit=True) as connection:
            world = build_world(connection)
            if planted:
                connection.execute(planted.encode())
            if prepare is not None:
                prepare(connection)
            tables, functions = schema.tables(connection), schema.functions(connection)
            labels = schema.labels(connection)
        world.learn(row for table in tables.values() for row in table.rows)
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
                with Wire(port) as wire:
                    yield ProbeDatabase(
                        database=name,
                        wire=wire,
                        tokens={"anon": None} | {name: access_token(stack_data, world.ids[name]) for name in PEOPLE},
                        world=world,
                        tables=tables,
                        functions=functions,
                        labels=labels,
                    )
            finally:
                server.terminate()


def access_token(stack_data: Path, user_id: str) -> str:
    """A user's access token, as auth signs it."""
    claims = {"sub": user_id, "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 3600}
    return Keys.load(stack_data / "keys.json").sign(claims)


def wait_until_ready(url: str, server: subprocess.Popen[bytes], *, seconds: float = 20) -> None:
    """Wait until PostgREST has read the schema."""
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
