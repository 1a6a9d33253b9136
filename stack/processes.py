"""Processes: telling one from a later one with the same number, and children that never outlive their parent."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def identity(pid: int) -> str | None:
    """What identifies a running process among all that ever have its number; None when it has ended.

    On Linux this reads /proc, because a small container has no `ps`.
    """
    if sys.platform == "linux":
        try:
            # The fields after the command's name, which may itself hold spaces and parentheses: the state, ..., the
            # start.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        if fields[0] in "ZX":  # dead already, and not yet reaped
            return None
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {fields[19]}"
    else:  # noqa: RET505 - the type checker knows that one branch is of another system
        state, _, rest = _ps(pid, "state=,lstart=,command=").partition(" ")
        return rest.strip() if rest and not state.startswith("Z") else None


def command_of(pid: int) -> str:
    """The command line of a process; empty when it has ended."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            return ""
    else:
        return _ps(pid, "command=")


def _ps(pid: int, fields: str) -> str:
    return subprocess.run(
        ["ps", "-o", fields, "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()


def ends_with_parent(with_signal: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` that makes Linux send the child this signal when its parent dies, even by a kill -9.

    Other systems have no such feature. There the next `up` ends what a killed supervisor left.
    """
    parent = os.getpid()

    def before_exec() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, with_signal)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return before_exec


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def send_group(leader: int, number: signal.Signals) -> None:
    """Signal what is left of a process group, if anything."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
