"""Running one stack: its parts are started in order, kept alive, and stopped together."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg

from stack import database, processes
from stack.errors import StackError
from stack.health import POLL_SECONDS, silent_parts
from stack.keeper import Keeper, start_new_log
from stack.parts import POSTGRES, POSTGREST, Part, parts, postgres_part, probes
from stack.ports import reserve
from stack.postgres import SUPERUSER, Cluster
from stack.project import Project
from stack.state import Folder, Process, Run, State

HEALTHY_WITHIN = 60
"""Seconds that a part gets until it answers."""
RECOVERED_WITHIN = 300
"""Seconds that Postgres gets: after a kill -9 it first replays its write-ahead log."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Starts, watches and stops the processes of one stack. Made inside a running event loop."""

    def __init__(self, project: Project, folder: Folder, state: State, *, report: Callable[[str], None]) -> None:
        """Prepare; nothing is started yet.

        Args:
            project: what to run.
            folder: the data folder, which the caller has locked.
            state: its state.
            report: is called with a line for each long step of the start, and for each part that dies.
        """
        self._project = project
        self._folder = folder
        self._state = state
        self._report = report
        self._cluster = Cluster(data=folder.path, port=state.ports.database, password=state.passwords[SUPERUSER])
        self._keepers: list[Keeper] = []
        self._stop = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._started_at = time.time()
        self._ready = False

    async def serve(self, *, on_ready: Callable[[], None]) -> None:
        """Start everything, call `on_ready` when every part answers, and stop everything at SIGINT, SIGTERM or SIGHUP.

        Raises:
            StackError: the stack could not start, or a part did not stay up; everything is stopped again.
        """

        async def work() -> None:
            await self._start()
            self._ready = True
            self._record()
            on_ready()
            await self._stop.wait()

        await self.supervise(work())

    async def reset(self) -> None:
        """Start only Postgres, make the database anew, remove stored files, mail and the doubles' state, and stop.

        Raises:
            StackError: the database could not be made, and the old one is as it was; or a signal interrupted the reset.
        """
        done = False

        async def work() -> None:
            nonlocal done
            await self._start_postgres()
            await self._with_database(lambda: database.make(self._project, self._state, self._report))
            for file in [*self._folder.contents(), *self._folder.double_contents()]:
                file.unlink()
            done = True

        await self.supervise(work())
        if not done:
            raise StackError("the reset was interrupted: run it again")

    async def supervise(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work while the parts that it starts run, until it ends, a part fails or a signal comes; then stop.

        Raises:
            StackError: of the work, or of a part that did not stay up.
        """
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

    def keep(self, part: Part, **limits: int) -> None:
        """Start a part and keep it alive; `limits` are those of `Keeper`."""
        keeper = Keeper(
            part,
            log=self._folder.log(part.name),
            stopping=self._stop,
            report=self._report,
            on_start=self._record,
            **limits,
        )
        self._keepers.append(keeper)
        keeper.start().add_done_callback(self._keeper_ended)

    async def _start(self) -> None:
        services = parts(self._project, self._folder, self._state, self._folder.keys())
        # PostgREST that finds no database tries again only after whole seconds, so it is started when there is one. The
        # others take longest to load, and wait for the database by themselves, so they are started meanwhile; but not
        # while a new cluster is made, for by then their pauses between two tries would have grown long.
        late = [part for part in services if part.name == POSTGREST or not self._cluster.exists]
        for part in services:
            if part not in late:
                self.keep(part)
        await self._start_postgres()
        await self._with_database(self._prepare_database)
        for part in late:
            self.keep(part)
        running = [keeper.part.name for keeper in self._keepers]
        silent = await silent_parts(probes(self._project, self._state.port, running), within=HEALTHY_WITHIN)
        if silent:
            raise self._not_answering(silent[0])

    async def _start_postgres(self) -> None:
        if not self._cluster.exists:
            self._report("making the Postgres cluster")
            await asyncio.to_thread(self._cluster.create)
        self._cluster.clear_stale_lock()
        self.keep(postgres_part(self._cluster))
        deadline = time.monotonic() + RECOVERED_WITHIN
        while not await asyncio.to_thread(self._cluster.is_ready):
            if time.monotonic() > deadline:
                raise self._not_answering(POSTGRES)
            await asyncio.sleep(POLL_SECONDS)

    def _prepare_database(self) -> None:
        if database.is_complete(self._state):
            applied = database.bring_up_to_date(self._project, self._state)
            if applied:
                self._report(f"applied {', '.join(applied)}")
        else:
            database.make(self._project, self._state, self._report)

    async def _with_database(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except psycopg.Error as error:
            raise StackError(
                f"Postgres refused: {str(error).strip().splitlines()[0]}; its log is {self._folder.log(POSTGRES)}"
            ) from error

    def _not_answering(self, name: str) -> StackError:
        return StackError(f"{name} runs but does not answer: its log is {self._folder.log(name)}")

    def _keeper_ended(self, task: asyncio.Task[None]) -> None:
        error = task.exception()
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)

    def _record(self) -> None:
        self._folder.write_run(
            Run(
                supervisor=Process.of(os.getpid()),
                parts={keeper.part.name: keeper.process for keeper in self._keepers if keeper.process is not None},
                started_at=self._started_at,
                ready=self._ready,
            )
        )

    async def _stop_all(self) -> None:
        for wave in sorted({keeper.part.wave for keeper in self._keepers}, reverse=True):
            await asyncio.gather(*(keeper.stop() for keeper in self._keepers if keeper.part.wave == wave))


def end_leftovers(folder: Folder) -> list[str]:
    """End the processes that a killed supervisor left, and wait until they are gone; returns the names of their parts.

    On Linux they end with their supervisor, perhaps a moment later.
    """
    run = folder.run()
    if run is None:
        return []
    left = {name: process for name, process in run.parts.items() if process.is_alive}
    for number, seconds in ((None, 1.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        living = [process for process in left.values() if process.is_alive]
        for process in living:
            if number is not None:
                processes.send(process.pid, number)
        deadline = time.monotonic() + seconds
        while any(process.is_alive for process in living) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    folder.forget_run()
    return list(left)


def supervise(
    project: Project,
    folder: Folder,
    *,
    port: int | None,
    report: Callable[[str], None],
    on_ready: Callable[[], None],
    only_reset: bool = False,
) -> None:
    """Lock the data folder, end what a killed stack left, and run the stack until a signal stops it.

    Args:
        project: what to run.
        folder: the data folder.
        port: the first port, or None for the one that the stack had.
        report: is called with a line for each long step, and for each part that dies.
        on_ready: is called when every part answers.
        only_reset: make the database anew instead, and return.

    Raises:
        StackError: the stack cannot start, or did not stay up.
    """
    folder.check()
    with folder.locked() as is_acquired:
        if not is_acquired:
            raise StackError(f"a stack already runs in {folder.path}: see it with ./guildhall status")
        end_leftovers(folder)
        base = port or (folder.state().port if folder.exists else project.config.api.port)
        log = folder.log("supervisor")
        start_new_log(log)

        def report_and_log(line: str) -> None:
            with log.open("a") as file:
                file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {line}\n")
            report(line)

        async def run() -> None:
            supervisor = Supervisor(project, folder, state, report=report_and_log)
            await (supervisor.reset() if only_reset else supervisor.serve(on_ready=on_ready))

        try:
            with reserve(project.port_uses(base), report_and_log):
                state = folder.open(project, port=base)
                asyncio.run(run())
        except StackError as error:
            with log.open("a") as file:
                file.write(f"{error}\n")
            raise
