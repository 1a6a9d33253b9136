"""`reset`: make a stack's data anew."""

import argparse
import time
from collections.abc import Callable
from contextlib import suppress

import httpx
import psycopg

from stack import database
from stack.commands.waiting import wait_for_start, wait_until_healthy
from stack.errors import StackError
from stack.parts import base_url
from stack.project import Project
from stack.state import Folder, Run
from stack.supervisor import supervise
from stack.terminal import report, say


def run_reset(project: Project, args: argparse.Namespace) -> int:
    """Make the database anew, and empty files, mail and doubles, of a stack that runs or not."""
    folder = Folder(args.data)
    folder.check()
    state = folder.state()
    started = time.monotonic()
    run = wait_for_start(folder)
    if run is None:
        supervise(project, folder, port=None, report=report, on_ready=lambda: None, only_reset=True)
    else:
        with folder.locked("reset.lock") as is_acquired:
            if not is_acquired:
                raise StackError("another reset of this stack is at work: wait for it")
            reset_running(project, folder, run, make_database=lambda: database.make(project, state, report))
    say(f"The database is new, in {time.monotonic() - started:.1f} s.")
    return 0


def reset_running(project: Project, folder: Folder, run: Run, *, make_database: Callable[[], None]) -> None:
    """Replace the database of a running stack, empty files, mail and doubles, and wait until every part answers.

    Raises:
        StackError: the database could not be made, or a part does not answer.
    """
    state = folder.state()
    older = folder.contents()  # listed now: what is stored after the change belongs to the new database
    try:
        make_database()
    except psycopg.Error as error:
        raise StackError(f"the database could not be made anew: {str(error).splitlines()[0]}") from error
    for file in older:
        file.unlink(missing_ok=True)
    with suppress(httpx.HTTPError):  # it keeps summaries of its mail in memory
        httpx.delete(f"{base_url(state.ports.mail)}/api/messages")
    for double in project.doubles:
        if double.name in run.parts:
            key = state.double_keys[double.key_name(double.reset_key)]
            url = f"{base_url(state.port + double.port_offset)}{double.reset_path}"
            with suppress(httpx.HTTPError):
                httpx.post(url, headers={"authorization": f"Bearer {key}"})
    wait_until_healthy(project, folder)
