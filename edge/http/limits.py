"""Rate limits: each request takes a token from a bucket in the database, which all processes share.

A route declares its tier, as `opt=STRICT`, or that it has none, as `opt=UNLIMITED`. A route without a declaration is
`generous` where it reads and `standard` where it may do more.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from common.addresses import network_of
from edge.auth import require_caller
from edge.database import Database
from edge.errors import error
from edge.http.tiers import GENEROUS, STANDARD, TIER

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Limits:
    """The buckets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, tier: str, key: str) -> None:
        """Take a token from a bucket, for good: a request that fails counts as well.

        Raises:
            EdgeError: 429 `rate_limited`; or 503 `database_unavailable`, because a request that cannot be counted is
                not served.
        """
        seconds: int = await self._database.call("take_token", p_tier=tier, p_key=key)
        if seconds > 0:
            raise error("rate_limited", seconds, headers={"retry-after": str(seconds)})


async def limit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard of every route: counts the request for its user, or where the route needs none, for its address.

    Raises:
        EdgeError: see `Limits.take`; and where a user is needed, what `require_caller` raises.
    """
    tier = tier_of(handler, str(connection.scope.get("method", "GET")))
    if tier is None:
        return
    if require_caller in handler.resolve_guards():
        await require_caller(connection, handler)
        key = f"user {connection.user.user_id}"
    else:
        key = f"address {network(connection)}"
    limits: Limits = connection.app.state.limits
    await limits.take(tier, f"edge {key}")


def tier_of(handler: BaseRouteHandler, method: str) -> str | None:
    """The tier of a route for a method; None where it has no limit."""
    undeclared = GENEROUS if method in READING else STANDARD
    tier: str | None = handler.opt.get(TIER, undeclared[TIER])
    return tier


def network(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The network that a request comes from, by which callers without a token are distinguished."""
    # The server has put there what the proxies that it trusts say of the client.
    try:
        return network_of(connection.client.host if connection.client else "")
    except ValueError:
        return "unknown"
