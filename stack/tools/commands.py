"""The words of `./guildhall` that are Guildhall's own."""

import argparse
from collections.abc import Callable

import httpx
import psycopg

from stack.commands.addresses import addresses
from stack.commands.waiting import running
from stack.errors import StackError
from stack.paths import ROOT
from stack.state import Folder
from stack.terminal import become_python, say
from stack.tools import demo, new, policies, reference, routes
from stack.tools.checks import check, test
from stack.tools.project import GUILDHALL


def play_demo(args: argparse.Namespace) -> int:
    """Play the story of the demo academy against a running stack."""
    folder = Folder(args.data)
    running(folder)
    found = addresses(GUILDHALL, folder)
    with httpx.Client(base_url=found["API_URL"], timeout=30) as http:
        try:
            demo.play(
                demo.DemoClient(http, found["PUBLISHABLE_KEY"], say, whole=args.whole), GUILDHALL.accounts_password
            )
        except httpx.HTTPError as error:
            raise StackError(f"the stack does not answer: {error}") from error
    return 0


def compile_policies(_args: argparse.Namespace) -> int:
    """Compile policies/ into the last migration."""
    policies.seal()
    say(f"Compiled policies/ into {policies.SEALED.relative_to(ROOT)}.")
    return 0


def write_stubs(args: argparse.Namespace) -> int:
    """Write the files of a new table, and print what they leave open."""
    written = new.new_table(ROOT, args.name, args.domain)
    say("\n".join(["Wrote", *(f"  {path}" for path in written), "", "Decide what these lines leave open:"]))
    say("\n".join(f"  {line}" for line in new.undecided(ROOT)))
    say(f"Then add rows of several people to tests/security/worlds/{args.domain}.py, and run:\n")
    say("\n".join(f"  {line}" for line in new.NEXT_STEPS.format(name=args.name, domain=args.domain).splitlines()))
    say("\ndocs/extending.md explains each. tests/security/test_new.py fails while a decision is open.")
    return 0


def write_reference(args: argparse.Namespace) -> int:
    """Write what is generated from the catalog of the running stack."""
    with psycopg.connect(Folder(args.data).state().database_url("postgres")) as connection:
        changed = reference.write(connection)
    for path in changed:
        say(f"Wrote {path.relative_to(ROOT)}.")
    if not changed:
        say("Everything generated is current.")
    return 0


def list_routes(args: argparse.Namespace) -> int:
    """List the endpoints and what serves them."""
    return routes.main(json=args.json)


def run_benchmarks(args: argparse.Namespace) -> int:
    """Measure."""
    if args.plans:
        become_python("bench.plans")
    if args.hostile:
        become_python("bench.hostile")
    if args.commerce:
        become_python("bench.commerce")
    become_python("bench.learning" if args.learning else "bench")


WORDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "demo": play_demo,
    "new": write_stubs,
    "policies": compile_policies,
    "reference": write_reference,
    "routes": list_routes,
    "test": test,
    "check": check,
    "bench": run_benchmarks,
}
