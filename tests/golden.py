"""Data folders that tests copy instead of making: a stack as its first start leaves it, and a bare Supabase.

Making them takes seconds (initdb, bootstrap, migrations, seed), copying one a fraction of a second. They are made once,
and again when anything changed that they are made from.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from filelock import FileLock
from psycopg import sql

from stack import database
from stack.paths import ROOT
from stack.ports import free_block
from stack.postgres import DATABASE, MAINTENANCE_DATABASE, SUPERUSER, Cluster, run_as
from stack.state import Folder, State
from stack.tools.project import GUILDHALL

BARE = "guildhall_bare"
"""The template of databases with what the migrations make, without the seed."""
SEEDED = "guildhall_seeded"
"""The template of the stack's own database, as a first start leaves it."""
SUPABASE_PASSWORD = "local"
NOT_DURABLE = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""
"""Settings of Postgres for data that nobody needs after a crash of the machine."""
TEST_DATABASE = "test_%"
"""The names of databases that tests make, as a pattern of LIKE."""
MADE_FROM = ("supabase", "stack", "common", "tests/golden.py", "package-lock.json", "constraints.txt")


def home() -> Path:
    """The folder of this checkout's test data. It is in the temporary folder, where Postgres can reach it as `nobody`.

    Raises:
        PermissionError: another user has made a folder of that name.
    """
    folder = Path(tempfile.gettempdir()) / f"guildhall-tests-{os.getuid()}-{_digest_of(str(ROOT).encode())}"
    folder.mkdir(mode=0o711, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.is_symlink():
        raise PermissionError(f"{folder} belongs to somebody else")
    return folder


def copy_golden(target: Path) -> None:
    """Make a data folder with a seeded database, for a stack that has not run yet. Its keys are those of every copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", golden() / "stack", target], check=True)


def copy_supabase(folder: Path) -> Cluster:
    """Make a cluster in a folder whose database has Supabase's own objects and none of ours. It does not run yet."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", golden() / "supabase" / "postgres", folder / "postgres"], check=True)
    return Cluster(data=folder, port=free_block().database, password=SUPABASE_PASSWORD)


def golden() -> Path:
    """The folder of both, made where there is none of the present code."""
    folder = home() / f"golden-{digest(*MADE_FROM)}"
    with FileLock(home() / "golden.lock"):
        if not folder.exists():
            for outdated in home().glob("golden-*"):
                shutil.rmtree(outdated)
            draft = home() / "draft"
            if draft.exists():
                shutil.rmtree(draft)
            draft.mkdir(mode=0o711)
            _make_stack(draft / "stack")
            _make_supabase(draft / "supabase")
            draft.rename(folder)
    return folder


def digest(*places: str) -> str:
    """A digest of the files and folders of the checkout at these places."""
    files = (
        file
        for place in places
        for file in sorted((ROOT / place).rglob("*") if (ROOT / place).is_dir() else [ROOT / place])
        if file.is_file() and "__pycache__" not in file.parts and ".temp" not in file.parts
    )
    return _digest_of(b"\0".join(str(file).encode() + b"\0" + file.read_bytes() for file in files))


def restore_database(state: State) -> None:
    """Replace the database of a running stack by one as its first start leaves it, and drop those of earlier tests."""
    with psycopg.connect(state.database_url(SUPERUSER, MAINTENANCE_DATABASE), autocommit=True) as connection:
        for (name,) in connection.execute("select datname from pg_database where datname like %s", [TEST_DATABASE]):
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(DATABASE)))
        clone(connection, SEEDED, DATABASE)


def clone(connection: psycopg.Connection, template: str, name: str) -> None:
    """Make a database from a template, with the settings of the database itself, which a template does not pass on."""
    made = sql.Identifier(name)
    connection.execute(sql.SQL("create database {} template {} owner postgres").format(made, sql.Identifier(template)))
    connection.execute(sql.SQL("alter database {} set pgrst.db_schemas = 'public'").format(made))
    connection.execute(sql.SQL("revoke temporary on database {} from public").format(made))


def _make_stack(folder: Path) -> None:
    state = Folder(folder).open(GUILDHALL, port=free_block().base)
    cluster = Cluster(data=folder, port=state.ports.database, password=state.passwords[SUPERUSER])
    cluster.create()
    with running(cluster), psycopg.connect(cluster.url(database=MAINTENANCE_DATABASE), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(BARE)))
        database.bootstrap(state.database_url(SUPERUSER, BARE), state.passwords)
        database.migrate(GUILDHALL.migrations, state.database_url("postgres", BARE))
        database.set_passwords(connection, state.passwords)
        clone(connection, BARE, SEEDED)
        database.seed(GUILDHALL.seeds(), state.database_url("postgres", SEEDED))
        connection.execute(sql.SQL("drop database {}").format(sql.Identifier(DATABASE)))
        clone(connection, SEEDED, DATABASE)


def _make_supabase(folder: Path) -> None:
    folder.mkdir(mode=0o711)
    cluster = Cluster(data=folder, port=free_block().database, password=SUPABASE_PASSWORD)
    cluster.create()
    with (cluster.folder / "postgresql.auto.conf").open("a") as settings:
        settings.write(NOT_DURABLE)
    with running(cluster):
        database.bootstrap(cluster.url(), {})


@contextmanager
def running(cluster: Cluster) -> Iterator[None]:
    """Postgres alone, stopped cleanly at the end."""
    with subprocess.Popen(cluster.command(), cwd="/", stderr=subprocess.DEVNULL, **run_as()) as server:
        try:
            while not cluster.is_ready():
                assert server.poll() is None, "Postgres did not start"
                time.sleep(0.02)
            yield
        finally:
            server.send_signal(signal.SIGINT)


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
