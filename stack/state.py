"""The data folder of one stack: its files, its lock, and whether its stack runs."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from stack import processes
from stack.errors import StackError
from stack.keys import Keys
from stack.ports import LOOPBACK, Ports
from stack.postgres import DATABASE, SUPERUSER
from stack.project import Project

LOGIN_ROLES = (
    SUPERUSER,
    "postgres",
    "authenticator",
    "supabase_auth_admin",
    "supabase_storage_admin",
    "supabase_realtime_admin",
    "supabase_read_only_user",
)
"""The login roles of every stack. A project's parts may add some."""
LEFTOVERS = {"lock", "logs", "storage", "mailbox", "doubles", "routes.json"}
"""What an interrupted first start, or a run of the tests, leaves in a folder without a stack."""

Document = TypeVar("Document", bound=msgspec.Struct)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """`stack.json`: what a stack keeps from start to start. Its passwords open the whole database."""

    port: int
    """The first of the stack's ports."""
    passwords: dict[str, str]
    """Of each database role that logs in."""
    double_keys: dict[str, str] = {}
    """Of the doubles, by `Double.key_name`."""

    @property
    def ports(self) -> Ports:
        """The ports of Supabase's parts; `Project.port` knows the others."""
        return Ports(base=self.port)

    def database_url(self, role: str, database: str = DATABASE) -> str:
        """A connection address for a role."""
        return f"postgresql://{role}:{self.passwords[role]}@{LOOPBACK}:{self.ports.database}/{database}"


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process. `identity` distinguishes it from a later one with the same id."""

    pid: int
    identity: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has this number now."""
        return cls(pid=pid, identity=processes.identity(pid) or "")

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return bool(self.identity) and processes.identity(self.pid) == self.identity


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """`processes.json`: what runs now. It exists while a supervisor runs, and after one was killed."""

    supervisor: Process
    parts: dict[str, Process]
    started_at: float
    """Seconds since 1970."""
    ready: bool
    """Whether every part has answered."""


