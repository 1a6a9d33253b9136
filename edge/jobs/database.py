"""The database as the role `worker` sees it: the job queue, and the functions of `private` that it may call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from edge.jobs.settings import Settings
from edge.pool import Pool

BESIDE_JOBS = 4
"""Connections for the queue itself: fetching, finishing, heartbeats, health."""
PATIENCE = 2.0
"""Seconds to wait for a connection before the database counts as away."""
PURGES = """
select p.proname from pg_catalog.pg_proc as p
where p.pronamespace = 'private'::regnamespace and p.proname ~ '^purge_' and p.pronargs = 0
    and has_function_privilege(p.oid, 'execute')
order by p.proname
"""


class Connection(psycopg.AsyncConnection[Any]):
    """A connection that commits each statement by itself, unless a transaction is opened on it.

    The queue shares the pool: were its statements blocks to commit in a step of their own, a worker that is frozen
    between the two would hold its locks, and stop all others.
    """

    @classmethod
    async def connect(cls, conninfo: str = "", *, autocommit: bool = True, **options: Any) -> Self:
        """Connect as psycopg does. Not an option of the pool: Procrastinate passes the pool's on beside its own."""
        return await super().connect(conninfo, autocommit=autocommit, **options)


class Transaction:
    """One transaction."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def call(self, function: str, /, **parameters: Any) -> Any:
        """Call `private.<function>` with named parameters, of which a dict is sent as jsonb; returns its one value.

        Raises:
            psycopg.Error: it failed, or the database is away.
        """
        statement = sql.SQL("select {}({})").format(
            sql.Identifier("private", function),
            sql.SQL(", ").join(
                sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in parameters
            ),
        )
        values = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in parameters.items()}
        row = await (await self._connection.execute(statement, values)).fetchone()
        return None if row is None else row[0]

    async def purges(self) -> list[str]:
        """The names of the functions `private.purge_*` that the worker may call."""
        return [name for (name,) in await (await self._connection.execute(PURGES)).fetchall()]


class Database:
    """The worker's connections."""

    def __init__(self, settings: Settings) -> None:
        self.pool: Pool[Connection] = Pool(
            settings.db_url,
            timeout=PATIENCE,
            connection_class=Connection,
            kwargs={"application_name": "worker", "connect_timeout": 5},
            min_size=1,
            max_size=settings.concurrency + BESIDE_JOBS,
            name="worker",
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction, committed at the end of the block and rolled back where the block raises.

        Raises:
            psycopg.Error: the database is away.
        """
        async with self.pool.connection() as connection, connection.transaction():
            yield Transaction(connection)

    async def is_reachable(self) -> bool:
        """Whether the database answers the role `worker` and has our schema."""
        try:
            async with self.transaction() as transaction:
                return bool(await transaction.call("schema_version"))
        except psycopg.Error:
            return False
