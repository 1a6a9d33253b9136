"""Routes of views."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from litestar import Litestar, Request, post
from litestar.datastructures import State
from litestar.openapi.spec import Tag
from litestar.params import PathParameter

from edge.errors import error
from edge.http.limits import network
from edge.http.openapi import error_responses
from edge.http.package import HttpPackage
from edge.http.tiers import UNLIMITED
from edge.views.counter import ViewCounter

MAX_BODY = 1024
EMPTY = (b"", b"{}")
"""Some clients cannot send an empty body."""


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Run the counter, and write its last sums at the end."""
    counter = ViewCounter(app.state.database)
    app.state.views = counter
    counter.start()
    yield
    await counter.aclose()


@post(
    "/courses/{course_id:uuid}/views",
    summary="Count a view of a course",
    description="`course_views` shows it a few seconds later. A second view from the same network within half an hour"
    " does not count. The answer does not tell whether the course exists.",
    tags=["views"],
    # Counting the request would cost the write to the database that this route saves.
    opt=UNLIMITED,
    status_code=202,
    request_max_body_size=MAX_BODY,
    responses=error_responses(tokens=("invalid_request", "payload_too_large")),
)
async def count_view(
    course_id: Annotated[UUID, PathParameter(description="The course")], request: Request[Any, Any, State]
) -> None:
    """Count, and answer at once.

    Raises:
        EdgeError: 400 `invalid_request`, there is a body, which would have no meaning.
    """
    if (await request.body()).strip() not in EMPTY:
        raise error("invalid_request", "This takes no body: send none, or an empty object.")
    views: ViewCounter = request.app.state.views
    views.count(course_id, network(request))


PACKAGE = HttpPackage(
    public=[count_view], lifespan=lifespan, tag=Tag(name="views", description="Counting views of courses.")
)
