"""The application: the API, the pages and the control over one simulator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar, Request, Response, get, route
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from stack.doubles.stripe import api, control, hosted_pages, pages
from stack.doubles.stripe.errors import StripeError
from stack.doubles.stripe.settings import Settings
from stack.doubles.stripe.simulator import Simulator

MAX_BODY = 1 << 20
"""Bytes of a request."""

log = structlog.get_logger("stripe")


@route(["/v1", "/v1/{rest:path}"], http_method=["GET", "POST", "DELETE"], status_code=200)
async def call_api(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    """The API."""
    return await api.answer(state.simulator, request)


@route("/_double/{rest:path}", http_method="POST", status_code=200)
async def call_control(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    """The control."""
    return await control.answer(state.simulator, request)


@route(["/", "/{rest:path}"], http_method=["GET", "POST"], status_code=200)
async def visit(request: Request[Any, Any, State], state: State) -> Response[str]:
    """The pages."""
    return await hosted_pages.answer(state.simulator, request)


@get("/style.css", media_type="text/css", sync_to_thread=False)
def style() -> str:
    """The pages' style sheet."""
    return pages.STYLE


@get("/health", sync_to_thread=False)
def health() -> dict[str, str]:
    """Whether requests are answered."""
    return {"status": "ok"}


def create_app(settings: Settings) -> Litestar:
    """A double with these settings. Raises OSError where its folder cannot be used."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.simulator = Simulator(settings)
        async with app.state.simulator.running():
            yield

    return Litestar(
        route_handlers=[call_api, call_control, visit, style, health],
        lifespan=[lifespan],
        exception_handlers={Exception: translate_error},
        request_max_body_size=MAX_BODY,
        openapi_config=None,
        logging_config=None,
    )


def translate_error(request: Request[Any, Any, State], error: Exception) -> Response[dict[str, Any]]:
    """An error outside of the handlers, as Stripe's JSON."""
    if isinstance(error, HTTPException):
        answered = StripeError(error.detail, status=error.status_code)
    else:
        log.error("request_failed", path=request.url.path, exc_info=error)
        answered = StripeError("An unknown error occurred in the double: see its log", status=500, kind="api_error")
    return Response(answered.body(), status_code=answered.status)
