"""The words of `./guildhall`, and their messages about errors."""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from stack import __main__ as stack_main
from stack import cli
from stack.commands import WORDS
from stack.paths import ROOT
from stack.ports import free_block, is_free_block
from stack.state import Folder
from stack.tools.cli import parse
from stack.tools.project import GUILDHALL
from tests.conftest import Stack
from tests.run_stack import guildhall

STATUS_FIELDS = {
    "API_URL",
    "DB_URL",
    "PUBLISHABLE_KEY",
    "SECRET_KEY",
    "ANON_KEY",
    "SERVICE_ROLE_KEY",
    "JWKS_URL",
    "MAIL_URL",
    "EDGE_URL",
    "STRIPE_URL",
}


@pytest.mark.parametrize(
    ("words", "status"),
    [(["--help"], 0), (["up", "--help"], 0), ([], 2), (["fly"], 2), (["up", "--port", "80"], 2), (["token"], 2)],
)
def test_help_and_usage_errors_need_no_installed_package(words: list[str], status: int) -> None:
    # -S hides the installed packages.
    ran = subprocess.run(
        [sys.executable, "-S", ROOT / "guildhall", *words], capture_output=True, text=True, check=False, timeout=20
    )
    assert ran.returncode == status
    assert "usage: guildhall" in (ran.stdout if status == 0 else ran.stderr)
    assert "Traceback" not in ran.stderr


def test_arguments_of_the_word_test_are_passed_to_pytest() -> None:
    assert parse(["test", "-k", "keys", "--lf"]).pytest == ["-k", "keys", "--lf"]


def test_a_relative_data_folder_is_in_the_callers_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cli.CALLED_FROM, str(tmp_path))
    assert parse(["status", "--data", "mine"]).data == tmp_path / "mine"


def write_file_instead(data: Path) -> None:
    data.write_text("")


def write_other_files(data: Path) -> None:
    data.mkdir()
    (data / "thesis.txt").write_text("Introduction")


def damage_state(data: Path) -> None:
    Folder(data).open(GUILDHALL, port=54321)
    (data / "stack.json").write_text('{"port": 543')


def damage_keys(data: Path) -> None:
    Folder(data).open(GUILDHALL, port=54321)
    (data / "keys.json").write_text("{}")


