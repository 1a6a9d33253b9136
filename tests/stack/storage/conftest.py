"""A Postgres with Supabase's own objects and a project's policies, and a storage server over it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from stack.database import set_passwords
from stack.keys import Keys
from stack.postgres import Cluster
from tests.golden import copy_supabase
from tests.golden import running as running_cluster
from tests.stack.storage.support import POLICIES, TEXT, Caller, Server, new_user, running_server

PASSWORDS = dict.fromkeys(("postgres", "supabase_storage_admin", "authenticator", "supabase_auth_admin"), "local")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that the unprivileged user who runs Postgres can enter."""
    made = Path(tempfile.mkdtemp(prefix="guildhall-storage-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def cluster(folder: Path) -> Iterator[Cluster]:
    """A separate Postgres with Supabase's own objects and the policies of a project."""
    made = copy_supabase(folder)
    with running_cluster(made):
        with psycopg.connect(made.url(), autocommit=True) as connection:
            set_passwords(connection, PASSWORDS)
        with psycopg.connect(made.url(role="postgres", password="local"), autocommit=True) as connection:
            connection.execute(POLICIES)
        yield made


@pytest.fixture(scope="session")
def admin_url(cluster: Cluster) -> str:
    """The URL of the database, as the superuser."""
    return cluster.url()


@pytest.fixture(scope="session")
def storage_url(cluster: Cluster) -> str:
    """The URL of the database, as the storage server's role."""
    return cluster.url(role="supabase_storage_admin", password="local")


@pytest.fixture(scope="session")
def keys_file(folder: Path) -> Path:
    """The file with the stack's keys."""
    path = folder / "keys.json"
    Keys.generate().save(path)
    return path


@pytest.fixture(scope="session")
def keys(keys_file: Path) -> Keys:
    """The stack's keys."""
    return Keys.load(keys_file)


@pytest.fixture(scope="session")
def server(storage_url: str, admin_url: str, keys_file: Path, folder: Path) -> Iterator[Server]:
    """The server that most tests share."""
    with running_server(storage_url, admin_url, keys_file, folder / "files") as started:
        yield started
        started.http.close()
        assert started.stop() == 0
        assert '"level": "error"' not in started.log, started.log


@pytest.fixture
def own_server(storage_url: str, admin_url: str, keys_file: Path, tmp_path: Path) -> Iterator[Server]:
    """A separate server, which the test may kill."""
    with running_server(storage_url, admin_url, keys_file, tmp_path / "files") as started:
        yield started


@pytest.fixture(scope="session")
def http(server: Server) -> httpx.Client:
    """A client of the shared server, without a key."""
    return server.http


@pytest.fixture
def alice(keys: Keys) -> Caller:
    """A user."""
    return new_user(keys)


@pytest.fixture
def bob(keys: Keys) -> Caller:
    """Another user."""
    return new_user(keys)


@pytest.fixture(scope="session")
def admin(keys: Keys) -> Caller:
    """A caller with the service key, to which no policy applies."""
    return Caller(id="", headers={"Authorization": f"Bearer {keys.service_role}"})


@pytest.fixture
def secret(http: httpx.Client, alice: Caller) -> str:
    """An object of Alice in a private bucket."""
    path = alice.path("secret.txt")
    answer = http.post(f"/object/private/{path}", content=b"of alice", headers={**alice.headers, **TEXT})
    assert answer.status_code == 200
    return path
