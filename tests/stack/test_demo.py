"""`./guildhall demo` plays repeatedly on a running stack, and ends at an unexpected answer."""

from pathlib import Path

import httpx
import pytest

from stack.errors import StackError
from stack.tools.demo import DemoClient
from stack.tools.demo.client import Caller
from tests.conftest import Stack
from tests.people import Academy
from tests.run_stack import guildhall


def test_the_demo_runs_twice_and_prints_no_secret(
    academy: Academy,  # noqa: ARG001  starts the stack
    stack_data: Path,
) -> None:
    for _ in range(2):
        printed = guildhall("demo", "--data", stack_data)
        assert printed.returncode == 0, printed.stdout[-3000:] + printed.stderr
        assert "each was answered as it should be" in printed.stdout
        assert "guildhall-demo" not in printed.stdout
        assert "eyJ" not in printed.stdout


def test_the_demo_needs_a_running_stack(tmp_path: Path) -> None:
    printed = guildhall("demo", "--data", tmp_path / "none")
    assert (printed.returncode, printed.stdout) == (1, "")
    assert "./guildhall up" in printed.stderr


def test_an_unexpected_answer_ends_the_demo(stack: Stack) -> None:
    lines: list[str] = []
    with httpx.Client(base_url=stack.api_url) as http:
        client = DemoClient(http, stack.publishable_key, lines.append)
        with pytest.raises(StackError, match="should have answered 200"):
            client.call(Caller(name="A visitor"), "GET", "/rest/v1/no_such_table")
    assert any(line.strip().startswith("404 ") for line in lines)


def test_long_answers_are_shortened_by_default(stack: Stack) -> None:
    shown: dict[bool, list[str]] = {False: [], True: []}
    with httpx.Client(base_url=stack.api_url) as http:
        for whole, lines in shown.items():
            DemoClient(http, stack.publishable_key, lines.append, whole=whole).call(
                Caller(name="A visitor"), "GET", "/rest/v1/courses"
            )
    assert shown[False][-1].endswith("...")
    assert len(shown[True]) > len(shown[False])