class Folder:
    """The data folder of one stack."""

    def __init__(self, path: Path) -> None:
        """Name the folder. Nothing is read or made yet."""
        self.path = path
        self.keys_file = path / "keys.json"
        self.jwks_file = path / "jwks.json"
        self.logs = path / "logs"
        self.storage = path / "storage"
        self.mailbox = path / "mailbox"
        self.doubles = path / "doubles"
        self._state_file = path / "stack.json"
        self._run_file = path / "processes.json"

    def log(self, part: str) -> Path:
        """The log of one part."""
        return self.logs / f"{part}.log"

    def double(self, name: str) -> Path:
        """Where one double keeps its state."""
        return self.doubles / name

    def check(self) -> None:
        """See that the folder holds a stack, or could.

        Raises:
            StackError: it is no folder, holds other files, or is damaged.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StackError(f"{self.path} is a file: choose a folder with --data")
        try:
            entries = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        except OSError as error:
            raise self._unusable(error) from error
        if self._state_file.name not in entries and entries - LEFTOVERS:
            raise StackError(
                f"{self.path} holds other files and no stack: choose an empty folder with --data, or remove it"
            )
        if self._state_file.name in entries:
            self.state()
        if self.keys_file.name in entries:
            self.keys()

    def open(self, project: Project, *, port: int) -> State:
        """The stack's state, made where the folder is new.

        Args:
            project: adds login roles and doubles, which get passwords and keys.
            port: the stack's first port from now on.

        Raises:
            StackError: the folder cannot be used.
        """
        self.check()
        self._make()
        try:
            for double in project.doubles:
                self.double(double.name).mkdir(mode=0o700, parents=True, exist_ok=True)
            before = self.state() if self._state_file.exists() else None
            # Roles and doubles that the project gained since the stack was made get theirs now.
            roles = (*LOGIN_ROLES, *project.login_roles())
            passwords = {role: secrets.token_urlsafe(24) for role in roles} | (before.passwords if before else {})
            double_keys = {name: prefix + secrets.token_hex(24) for name, prefix in project.double_keys().items()}
            double_keys |= before.double_keys if before else {}
            state = State(port=port, passwords=passwords, double_keys=double_keys)
            if state != before:
                _write(self._state_file, state)
            if not self.keys_file.exists():
                Keys.generate().save(self.keys_file)
            self.publish(self.keys())
        except OSError as error:
            raise self._unusable(error) from error
        return state

    @property
    def exists(self) -> bool:
        """Whether a stack was ever made here."""
        return self._state_file.exists()

    def state(self) -> State:
        """`stack.json`.

        Raises:
            StackError: it is missing or damaged.
        """
        return self._read(self._state_file, State)

    def keys(self) -> Keys:
        """`keys.json`.

        Raises:
            StackError: it is missing or damaged.
        """
        return self._read(self.keys_file, Keys)

    def publish(self, keys: Keys) -> None:
        """Write the public keys where PostgREST reads them."""
        _write(self.jwks_file, keys.jwks())

    def run(self) -> Run | None:
        """`processes.json`; None where it is missing, or a crash of the machine cut it short."""
        try:
            return msgspec.json.decode(self._run_file.read_bytes(), type=Run)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None
        except OSError as error:
            raise self._unusable(error) from error

    def running(self) -> Run | None:
        """The run whose supervisor runs, or None."""
        run = self.run()
        return run if run is not None and run.supervisor.is_alive else None

    def write_run(self, run: Run) -> None:
        """Record what runs."""
        _write(self._run_file, run, durable=False)

    def forget_run(self) -> None:
        """Record that nothing runs."""
        self._run_file.unlink(missing_ok=True)

    @contextmanager
    def locked(self, name: str = "lock", *, wait: float = 1) -> Iterator[bool]:
        """Hold a lock of the folder; yields whether this process got it.

        Args:
            name: the lock's file. The default one belongs to the supervisor.
            wait: seconds to wait while another process holds it.
        """
        self._make()
        try:
            descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            yield _flock(descriptor, deadline=time.monotonic() + wait)
        finally:
            os.close(descriptor)

    def contents(self) -> list[Path]:
        """The files in storage and the caught mail, without the folders, which a running stack needs."""
        return self._files("storage/objects/**/*", "mailbox/*")

    def double_contents(self) -> list[Path]:
        """The files of the doubles, which may be deleted only while the doubles are stopped."""
        return self._files("doubles/*/*")

    def _files(self, *patterns: str) -> list[Path]:
        return [file for pattern in patterns for file in self.path.glob(pattern) if file.is_file()]

    def _make(self) -> None:
        try:
            if not self.path.exists():
                self.path.mkdir(parents=True)
                # If root starts the stack, Postgres enters the folder as an unprivileged user, who cannot list it.
                self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            for folder in (self.logs, self.storage, self.mailbox, self.doubles):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def _read(self, file: Path, kind: type[Document]) -> Document:
        try:
            return msgspec.json.decode(file.read_bytes(), type=kind)
        except FileNotFoundError as error:
            raise StackError(f"there is no stack in {self.path}: start one with ./guildhall up") from error
        except OSError as error:
            raise self._unusable(error) from error
        except msgspec.DecodeError as error:
            raise StackError(
                f"{file} is damaged: restore it from a copy, or remove {self.path} to begin anew (its data is lost)"
            ) from error

    def _unusable(self, error: OSError) -> StackError:
        path = error.filename or self.path
        if isinstance(error, PermissionError):
            return StackError(f"{path} is closed to this user: run as its owner, or choose another folder with --data")
        return StackError(f"{path} cannot be used ({error.strerror}): choose another folder with --data")


def _flock(descriptor: int, *, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _write(file: Path, document: Any, *, durable: bool = True) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    draft = file.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(msgspec.json.format(msgspec.json.encode(document)))
        if durable:
            output.flush()
            os.fsync(output.fileno())
    draft.replace(file)
