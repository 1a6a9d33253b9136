"""`./guildhall demo`: the story plays on a running stack, again and again, and ends where something is wrong."""

from pathlib import Path

import httpx
import pytest

from stack.demo import Stage
from stack.demo.stage import Actor
from stack.errors import StackError
from tests.conftest import Stack, guildhall
from tests.people import Academy


def test_the_story_plays_twice_and_tells_no_secret(
    academy: Academy,  # noqa: ARG001  the stack must be up
    stack_data: Path,
) -> None:
    for _ in range(2):
        told = guildhall("demo", "--data", str(stack_data))
        assert told.returncode == 0, told.stdout[-3000:] + told.stderr
        assert "each was answered as it should be" in told.stdout
        assert "guildhall-demo" not in told.stdout
        assert "eyJ" not in told.stdout


def test_it_needs_a_running_stack(tmp_path: Path) -> None:
    told = guildhall("demo", "--data", str(tmp_path / "none"))
    assert (told.returncode, told.stdout) == (1, "")
    assert "./guildhall up" in told.stderr


def test_an_unexpected_answer_ends_it(stack: Stack) -> None:
    lines: list[str] = []
    with httpx.Client(base_url=stack.api_url) as http:
        stage = Stage(http, stack.publishable_key, lines.append)
        with pytest.raises(StackError, match="should have answered 200"):
            stage.call(Actor(name="A stranger"), "GET", "/rest/v1/no_such_table")
    assert any(line.strip().startswith("404 ") for line in lines)


def test_long_answers_are_shortened_unless_asked_for_whole(stack: Stack) -> None:
    shown: dict[bool, list[str]] = {False: [], True: []}
    with httpx.Client(base_url=stack.api_url) as http:
        for whole, lines in shown.items():
            Stage(http, stack.publishable_key, lines.append, whole=whole).call(
                Actor(name="A stranger"), "GET", "/rest/v1/courses"
            )
    assert shown[False][-1].endswith("...")
    assert len(shown[True]) > len(shown[False])
