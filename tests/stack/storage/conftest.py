"""A Postgres with Supabase's own objects and a project's policies, and a storage server over it."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from stack.database import bootstrap
from stack.keys import Keys
from stack.ports import free_block
from stack.postgres import Cluster, run_as
from tests.stack.storage.support import POLICIES, WAIT_SECONDS, Person, Server, person, running

PASSWORDS = dict.fromkeys(("postgres", "supabase_storage_admin", "authenticator", "supabase_auth_admin"), "local")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that Postgres can enter as an unprivileged user."""
    made = Path(tempfile.mkdtemp(prefix="guildhall-storage-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def cluster(folder: Path) -> Iterator[Cluster]:
    """A Postgres of our own, bootstrapped, with the policies of a project."""
    made = Cluster(data=folder, port=free_block().database, password="local")
    made.create()
    process = subprocess.Popen(made.command(), stderr=subprocess.DEVNULL, cwd="/", **run_as())
    end = time.monotonic() + WAIT_SECONDS
    while not made.is_ready():
        assert time.monotonic() < end
        time.sleep(0.02)
    bootstrap(made.url(), PASSWORDS)
    with psycopg.connect(made.url(role="postgres", password="local"), autocommit=True) as connection:
        connection.execute(POLICIES)
    yield made
    process.terminate()
    process.wait(WAIT_SECONDS)


@pytest.fixture(scope="session")
def admin_url(cluster: Cluster) -> str:
    """The database as the superuser."""
    return cluster.url()


@pytest.fixture(scope="session")
def storage_url(cluster: Cluster) -> str:
    """The database as the storage server sees it."""
    return cluster.url(role="supabase_storage_admin", password="local")


@pytest.fixture(scope="session")
def keys_file(folder: Path) -> Path:
    """The stack's keys."""
    path = folder / "keys.json"
    Keys.generate().save(path)
    return path


@pytest.fixture(scope="session")
def keys(keys_file: Path) -> Keys:
    """The same, read."""
    return Keys.load(keys_file)


@pytest.fixture(scope="session")
def server(storage_url: str, admin_url: str, keys_file: Path, folder: Path) -> Iterator[Server]:
    """The server that most tests share."""
    with running(storage_url, admin_url, keys_file, folder / "files") as started:
        yield started
        started.http.close()
        assert started.stop() == 0
        assert '"level": "error"' not in started.log, started.log


@pytest.fixture
def own_server(storage_url: str, admin_url: str, keys_file: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that the test may kill."""
    with running(storage_url, admin_url, keys_file, tmp_path / "files") as started:
        yield started


@pytest.fixture(scope="session")
def http(server: Server) -> httpx.Client:
    """A client of the shared server, as nobody."""
    return server.http


@pytest.fixture
def alice(keys: Keys) -> Person:
    """A user."""
    return person(keys)


@pytest.fixture
def bob(keys: Keys) -> Person:
    """Another user."""
    return person(keys)


@pytest.fixture(scope="session")
def admin(keys: Keys) -> Person:
    """A server key, which no policy binds."""
    return Person(id="", headers={"Authorization": f"Bearer {keys.service_role}"})
