"""The words `test` and `check`."""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from stack.errors import StackError
from stack.paths import ROOT
from stack.terminal import become_python, say
from stack.tools import policies, routes

ALL_TESTS = ("--numprocesses=4", "--dist=loadfile")
"""Four workers for two cores, because many tests wait."""
TESTS_FAILED = 1
"""The exit status of pytest for that."""
MOST_REPEATED = 5
"""So many failed tests run again. More are no accident."""
FAILED_TESTS = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
CHECKS: dict[str, list[list[str]]] = {
    "style": [["ruff", "check", ".", "guildhall"], ["ruff", "format", "--check", ".", "guildhall"]],
    "types": [["mypy"]],
    "SQL": [["stack.tools.sql_lint"]],
}
"""The programs that `check` runs, by the name of the step."""


def test(args: argparse.Namespace) -> int:
    """Run tests: all of them in several workers, and then check docs/routes.md; or those that the arguments name.

    A run of some tests leaves its stack running for the next one, except with `CI` in the environment. After a run of
    all tests, a few that failed run again, alone and on a new stack: workers share the machine and one stack, so that
    a test can fail for what another did at that moment. The run names those that pass then.
    """
    arguments = ["--time-report" if argument == "--durations" else argument for argument in args.pytest]
    if arguments == ["--stop"]:
        return become_python("tests.run_stack")
    if set(arguments) - {"--time-report"}:
        if "CI" not in os.environ:
            os.environ["GUILDHALL_TEST_KEPT"] = "1"
        return become_python("pytest", *arguments)
    status = _pytest(*ALL_TESTS, *arguments)
    if status == TESTS_FAILED:
        status = _repeat_failed()
    if status:
        return status
    if not routes.is_current():
        raise StackError("docs/routes.md is not what this run found: ./guildhall routes writes it anew")
    return 0


def _pytest(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


def _repeat_failed() -> int:
    """Run the few tests that failed again; the exit status of that run."""
    failed = json.loads(FAILED_TESTS.read_text())
    if len(failed) > MOST_REPEATED:
        return TESTS_FAILED
    say(f"These failed beside others and run again alone: {', '.join(failed)}")
    status = _pytest("--last-failed", "--last-failed-no-failures=none")
    if not status:
        say(f"Unsteady, passed when run alone: {', '.join(failed)}")
    return status


def check(_args: argparse.Namespace) -> int:
    """Run every check, all at the same time, and print what the failing ones printed."""
    sealed = policies.is_sealed()
    say(
        "ok       policies are compiled"
        if sealed
        else "problem  policies/ was edited: ./guildhall policies compiles it"
    )
    with ThreadPoolExecutor(len(CHECKS)) as threads:
        outcomes = list(threads.map(_run_step, CHECKS))
    return 0 if sealed and all(outcomes) else 1


def _run_step(name: str) -> bool:
    """Run the programs of one step and print the outcome; whether all passed."""
    started = time.monotonic()
    done = [
        subprocess.run(
            [sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        for command in CHECKS[name]
    ]
    passed = all(each.returncode == 0 for each in done)
    printed = b"".join(each.stdout for each in done if each.returncode != 0).decode(errors="replace")
    say(f"{'ok     ' if passed else 'problem'}  {name} ({time.monotonic() - started:.0f} s)\n{printed}".rstrip())
    return passed
