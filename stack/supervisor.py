"""Keeping one stack alive: the parts are started in order, restarted when they die, and stopped together.

Run as `python -m stack.supervisor` it is the background half of `guildhall up --detach`.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import msgspec
import psycopg

from stack import database, processes
from stack.errors import StackError
from stack.parts import POSTGRES, Part, parts
from stack.ports import LOOPBACK, Ports, free_block
from stack.postgres import SUPERUSER, Cluster, run_as
from stack.project import ROOT, supabase_config
from stack.state import Folder, Process, Run, State

HEALTHY_WITHIN = 60
"""Seconds that the parts together get to answer."""
STOP_WITHIN = 8
"""Seconds that a part gets to end by itself."""
POSTGRES_STOP_WITHIN = 30
"""Postgres writes a checkpoint before it ends."""
QUICK_DEATH = 10
"""A part that lived for fewer seconds than this died quickly; it must not go on so."""
QUICK_DEATHS = 5
POSTGRES_QUICK_DEATHS = 15
"""Postgres refuses to start while children of a killed server still finish their last statement."""
LONGEST_PAUSE = 2.0
"""Seconds between two tries at most."""
MOVED_BY = 100
"""A second stack is suggested this many ports further on."""


class Report(msgspec.Struct, frozen=True):
    """What the background half tells the command that started it."""

    kind: str
    """progress, ready or error."""
    text: str = ""


class _Running:
    """A part and its process, if it has one now."""

    def __init__(self, part: Part, *, quick_deaths: int, stop_signal: signal.Signals, stop_within: float) -> None:
        self.part = part
        self.quick_deaths = quick_deaths
        self.stop_signal = stop_signal
        self.stop_within = stop_within
        self.process: asyncio.subprocess.Process | None = None
        self.keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Starts, watches and stops the processes of one stack."""

    def __init__(self, folder: Folder, state: State, *, report: Callable[[str], None], log: IO[str]) -> None:
        """Prepare; nothing is started yet.

        Args:
            folder: the data folder, which the caller has locked.
            state: its state.
            report: is told of each long step of the start.
            log: where deaths and restarts are written.
        """
        self._folder = folder
        self._state = state
        self._report = report
        self._log = log
        self._cluster = Cluster(
            data=folder.path, port=state.ports.database, password=state.passwords[SUPERUSER]
        )
        self._running: list[_Running] = []
        self._stopping = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._started_at = time.time()
        self._ready = False

    async def serve(self, *, on_ready: Callable[[], None]) -> None:
        """Start everything, call `on_ready` when every part answers, and stop everything at SIGINT, SIGTERM or SIGHUP.

        Raises:
            StackError: the stack could not start, or a part would not stay up; everything is stopped.
        """

        async def start_and_tell() -> None:
            await self._start_all()
            self._ready = True
            self._record()
            on_ready()
            await asyncio.Future()

        await self._until_stopped(start_and_tell())

    async def reset(self) -> None:
        """Start only Postgres, make the database anew and empty the files, and stop.

        Raises:
            StackError: the database could not be made; the old one is as it was.
        """
        await self._until_stopped(self._make_database(anew=True))

    async def _until_stopped(self, work: "asyncio.Future[None] | object") -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopping.set)
        working = asyncio.ensure_future(work)  # type: ignore[arg-type]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            self._end_leftovers()
            refuse_busy(self._state.ports)
            self._record()
            await asyncio.wait({working, stopping, self._failure}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (self._failure, working):
                if ended.done():
                    ended.result()
        finally:
            self._stopping.set()
            working.cancel()
            await self._stop_all()
            self._folder.forget_run()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    # -- starting

    async def _start_all(self) -> None:
        services = parts(self._folder, self._state, self._folder.keys(), supabase_config())
        others = [part for part in services if part.name != "postgrest"]
        rest = [part for part in services if part.name == "postgrest"]
        first_time = not await self._start_postgres()
        if not first_time:
            # They take longest to load, and wait for the database by themselves.
            self._keep(others)
        await self._make_database(anew=False)
        # PostgREST, when the database is not there, tries again only after whole seconds: it comes when it is.
        self._keep(rest)
        if first_time:
            self._keep(others)
        async with asyncio.timeout(HEALTHY_WITHIN):
            await asyncio.gather(*(self._healthy(part) for part in services))

    async def _start_postgres(self) -> bool:
        """Start Postgres; returns whether the cluster was there already."""
