"""The edge as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from litestar import Litestar, Request, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ControllerRouterHandler
from postgrest import AsyncPostgrestClient

from edge import accounts, documents, downloads, identities, openapi, payments, storage, views
from edge.auth import Caller, Keyring, Verifier, provide_caller, require_caller
from edge.cors import Cors
from edge.database import Rest, System
from edge.errors import answer
from edge.fetch import Fetcher
from edge.health import Needs, health, ready
from edge.limits import Limits, limit
from edge.metrics import Metrics, show_metrics
from edge.openapi import USERS_SECURITY
from edge.requests import EdgeRequest, Envelope
from edge.settings import Settings
from edge.upstream import public_authorities

MAX_BODY = 1 << 20
"""Bytes of a request's body; a route that takes more says so itself."""
KEYS_TIMEOUT = httpx.Timeout(2.0)
"""Seconds for a fetch of Auth's keys."""


def create_app(settings: Settings) -> Litestar:
    """Build the edge. Nothing is opened before the application starts."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                httpx.AsyncClient(timeout=KEYS_TIMEOUT, trust_env=False, verify=public_authorities())
            )
            keyring = Keyring(http, settings.jwks_url)
            stack.push_async_callback(keyring.aclose)
            rest = Rest(settings)
            stack.push_async_callback(rest.aclose)
            system = System(settings)
            await system.open()
            stack.push_async_callback(system.aclose)
            fetcher = Fetcher(ports=settings.fetch_ports)
            stack.push_async_callback(fetcher.aclose)
            needs = Needs({"database": system.is_reachable, "rest": rest.is_reachable, "auth": keyring.is_loaded})
            stack.push_async_callback(needs.aclose)
            metrics.pool = system.figures
            app.state.update(
                verifier=Verifier(keyring, settings.jwt_issuer),
                rest=rest,
                system=system,
                limits=Limits(system),
                needs=needs,
                fetcher=fetcher,
            )
            yield

    app = Litestar(
        # A route stands in one of two places: here whoever calls is served, and in `for_users` only who signed in. Both
        # may ask for `fetcher`, for addresses that users give.
        route_handlers=[
            health,
            ready,
            show_metrics,
            identities.router(settings),
            payments.webhooks(settings),
            views.router,
            for_users(accounts.router, documents.router, downloads.router, payments.router(settings)),
        ],
        guards=[limit],
        lifespan=[
            lifespan,
            storage.lifespan(settings),
            documents.lifespan(settings),
            payments.lifespan(settings),
            views.lifespan,
        ],
        exception_handlers={Exception: answer},
        dependencies={"fetcher": Provide(_provide_fetcher)},
        openapi_config=openapi.config(settings),
        state=State({"settings": settings, "metrics": metrics, "draining": False}),
        request_class=EdgeRequest,
        request_max_body_size=MAX_BODY,
        logging_config=None,
        debug=False,
    )
    app.asgi_handler = Envelope(
        app.asgi_handler, cors=Cors(settings.cors_origins), metrics=metrics, max_requests=settings.max_requests
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


async def _provide_fetcher(state: State) -> Fetcher:
    fetcher: Fetcher = state.fetcher
    return fetcher


async def _provide_rest(request: Request[Caller, object, State]) -> AsyncPostgrestClient:
    rest: Rest = request.app.state.rest
    return rest.as_caller(request.user)
