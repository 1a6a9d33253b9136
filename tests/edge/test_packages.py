"""A capability is a folder and one line: its routes, settings, errors, readiness check and tasks are all found."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import edge
from common.settings import SettingsError
from edge import errors, packages
from edge.app import create_app
from edge.worker.app import create_app as create_worker
from edge.worker.settings import read_settings
from stack.paths import ROOT
from tests.edge.processes import worker_environment
from tests.edge.support import Refused, Upstream, serving, settings_for

FILES = {
    "__init__.py": '"""A capability of this test."""',
    "settings.py": """
from common.settings import BaseSettings

class GreetingSettings(BaseSettings, frozen=True, kw_only=True):
    greeting: str = "Hello"
""",
    "errors.py": """
from edge.errors import ErrorDefinition

ERRORS = (ErrorDefinition("greeting_refused", 409, "Nobody is greeted now.", "Come back later."),)
""",
    "routes.py": """
from contextlib import asynccontextmanager
from litestar import get
from litestar.datastructures import State
from litestar.openapi.spec import Tag
from edge.errors import error
from edge.http.openapi import error_responses
from edge.http.package import HttpPackage
from edge.http.tiers import UNLIMITED
from edge.greetings.settings import GreetingSettings

@asynccontextmanager
async def lifespan(app):
    async def is_awake() -> bool:
        return False
    app.state.readiness.add("greeter", is_awake, advice="the greeter sleeps")
    yield

@get("/greeting", summary="Greet", tags=["greetings"], opt=UNLIMITED,
     responses=error_responses(tokens=("greeting_refused",)), sync_to_thread=False)
def greet(state: State) -> str:
    return state.settings[GreetingSettings].greeting

@get("/refused-greeting", summary="Refuse", tags=["greetings"], opt=UNLIMITED, sync_to_thread=False)
def refuse() -> str:
    raise error("greeting_refused")

PACKAGE = HttpPackage(public=[greet, refuse], settings=GreetingSettings, lifespan=lifespan, tag=Tag(name="greetings"))
""",
    "tasks.py": """
from contextlib import asynccontextmanager
from edge.greetings.settings import GreetingSettings
from edge.worker.package import Task, WorkerPackage

async def greet(*, name: str) -> None:
    raise NotImplementedError

@asynccontextmanager
async def open_tasks(worker):
    yield [Task(run=greet, cron="0 0 * * *")]

PACKAGE = WorkerPackage(open=open_tasks, settings=GreetingSettings)
""",
}


@pytest.fixture
def _greetings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder `greetings` beside the other packages, and its line."""
    folder = tmp_path / "greetings"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_text(content)
    monkeypatch.setattr(edge, "__path__", [*edge.__path__, str(tmp_path)])
    monkeypatch.setattr(packages, "PACKAGES", (*packages.PACKAGES, "greetings"))
    errors.catalogue.cache_clear()
    yield
    errors.catalogue.cache_clear()


@pytest.mark.usefixtures("_greetings")
def test_the_edge_is_assembled_with_a_new_package(upstream: Upstream, refused: Refused) -> None:
    app = create_app(settings_for(upstream.url, EDGE_GREETING="Ave"))
    with serving(app, counts=False) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/greeting").text == "Ave"
        assert refused(client.get("/refused-greeting"), 409, "greeting_refused")["hint"] == "Come back later."
        assert "greeter (the greeter sleeps)" in refused(client.get("/ready"), 503, "not_ready")["details"]
        assert "greeting_refused" in {row["token"] for row in client.get("/errors").json()}
        document = client.get("/schema/openapi.json").json()
        assert "greetings" in {tag["name"] for tag in document["tags"]}
        assert "409" in document["paths"]["/greeting"]["get"]["responses"]


@pytest.mark.usefixtures("_greetings")
def test_the_worker_is_assembled_with_a_new_package() -> None:
    app = create_worker(read_settings(worker_environment(WORKER_GREETING="Ave")))
    with serving(app) as url:
        assert httpx.get(f"{url}/health", trust_env=False).json() == {"status": "ok"}
        tasks = app.state.runner._app.tasks
    assert tasks["greet"].queueing_lock == "greet"
    assert {"send_mail", "send_password_link", "refund", "purge", "retry_stalled"} <= set(tasks)


def test_settings_of_a_package_are_unknown_without_its_line(upstream: Upstream) -> None:
    with pytest.raises(SettingsError, match="EDGE_GREETING is unknown"):
        settings_for(upstream.url, EDGE_GREETING="Ave")


def test_every_folder_has_its_line() -> None:
    machinery = {"http", "worker"}
    folders = {each.parent.name for each in (ROOT / "edge").glob("*/__init__.py")}
    assert folders - machinery == set(packages.PACKAGES)
    assert list(packages.PACKAGES) == sorted(packages.PACKAGES)
