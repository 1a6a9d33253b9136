"""Views of courses: counted in bounded memory, and written in sums."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from edge.app import create_app
from edge.errors import error
from edge.views import counter
from edge.views.counter import ViewCounter
from tests.edge.support import Upstream, serving, settings_for


class Written:
    """Stands in for the database: keeps the sums, or is away."""

    def __init__(self) -> None:
        self.sums: list[dict[str, int]] = []
        self.is_away = False

    async def call(self, function: str, /, **parameters: Any) -> None:
        """Keep the sums."""
        assert function == "add_course_views"
        if self.is_away:
            raise error("database_unavailable")
        self.sums.append(parameters["p_views"])


def counted(written: Written) -> ViewCounter:
    """A counter in front of this database."""
    return ViewCounter(written)  # type: ignore[arg-type]


def test_views_are_summed_and_written_once() -> None:
    written, one, other = Written(), uuid4(), uuid4()
    views = counted(written)
    for course, viewer in ((one, "a"), (one, "b"), (one, "a"), (other, "a")):
        views.count(course, viewer)
    for _ in range(2):
        asyncio.run(views.flush())
    assert written.sums == [{str(one): 2, str(other): 1}]


def test_a_later_view_by_the_same_viewer_counts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    written, course, now = Written(), uuid4(), 1000.0
    monkeypatch.setattr("edge.views.counter.time.monotonic", lambda: now)
    views = counted(written)
    for seconds in (0.0, counter.REPEAT_SECONDS - 1, 2.0):
        now += seconds
        views.count(course, "a")
    asyncio.run(views.flush())
    assert written.sums == [{str(course): 2}]


def test_counts_are_kept_while_the_database_is_away() -> None:
    written, course = Written(), uuid4()
    views = counted(written)
    written.is_away = True
    views.count(course, "a")
    asyncio.run(views.flush())
    views.count(course, "b")
    written.is_away = False
    asyncio.run(views.aclose())
    assert written.sums == [{str(course): 2}]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "MAX_COURSES", 10)
    monkeypatch.setattr(counter, "MAX_VIEWERS", 100)
    written = Written()
    views = counted(written)
    for number in range(1000):
        views.count(UUID(int=number), "a")
        views.count(UUID(int=0), str(number))
        assert len(views._viewers) <= 100
    asyncio.run(views.flush())
    assert len(written.sums[0]) == 10
    assert written.sums[0][str(UUID(int=0))] >= 1000


def test_a_stopped_process_writes_its_counts(upstream: Upstream) -> None:
    written, course = Written(), uuid4()
    app = create_app(settings_for(upstream.url))
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        app.state.views._database = written
        assert client.post(f"/courses/{course}/views").status_code == 202
        assert client.post("/courses/no-id/views").status_code == 404
    assert written.sums == [{str(course): 1}]
