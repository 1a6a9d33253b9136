"""What the words of `./guildhall` print, and how one becomes another program."""

import os
import sys
from typing import NoReturn

from stack.paths import ROOT


def say(text: str) -> None:
    """Print a text at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def report(line: str) -> None:
    """Print one step of a longer task."""
    say(f"  {line}")


def become_python(module: str, *arguments: str) -> NoReturn:
    """Become another Python program of the checkout, so that signals and exit status are its own."""
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is involved
