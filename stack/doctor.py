"""What can be wrong with a stack, looked for one by one."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psycopg

from stack import database, policies, postgrest
from stack.errors import StackError
from stack.parts import POSTGRES, health
from stack.ports import Ports
from stack.postgres import SUPERUSER, Cluster, binaries
from stack.project import supabase_config
from stack.state import Folder, Run
from stack.supervisor import answers

ROOM_NEEDED = 2**30
"""Bytes of free disk below which Postgres may soon stop."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at."""

    well: bool
    what: str

    def line(self) -> str:
        """The finding as a person reads it."""
        return f"{'ok     ' if self.well else 'problem'}  {self.what}"


def examine(folder: Folder) -> list[Finding]:
    """Look at the machine, the data folder, and the stack if it runs. Changes nothing."""
    looks: list[Callable[[Folder], Iterator[Finding]]] = [_machine, _data, _processes, _database, _policies]
    findings = []
    for look in looks:
        try:
            findings += list(look(folder))
        except (StackError, OSError) as error:
            findings.append(_problem(str(error)))
    return findings


def _machine(folder: Folder) -> Iterator[Finding]:
    yield _ok(f"Python {sys.version.split()[0]}")
    node = shutil.which("node")
    if node is None:
        yield _ok("no node: it is installed when a command needs it")
    else:
        yield _ok(f"node {_said(node, '--version').removeprefix('v')}")
    for name, find in ((POSTGRES, _postgres_binary), ("postgrest", postgrest.binary)):
        try:
            yield _ok(f"{name}: {_said(find(), '--version')}")
        except (StackError, OSError) as error:
            yield _problem(f"{name} does not run here: {error}")
    place = folder.path
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    yield Finding(
        well=free >= ROOM_NEEDED,
        what=f"{free / 2**30:.1f} GiB of disk free{'' if free >= ROOM_NEEDED else ': make room, or move --data'}",
    )


def _data(folder: Folder) -> Iterator[Finding]:
    folder.check()
    if not folder.exists:
        yield _ok(f"no stack in {folder.path} yet: ./guildhall up makes one")
        return
    for file in (folder.path / "stack.json", folder.keys_file):
        if file.exists() and file.stat().st_mode & 0o077:
            yield _problem(f"{file} can be read by other users: chmod 600 {file}")
    writable = os.access(folder.path, os.W_OK)
    yield Finding(
        well=writable,
        what=f"data in {folder.path}{'' if writable else ' is closed to this user: run as its owner'}",
    )
    keys = folder.keys()
    yield _ok(f"keys: signing with {keys.current.kid}, {len(keys.signing) - 1} earlier still accepted")
    state = folder.state()
    cluster = Cluster(data=folder.path, port=state.ports.database, password=state.passwords[SUPERUSER])
    if not cluster.exists:
        yield _problem("the database was never made completely: ./guildhall up makes it")


def _processes(folder: Folder) -> Iterator[Finding]:
    run = folder.run()
    if run is None or not run.supervisor.lives:
        left = [name for name, process in run.parts.items() if process.lives] if run else []
        if left:
            yield _problem(f"a killed stack left {', '.join(left)}: ./guildhall down ends them")
        base = folder.state().port if folder.exists else int(supabase_config()["api"]["port"])
        ports = Ports(base=base)
        busy = [] if left else ports.busy()
        for port in busy:
            yield _problem(
                f"port {port} ({ports.use_of(port)}) is in use: end what uses it, or ./guildhall up --port N"
            )
        if not busy:
            yield _ok(f"ports from {base} are free; nothing runs: ./guildhall up starts it")
        return
    yield from _parts(folder, run)


def _parts(folder: Folder, run: Run) -> Iterator[Finding]:
    async def ask() -> dict[str, bool]:
        places = health(folder.state().ports, run.parts)
        return dict(zip(places, await asyncio.gather(*(answers(*place) for place in places.values())), strict=True))

    for name, well in asyncio.run(ask()).items():
        pid = f"process {run.parts[name].pid}" if name in run.parts else "not started yet"
        yield (
            _ok(f"{name} answers ({pid})") if well else _problem(f"{name} ({pid}) is not well: see {folder.log(name)}")
        )


def _database(folder: Folder) -> Iterator[Finding]:
    if folder.running() is None:
        return
    state = folder.state()
    try:
        if not database.is_made(state):
            yield _problem("the database is not made: ./guildhall reset makes it")
            return
        done = database.applied(state.database_url("postgres"))
    except psycopg.Error as error:
        yield _problem(f"postgres refuses: {str(error).strip().splitlines()[0]}; see {folder.log(POSTGRES)}")
        return
    yield _ok("postgres answers")
    missing = [file.name for version, file in database.files().items() if version not in done]
    edited = database.edited(done)
    if missing:
        yield _problem(f"{missing[0]} is not applied: ./guildhall down, then ./guildhall up")
    if edited:
        yield _problem(f"{edited[0]} was edited after it was applied: ./guildhall reset")
    if not missing and not edited:
        yield _ok(f"{len(done)} migrations, all applied")


def _policies(_folder: Folder) -> Iterator[Finding]:
    if policies.is_sealed():
        yield _ok("policies/ is compiled into the last migration")
    else:
        yield _problem("policies/ was edited since it was compiled: ./guildhall policies, then ./guildhall reset")


def _postgres_binary() -> Path:
    return binaries() / "bin" / "postgres"


def _said(program: str | Path, *words: str) -> str:
    return subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=20).stdout.strip()


def _ok(what: str) -> Finding:
    return Finding(well=True, what=what)


def _problem(what: str) -> Finding:
    return Finding(well=False, what=what)
