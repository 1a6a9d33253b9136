"""The worker as an ASGI application: it works while the application runs, and tells its health and its metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, Response, get
from litestar.datastructures import State
from procrastinate.exceptions import ConnectorException

from edge.errors import EdgeError, answer
from edge.health import Readiness, health
from edge.jobs.settings import Settings
from edge.jobs.worker import Worker
from edge.requests import EdgeRequest

METRICS = "text/plain; version=0.0.4; charset=utf-8"


def create_app(settings: Settings) -> Litestar:
    """Build the worker. Nothing is opened before the application starts."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.worker = Worker(settings)
        app.state.has_smtp = settings.smtp is not None
        await app.state.worker.start()
        yield
        await app.state.worker.stop()

    return Litestar(
        route_handlers=[health, ready, metrics],
        lifespan=[lifespan],
        exception_handlers={Exception: answer},
        openapi_config=None,
        request_class=EdgeRequest,
        logging_config=None,
    )


@get("/ready")
async def ready(state: State) -> Readiness:
    """Whether jobs are done; 503 `not_ready` names what is missing."""
    worker: Worker = state.worker
    found = {"database": await worker.database.is_reachable(), "smtp": state.has_smtp}
    missing = [name for name, is_there in found.items() if not is_there]
    if missing:
        hint = None if state.has_smtp else "Set JOBS_SMTP_HOST: mails wait until then."
        raise EdgeError(503, "not_ready", f"Missing: {', '.join(missing)}.", hint)
    return Readiness(checks=tuple(found))


@get("/metrics")
async def metrics(state: State) -> Response[bytes]:
    """What was done, and what waits; only what was done while the database is away."""
    worker: Worker = state.worker
    try:
        await worker.count_queue()
    except ConnectorException:
        worker.metrics.queue.clear()
    return Response(worker.metrics.text(), media_type=METRICS)
