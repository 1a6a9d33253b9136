"""Routes of views."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from litestar import Litestar, Request, Router, post
from litestar.datastructures import State
from litestar.params import PathParameter

from edge.errors import EdgeError
from edge.limits import network
from edge.openapi import refusals
from edge.tiers import UNLIMITED
from edge.views.counter import ViewCounter

MAX_BODY = 1024
EMPTY = (b"", b"{}")
"""Some clients cannot send nothing."""


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """What views need while the application runs: the counter, whose last sums are written when it stops."""
    counter = ViewCounter(app.state.system)
    app.state.views = counter
    counter.start()
    yield
    await counter.aclose()


@post(
    "/courses/{course_id:uuid}/views",
    summary="Somebody looks at a course",
    description="Counts it for `course_views`, where it stands a few seconds later. Who looks again within half an hour"
    " is not counted again. Answers the same whether there is such a course or not.",
    tags=["views"],
    # A token in the database for each would be the write that this is to save.
    opt=UNLIMITED,
    status_code=202,
    request_max_body_size=MAX_BODY,
    responses=refusals(
        (400, "invalid_request", "This takes no body."),
        (413, "payload_too_large", "The request's body is too large."),
    ),
)
async def count_view(
    course_id: Annotated[UUID, PathParameter(description="The course")], request: Request[Any, Any, State]
) -> None:
    """Count, and answer at once.

    Raises:
        EdgeError: 400 `invalid_request`, where there is a body, which would say nothing.
    """
    if (await request.body()).strip() not in EMPTY:
        raise EdgeError(400, "invalid_request", "This takes no body.", "Send none, or an empty object.")
    views: ViewCounter = request.app.state.views
    views.count(course_id, network(request))


router = Router(path="/", route_handlers=[count_view])
