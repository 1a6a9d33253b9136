"""The edge as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from litestar import Litestar, Request, Response, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server
from postgrest import AsyncPostgrestClient

from edge import documents
from edge.auth import Caller, Keyring, Verifier, provide_caller, require_caller
from edge.database import Rest, System
from edge.errors import answer
from edge.health import health, ready
from edge.requests import HEADER, EdgeRequest, RequestLog
from edge.settings import Settings

MAX_BODY = 1 << 20
"""Bytes of a request's body; a route that takes more says so itself."""
KEYS_TIMEOUT = httpx.Timeout(2.0)
"""Seconds for a fetch of Auth's keys."""
BEARER = "bearer"


def create_app(settings: Settings) -> Litestar:
    """Build the edge. Nothing is opened before the application starts."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(httpx.AsyncClient(timeout=KEYS_TIMEOUT, trust_env=False))
            app.state.keyring = Keyring(http, settings.jwks_url)
            stack.push_async_callback(app.state.keyring.aclose)
            app.state.verifier = Verifier(app.state.keyring, settings.jwt_issuer)
            app.state.rest = Rest(settings)
            stack.push_async_callback(app.state.rest.aclose)
            app.state.system = System(settings)
            await app.state.system.open()
            stack.push_async_callback(app.state.system.aclose)
            yield

    app = Litestar(
        # A route stands in one of two places: here whoever calls is served, and in `for_users` only who signed in.
        route_handlers=[health, ready, for_users()],
        lifespan=[lifespan, documents.lifespan(settings)],
        exception_handlers={Exception: answer},
        cors_config=CORSConfig(
            allow_origins=list(settings.cors_origins),
            expose_headers=["content-disposition", "etag", "retry-after", HEADER],
        ),
        openapi_config=OpenAPIConfig(
            title="Guildhall edge",
            version="1",
            description="What SQL cannot do. Everything else is PostgREST's, at /rest/v1.",
            servers=[Server(url=f"{settings.api_url}/functions/v1")],
            components=Components(
                security_schemes={BEARER: SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
            ),
            openapi_router=Router(path="/schema", route_handlers=[], after_request=_no_page, include_in_schema=False),
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        ),
        request_class=EdgeRequest,
        request_max_body_size=MAX_BODY,
        logging_config=None,
        debug=False,
    )
    app.asgi_handler = RequestLog(app.asgi_handler)
    return app


def for_users() -> Router:
    """Every route that needs a signed-in user. Its handlers may ask for `caller` and for `rest`, the caller's own."""
    return Router(
        path="/",
        route_handlers=[documents.router],
        guards=[require_caller],
        dependencies={"caller": Provide(provide_caller), "rest": Provide(_provide_rest)},
        security=[{BEARER: []}],
    )


async def _no_page(response: Response[Any]) -> Response[Any]:
    """Answer an unknown address below /schema as every other one: the framework has an HTML page there."""
    if response.status_code == 404:
        raise NotFoundException
    return response


async def _provide_rest(request: Request[Caller, object, State]) -> AsyncPostgrestClient:
    rest: Rest = request.app.state.rest
    return rest.as_caller(request.user)
