"""Reads every route of the edge, auth and storage from the applications."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from edge.app import create_app as create_edge
from edge.auth import require_caller
from edge.http.limits import tier_of
from stack.auth.app import ROUTES as AUTH_ROUTES
from stack.storage.app import Application as Storage
from stack.storage.settings import Settings as StorageSettings
from tests.edge.support import NOWHERE, settings_for

PARAMETER = re.compile(r"\{(?P<name>[a-z_]+)(?::(?P<kind>[a-z]+))?\}")
USUAL = {"uuid": "00000000-0000-4000-8000-000000000000", "int": "1"}
"""A value for a parameter of a path, by its kind."""
WEBHOOKS = "/webhooks/"
MIB = 1 << 20


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method at one path of one server."""

    server: str
    """`edge`, `auth` or `storage`."""
    method: str
    path: str
    """With its parameters in braces."""
    who: str
    """The callers that the code accepts: `public`, `user` or `webhook` (a caller that signs as the provider does)."""
    tier: str
    """The tier of its rate limit; `-` where it has none."""
    largest: int
    """The most bytes of a body that it accepts."""

    def __str__(self) -> str:
        return f"{self.server} {self.method} {self.path}"

    @property
    def line(self) -> str:
        """The route's line in the reviewed list."""
        return f"{self.method} {self.path} {self.who} {self.tier}"

    def at(self, value: str | None = None) -> str:
        """A path of the route, with this value for each parameter, or a valid one."""
        return PARAMETER.sub(lambda found: USUAL.get(found["kind"] or "", "x") if value is None else value, self.path)

    @property
    def has_parameters(self) -> bool:
        """Whether the path has parameters."""
        return PARAMETER.search(self.path) is not None

    @property
    def writes(self) -> bool:
        """Whether the method may change something."""
        return self.method not in {"GET", "HEAD", "OPTIONS"}


def edge() -> list[Route]:
    """The routes of the edge."""
    return of_edge(create_edge(settings_for(NOWHERE)))


def of_edge(app: Litestar) -> list[Route]:
    """The routes of an application of the edge, without the preflights that Litestar adds."""
    found = []
    for route in app.routes:
        handlers: list[Any] = getattr(route, "route_handlers", None) or [getattr(route, "route_handler", None)]
        for handler in handlers:
            methods = handler.http_methods if isinstance(handler, HTTPRouteHandler) else {"GET"}
            is_users = require_caller in (handler.resolve_guards() or ())
            found += [
                Route(
                    server="edge",
                    method=method,
                    path=route.path,
                    who="user" if is_users else "webhook" if WEBHOOKS in route.path else "public",
                    tier=tier_of(handler, method) or "-",
                    largest=handler.resolve_request_max_body_size() or MIB,
                )
                for method in methods - {"OPTIONS"}
            ]
    return sorted(found, key=str)


def auth() -> list[Route]:
    """The routes of auth."""
    return sorted(
        (
            Route(server="auth", method=method, path=path, who="public", tier="-", largest=MIB)
            for handler in AUTH_ROUTES
            for path in handler.paths
            for method in handler.http_methods
        ),
        key=str,
    )


def storage() -> list[Route]:
    """The routes of storage, with a bucket and an object that do not exist."""
    nothing = Path("/nonexistent")
    app = Storage(StorageSettings(port=1, db_url="", keys_file=nothing, files=nothing, file_size_limit=1))
    ends = {"nothing": "", "bucket": "{bucket}", "object": "{bucket}/{name}", "anything": "{name}"}
    paths: Iterable[tuple[str, str]] = (
        (route.method.replace("*", "GET"), f"{route.prefix}{ends[route.takes]}{route.suffix}")
        for route in app._routes  # private: only this test reads it
    )
    return [
        Route(server="storage", method=method, path=path, who="public", tier="-", largest=64 * MIB)
        for method, path in dict.fromkeys(paths)
    ]
