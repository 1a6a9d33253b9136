"""Two PostgRESTs on Unix sockets of this user alone. Neither commits anything."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import msgspec

from stack import postgrest
from stack.errors import StackError
from stack.postgres import DATABASE, SUPERUSER
from stack.state import Folder, State

READY_WITHIN = 20.0
"""Seconds."""
MAX_ROWS = 1000
"""Rows for which the policies are evaluated."""


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """Clients of the two."""

    bound: httpx.Client
    """Of one like the stack's own."""
    unbound: httpx.Client
    """Of one that accepts tokens of a role that row level security does not bind."""


@contextmanager
def running(folder: Folder, state: State, database: str = DATABASE) -> Iterator[Servers]:
    """Run both for the duration of the block.

    Args:
        folder: the stack's data folder, with the settings of its PostgREST.
        state: the stack's ports and passwords.
        database: the name of the database.

    Raises:
        StackError: one did not start.
    """
    with tempfile.TemporaryDirectory(prefix="guildhall-explain-") as name, ExitStack() as stack:
        bound = {"PGRST_DB_URI": state.database_url("authenticator", database)}
        unbound = {
            "PGRST_DB_URI": state.database_url(SUPERUSER, database),
            "PGRST_DB_CONFIG": "false",
            "PGRST_DB_MAX_ROWS": str(MAX_ROWS),
        }
        # Start both before waiting for either.
        started = [
            stack.enter_context(_server(folder, Path(name) / socket, settings))
            for socket, settings in (("bound", bound), ("unbound", unbound))
        ]
        for server, client in started:
            _wait_until_ready(server, client)
        clients = [client for _, client in started]
        yield Servers(bound=clients[0], unbound=clients[1])


@contextmanager
def _server(
    folder: Folder, socket: Path, settings: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    environment = {
        "PGRST_DB_TX_END": "rollback",
        "PGRST_DB_POOL": "1",
        "PGRST_SERVER_UNIX_SOCKET": str(socket),
        "PGRST_SERVER_UNIX_SOCKET_MODE": "600",
        "PGRST_ADMIN_SERVER_PORT": "",
        "PGRST_LOG_LEVEL": "crit",
        **settings,
    }
    command = [postgrest.binary(), folder.path / "postgrest.conf"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            with httpx.Client(
                transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://postgrest", timeout=20
            ) as client:
                yield server, client
        finally:
            server.terminate()


def _wait_until_ready(server: subprocess.Popen[bytes], client: httpx.Client) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while server.poll() is None and time.monotonic() < deadline:
        try:
            # It answers 503 while it loads the schema.
            if client.get("/rpc/", timeout=1).status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise StackError("PostgREST did not start: ./guildhall doctor may find the reason")
