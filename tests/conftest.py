"""The stack that the tests of a run share, and what tests reach it with."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import psycopg
import pytest

from stack.keys import Keys
from stack.state import Folder
from stack.tools.project import GUILDHALL
from tests.databases import Databases
from tests.people import Academy, Person
from tests.run_stack import RUN_FOLDER, RunFolder, ensure_started, guildhall
from tests.stripe_double import StripeDouble

RUN = pytest.StashKey[RunFolder]()
pytest_plugins = ["pytester", "tests.route_marker", "tests.scheduling", "tests.time_report"]


class Stack(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """A running stack as `guildhall status --json` tells of it."""

    api_url: str
    db_url: str
    publishable_key: str
    secret_key: str
    anon_key: str
    service_role_key: str
    jwks_url: str
    mail_url: str
    edge_url: str
    stripe_url: str


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    parser.addoption(
        "--update", action="store_true", help="write reviewed lists as they should be, for review with git diff"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the run's folder before any worker starts; workers inherit its name."""
    if not hasattr(config, "workerinput"):
        for double in GUILDHALL.doubles:  # the tests never use a developer's own keys
            for name in double.real_variables():
                os.environ.pop(name, None)
        config.stash[RUN] = RunFolder()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the stack, whatever the outcome."""
    if RUN in config.stash:
        config.stash[RUN].close()


@pytest.fixture(scope="session")
def stack_data() -> Path:
    """The data folder of the run's stack."""
    return Path(os.environ[RUN_FOLDER]) / "stack"


@pytest.fixture(scope="session")
def stack(stack_data: Path, pytestconfig: pytest.Config) -> Stack:
    """The run's stack."""
    ensure_started(stack_data)
    running = msgspec.json.decode(guildhall("status", "--json", "--data", str(stack_data)).stdout, type=Stack)
    route_marker = pytestconfig.pluginmanager.get_plugin("route-marker")
    assert route_marker is not None
    route_marker.origin = running.api_url
    return running


@pytest.fixture(scope="session")
def admin_db_url(stack: Stack, stack_data: Path) -> str:
    """The database as its superuser, for what no role of ours may look at."""
    state = json.loads((stack_data / "stack.json").read_text())
    return stack.db_url.replace(
        stack.db_url.split("@")[0], f"postgresql://supabase_admin:{state['passwords']['supabase_admin']}"
    )


@pytest.fixture(scope="session")
def stripe_double(stack: Stack, stack_data: Path) -> Iterator[StripeDouble]:
    """Stripe's double in the run's stack, for all tests at once: what one holds back, it must name as its own."""
    double = StripeDouble(stack.stripe_url, Folder(stack_data).state().double_keys["stripe_api_key"])
    yield double
    double.close()


@pytest.fixture
def db(admin_db_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection in a transaction that is rolled back."""
    with psycopg.connect(admin_db_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="session")
def databases(stack: Stack, stack_data: Path) -> Databases:  # noqa: ARG001  it must run
    """Makes databases of a test's own in the cluster of the run's stack."""
    return Databases(state=Folder(stack_data).state(), lock=stack_data.with_suffix(".databases.lock"))


@pytest.fixture(scope="session")
def live(admin_db_url: str) -> Iterator[psycopg.Connection]:
    """The running stack's database, for reading its catalog."""
    with psycopg.connect(admin_db_url, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = on")
        yield connection


@pytest.fixture(scope="session")
def academy(stack: Stack, stack_data: Path, admin_db_url: str) -> Iterator[Academy]:
    """Makes people and courses of the test's own, and calls the API as them."""
    keys = Keys.load(stack_data / "keys.json")
    with httpx.Client(base_url=stack.api_url, timeout=20) as http, Academy(keys, admin_db_url, http) as academy:
        yield academy


@pytest.fixture(scope="module")
def teacher(academy: Academy) -> Person:
    """A teacher."""
    return academy.member("teacher", name="Ines")


@pytest.fixture(scope="module")
def stranger(academy: Academy) -> Person:
    """Another teacher, who owns none of the courses."""
    return academy.member("teacher")


def wait_for_mail(stack: Stack, address: str, subject: str = "", *, seconds: int = 10) -> dict[str, object]:
    """The newest mail to an address with this in its subject, as the mailbox's JSON tells of it."""
    query: dict[str, str | int] = {"to": address, "subject": subject, "limit": 1, "wait": seconds}
    found = httpx.get(f"{stack.mail_url}/api/messages", params=query, timeout=seconds + 5).json()
    assert found, f"no mail to {address} within {seconds} s"
    message: dict[str, object] = httpx.get(f"{stack.mail_url}/api/messages/{found[0]['id']}").json()
    return message
