"""A stack of the benchmark's own, so that no measurement touches real data."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg

from stack.errors import StackError
from stack.paths import ROOT
from stack.ports import LOOPBACK, Ports, free_block
from stack.postgres import SUPERUSER
from stack.state import Folder


class BenchStack(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses and keys of the benchmark's stack."""

    api_url: str
    rest_url: str
    admin_db_url: str
    publishable_key: str
    service_role_key: str
    data: Path
    """The data folder."""
    smtp_port: int

    def user_token(self, user_id: str) -> str:
        """An access token for a user, valid for an hour."""
        claims = {
            "iss": f"{self.api_url}/auth/v1",
            "sub": user_id,
            "role": "authenticated",
            "aud": "authenticated",
            "exp": int(time.time()) + 3600,
        }
        return Folder(self.data).keys().sign(claims)


@contextmanager
def running() -> Iterator[BenchStack]:
    """Start a stack in a folder of its own, and remove both afterwards.

    Raises:
        StackError: it did not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="guildhall-bench-"))
    folder.chmod(0o711)  # Postgres enters it as an unprivileged user
    data, ports = folder / "stack", free_block()
    try:
        started = _guildhall("up", "--detach", "--data", str(data), "--port", str(ports.base))
        if started.returncode != 0:
            raise StackError(f"the benchmark's stack did not start: {started.stderr.strip() or started.stdout.strip()}")
        stack = _describe(data, ports)
        with psycopg.connect(stack.admin_db_url) as connection:
            # Each request takes a token, but no bucket runs empty.
            connection.execute("update private.rate_limits set burst = 1000000, per_minute = 1000000")
        yield stack
    finally:
        _guildhall("down", "--data", str(data))
        shutil.rmtree(folder, ignore_errors=True)


def _guildhall(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stack", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def _describe(data: Path, ports: Ports) -> BenchStack:
    folder = Folder(data)
    keys = folder.keys()
    return BenchStack(
        api_url=f"http://{LOOPBACK}:{ports.api}",
        rest_url=f"http://{LOOPBACK}:{ports.rest}",
        admin_db_url=folder.state().database_url(SUPERUSER),
        publishable_key=keys.publishable,
        service_role_key=keys.service_role,
        data=data,
        smtp_port=ports.smtp,
    )
