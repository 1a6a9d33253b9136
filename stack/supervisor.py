"""Keeping one stack alive: its parts are started in order, restarted when they die, and stopped together.

Run as `python -m stack.supervisor` it is the background half of `guildhall up --detach`.
"""

import argparse
import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from stack import database, processes
from stack.errors import StackError
from stack.parts import POSTGRES, Part, health, parts
from stack.ports import LOOPBACK, Ports
from stack.postgres import SUPERUSER, Cluster, run_as
from stack.project import ROOT, supabase_config
from stack.state import Folder, Process, Run, State

HEALTHY_WITHIN = 60
"""Seconds that a part gets until it answers."""
RECOVERED_WITHIN = 300
"""Seconds that Postgres gets: after a kill -9 it first replays what it had promised to keep."""
QUICK_DEATH = 10
"""A part that lived for fewer seconds died quickly, and must not do so many times in a row."""
LONGEST_PAUSE = 2.0
"""Seconds between two tries at most."""
POLL = 0.05
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Told(msgspec.Struct, frozen=True):
    """A line from the background half to the command that started it."""

    kind: str
    """progress, ready or error."""
    text: str = ""


class _Kept(msgspec.Struct, kw_only=True):
    """A part that is kept alive, and its process of the moment."""

    part: Part
    run_as: dict[str, Any] = {}
    working_folder: Path = ROOT
    quick_deaths: int = 5
    """How often it may die quickly in a row."""
    excuse: str = ""
    """Last words with which a death does not count."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 8
    """Seconds that it gets to end by itself."""
    end_now: signal.Signals = signal.SIGKILL
    """What ends it at once: sent when it did not end by itself, and by Linux when the supervisor dies."""
    process: asyncio.subprocess.Process | None = None
    known_as: Process | None = None
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Starts, watches and stops the processes of one stack. Made inside a running event loop."""

    def __init__(self, folder: Folder, state: State, *, tell: Callable[[str], None]) -> None:
        """Prepare; nothing is started yet.

        Args:
            folder: the data folder, which the caller has locked.
            state: its state.
            tell: is given a line for each long step of the start, and for each part that dies.
        """
        self._folder = folder
        self._state = state
        self._tell = tell
        self._cluster = Cluster(data=folder.path, port=state.ports.database, password=state.passwords[SUPERUSER])
        self._kept: list[_Kept] = []
        self._stop = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._started_at = time.time()
        self._ready = False

    async def serve(self, *, on_ready: Callable[[], None]) -> None:
        """Start everything, call `on_ready` when every part answers, and stop everything at SIGINT, SIGTERM or SIGHUP.

        Raises:
            StackError: the stack could not start, or a part would not stay up; everything is stopped again.
        """

        async def work() -> None:
            await self._start()
            self._ready = True
            self._record()
            on_ready()
            await self._stop.wait()

        await self._supervise(work())

    async def reset(self) -> None:
        """Start only Postgres, make the database anew, remove stored files, mail and the doubles' state, and stop.

        Raises:
            StackError: the database could not be made, and the old one is as it was; or a signal came before the end.
        """
        done = False

        async def work() -> None:
            nonlocal done
            await self._start_postgres()
            await self._database(lambda: database.make(self._state, self._tell))
            for file in [*self._folder.contents(), *self._folder.stripe.iterdir()]:
                file.unlink()
            done = True

        await self._supervise(work())
        if not done:
            raise StackError("the reset was interrupted: run it again")

    async def _supervise(self, work: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop.set)
        self._record()
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            events: list[asyncio.Future[Any]] = [working, stopping, self._failure]
            await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            for ended in (self._failure, working):
                if ended.done():
                    ended.result()
        finally:
            self._stop.set()
            working.cancel()
            await self._stop_all()
            await asyncio.gather(working, stopping, return_exceptions=True)
            self._folder.forget_run()
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)

    # Starting

    async def _start(self) -> None:
        services = parts(self._folder, self._state, self._folder.keys(), supabase_config())
        # PostgREST, when it finds no database, tries again only after whole seconds: it is started when there is one.
        # The others take longest to load and wait for the database by themselves, so they are started meanwhile; not
        # while a new cluster is made, for by then they would have come to try seldom.
        late = [part for part in services if part.name == "postgrest" or not self._cluster.exists]
        for part in services:
            if part not in late:
                self._keep(_Kept(part=part))
        await self._start_postgres()
        await self._database(self._prepare_database)
        for part in late:
            self._keep(_Kept(part=part))
        await self._healthy()

    async def _start_postgres(self) -> None:
        if not self._cluster.exists:
            self._tell("making the Postgres cluster")
            await asyncio.to_thread(self._cluster.create)
        self._cluster.clear_stale_lock()
        part = Part(
            name=POSTGRES,
            command=tuple(self._cluster.command()),
            environment={"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC", "LC_ALL": "C"},
            wave=0,
        )
        self._keep(
            _Kept(
                part=part,
                run_as=dict(run_as()),
                working_folder=Path("/"),
                # It refuses to start while children of a killed server finish their last statement.
                excuse="pre-existing shared memory block",
                stop_signal=signal.SIGINT,  # ends sessions and writes a checkpoint; SIGTERM would wait for the sessions
                stop_within=30,
                end_now=signal.SIGQUIT,  # it ends its children too, without a checkpoint
            )
        )
        until = time.monotonic() + RECOVERED_WITHIN
        while not await asyncio.to_thread(self._cluster.is_ready):
            if time.monotonic() > until:
                raise self._not_answering(POSTGRES)
            await asyncio.sleep(POLL)

    def _prepare_database(self) -> None:
        if database.is_made(self._state):
            applied = database.bring_up_to_date(self._state)
            if applied:
                self._tell(f"applied {', '.join(applied)}")
        else:
            database.make(self._state, self._tell)

    async def _database(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except psycopg.Error as error:
            raise StackError(
                f"Postgres refused: {str(error).strip().splitlines()[0]}; its log is {self._folder.log(POSTGRES)}"
            ) from error

    async def _healthy(self) -> None:
        running = [kept.part.name for kept in self._kept]
        silent = await silent_parts(self._state.ports, running, within=HEALTHY_WITHIN)
        if silent:
            raise self._not_answering(silent[0])

    def _not_answering(self, name: str) -> StackError:
        return StackError(f"{name} runs but does not answer: its log is {self._folder.log(name)}")

    # Keeping alive

    def _keep(self, kept: _Kept) -> None:
        self._kept.append(kept)
        rotate(self._folder.log(kept.part.name))
        kept.keeper = asyncio.create_task(self._keep_alive(kept))
        kept.keeper.add_done_callback(self._keeper_ended)

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        error = keeper.exception()
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _keep_alive(self, kept: _Kept) -> None:
        """Run a part until the stack stops, again and again where it dies.

        Raises:
            StackError: it cannot be run, or keeps dying.
        """
        name = kept.part.name
        deaths = 0
        while not self._stop.is_set():
            started = time.monotonic()
            process = await self._spawn(kept)
            code = await process.wait()
            kept.process = None
            processes.send_group(process.pid, signal.SIGKILL)  # whatever it left
            if self._stop.is_set():
                return
            deaths = deaths + 1 if time.monotonic() - started < QUICK_DEATH else 1
            if deaths > kept.quick_deaths and not (kept.excuse and kept.excuse in self._last_words(name)):
                raise StackError(
                    f"{name} does not stay up: {self._last_words(name)}; its log is {self._folder.log(name)}"
                )
            self._tell(f"{name} ended ({_ending(code)}) and is started again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(0.1 * 2 ** (deaths - 1), LONGEST_PAUSE))

    async def _spawn(self, kept: _Kept) -> asyncio.subprocess.Process:
        with self._folder.log(kept.part.name).open("ab") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *kept.part.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=kept.working_folder,
                    env=kept.part.environment,
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops the parts in order
                    preexec_fn=processes.ends_with_parent(kept.end_now),
                    **kept.run_as,
                )
            except OSError as error:
                raise StackError(f"{kept.part.name} cannot be started: {error}") from error
        kept.process = process
        kept.known_as = Process.of(process.pid)
        if self._stop.is_set():  # the stop came while the process was made, and did not see it
            processes.send(process.pid, kept.stop_signal)
        else:
            self._record()
        return process

    def _last_words(self, name: str) -> str:
        """The line of its log that most likely says why a part died."""
        lines = self._folder.log(name).read_text(errors="replace").strip().splitlines()[-8:]
        grave = [line for line in lines if re.search("FATAL|PANIC|[Ee]rror", line)]
        return (grave or lines or ["it said nothing"])[-1].strip()[:300]

    def _record(self) -> None:
        self._folder.write_run(
            Run(
                supervisor=Process.of(os.getpid()),
                parts={kept.part.name: kept.known_as for kept in self._kept if kept.known_as is not None},
                started_at=self._started_at,
                ready=self._ready,
            )
        )

    # Stopping

    async def _stop_all(self) -> None:
        for wave in sorted({kept.part.wave for kept in self._kept}, reverse=True):
            await asyncio.gather(*(_end(kept) for kept in self._kept if kept.part.wave == wave))


async def _end(kept: _Kept) -> None:
    """End a part: gracefully, at once, or by force."""
    if kept.keeper is None:
        return
    for number, patience in ((kept.stop_signal, kept.stop_within), (kept.end_now, 10.0), (signal.SIGKILL, None)):
        if kept.process is not None:
            processes.send(kept.process.pid, number)
        ended, _ = await asyncio.wait({kept.keeper}, timeout=patience)
        if ended:
            return


def _ending(code: int) -> str:
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name


async def silent_parts(ports: Ports, running: Collection[str], *, within: float) -> list[str]:
    """The parts beside Postgres that do not come to answer within some seconds; of doubles, those that run."""
    until = time.monotonic() + within

    async def is_silent(place: tuple[int, str]) -> bool:
        while not await answers(*place):
            if time.monotonic() > until:
                return True
            await asyncio.sleep(POLL)
        return False

    places = health(ports, running)
    silent = await asyncio.gather(*(is_silent(place) for place in places.values()))
    return [name for name, is_so in zip(places, silent, strict=True) if is_so]


async def answers(port: int, path: str) -> bool:
    """Whether a server on this loopback port answers 200 to a GET of the path, within 5 seconds."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def rotate(log: Path) -> None:
    """Begin a new log and keep the one before."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))


def end_leftovers(folder: Folder) -> list[str]:
    """End the processes that a killed supervisor left, and wait until they are gone; returns their parts' names.

    On Linux they ended with it, or are about to.
    """
    run = folder.run()
    if run is None:
        return []
    left = {name: process for name, process in run.parts.items() if process.lives}
    for number, patience in ((None, 1.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        living = [process for process in left.values() if process.lives]
        for process in living:
            if number is not None:
                processes.send(process.pid, number)
        until = time.monotonic() + patience
        while any(process.lives for process in living) and time.monotonic() < until:
            time.sleep(POLL)
    folder.forget_run()
    return list(left)


def supervise(
    folder: Folder,
    *,
    port: int | None,
    tell: Callable[[str], None],
    on_ready: Callable[[], None],
    only_reset: bool = False,
) -> None:
    """Lock the data folder, clear what a killed stack left, and run the stack until it is told to stop.

    Args:
        folder: the data folder.
        port: the first port, or None for the one that the stack had.
        tell: is given a line for each long step, and for each part that dies.
        on_ready: is called when every part answers.
        only_reset: make the database anew instead, and return.

    Raises:
        StackError: the stack cannot start, or did not stay up.
    """
    folder.check()
    with folder.locked() as ours:
        if not ours:
            raise StackError(f"a stack already runs in {folder.path}: see it with ./guildhall status")
        end_leftovers(folder)
        base = port or (folder.state().port if folder.exists else int(supabase_config()["api"]["port"]))
        rotate(folder.log("supervisor"))

        def tell_and_log(line: str) -> None:
            with folder.log("supervisor").open("a") as log:
                log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {line}\n")
            tell(line)

        async def run() -> None:
            supervisor = Supervisor(folder, state, tell=tell_and_log)
            await (supervisor.reset() if only_reset else supervisor.serve(on_ready=on_ready))

        try:
            with Ports(base=base).reserved(tell_and_log):
                state = folder.open(port=base)
                asyncio.run(run())
        except StackError as error:
            with folder.log("supervisor").open("a") as log:
                log.write(f"{error}\n")
            raise


def main() -> int:
    """The background half of `guildhall up --detach`: reports over a pipe until the stack is ready or has failed."""
    parser = argparse.ArgumentParser(prog="stack.supervisor")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--report", type=int, required=True, metavar="DESCRIPTOR")
    args = parser.parse_args()
    pipe = os.fdopen(args.report, "wb", buffering=0)

    def report(told: Told) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):  # nobody listens any more
            pipe.write(msgspec.json.encode(told) + b"\n")

    folder = Folder(args.data)

    def ready() -> None:
        report(Told("ready"))
        pipe.close()
        with folder.log("supervisor").open("ab") as log:  # nobody reads the other end any more
            os.dup2(log.fileno(), sys.stderr.fileno())

    try:
        supervise(folder, port=args.port, tell=lambda line: report(Told("progress", line)), on_ready=ready)
    except StackError as error:
        report(Told("error", str(error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
