"""The connection pool of every process: after a restart of Postgres it serves the first caller."""

import select
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from psycopg_pool import AsyncConnectionPool

ConnectionType = TypeVar("ConnectionType", bound=psycopg.AsyncConnection[Any])


class Pool(AsyncConnectionPool[ConnectionType]):
    """A pool that checks each connection before it hands it out, and after a dead one drops all idle connections.

    By itself the library tries the next idle connection, each time after a longer pause: where three or more died
    together, as they do when Postgres restarts, a caller waits in vain.
    """

    def __init__(self, url: str, *, timeout: float, **options: Any) -> None:
        """Describe the pool; nothing is opened yet.

        Args:
            url: the database.
            timeout: seconds that a caller waits for a connection. Reconnecting is given up after as long, so that the
                pool reconnects for each caller, and not ever more rarely, while Postgres is away.
            options: of the library.
        """
        super().__init__(
            url,
            timeout=timeout,
            reconnect_timeout=timeout,
            configure=self._note_generation,
            check=self._check,
            open=False,
            **options,
        )
        # Callers that meet dead connections at the same moment drop the idle ones once, and not each other's new ones.
        self._generation = 0
        self._generation_of: WeakKeyDictionary[ConnectionType, int] = WeakKeyDictionary()

    async def _note_generation(self, connection: ConnectionType) -> None:
        self._generation_of[connection] = self._generation

    async def _check(self, connection: ConnectionType) -> None:
        if not _has_unread_bytes(connection):
            return
        try:
            await self.check_connection(connection)
        except psycopg.Error:
            if self._generation_of[connection] == self._generation:
                self._generation += 1
                await self.drain()
            raise


def _has_unread_bytes(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the server sent something over an idle connection, as it does when the connection ends.

    This saves a round trip before each call.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
