"""One stack for the whole run, started by the command that users type, shared by all workers, stopped at the end."""

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import psycopg
import pytest
from filelock import FileLock

from stack.keys import Keys
from stack.parts import REAL_STRIPE
from stack.ports import free_block
from stack.project import ROOT
from stack.state import Folder
from tests.databases import Databases
from tests.people import Academy, Person
from tests.stripe_double import StripeDouble

RUN_FOLDER = "GUILDHALL_TEST_RUN"
CLERK_SECRET = "EDGE_CLERK_WEBHOOK_SECRET"
"""The edge takes providers' keys from the environment in which the stack is started."""
UNLIMITED = {
    "AUTH_SIGN_IN_SIGN_UPS": "1000000",
    "AUTH_TOKEN_VERIFICATIONS": "1000000",
    "AUTH_TOKEN_REFRESH": "1000000",
    "AUTH_ANONYMOUS_USERS": "1000000",
    "AUTH_MAILS_AN_HOUR": "1000000",
    "AUTH_WRONG_PASSWORDS": "1000000",
    "AUTH_WRONG_PASSWORDS_OF_STRANGERS": "1000000",
    "AUTH_WRONG_CODES": "1000000",
    "AUTH_WRONG_CODES_OF_STRANGERS": "1000000",
}
"""What an auth server is told where limits would only be in the way: all tests come from one address."""

pytest_plugins = ["pytester", "tests.route_marker"]


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


def guildhall(*words: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the CLI; a stack that it starts has no limits on addresses in auth."""
    return subprocess.run(
        [sys.executable, "-m", "stack", *words],
        cwd=ROOT,
        env=os.environ | UNLIMITED,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def lift_limits(connection: psycopg.Connection) -> None:
    """Let everybody write as often as tests do, in a database in which limits are not what is tested."""
    connection.execute("update private.rate_limits set burst = 1000000, per_minute = 1000000")


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder before any worker starts; workers inherit its name."""
    if not hasattr(config, "workerinput"):
        os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="guildhall-test-")
        Path(os.environ[RUN_FOLDER]).chmod(0o711)  # Postgres enters it as an unprivileged user
        for name in REAL_STRIPE:  # a developer's own keys are no business of the tests
            os.environ.pop(name, None)
        os.environ[CLERK_SECRET] = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the stack, whatever the outcome, and remove its data."""
    if not hasattr(config, "workerinput") and RUN_FOLDER in os.environ:
        folder = Path(os.environ.pop(RUN_FOLDER))
        guildhall("down", "--data", str(folder / "stack"))
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack_data() -> Path:
    """The data folder of the run's stack."""
    return Path(os.environ[RUN_FOLDER]) / "stack"


@pytest.fixture(scope="session")
def stack(stack_data: Path, pytestconfig: pytest.Config) -> Stack:
    """The run's stack, started by whichever worker asks first."""
    with FileLock(stack_data.with_suffix(".lock")):
        if guildhall("status", "--data", str(stack_data)).returncode != 0:
            started = guildhall("up", "--detach", "--data", str(stack_data), "--port", str(free_block().base))
            assert started.returncode == 0, started.stdout + started.stderr
            with psycopg.connect(Folder(stack_data).state().database_url("postgres")) as connection:
                lift_limits(connection)
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
    with httpx.Client(base_url=stack.api_url, timeout=20) as http:
        yield Academy(Keys.load(stack_data / "keys.json"), admin_db_url, http)


@pytest.fixture(scope="module")
def teacher(academy: Academy) -> Person:
    """Somebody who teaches."""
    return academy.member("teacher", name="Ines")


@pytest.fixture(scope="module")
def stranger(academy: Academy) -> Person:
    """Another teacher, to whom none of the courses belongs."""
    return academy.member("teacher")


def wait_for_mail(stack: Stack, address: str, subject: str = "", *, seconds: int = 10) -> dict[str, object]:
    """The newest mail to an address with this in its subject, as the mailbox's JSON tells of it."""
    query: dict[str, str | int] = {"to": address, "subject": subject, "limit": 1, "wait": seconds}
    found = httpx.get(f"{stack.mail_url}/api/messages", params=query, timeout=seconds + 5).json()
    assert found, f"no mail to {address} within {seconds} s"
    message: dict[str, object] = httpx.get(f"{stack.mail_url}/api/messages/{found[0]['id']}").json()
    return message
