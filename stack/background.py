"""`up --detach`: the command starts the supervisor in a session of its own, which reports to it over a pipe."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from stack.errors import StackError
from stack.paths import ROOT
from stack.project import Project
from stack.state import Folder
from stack.supervisor import supervise


class SupervisorMessage(msgspec.Struct, frozen=True):
    """One line from the background half to the command that started it."""

    kind: Literal["progress", "ready", "error"]
    text: str = ""


def start(data: Path, port: int | None, report: Callable[[str], None]) -> None:
    """Start the background half, and return when the stack is ready.

    Args:
        data: the stack's data folder.
        port: its first port, or None for the one that it had.
        report: is called with a line for each long step.

    Raises:
        StackError: as the supervisor reports it.
    """
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "stack", "up", "--data", str(data), "--report", str(writing)]
    if port is not None:
        command += ["--port", str(port)]
    background = subprocess.Popen(  # it outlives this process
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=[writing],
    )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as messages:
            for line in messages:
                message = msgspec.json.decode(line, type=SupervisorMessage)
                if message.kind == "ready":
                    return
                if message.kind == "error":
                    raise StackError(message.text)
                report(message.text)
    except KeyboardInterrupt:
        background.terminate()
        background.wait()
        raise
    errors = background.stderr.read().decode(errors="replace").strip().splitlines() if background.stderr else []
    raise StackError(f"the supervisor ended: {errors[-1] if errors else 'it was stopped, or killed'}")


def run(project: Project, folder: Folder, port: int | None, descriptor: int) -> int:
    """The background half: run the stack, and report over a pipe until it is ready or has failed.

    Args:
        project: what to run.
        folder: the data folder.
        port: the first port, or None for the one that the stack had.
        descriptor: the pipe's writing end.

    Returns:
        The exit status.
    """
    pipe = os.fdopen(descriptor, "wb", buffering=0)

    def send(message: SupervisorMessage) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):  # the command that listened has ended
            pipe.write(msgspec.json.encode(message) + b"\n")

    def on_ready() -> None:
        send(SupervisorMessage("ready"))
        pipe.close()
        with folder.log("supervisor").open("ab") as log:  # the command that read stderr has ended
            os.dup2(log.fileno(), sys.stderr.fileno())

    try:
        supervise(
            project,
            folder,
            port=port,
            report=lambda line: send(SupervisorMessage("progress", line)),
            on_ready=on_ready,
        )
    except StackError as error:
        send(SupervisorMessage("error", str(error)))
        return 1
    return 0
