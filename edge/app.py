"""The edge as an ASGI application, assembled from its packages."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from litestar import Litestar, Request, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ControllerRouterHandler
from postgrest import AsyncPostgrestClient

from common.settings import ProcessSettings
from common.tls import public_tls_context
from edge import packages
from edge.auth import Caller, Keyring, Verifier, provide_caller, require_caller
from edge.database import Database
from edge.fetch import Fetcher
from edge.http import openapi
from edge.http.catalogue import get_errors
from edge.http.cors import Cors
from edge.http.errors import answer
from edge.http.health import ReadinessChecks, health, ready
from edge.http.limits import Limits, limit
from edge.http.metrics import Metrics, show_metrics
from edge.http.openapi import USERS_SECURITY
from edge.http.requests import EdgeRequest, RequestMiddleware
from edge.rest import Rest
from edge.settings import EdgeSettings
from edge.storage import Storage, provide_storage

MAX_BODY = 1 << 20
"""Bytes of a request's body; a route that takes more declares it."""
MAX_CONNECTIONS = 10
"""To Postgres."""
KEYS_TIMEOUT = httpx.Timeout(2.0)
"""Seconds for a fetch of Auth's keys."""


def create_app(settings: ProcessSettings) -> Litestar:
    """Build the edge. Nothing is opened before the application starts.

    Args:
        settings: as `edge.settings.read_settings` reads them.
    """
    own = settings[EdgeSettings]
    metrics = Metrics()
    found = packages.http_packages()
    app = Litestar(
        route_handlers=[
            health,
            ready,
            show_metrics,
            get_errors,
            *(handler for package in found for handler in package.public),
            for_users(*(handler for package in found for handler in package.for_users)),
        ],
        guards=[limit],
        lifespan=[_open_clients, *(package.lifespan for package in found if package.lifespan is not None)],
        exception_handlers={Exception: answer},
        dependencies={
            "database": Provide(_provide_database),
            "fetcher": Provide(_provide_fetcher),
            "storage": Provide(provide_storage),
        },
        openapi_config=openapi.config(own.api_url, [package.tag for package in found if package.tag is not None]),
        state=State({"settings": settings, "metrics": metrics, "draining": False}),
        request_class=EdgeRequest,
        request_max_body_size=MAX_BODY,
        logging_config=None,
        debug=False,
    )
    app.asgi_handler = RequestMiddleware(
        app.asgi_handler, cors=Cors(own.cors_origins), metrics=metrics, max_requests=own.max_requests
    )
    return app


def for_users(*routes: ControllerRouterHandler) -> Router:
    """Routes that need a signed-in user. Their handlers may ask for `caller` and for `rest`, the caller's own."""
    return Router(
        path="/",
        route_handlers=routes,
        guards=[require_caller],
        dependencies={"caller": Provide(provide_caller), "rest": Provide(_provide_rest)},
        security=USERS_SECURITY,
    )


@asynccontextmanager
async def _open_clients(app: Litestar) -> AsyncIterator[None]:
    """Open what every package may use: the database, PostgREST, Storage, Auth's keys and the fetcher."""
    settings = app.state.settings[EdgeSettings]
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            httpx.AsyncClient(timeout=KEYS_TIMEOUT, trust_env=False, verify=public_tls_context())
        )
        keyring = Keyring(http, settings.jwks_url)
        stack.push_async_callback(keyring.aclose)
        rest = Rest(settings.rest_url, settings.publishable_key)
        stack.push_async_callback(rest.aclose)
        storage = Storage(settings.api_url, settings.publishable_key)
        stack.push_async_callback(storage.aclose)
        database = Database(settings.db_url, name="edge", max_connections=MAX_CONNECTIONS)
        await database.open()
        stack.push_async_callback(database.aclose)
        fetcher = Fetcher(ports=settings.fetch_ports)
        stack.push_async_callback(fetcher.aclose)
        readiness = ReadinessChecks()
        readiness.add("database", database.is_reachable)
        readiness.add("rest", rest.is_reachable)
        readiness.add("auth", keyring.is_loaded)
        stack.push_async_callback(readiness.aclose)
        app.state.metrics.pool = database.pool.get_stats
        app.state.update(
            verifier=Verifier(keyring, settings.jwt_issuer),
            rest=rest,
            storage=storage,
            database=database,
            limits=Limits(database),
            readiness=readiness,
            fetcher=fetcher,
        )
        yield


async def _provide_database(state: State) -> Database:
    database: Database = state.database
    return database


async def _provide_fetcher(state: State) -> Fetcher:
    fetcher: Fetcher = state.fetcher
    return fetcher


async def _provide_rest(request: Request[Caller, object, State]) -> AsyncPostgrestClient:
    rest: Rest = request.app.state.rest
    return rest.as_caller(request.user)
