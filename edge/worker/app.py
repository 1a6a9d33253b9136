"""The worker as an ASGI application: it runs jobs while the application runs, and answers probes and Prometheus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from common.settings import ProcessSettings
from edge.http.errors import answer
from edge.http.health import health, ready
from edge.http.requests import EdgeRequest
from edge.worker.runner import Runner


def create_app(settings: ProcessSettings) -> Litestar:
    """Build the worker. Nothing is opened before the application starts.

    Args:
        settings: as `edge.worker.settings.read_settings` reads them.
    """
    runner = Runner(settings)

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with runner.running():
            yield

    return Litestar(
        route_handlers=[health, ready, metrics],
        lifespan=[lifespan],
        exception_handlers={Exception: answer},
        openapi_config=None,
        state=State({"runner": runner, "readiness": runner.readiness, "draining": False}),
        request_class=EdgeRequest,
        logging_config=None,
    )


@get("/metrics")
async def metrics(state: State) -> Response[bytes]:
    """What was done, and what waits."""
    runner: Runner = state.runner
    await runner.count_queue()
    return Response(runner.metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
