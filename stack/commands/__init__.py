"""The words of `./guildhall` that concern a stack; each is a module with a function that returns the exit status."""

import argparse
from collections.abc import Callable

from stack.commands.doctor import run_doctor
from stack.commands.down import run_down
from stack.commands.explain import run_explain
from stack.commands.reset import run_reset
from stack.commands.rotate_keys import run_rotate_keys
from stack.commands.status import run_status
from stack.commands.token import run_token
from stack.commands.up import run_up
from stack.project import Project

WORDS: dict[str, Callable[[Project, argparse.Namespace], int]] = {
    "up": run_up,
    "status": run_status,
    "down": run_down,
    "token": run_token,
    "explain": run_explain,
    "reset": run_reset,
    "doctor": run_doctor,
    "rotate-keys": run_rotate_keys,
}
