"""Waiting for a stack that another command starts, or that has just been changed."""

import asyncio
import time

from stack.errors import StackError
from stack.health import silent_parts
from stack.parts import probes
from stack.project import Project
from stack.state import Folder, Run
from stack.supervisor import HEALTHY_WITHIN
from stack.terminal import say

STARTED_WITHIN = 420
"""Seconds that another command's start may take at most."""


def running(folder: Folder) -> Run:
    """The run of a stack that is up or starts. Raises StackError where none is."""
    run = folder.running()
    if run is None:
        raise StackError("nothing runs: ./guildhall up starts it")
    return run


def wait_for_start(folder: Folder) -> Run | None:
    """The run of a stack that is up, after waiting while another command starts it; None where none runs."""
    deadline = time.monotonic() + STARTED_WITHIN
    run = folder.running()
    if run is not None and not run.ready:
        say("Another command is starting this stack ...")
    while run is not None and not run.ready and time.monotonic() < deadline:
        time.sleep(0.1)
        run = folder.running()
    return run


def wait_until_healthy(project: Project, folder: Folder) -> None:
    """Wait until every part answers. Raises StackError where one does not."""
    run = folder.run()
    found = probes(project, folder.state().port, run.parts if run else ())
    silent = asyncio.run(silent_parts(found, within=HEALTHY_WITHIN))
    if silent:
        raise StackError(f"{silent[0]} does not answer: its log is {folder.log(silent[0])}")
