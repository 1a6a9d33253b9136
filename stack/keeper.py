"""Keeping one part of the stack alive: it is started, restarted when it dies, and stopped."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from stack import processes
from stack.errors import StackError
from stack.parts import Part
from stack.state import Process

QUICK_DEATH_SECONDS = 10
"""A part that dies sooner after its start died quickly."""
LONGEST_PAUSE = 2.0
"""Seconds between two starts at most."""
KILL_SECONDS = 10.0
"""How long a part may take to end after its `kill_signal`."""


class Keeper:
    """Runs one part, again and again where it dies, until the stack stops."""

    def __init__(
        self,
        part: Part,
        *,
        log: Path,
        stopping: asyncio.Event,
        report: Callable[[str], None],
        on_start: Callable[[], None],
        quick_deaths: int = 5,
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            part: the process.
            log: receives what it prints.
            stopping: set when the stack stops.
            report: is called with a line when the part dies.
            on_start: is called whenever the part has a new process.
            quick_deaths: how many quick deaths in a row it tolerates.
        """
        self.part = part
        self.process: Process | None = None
        """The process that was started last."""
        self.task: asyncio.Task[None] | None = None
        self._log = log
        self._stopping = stopping
        self._report = report
        self._on_start = on_start
        self._quick_deaths = quick_deaths
        self._child: asyncio.subprocess.Process | None = None

    def start(self) -> asyncio.Task[None]:
        """Begin to keep the part alive. The task ends with the stack, or with a StackError."""
        start_new_log(self._log)
        self.task = asyncio.create_task(self._keep_alive())
        return self.task

    async def stop(self) -> None:
        """End the part: by its stop signal, then its kill signal, then SIGKILL."""
        if self.task is None:
            return
        signals = (
            (self.part.stop_signal, self.part.stop_seconds),
            (self.part.kill_signal, KILL_SECONDS),
            (signal.SIGKILL, None),
        )
        for number, seconds in signals:
            if self._child is not None:
                processes.send(self._child.pid, number)
            ended, _ = await asyncio.wait({self.task}, timeout=seconds)
            if ended:
                return

    async def _keep_alive(self) -> None:
        """Run the part until the stack stops.

        Raises:
            StackError: it cannot be run, or keeps dying.
        """
        name = self.part.name
        deaths = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            child = await self._spawn()
            code = await child.wait()
            self._child = None
            processes.send_group(child.pid, signal.SIGKILL)  # children that it left
            if self._stopping.is_set():
                return
            if code == os.EX_CONFIG:  # its settings are wrong, and stay so
                raise StackError(f"{name} cannot start: {self._last_line()}; its log is {self._log}")
            deaths = deaths + 1 if time.monotonic() - started < QUICK_DEATH_SECONDS else 1
            if deaths > self._quick_deaths and not self._is_restartable():
                raise StackError(f"{name} does not stay up: {self._last_error()}; its log is {self._log}")
            self._report(f"{name} ended ({_describe_exit(code)}) and is started again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(0.1 * 2 ** (deaths - 1), LONGEST_PAUSE))

    async def _spawn(self) -> asyncio.subprocess.Process:
        part = self.part
        with self._log.open("ab") as log:
            try:
                child = await asyncio.create_subprocess_exec(
                    *part.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=part.working_folder,
                    env=part.environment,
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops the parts in order
                    preexec_fn=processes.ends_with_parent(part.kill_signal),
                    **part.run_as,
                )
            except OSError as error:
                raise StackError(f"{part.name} cannot be started: {error}") from error
        self._child = child
        self.process = Process.of(child.pid)
        if self._stopping.is_set():  # the stop came while the process was made, and did not reach it
            processes.send(child.pid, part.stop_signal)
        else:
            self._on_start()
        return child

    def _is_restartable(self) -> bool:
        error = self.part.restartable_error
        return bool(error) and error in self._last_error()

    def _last_line(self) -> str:
        return self._log.read_text(errors="replace").strip().rpartition("\n")[2][:600]

    def _last_error(self) -> str:
        """The line of the log that most likely has the reason of the part's end."""
        lines = self._log.read_text(errors="replace").strip().splitlines()[-8:]
        errors = [line for line in lines if re.search("FATAL|PANIC|[Ee]rror", line)]
        return (errors or lines or ["its log is empty"])[-1].strip()[:300]


def start_new_log(log: Path) -> None:
    """Begin a new log and keep the previous one."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))


def _describe_exit(code: int) -> str:
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name
