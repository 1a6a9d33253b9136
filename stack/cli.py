"""The words of `./guildhall`, with their help. Standard library only, so that help needs no installation."""

import argparse
import os
import sys
from pathlib import Path

CALLED_FROM = "GUILDHALL_CALLED_FROM"
"""The environment's name for the folder from which a person called: relative paths start there."""
DATA = "GUILDHALL_DATA"
"""The environment's name for the data folder, where a command names none."""
HIGHEST_FIRST_PORT = 65_515

ABOUT = "Guildhall on this machine: Postgres, PostgREST, auth, storage, the edge, a mailbox and who plays Stripe."
EXAMPLES = """\
begin here:
  ./guildhall up             start everything (the first time, this installs it)
  ./guildhall status         addresses and keys
  ./guildhall token student@example.com
  ./guildhall down

Each word explains itself: ./guildhall up --help
"""


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line. Prints help and exits with 0 where that is asked, and with 2 where nothing fits."""
    parser = _parser()
    if not words:
        parser.print_help(sys.stderr)
        sys.exit(2)
    if words[0] == "test" and not {"-h", "--help"} & set(words[1:2]):
        # Everything after `test` is pytest's, its options too.
        return argparse.Namespace(word="test", pytest=words[1:])
    return parser.parse_args(words)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="guildhall",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True, title="words", parser_class=_Parser)

    def word(name: str, summary: str, more: str = "", *, data: bool = True) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = words.add_parser(
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
                default=os.environ.get(DATA) or Path(__file__).resolve().parent.parent / ".guildhall",
                metavar="DIR",
                help=f"the stack's data folder (${DATA}, or .guildhall in the checkout)",
            )
        return added

    up = word(
        "up",
        "start everything, and stop it at Ctrl-C",
        "The first start makes the database with the demo academy. Data survives; `reset` begins anew.\n"
        "A second stack runs beside the first with another --data and another --port.",
    )
    up.add_argument("--detach", action="store_true", help="return when everything answers; `down` stops it")
    up.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help="the first of ten ports; the API's (54321, or what this data folder used last)",
    )
    status = word("status", "print addresses and keys", "Exits with 1 when nothing runs.")
    status.add_argument("--env", action="store_true", help='for shells: eval "$(./guildhall status --env)"')
    status.add_argument("--json", action="store_true", help='for programs; only {"running": false} when nothing runs')
    word("down", "stop everything that `up` started")
    token = word(
        "token",
        "print an access token of a user",
        'For trying the API as somebody: curl -H "Authorization: Bearer $(./guildhall token student@example.com)" ...',
    )
    token.add_argument("email", metavar="EMAIL", help="whose, such as student@example.com")
    explained = word(
        "explain",
        "say which privilege and which policy lets somebody's request through, and which rows it hides",
        "./guildhall explain --as student@example.com GET '/rest/v1/courses?status=eq.draft'\n"
        "The request is made and rolled back: nothing changes.",
    )
    explained.add_argument(
        "--as", dest="who", required=True, metavar="WHO", help="a user's address or id, `anon` or `service_role`"
    )
    explained.add_argument("--body", metavar="JSON", help="what a POST or PATCH sends")
    explained.add_argument("--json", action="store_true", help="for programs")
    explained.add_argument("method", type=str.upper, choices=("GET", "POST", "PATCH", "DELETE"), metavar="METHOD")
    explained.add_argument("path", metavar="PATH", help="from /rest/v1, with its query, in quotes")
    word(
        "reset",
        "make the database anew from the migrations and the seed",
        "Files in storage and caught mail go too; keys and ports stay. The stack may be running or not. Where a\n"
        "migration fails, the database stays as it was.",
    )
    word("doctor", "look for what is wrong, and say what to do", "Exits with 1 when something is.")
    rotate = word(
        "rotate-keys",
        "make a new signing key",
        "New tokens are signed with it; those that the earlier keys signed are accepted until they expire.",
    )
    rotate.add_argument(
        "--revoke", action="store_true", help="refuse the tokens of earlier keys at once: all sign in anew"
    )
    demo = word(
        "demo",
        "play the main story against the running stack, and print each call and its answer",
        "The academy's people write a course, take it, pass, teach it on, and are refused what is not theirs.\n"
        "What they make stays: `reset` begins anew. Exits with 1 where an answer is not the one that belongs there.",
    )
    demo.add_argument("--whole", action="store_true", help="print answers whole, however long they are")
    word("policies", "compile policies/ into the last migration", data=False)
    routes = word("routes", "list every endpoint: whether it is served, by which call, and its test", data=False)
    routes.add_argument("--json", action="store_true", help="for programs")
    word("test", "run the tests", "What follows goes to pytest: ./guildhall test tests/stack -k keys", data=False)
    word("check", "look through the code without running it: style, types, SQL, drift", data=False)
    bench = word("bench", "measure the ratios that the design promises", data=False)
    parts = bench.add_mutually_exclusive_group()
    parts.add_argument(
        "--learning",
        action="store_true",
        help="instead: what students and teachers ask of ten million rows, which takes half an hour and 8 GB of disk",
    )
    parts.add_argument(
        "--commerce",
        action="store_true",
        help="instead: what sellers and buyers ask of a million ledger lines, webhooks and checkouts: ten minutes",
    )
    return parser


class _Parser(argparse.ArgumentParser):
    """Shows the words, not only their names in one line, where a word is unknown."""

    def error(self, message: str) -> "None":  # type: ignore[override]
        self.print_help(sys.stderr)
        self.exit(2, f"\n{self.prog}: {message}\n")


def _folder(text: str) -> Path:
    return (Path(os.environ.get(CALLED_FROM, Path.cwd())) / Path(text).expanduser()).resolve()


def _port(text: str) -> int:
    if not text.isdecimal() or not 1024 <= int(text) <= HIGHEST_FIRST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1024 to {HIGHEST_FIRST_PORT}")
    return int(text)
