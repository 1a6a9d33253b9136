"""The words of `./guildhall`. Standard library only: help works uninstalled."""

import argparse

from stack.cli import Words, add_stack_words

ABOUT = (
    "Guildhall on this machine: Postgres, PostgREST, auth, storage, the edge, a mailbox, and doubles of the providers"
    " for which it has no keys."
)
EXAMPLES = """\
begin here:
  ./guildhall up             start everything (the first time, this installs it)
  ./guildhall status         addresses and keys
  ./guildhall token student@example.com
  ./guildhall down

Each word explains itself: ./guildhall up --help
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line. Prints help and exits with 0 at --help, and with 2 where it is wrong."""
    words = Words("guildhall", about=ABOUT, examples=EXAMPLES)
    add_stack_words(words)
    _add_own_words(words)
    if arguments[:1] == ["test"] and not {"-h", "--help"} & set(arguments[1:2]):
        # Everything after `test` is pytest's, its options too.
        return argparse.Namespace(word="test", pytest=arguments[1:])
    return words.parse(arguments)


def _add_own_words(words: Words) -> None:
    demo = words.add(
        "demo",
        "play the main story against the running stack, and print each call and its answer",
        "The academy's people write a course, take it, pass, teach it, and are refused what is not theirs.\n"
        "What they make stays: `reset` begins anew. Exits with 1 where an answer is not the expected one.",
        data=True,
    )
    demo.add_argument("--whole", action="store_true", help="print answers whole, however long they are")
    words.add(
        "reference",
        "write the generated parts of docs/ and of the edge from the running stack's catalog",
        "docs/errors.md, docs/schema.md, the diagram of domains, and the database's errors in the edge's OpenAPI.",
        data=True,
    )
    new = words.add(
        "new",
        "write the files of a new table as stubs that fail until every decision is made",
        "A migration, its policies, a test, and a line in each reviewed list of the domain. docs/extending.md goes on.",
    )
    kinds = new.add_subparsers(dest="kind", metavar="KIND", required=True)
    table = kinds.add_parser("table", help="a table of the API", description="Write the files of a table.")
    table.add_argument("name", metavar="NAME", help="plural, lower case, without a schema")
    table.add_argument("--domain", required=True, help="the domain that owns it")
    words.add("policies", "compile policies/ into the last migration")
    routes = words.add("routes", "list every endpoint: whether it is served, by which call, and its test")
    routes.add_argument("--json", action="store_true", help="for programs")
    words.add(
        "test",
        "run the tests: all of them, or some",
        "./guildhall test                         all\n"
        "./guildhall test --durations             all, and print where the time went\n"
        "./guildhall test tests/stack -k keys     some; everything but --durations and --stop goes to pytest\n"
        "./guildhall test tests/security --update write the reviewed lists, for review with git diff\n"
        "./guildhall test --stop                  stop the stack that a run of some tests leaves running",
    )
    words.add("check", "check the code without running it: style, types, SQL, drift")
    bench = words.add("bench", "measure the ratios that the design promises")
    parts = bench.add_mutually_exclusive_group()
    parts.add_argument(
        "--learning",
        action="store_true",
        help="instead: requests of students and teachers to ten million rows; half an hour and 8 GB of disk",
    )
    parts.add_argument(
        "--hostile",
        action="store_true",
        help="instead: the waiting times of a reader while twenty hostile clients attack; two minutes",
    )
    parts.add_argument(
        "--commerce",
        action="store_true",
        help="instead: requests of sellers and buyers to a million ledger entries, webhooks and checkouts; ten minutes",
    )
    parts.add_argument(
        "--plans",
        action="store_true",
        help="instead: the requests of both with random_page_cost 4 and 1.1, and their plan counts; ten minutes",
    )
