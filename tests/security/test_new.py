"""`./guildhall new table` writes stubs that are valid, and that fail with what is left to decide."""

import argparse
import ast
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from stack.errors import StackError
from stack.paths import ROOT
from stack.tools import commands
from stack.tools.new import LISTS, new_table, undecided

COPIED = ("supabase/migrations", "policies", *LISTS, "tests/learning")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that a new table belongs to."""
    for folder in COPIED:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def test_nothing_is_left_to_decide() -> None:
    left = undecided(ROOT)
    assert not left, "decide what these lines leave open, and remove the word:\n" + "\n".join(left)


def test_a_table_is_five_files_that_leave_their_decisions_open(project: Path) -> None:
    written = new_table(project, "study_plans", "learning")
    assert [str(path.parent) for path in written] == [
        "supabase/migrations", "policies/learning", "tests/learning", *LISTS,
    ]  # fmt: skip
    left = undecided(project)
    assert {line.partition(":")[0] for line in left} == {str(path) for path in written}
    last = max(file.name for file in (ROOT / "supabase" / "migrations").glob("*_learning_*.sql"))
    assert (
        last
        < written[0].name
        < min(file.name for file in (ROOT / "supabase" / "migrations").glob("*.sql") if file.name > last)
    )


def test_the_stubs_are_valid(project: Path, scratch: psycopg.Connection) -> None:
    migration, policy, test, *_ = new_table(project, "study_plans", "learning")
    scratch.execute((project / migration).read_bytes())
    scratch.execute((project / policy).read_bytes())
    row = scratch.execute(
        "select relrowsecurity from pg_catalog.pg_class where oid = 'public.study_plans'::regclass"
    ).fetchone()
    assert row == (True,)
    for arguments in (["check"], ["format", "--check"]):
        # As the file that it will be: pyproject.toml has other rules for tests.
        ruff: list[str | Path] = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", ROOT / test, "-"]
        done = subprocess.run(ruff, input=(project / test).read_bytes(), stdout=subprocess.PIPE, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stdout.decode()
    sqlfluff: list[str | Path] = [
        sys.executable,
        "-m",
        "sqlfluff",
        "lint",
        "--config",
        ROOT / "pyproject.toml",
        project / migration,
        project / policy,
    ]
    done = subprocess.run(sqlfluff, stdout=subprocess.PIPE, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout.decode()


def test_the_test_stub_fails(project: Path) -> None:
    test = project / new_table(project, "study_plans", "learning")[2]
    stubs = [node for node in ast.parse(test.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert len(stubs) == 2
    assert all(ast.unparse(stub.body[-1]).startswith("pytest.fail('DECIDE ") for stub in stubs)


@pytest.mark.parametrize(
    ("name", "domain", "reason"),
    [
        ("study_plans", "astrology", "the domains are foundation"),
        ("Study-Plans", "learning", "no name of a table"),
        ("quizzes", "learning", "already"),
    ],
)
def test_wrong_names_are_refused(project: Path, name: str, domain: str, reason: str) -> None:
    with pytest.raises(StackError, match=reason):
        new_table(project, name, domain)


def test_the_next_commands_are_printed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "ROOT", project)
    assert commands.write_stubs(argparse.Namespace(name="study_plans", domain="learning")) == 0
    printed = capsys.readouterr().out
    steps = ("policies", "reset", "reference", "test tests/learning/test_study_plans.py")
    places = [printed.index(f"./guildhall {step}") for step in steps]
    assert places == sorted(places)
