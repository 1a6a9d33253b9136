"""The connection pool of the auth server."""

from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from common.pool import Pool

Connection = AsyncConnection[DictRow]

SESSION_OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        "timezone=UTC",  # some of Supabase's columns have no time zone and mean UTC
        "statement_timeout=10s",
        "lock_timeout=8s",
        "idle_in_transaction_session_timeout=60s",
    )
)


def open_pool(url: str) -> Pool[Connection]:
    """A pool that is not connected yet, so that the server starts while Postgres is still starting."""
    return Pool(
        url,
        timeout=3,
        connection_class=AsyncConnection[DictRow],
        kwargs={
            "autocommit": True,
            "row_factory": dict_row,
            "options": SESSION_OPTIONS,
            "application_name": "auth",
            "connect_timeout": 5,
        },
        min_size=1,
        max_size=20,
        max_waiting=500,
        name="auth",
    )


def jsonb(value: Any) -> Jsonb:
    """A value as a jsonb parameter."""
    return Jsonb(value, dumps=msgspec.json.encode)
