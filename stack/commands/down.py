"""`down`: stop a stack."""

import argparse
import signal
import time

from stack import processes
from stack.errors import StackError
from stack.project import Project
from stack.state import Folder
from stack.supervisor import end_leftovers
from stack.terminal import say

STOPPED_WITHIN = 90
"""Seconds after which the supervisor is killed."""


def run_down(_project: Project, args: argparse.Namespace) -> int:
    """Stop the stack, and what a killed supervisor left."""
    folder = Folder(args.data)
    run = folder.running()
    if run is None:
        left = end_leftovers(folder)
        say(f"Ended what a killed stack had left: {', '.join(left)}." if left else f"Nothing runs in {folder.path}.")
        return 0
    try:
        processes.send(run.supervisor.pid, signal.SIGTERM)
    except PermissionError as error:
        raise StackError("the stack belongs to another user: run this as that one") from error
    deadline = time.monotonic() + STOPPED_WITHIN
    while run.supervisor.is_alive:
        if time.monotonic() > deadline:
            processes.send(run.supervisor.pid, signal.SIGKILL)
        time.sleep(0.02)
    end_leftovers(folder)
    say("Stopped.")
    return 0