def test_the_time_of_a_start_includes_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that installs passes on when it began, to the next command only."""
    seen: list[tuple[float, bool]] = []

    def up(_project: object, args: argparse.Namespace) -> int:
        seen.append((args.started_at, cli.STARTED_AT in os.environ))
        return 0

    monkeypatch.setitem(WORDS, "up", up)
    monkeypatch.setattr(sys, "argv", ["stack", "up"])
    monkeypatch.setenv(cli.STARTED_AT, "12.5")
    assert stack_main.main() == 0
    assert seen == [(12.5, False)]


@pytest.mark.parametrize("damage", [write_file_instead, write_other_files, damage_state, damage_keys])
def test_a_damaged_data_folder_is_reported_in_one_line_and_not_changed(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    damage(data)
    before = sorted(tmp_path.rglob("*"))
    refused = guildhall("up", "--data", data)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert re.fullmatch(rf"guildhall: {re.escape(str(data))}.*\n", refused.stderr)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_cluster_of_another_major_version_is_refused(tmp_path: Path) -> None:
    Folder(tmp_path).open(GUILDHALL, port=free_block().base)
    cluster = tmp_path / "postgres"
    cluster.mkdir()
    (cluster / "guildhall.json").write_text("{}")
    (cluster / "PG_VERSION").write_text("16\n")
    refused = guildhall("up", "--data", tmp_path)
    assert refused.returncode == 1
    assert re.fullmatch(r"guildhall: .*Postgres 16.*\n", refused.stderr)


def test_a_busy_port_is_reported_with_a_free_block(tmp_path: Path) -> None:
    block = free_block()
    with socket.create_server(("127.0.0.1", block.mail)):
        refused = guildhall("up", "--detach", "--data", tmp_path / "data", "--port", str(block.base))
    assert refused.returncode == 1
    message = re.fullmatch(r"guildhall: port (\d+) \(mailbox\).*--port (\d+)\n", refused.stderr)
    assert message is not None
    assert int(message[1]) == block.mail
    assert is_free_block(int(message[2]))
    assert not (tmp_path / "data" / "stack.json").exists(), (
        "without --port, the next `up` would try the busy ports again"
    )


def test_words_report_that_no_stack_runs(tmp_path: Path) -> None:
    status = guildhall("status", "--json", "--data", tmp_path / "none")
    assert (status.returncode, json.loads(status.stdout)) == (1, {"running": False})
    assert guildhall("down", "--data", tmp_path / "none").returncode == 0
    for word in ("reset", "rotate-keys"):
        assert guildhall(word, "--data", tmp_path / "none").returncode == 1
    assert not (tmp_path / "none").exists()


# The shared stack


def test_status_prints_what_programs_need(stack: Stack, stack_data: Path) -> None:
    status = json.loads(guildhall("status", "--json", "--data", stack_data).stdout)
    assert status.keys() == STATUS_FIELDS | {"running"}
    for address, key in ((f"{stack.api_url}/rest/v1/courses?limit=1", stack.publishable_key), (stack.jwks_url, "")):
        assert httpx.get(address, headers={"apikey": key}).status_code == 200
    for address in (stack.mail_url, stack.edge_url, stack.stripe_url):
        assert httpx.get(f"{address}/health").status_code == 200


def test_a_second_up_reports_the_running_stack(stack: Stack, stack_data: Path) -> None:
    again = guildhall("up", "--data", stack_data)
    assert again.returncode == 0
    assert stack.api_url in again.stdout
    other_port = guildhall("up", "--data", stack_data, "--port", str(free_block().base))
    assert (other_port.returncode, other_port.stderr.count("\n")) == (1, 1)


def test_doctor_finds_no_problem_in_a_running_stack(stack: Stack, stack_data: Path) -> None:
    found = guildhall("doctor", "--data", stack_data)
    assert found.returncode == 0, found.stdout
    for part in ("postgres", "postgrest", "auth", "storage", "gateway", "mailbox", "edge", "worker", "stripe"):
        assert re.search(rf"^ok +{part} answers", found.stdout, re.MULTILINE)
    assert stack.secret_key not in found.stdout


def test_doctor_finds_a_busy_port_and_readable_secrets(tmp_path: Path) -> None:
    state = Folder(tmp_path / "data").open(GUILDHALL, port=free_block().base)
    (tmp_path / "data" / "stack.json").chmod(0o644)
    edge = GUILDHALL.port(state.port, "edge")
    with socket.create_server(("127.0.0.1", edge)):
        found = guildhall("doctor", "--data", tmp_path / "data")
    assert found.returncode == 1
    problems = [line for line in found.stdout.splitlines() if line.startswith("problem")]
    assert [str(edge) in line for line in problems].count(True) == 1
    assert ["chmod 600" in line for line in problems].count(True) == 1


def test_the_word_token_prints_an_access_token(stack: Stack, stack_data: Path) -> None:
    token = guildhall("token", "teacher@example.com", "--data", stack_data).stdout.strip()
    headers = {"apikey": stack.publishable_key, "authorization": f"Bearer {token}"}
    user = httpx.get(f"{stack.api_url}/auth/v1/user", headers=headers)
    assert (user.status_code, user.json()["email"]) == (200, "teacher@example.com")
    own = httpx.get(f"{stack.api_url}/rest/v1/profiles?id=eq.{user.json()['id']}", headers=headers)
    assert (own.status_code, len(own.json())) == (200, 1)
    unknown = guildhall("token", "unknown@example.com", "--data", stack_data)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    admin = {"apikey": stack.secret_key}
    found = httpx.get(f"{stack.api_url}/auth/v1/admin/users?filter=unknown@example.com", headers=admin)
    assert found.json()["users"] == [], "the word token creates no user"


def test_a_second_supervisor_of_the_same_data_is_refused(stack: Stack, stack_data: Path) -> None:
    assert stack
    second = subprocess.run(
        [sys.executable, "-m", "stack", "up", "--data", stack_data, "--report", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (second.returncode, json.loads(second.stdout)["kind"]) == (1, "error")
