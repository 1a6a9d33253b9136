"""The stack that all tests of a run share: started from a copy, or kept running from an earlier run and made as new.

`./guildhall test` starts one and removes it at the end. `./guildhall test PATH` leaves it running for the next call,
which only makes its database anew; it is started again when any code changed that it runs. `python -m tests.run_stack`
stops it.
"""

import base64
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import msgspec
import psycopg
from filelock import FileLock, Timeout

from stack.commands.reset import reset_running
from stack.paths import ROOT
from stack.ports import free_block
from stack.state import Folder
from stack.tools.project import GUILDHALL
from tests.golden import NOT_DURABLE, copy_golden, digest, home, restore_database

KEPT = "GUILDHALL_TEST_KEPT"
"""Set in the environment where the stack may be left running."""
RUN_FOLDER = "GUILDHALL_TEST_RUN"
"""The environment's name for the folder of the run, which workers inherit."""
RUN = "GUILDHALL_TEST_RUN_ID"
CLERK_SECRET = "EDGE_CLERK_WEBHOOK_SECRET"
"""The edge takes providers' keys from the environment in which the stack is started."""
TEST_SETTINGS = {
    "AUTH_SIGN_IN_SIGN_UPS": "1000000",
    "AUTH_TOKEN_VERIFICATIONS": "1000000",
    "AUTH_TOKEN_REFRESH": "1000000",
    "AUTH_ANONYMOUS_USERS": "1000000",
    "AUTH_MAILS_AN_HOUR": "1000000",
    "AUTH_USER_UPDATES": "1000000",
    "AUTH_WRONG_PASSWORDS": "1000000",
    "AUTH_WRONG_PASSWORDS_FROM_UNKNOWN_NETWORKS": "1000000",
    "AUTH_WRONG_CODES": "1000000",
    "AUTH_WRONG_CODES_FROM_UNKNOWN_NETWORKS": "1000000",
    "AUTH_MFA_REQUESTS": "1000000",
    "AUTH_BCRYPT_COST": "4",
    "GATEWAY_REFUSALS": "1000000",
    "GATEWAY_SLOW_SECONDS": "60",
}
"""Settings of auth in tests of other things: no limits, since all tests come from one address, and cheap hashes."""
RUNS_CODE_OF = ("supabase", "stack", "common", "edge", "tests/golden.py", "tests/run_stack.py", "constraints.txt")


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """How a kept stack was made: `made.json`."""

    code: str
    """The digest of the code that it runs."""
    clerk_secret: str


def command(*words: str | Path) -> list[str]:
    """The command line of the CLI."""
    return [sys.executable, "-m", "stack", *map(str, words)]


def guildhall(
    *words: str | Path, settings: Mapping[str, str] = MappingProxyType(TEST_SETTINGS)
) -> subprocess.CompletedProcess[str]:
    """Run one command of the CLI to its end.

    Args:
        words: the arguments.
        settings: environment variables for a stack that it starts.
    """
    return subprocess.run(
        command(*words),
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def lift_limits(connection: psycopg.Connection) -> None:
    """Let everybody write as often as tests do."""
    connection.execute("update private.rate_limits set burst = 1000000, per_minute = 1000000")


class RunFolder:
    """The folder of a run, made by the process that starts the workers."""

    def __init__(self) -> None:
        """Choose the kept folder, where that is asked for and no other run uses it; else make a new one."""
        self._lock = FileLock(home() / "kept.lock")
        self.is_kept = KEPT in os.environ
        if self.is_kept:
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                self.is_kept = False
        if self.is_kept:
            self.path = home() / "kept"
            self.path.mkdir(exist_ok=True)
        else:
            self.path = Path(tempfile.mkdtemp(prefix="guildhall-test-"))
        self.path.chmod(0o711)  # Postgres enters it as an unprivileged user
        made = _made(self.path)
        os.environ[RUN_FOLDER] = str(self.path)
        os.environ[RUN] = uuid.uuid4().hex
        new_secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
        os.environ[CLERK_SECRET] = made.clerk_secret if made else new_secret

    def close(self) -> None:
        """Stop the stack and remove its data, unless it is kept."""
        if self.is_kept:
            self._lock.release()
        else:
            guildhall("down", "--data", str(self.path / "stack"))
            shutil.rmtree(self.path, ignore_errors=True)


def ensure_started(data: Path) -> None:
    """Start the run's stack, or make the kept one as new, once a run: by the worker that asks first."""
    with FileLock(data.with_suffix(".lock")):
        done = data.parent / "run-id"
        if done.exists() and done.read_text() == os.environ[RUN]:
            return
        made = Made(code=digest(*RUNS_CODE_OF), clerk_secret=os.environ[CLERK_SECRET])
        folder = Folder(data)
        run = folder.running()
        if made == _made(data.parent) and run is not None:
            reset_running(GUILDHALL, folder, run, make_database=lambda: restore_database(folder.state()))
        else:
            _start(data)
            (data.parent / "made.json").write_bytes(msgspec.json.encode(made))
        with psycopg.connect(folder.state().database_url("postgres")) as connection:
            lift_limits(connection)
        done.write_text(os.environ[RUN])


def _start(data: Path) -> None:
    if data.exists():
        guildhall("down", "--data", str(data))
        shutil.rmtree(data)
    copy_golden(data)
    with (data / "postgres" / "postgresql.auto.conf").open("a") as settings:
        settings.write(NOT_DURABLE)
    started = guildhall("up", "--detach", "--data", str(data), "--port", str(free_block().base))
    assert started.returncode == 0, started.stdout + started.stderr


def _made(folder: Path) -> Made | None:
    with suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode((folder / "made.json").read_bytes(), type=Made)
    return None


def stop() -> None:
    """Stop the kept stack and remove it."""
    folder = home() / "kept"
    with FileLock(home() / "kept.lock"):
        if folder.exists():
            guildhall("down", "--data", str(folder / "stack"))
            shutil.rmtree(folder)


if __name__ == "__main__":
    stop()
