"""`./guildhall check` and `test`: what they lint and run, here and in CI."""

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stack.tools import checks, routes, sql_lint

CLEAN = "select 1;\n"
DIRTY = "SELECT 1;\n"


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A checkout with two clean SQL files and one that is ignored."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sql_lint, "ROOT", tmp_path)
    monkeypatch.setattr(sql_lint, "PASSED", tmp_path / "cache" / "sql-lint.json")
    (tmp_path / "pyproject.toml").write_text((Path(__file__).parents[2] / "pyproject.toml").read_text())
    (tmp_path / ".sqlfluffignore").write_text("# not ours\nsupabase/ignored.sql\n")
    (tmp_path / "supabase").mkdir()
    for name, text in (("one", CLEAN), ("two", CLEAN), ("ignored", DIRTY)):
        (tmp_path / "supabase" / f"{name}.sql").write_text(text)
    return tmp_path


@pytest.fixture
def linted(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were linted, by a lint that finds capitals only."""
    names: list[str] = []

    def lint(changed: list[Path]) -> dict[str, list[dict[str, Any]]]:
        names.extend(file.name for file in changed)
        found = {"start_line_no": 1, "start_line_pos": 1, "code": "CP01", "description": "Capitals."}
        return {str(file.relative_to(checkout)): [found] for file in changed if file.read_text() == DIRTY}

    monkeypatch.setattr(sql_lint, "lint", lint)
    return names


def test_violations_are_found(checkout: Path) -> None:
    one, two = checkout / "supabase" / "one.sql", checkout / "supabase" / "two.sql"
    two.write_text(DIRTY)
    assert {file: [each["code"] for each in found] for file, found in sql_lint.lint([one, two]).items()} == {
        "supabase/two.sql": ["CP01"]
    }


def test_only_changed_files_are_linted(checkout: Path, linted: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert sql_lint.main() == 0
    assert linted == ["one.sql", "two.sql"]
    linted.clear()
    assert sql_lint.main() == 0
    assert linted == []
    (checkout / "supabase" / "two.sql").write_text(DIRTY)
    for _ in range(2):  # a file that failed is linted again
        linted.clear()
        assert sql_lint.main() == 1
        assert linted == ["two.sql"]
        assert "supabase/two.sql:1:1 CP01" in capsys.readouterr().out
    (checkout / "supabase" / "two.sql").write_text(CLEAN)
    linted.clear()
    assert sql_lint.main() == 0
    assert linted == ["two.sql"]


def test_all_files_are_linted_in_ci_and_after_a_change_of_the_rules(
    checkout: Path, linted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sql_lint.main() == 0
    linted.clear()
    configuration = checkout / "pyproject.toml"
    configuration.write_text(configuration.read_text().replace("max_line_length = 120", "max_line_length = 119"))
    assert sql_lint.main() == 0
    assert linted == ["one.sql", "two.sql"]
    linted.clear()
    monkeypatch.setenv("CI", "true")
    assert sql_lint.main() == 0
    assert linted == ["one.sql", "two.sql"]


@pytest.fixture
def statuses() -> list[int]:
    """The exit statuses of the next programs; the others succeed."""
    return []


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, statuses: list[int]) -> list[list[str]]:
    """The programs that `test` started instead of running them, each as its module and arguments."""
    commands: list[list[str]] = []

    def become(module: str, *arguments: str) -> int:
        commands.append([module, *arguments])
        return 0

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command[2:])
        return subprocess.CompletedProcess(command, statuses.pop(0) if statuses else 0)

    monkeypatch.setattr(checks, "become_python", become)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(routes, "is_current", lambda: True)
    monkeypatch.setattr(os, "environ", {"PATH": os.defpath})
    return commands


@pytest.mark.parametrize(
    ("arguments", "command", "is_kept"),
    [
        ([], ["pytest", *checks.ALL_TESTS], False),
        (["--durations"], ["pytest", *checks.ALL_TESTS, "--time-report"], False),
        (["tests/live"], ["pytest", "tests/live"], True),
        (["tests/live", "--durations", "-x"], ["pytest", "tests/live", "--time-report", "-x"], True),
        (["--stop"], ["tests.run_stack"], False),
    ],
)
def test_some_tests_keep_their_stack_and_all_have_their_own(
    started: list[list[str]], arguments: list[str], command: list[str], *, is_kept: bool
) -> None:
    assert checks.test(argparse.Namespace(pytest=arguments)) == 0
    assert started == [command]
    assert ("GUILDHALL_TEST_KEPT" in os.environ) == is_kept


def test_no_stack_is_kept_in_ci(started: list[list[str]]) -> None:
    os.environ["CI"] = "true"
    assert checks.test(argparse.Namespace(pytest=["tests/live"])) == 0
    assert started == [["pytest", "tests/live"]]
    assert "GUILDHALL_TEST_KEPT" not in os.environ


REPEATED = ["pytest", "--last-failed", "--last-failed-no-failures=none"]


@pytest.mark.parametrize(
    ("failed", "exits", "repeats", "outcome"),
    [(1, [1, 0], True, 0), (5, [1, 1], True, 1), (6, [1], False, 1), (1, [2], False, 2)],
    ids=["passes alone", "fails alone too", "too many failed", "interrupted"],
)
def test_a_few_failed_tests_run_again_alone(
    started: list[list[str]],
    statuses: list[int],
    failed: int,
    exits: list[int],
    outcome: int,
    *,
    repeats: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    failures = tmp_path / "lastfailed"
    failures.write_text(json.dumps({f"tests/test_it.py::test_{number}": True for number in range(failed)}))
    monkeypatch.setattr(checks, "FAILED_TESTS", failures)
    statuses.extend(exits)
    assert checks.test(argparse.Namespace(pytest=[])) == outcome
    assert started == [["pytest", *checks.ALL_TESTS], *([REPEATED] if repeats else [])]
