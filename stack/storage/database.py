"""Transactions on the storage tables, each as the caller of the request."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeVar

import msgspec
import psycopg
from psycopg.rows import dict_row

from common.pool import Pool
from stack.storage.tokens import Caller

Row = TypeVar("Row")
Connection = psycopg.AsyncConnection[dict[str, Any]]

POOL_SIZE = 10
POOL_TIMEOUT_SECONDS = 2.0
POOL_WAITING = 200
OPTIONS = (
    "-c timezone=UTC -c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s "
    "-c application_name=storage"
)
# What policies may read about the call, until the transaction ends. Only the Storage API may delete.
DESCRIBE = """
select
    set_config('request.method', %(method)s, true),
    set_config('request.path', %(path)s, true),
    set_config('storage.operation', %(operation)s, true),
    set_config('storage.allow_delete_query', 'true', true)
"""
ACT_AS = "select set_config('request.jwt.claims', %(claims)s, true), set_config('role', %(role)s, true)"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP call, as policies may read it."""

    method: str
    path: str
    operation: str


class Transaction:
    """An open transaction. It begins as the owner of the tables, above every policy, until it acts as a caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def act_as(self, caller: Caller) -> None:
        """Run everything from here on as the caller, under the policies."""
        claims = msgspec.json.encode(caller.claims).decode()
        await self._connection.execute(ACT_AS, {"claims": claims, "role": caller.role})

    async def run(self, query: LiteralString, values: Mapping[str, Any]) -> int:
        """Run a statement. Returns the number of its rows."""
        return (await self._connection.execute(query, values)).rowcount

    async def one(self, row: type[Row], query: LiteralString, values: Mapping[str, Any]) -> Row | None:
        """The first row of a query, or None."""
        found = await (await self._connection.execute(query, values)).fetchone()
        return None if found is None else msgspec.convert(found, row)

    async def all(self, row: type[Row], query: LiteralString, values: Mapping[str, Any]) -> list[Row]:
        """Every row of a query."""
        found = await (await self._connection.execute(query, values)).fetchall()
        return msgspec.convert(found, list[row])  # type: ignore[valid-type]


class Database:
    """The connection pool of `supabase_storage_admin`. It connects by itself once the database answers."""

    def __init__(self, url: str) -> None:
        self._pool: Pool[Connection] = Pool(
            url,
            timeout=POOL_TIMEOUT_SECONDS,
            min_size=1,
            max_size=POOL_SIZE,
            max_waiting=POOL_WAITING,
            kwargs={"row_factory": dict_row, "options": OPTIONS, "connect_timeout": 5},
            name="storage",
        )

    async def open(self) -> None:
        """Begin to connect, without waiting."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(
        self, call: Call, caller: Caller | None = None, *, dry_run: bool = False
    ) -> AsyncIterator[Transaction]:
        """A transaction for one HTTP call, which commits at the end of the block.

        Args:
            call: what policies may read about it.
            caller: the role and claims from the start; None begins as the owner of the tables.
            dry_run: roll back at the end, to learn only whether the policies allow it.

        Raises:
            psycopg.Error: the database refuses; PoolTimeout where it does not answer.
        """
        async with self._pool.connection() as connection, connection.transaction(force_rollback=dry_run):
            await connection.execute(DESCRIBE, msgspec.to_builtins(call))
            transaction = Transaction(connection)
            if caller is not None:
                await transaction.act_as(caller)
            yield transaction
