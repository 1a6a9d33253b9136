"""The command line: its parser, and the words that concern a stack. Standard library only: help works uninstalled."""

import argparse
import os
import sys
from pathlib import Path

from stack.paths import ROOT

CALLED_FROM = "GUILDHALL_CALLED_FROM"
"""The variable that holds the folder from which a person called. Relative paths start there."""
STARTED_AT = "GUILDHALL_STARTED_AT"
"""The variable that holds the reading of the monotonic clock at which a person called, before the installation."""
DATA = "GUILDHALL_DATA"
"""The variable that holds the data folder, where a command names none."""
DEFAULT_DATA = ROOT / ".guildhall"
HIGHEST_FIRST_PORT = 65_515


class Words:
    """A command line whose first argument is a word, with help for each."""

    def __init__(self, program: str, *, about: str, examples: str) -> None:
        """Begin with no word.

        Args:
            program: its name.
            about: what it does, above the list of words.
            examples: below the list.
        """
        self._parser = _Parser(
            prog=program,
            description=about,
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._words = self._parser.add_subparsers(
            dest="word", metavar="WORD", required=True, title="words", parser_class=_Parser
        )

    def add(self, name: str, summary: str, more: str = "", *, data: bool = False) -> argparse.ArgumentParser:
        """Add a word, and return the parser of its arguments.

        Args:
            name: the word.
            summary: what it does, in the list of words.
            more: the rest of its own help.
            data: whether it takes a data folder.
        """
        added: argparse.ArgumentParser = self._words.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.\n\n{more}".strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if data:
            added.add_argument(
                "--data",
                type=_folder,
                default=os.environ.get(DATA) or DEFAULT_DATA,
                metavar="DIR",
                help=f"the stack's data folder (${DATA}, or .guildhall in the checkout)",
            )
        return added

    def parse(self, words: list[str]) -> argparse.Namespace:
        """Read a command line. Prints help and exits with 0 at --help, and with 2 where it is wrong."""
        if not words:
            self._parser.print_help(sys.stderr)
            sys.exit(2)
        return self._parser.parse_args(words)


def add_stack_words(words: Words) -> None:
    """Add the words that concern a stack."""
    up = words.add(
        "up",
        "start everything, and stop it at Ctrl-C",
        "The first start makes the database and applies the seed. Data survives; `reset` begins anew.\n"
        "A second stack runs beside the first with another --data and another --port.",
        data=True,
    )
    up.add_argument("--detach", action="store_true", help="return when everything answers; `down` stops it")
    up.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help="the first of twenty ports; the API's (54321, or what this data folder used last)",
    )
    # What `up --detach` runs in the background: the descriptor of the pipe to which it reports.
    up.add_argument("--report", type=int, help=argparse.SUPPRESS)
    status = words.add("status", "print addresses and keys", "Exits with 1 when nothing runs.", data=True)
    status.add_argument("--env", action="store_true", help='for shells: eval "$(./guildhall status --env)"')
    status.add_argument("--json", action="store_true", help='for programs; only {"running": false} when nothing runs')
    words.add("down", "stop everything that `up` started", data=True)
    token = words.add(
        "token",
        "print an access token of a user",
        'To try the API as a user: curl -H "Authorization: Bearer $(./guildhall token student@example.com)" ...',
        data=True,
    )
    token.add_argument("email", metavar="EMAIL", help="the user's address, such as student@example.com")
    explain = words.add(
        "explain",
        "show which privileges and policies permit a user's request, and which rows they hide",
        "./guildhall explain --as student@example.com GET '/rest/v1/TABLE?id=eq.1'\n"
        "The request is made and rolled back: nothing changes.",
        data=True,
    )
    explain.add_argument(
        "--as", dest="caller", required=True, metavar="PERSON", help="a user's address or id, `anon` or `service_role`"
    )
    explain.add_argument("--body", metavar="JSON", help="what a POST or PATCH sends")
    explain.add_argument("--json", action="store_true", help="for programs")
    explain.add_argument("method", type=str.upper, choices=("GET", "POST", "PATCH", "DELETE"), metavar="METHOD")
    explain.add_argument("path", metavar="PATH", help="from /rest/v1, with its query, in quotes")
    words.add(
        "reset",
        "create the database again from the migrations and the seed",
        "Files in storage and mails are deleted too; keys and ports are kept. The stack may be running or not. If a\n"
        "migration fails, the old database is kept.",
        data=True,
    )
    words.add("doctor", "find problems, and how to solve them", "Exits with 1 when it finds one.", data=True)
    rotate = words.add(
        "rotate-keys",
        "make a new signing key",
        "New tokens are signed with it; those that the earlier keys signed are accepted until they expire.",
        data=True,
    )
    rotate.add_argument(
        "--revoke", action="store_true", help="refuse the tokens of earlier keys at once: everyone signs in again"
    )


class _Parser(argparse.ArgumentParser):
    """Shows the whole help, not only one line, after a mistake."""

    def error(self, message: str) -> "None":  # type: ignore[override]
        self.print_help(sys.stderr)
        self.exit(2, f"\n{self.prog}: {message}\n")


def _folder(text: str) -> Path:
    return (Path(os.environ.get(CALLED_FROM, Path.cwd())) / Path(text).expanduser()).resolve()


def _port(text: str) -> int:
    if not text.isdecimal() or not 1024 <= int(text) <= HIGHEST_FIRST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1024 to {HIGHEST_FIRST_PORT}")
    return int(text)
