"""The functions of the schema `private` that a login role of ours may call: `edge` or `worker`.

Neither role can do anything else: no table grants, no BYPASSRLS. Work for a user goes to PostgREST (`edge.rest`).
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Self

import psycopg
import structlog
from psycopg import sql
from psycopg.types.json import Jsonb

from common.pool import Pool
from edge.errors import EdgeError, ErrorBody, error
from edge.request_id import current_request_id

log = structlog.get_logger()

CONNECT_SECONDS = 5
POOL_WAIT = 2.0
"""Seconds to wait for a connection before the database counts as away."""
REQUEST_ID = "request.id"
"""The name of a placeholder that no function's parameter can have."""
OUR_SQLSTATE = re.compile(r"PT([45]\d\d)")
"""SQLSTATE PTnnn: an error that private.refuse raised, with the HTTP status nnn."""


class Connection(psycopg.AsyncConnection[Any]):
    """A connection that commits each statement by itself, unless a transaction is opened on it.

    The job queue shares the worker's pool. If its statements were committed in a second step, a worker that freezes
    between the two would hold its locks, and stop all others.
    """

    @classmethod
    async def connect(cls, conninfo: str = "", *, autocommit: bool = True, **options: Any) -> Self:
        """Connect as psycopg does. Not an option of the pool: Procrastinate passes the pool's on beside its own."""
        return await super().connect(conninfo, autocommit=autocommit, **options)


class Transaction:
    """Calls of functions in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def call(self, function: str, /, **parameters: Any) -> Any:
        """Call `private.<function>`, as Database.call does."""
        return _only(await _call(self._connection, function, parameters))


class Database:
    """Postgres as one login role."""

    def __init__(self, url: str, *, name: str, max_connections: int) -> None:
        """Describe the connections; nothing is opened yet.

        Args:
            url: the database, as the role.
            name: the connections' name in pg_stat_activity.
            max_connections: the size of the pool.
        """
        self.pool: Pool[Connection] = Pool(
            url,
            timeout=POOL_WAIT,
            connection_class=Connection,
            kwargs={"application_name": name, "connect_timeout": CONNECT_SECONDS},
            min_size=1,
            max_size=max_connections,
            name=name,
        )

    async def open(self) -> None:
        """Open the pool without waiting for the database."""
        await self.pool.open(wait=False)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.pool.close()

    async def call(self, function: str, /, **parameters: Any) -> Any:
        """Call `private.<function>` with named parameters, in a transaction of its own.

        Args:
            function: its bare name.
            parameters: by the names that the function gives them; a dict is sent as jsonb.

        Returns:
            The one value that it returns; jsonb comes decoded.

        Raises:
            EdgeError: with the status and body of the error that private.refuse raised; 503 `database_unavailable`
                where the database cannot be reached or is too slow; 400 `invalid_request` where a value is not one
                of its type; 500 `internal_error` for everything else.
        """
        async with self._connection() as connection:
            return _only(await _call(connection, function, parameters))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction, committed at the end of the block and rolled back where the block raises.

        Raises:
            EdgeError: as `call`.
        """
        async with self._connection() as connection, connection.transaction():
            yield Transaction(connection)

    async def call_all(self, function: str, /, **parameters: Any) -> list[Any]:
        """Call a function that returns a set, as `call` does; all its values."""
        async with self._connection() as connection:
            return await _call(connection, function, parameters)

    async def is_reachable(self) -> bool:
        """Whether the database answers the role and has our schema."""
        try:
            return bool(await self.call("schema_version"))
        except EdgeError:
            return False

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            async with self.pool.connection() as connection:
                yield connection
        except psycopg.Error as failure:
            raise _translate_error(failure) from failure


async def _call(connection: Connection, function: str, parameters: dict[str, Any]) -> list[Any]:
    values = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in parameters.items()}
    values[REQUEST_ID] = current_request_id()
    try:
        rows = await (await connection.execute(_statement(function, tuple(parameters)), values)).fetchall()
    except psycopg.Error as failure:
        raise _translate_error(failure, function) from failure
    return [value for (value,) in rows]


def _only(values: list[Any]) -> Any:
    return values[0] if values else None


@cache
def _statement(function: str, parameters: tuple[str, ...]) -> bytes:
    """The call of a function. Kept, because composing it takes longer than some calls."""
    # A row of `from` is made before the columns are computed: what the function writes knows the request's id.
    statement = sql.SQL("select {}({}) from pg_catalog.set_config('guildhall.request_id', {}, true)").format(
        sql.Identifier("private", function),
        sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in parameters
        ),
        sql.Placeholder(REQUEST_ID),
    )
    return statement.as_bytes(None)


def _translate_error(failure: psycopg.Error, function: str | None = None) -> EdgeError:
    diagnosis = failure.diag
    ours = OUR_SQLSTATE.fullmatch(failure.sqlstate or "")
    if ours:
        body = ErrorBody(
            code=ours[0],
            message=diagnosis.message_primary or "",
            details=diagnosis.message_detail,
            hint=diagnosis.message_hint,
        )
        return EdgeError(int(ours[1]), body)
    # Not the detail: it quotes rows. The primary message of a connection failure names host and port, which logs may.
    message = diagnosis.message_primary or str(failure)
    log.error("database_call_failed", function=function, sqlstate=failure.sqlstate, error=message)
    match failure:
        case psycopg.OperationalError():
            return error("database_unavailable")
        case psycopg.DataError():
            return error("invalid_request", "A value of this request is not one that the database can hold.")
        case _:
            return error("internal_error")
