"""The connection pool of every process of ours: it serves the first caller after Postgres was restarted."""

import select
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from psycopg_pool import AsyncConnectionPool

ConnectionType = TypeVar("ConnectionType", bound=psycopg.AsyncConnection[Any])


class Pool(AsyncConnectionPool[ConnectionType]):
    """A pool that tries each connection before it hands it out, and on a dead one lets all the idle ones go.

    By itself the library tries the next idle connection, each time after a longer pause: with three or more that died
    together, as they do when Postgres restarts, a caller waits in vain.
    """

    def __init__(self, url: str, *, timeout: float, **options: Any) -> None:
        """Describe the pool; nothing is opened yet.

        Args:
            url: the database.
            timeout: seconds that a caller waits for a connection. Reconnecting is tried no longer, so that the pool
                tries anew with each caller rather than ever more rarely while Postgres is away.
            options: the library's.
        """
        super().__init__(
            url,
            timeout=timeout,
            reconnect_timeout=timeout,
            configure=self._enlist,
            check=self._try,
            open=False,
            **options,
        )
        # Callers who meet dead connections at the same moment empty the pool once, not each other's new ones.
        self._generation = 0
        self._born: WeakKeyDictionary[ConnectionType, int] = WeakKeyDictionary()

    async def _enlist(self, connection: ConnectionType) -> None:
        self._born[connection] = self._generation

    async def _try(self, connection: ConnectionType) -> None:
        if not _has_something_to_say(connection):
            return
        try:
            await self.check_connection(connection)
        except psycopg.Error:
            if self._born[connection] == self._generation:
                self._generation += 1
                await self.drain()
            raise


def _has_something_to_say(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the server sent anything over an idle connection: its end, most likely, which a dying one always sends.

    It saves asking the server before each call.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
