"""What can be wrong with a stack, checked one by one."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from stack import database, postgrest
from stack.errors import StackError
from stack.findings import Finding, ok, problem
from stack.health import is_ready
from stack.parts import POSTGRES, probes
from stack.ports import is_free
from stack.postgres import SUPERUSER, Cluster, binaries
from stack.project import Project
from stack.state import Folder, Run

NEEDED_DISK = 2**30
"""Bytes of free disk below which Postgres may soon stop."""


def examine(project: Project, folder: Folder) -> list[Finding]:
    """Check the machine, the data folder, the stack if it runs, and what the project adds. Changes nothing."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        lambda: _machine(folder),
        lambda: _data(folder),
        lambda: _processes(project, folder),
        lambda: _database(project, folder),
    ]
    if project.findings is not None:
        checks.append(project.findings)
    findings = []
    for check in checks:
        try:
            findings += list(check())
        except (StackError, OSError) as error:
            findings.append(problem(str(error)))
    return findings


def _machine(folder: Folder) -> Iterator[Finding]:
    yield ok(f"Python {sys.version.split()[0]}")
    node = shutil.which("node")
    if node is None:
        yield ok("no node: it is installed when a command needs it")
    else:
        yield ok(f"node {_output(node, '--version').removeprefix('v')}")
    for name, find in ((POSTGRES, _postgres_binary), ("postgrest", postgrest.binary)):
        try:
            yield ok(f"{name}: {_output(find(), '--version')}")
        except (StackError, OSError) as error:
            yield problem(f"{name} does not run here: {error}")
    existing = folder.path
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    text = f"{free / 2**30:.1f} GiB of disk free"
    yield ok(text) if free >= NEEDED_DISK else problem(f"{text}: make room, or move --data")


def _data(folder: Folder) -> Iterator[Finding]:
    folder.check()
    if not folder.exists:
        yield ok(f"no stack in {folder.path} yet: ./guildhall up makes one")
        return
    for file in (folder.path / "stack.json", folder.keys_file):
        if file.exists() and file.stat().st_mode & 0o077:
            yield problem(f"{file} can be read by other users: chmod 600 {file}")
    if os.access(folder.path, os.W_OK):
        yield ok(f"data in {folder.path}")
    else:
        yield problem(f"data in {folder.path} is closed to this user: run as its owner")
    keys = folder.keys()
    yield ok(f"keys: signing with {keys.current.kid}, {len(keys.signing) - 1} earlier still accepted")
    state = folder.state()
    cluster = Cluster(data=folder.path, port=state.ports.database, password=state.passwords[SUPERUSER])
    if not cluster.exists:
        yield problem("the database was never made completely: ./guildhall up makes it")


def _processes(project: Project, folder: Folder) -> Iterator[Finding]:
    run = folder.run()
    if run is not None and run.supervisor.is_alive:
        yield from _parts(project, folder, run)
        return
    left = [name for name, process in run.parts.items() if process.is_alive] if run else []
    if left:
        yield problem(f"a killed stack left {', '.join(left)}: ./guildhall down ends them")
    base = folder.state().port if folder.exists else project.config.api.port
    busy = {} if left else {port: use for port, use in project.port_uses(base).items() if not is_free(port)}
    for port, use in busy.items():
        yield problem(f"port {port} ({use}) is in use: end what uses it, or ./guildhall up --port N")
    if not busy:
        yield ok(f"ports from {base} are free; nothing runs: ./guildhall up starts it")


def _parts(project: Project, folder: Folder, run: Run) -> Iterator[Finding]:
    async def probe() -> dict[str, bool]:
        found = probes(project, folder.state().port, run.parts)
        return dict(zip(found, await asyncio.gather(*(is_ready(each) for each in found.values())), strict=True))

    for name, is_well in asyncio.run(probe()).items():
        pid = f"process {run.parts[name].pid}" if name in run.parts else "not started yet"
        yield (
            ok(f"{name} answers ({pid})") if is_well else problem(f"{name} ({pid}) is not well: see {folder.log(name)}")
        )


def _database(project: Project, folder: Folder) -> Iterator[Finding]:
    if folder.running() is None:
        return
    state = folder.state()
    try:
        if not database.is_complete(state):
            yield problem("the database is not made: ./guildhall reset makes it")
            return
        done = database.applied(state.database_url("postgres"))
    except psycopg.Error as error:
        yield problem(f"postgres refuses: {str(error).strip().splitlines()[0]}; see {folder.log(POSTGRES)}")
        return
    yield ok("postgres answers")
    missing = [file.name for version, file in database.files(project.migrations).items() if version not in done]
    edited = database.edited(project.migrations, done)
    if missing:
        yield problem(f"{missing[0]} is not applied: ./guildhall down, then ./guildhall up")
    if edited:
        yield problem(f"{edited[0]} was edited after it was applied: ./guildhall reset")
    if not missing and not edited:
        yield ok(f"{len(done)} migrations, all applied")


def _postgres_binary() -> Path:
    return binaries() / "bin" / "postgres"


def _output(program: str | Path, *arguments: str) -> str:
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=20).stdout.strip()
