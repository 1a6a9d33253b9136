"""`rotate-keys`: make a new signing key."""

import argparse
import signal
import time
from contextlib import suppress

import httpx

from stack import processes
from stack.commands.waiting import wait_until_healthy
from stack.errors import StackError
from stack.keys import Keys
from stack.parts import POSTGREST, base_url
from stack.project import Project
from stack.state import Folder, Process, State
from stack.supervisor import HEALTHY_WITHIN
from stack.terminal import say


def run_rotate_keys(project: Project, args: argparse.Namespace) -> int:
    """Make a new signing key; with `revoke` refuse the tokens of earlier ones at once."""
    folder = Folder(args.data)
    folder.check()
    state = folder.state()
    with folder.locked("keys.lock") as is_acquired:
        if not is_acquired:
            raise StackError("another rotation of these keys is at work: wait for it")
        keys = folder.keys().rotated()
        run = folder.running()
        rest = run.parts.get(POSTGREST) if run else None
        # PostgREST learns the new key before auth signs with it, so that no token is refused in between.
        folder.publish(keys)
        if rest is not None:
            processes.send(rest.pid, signal.SIGUSR2)
            _wait_until_accepted(state, keys)
        keys.save(folder.keys_file)
        if args.revoke:
            keys = keys.revoked()
            keys.save(folder.keys_file)
            folder.publish(keys)
            if rest is not None:
                _restart(rest)
                wait_until_healthy(project, folder)
    older = "those of earlier keys are refused" if args.revoke else "those of earlier keys are valid until they expire"
    say(f"New tokens are signed with the key {keys.current.kid}; {older}.")
    say("The publishable and secret keys are unchanged; the two legacy keys are new: ./guildhall status")
    return 0


def _restart(rest: Process) -> None:
    """End PostgREST, which caches tokens that it has verified; the supervisor starts it again."""
    processes.send(rest.pid, signal.SIGTERM)
    while rest.is_alive:
        time.sleep(0.02)


def _wait_until_accepted(state: State, keys: Keys) -> None:
    """Wait until PostgREST accepts a token of the current signing key."""
    now = int(time.time())
    probe = keys.sign({"role": "anon", "aud": "authenticated", "iat": now, "exp": now + HEALTHY_WITHIN})
    for _ in range(HEALTHY_WITHIN * 20):
        with suppress(httpx.HTTPError):
            if httpx.head(base_url(state.ports.rest), headers={"authorization": f"Bearer {probe}"}).status_code < 400:
                return
        time.sleep(0.05)
    raise StackError("PostgREST does not accept the new key, which was not put in use: ./guildhall down, then up")
