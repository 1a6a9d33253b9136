"""`./guildhall`: starting, stopping and mending a stack, and what it says when it cannot."""

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stack import cli, database, install, parts, ports, project
from stack.errors import StackError
from stack.keys import Keys
from stack.parts import Part, duration, size
from stack.ports import Ports, free_block
from stack.project import ROOT
from stack.state import Folder
from stack.supervisor import Supervisor, _Kept
from tests.conftest import Stack
from tests.stack.own_stack import STUDENT, OwnStack, command, gone, guildhall, own_stack, wait_until

FACTS = {
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
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next `up` ends what a kill -9 left")


# What needs no stack


@pytest.mark.parametrize(
    ("words", "status"),
    [(["--help"], 0), (["up", "--help"], 0), ([], 2), (["fly"], 2), (["up", "--port", "80"], 2), (["token"], 2)],
)
def test_help_and_mistakes_need_no_installation(words: list[str], status: int) -> None:
    # -S: not one installed package can be seen.
    ran = subprocess.run(
        [sys.executable, "-S", ROOT / "guildhall", *words], capture_output=True, text=True, check=False, timeout=20
    )
    assert ran.returncode == status
    assert "usage: guildhall" in (ran.stdout if status == 0 else ran.stderr)
    assert "Traceback" not in ran.stderr


def test_everything_after_test_is_pytests() -> None:
    assert cli.parse(["test", "-k", "keys", "--lf"]).pytest == ["-k", "keys", "--lf"]


def test_a_relative_data_folder_starts_where_the_person_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cli.CALLED_FROM, str(tmp_path))
    assert cli.parse(["status", "--data", "mine"]).data == tmp_path / "mine"


def test_reserved_ports_are_lent_to_no_connection_and_free_for_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    block = free_block()
    with block.reserved(told.append):
        with socket.create_server(("127.0.0.1", block.api)) as server:  # sets SO_REUSEADDR, as our servers do
            assert server.getsockname()[1] == block.api
        if sys.platform == "linux":
            with socket.socket() as connection, pytest.raises(OSError, match="in use"):
                connection.bind(("127.0.0.1", block.api))
    assert told == []
    monkeypatch.setattr(ports, "LENT_FOR", 0)
    with socket.socket() as connection:
        connection.bind(("127.0.0.1", block.edge))  # as a connection that has ended leaves it for a minute
        with pytest.raises(StackError, match=rf"port {block.edge} \(edge\)"), block.reserved(told.append):
            pytest.fail("the port was not free")


def make_file(data: Path) -> None:
    data.write_text("")


def make_foreign(data: Path) -> None:
    data.mkdir()
    (data / "thesis.txt").write_text("Introduction")


def damage_state(data: Path) -> None:
    Folder(data).open(port=54321)
    (data / "stack.json").write_text('{"port": 543')


def damage_keys(data: Path) -> None:
    Folder(data).open(port=54321)
    (data / "keys.json").write_text("{}")


@pytest.mark.parametrize("damage", [make_file, make_foreign, damage_state, damage_keys])
def test_a_broken_data_folder_is_one_line_and_left_alone(damage: Callable[[Path], None], tmp_path: Path) -> None:
    data = tmp_path / "data"
    damage(data)
    before = sorted(tmp_path.rglob("*"))
    refused = guildhall("up", "--data", data)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert re.fullmatch(rf"guildhall: {re.escape(str(data))}.*\n", refused.stderr)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_cluster_of_another_major_version_is_refused(tmp_path: Path) -> None:
    Folder(tmp_path).open(port=free_block().base)
    cluster = tmp_path / "postgres"
    cluster.mkdir()
    (cluster / "guildhall.json").write_text("{}")
    (cluster / "PG_VERSION").write_text("16\n")
    refused = guildhall("up", "--data", tmp_path)
    assert refused.returncode == 1
    assert re.fullmatch(r"guildhall: .*Postgres 16.*\n", refused.stderr)


def test_a_busy_port_is_one_line_that_names_it_and_a_free_block(tmp_path: Path) -> None:
    block = free_block()
    with socket.create_server(("127.0.0.1", block.mail)):
        refused = guildhall("up", "--detach", "--data", tmp_path / "data", "--port", str(block.base))
    assert refused.returncode == 1
    said = re.fullmatch(r"guildhall: port (\d+) \(mailbox\).*--port (\d+)\n", refused.stderr)
    assert said is not None
    assert int(said[1]) == block.mail
    assert not Ports(base=int(said[2])).busy()
    assert not (tmp_path / "data" / "stack.json").exists(), "the busy ports would be taken again without --port"


def test_nothing_runs(tmp_path: Path) -> None:
    status = guildhall("status", "--json", "--data", tmp_path / "none")
    assert (status.returncode, json.loads(status.stdout)) == (1, {"running": False})
    assert guildhall("down", "--data", tmp_path / "none").returncode == 0
    for word in ("reset", "rotate-keys"):
        assert guildhall(word, "--data", tmp_path / "none").returncode == 1
    assert not (tmp_path / "none").exists()


def test_sizes_and_durations_are_read_as_the_supabase_cli_reads_them() -> None:
    assert (size("50MiB"), size("1KB"), size(7)) == (50 * 2**20, 1000, 7)
    assert (duration("1m30s"), duration("250ms")) == (90, 0.25)
    for wrong in ("1 day", "", "s"):
        with pytest.raises(StackError):
            duration(wrong)
    with pytest.raises(StackError):
        size("50 apples")


# Installing


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A checkout of its own for the installer, with something installed at the level `run`."""
    for name in ("pyproject.toml", "constraints.txt", "package.json", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(install, "ROOT", tmp_path)
    for name in ("VENV", "PYTHON", "PYTHON_STAMP", "CONSTRAINTS", "NODE_MODULES", "NODE_STAMP"):
        place: Path = getattr(install, name)
        monkeypatch.setattr(install, name, tmp_path / place.relative_to(ROOT))
    install.PYTHON.parent.mkdir(parents=True)
    install.PYTHON.symlink_to(sys.executable)
    install.NODE_MODULES.mkdir()
    return tmp_path


def test_nothing_is_installed_twice_and_tests_need_more(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def install_python(level: install.Level) -> None:
        done.append(("python", level))
        install._write_stamp(install.PYTHON_STAMP, install._python_stamp(level))

    def install_node(level: install.Level) -> None:
        done.append(("node", level))
        node = {"node": str(install.PYTHON.parent)}
        install._write_stamp(install.NODE_STAMP, {**install._node_stamp(level), **node})

    monkeypatch.setattr(install, "_install_python", install_python)
    monkeypatch.setattr(install, "_install_node", install_node)
    (install.PYTHON.parent / "node").touch()
    install.install("run")
    assert install.install("run") == str(install.PYTHON.parent)
    assert done == [("python", "run"), ("node", "run")]
    install.install("test")
    install.install("run")
    assert done[2:] == [("python", "test"), ("node", "test")]
    (checkout / "constraints.txt").write_text("")
    install.install("run")
    assert done[4:] == [("python", "test")], "test tools that are there are kept up to date too"


def test_a_killed_installation_is_known_and_a_failed_one_is_not_taken_for_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), install._interruptible(tmp_path):
        raise KeyboardInterrupt
    assert install._was_interrupted(tmp_path)
    with pytest.raises(StackError), install._interruptible(tmp_path):
        raise StackError("offline")
    assert not install._was_interrupted(tmp_path)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("WARNING: Retrying after NewConnectionError('...')\nERROR: No matching distribution found", "online"),
        ("npm error code ENOTFOUND\nnpm error network request failed", "online"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk"),
        ("Collecting x\nERROR: ResolutionImpossible: x and y\n", "ResolutionImpossible: x and y"),
    ],
)
def test_a_failed_installation_is_one_line_that_names_the_log(said: str, word: str, tmp_path: Path) -> None:
    log = tmp_path / "install.log"
    log.write_text(said)
    line = install._why("Python packages", log)
    assert word in line
    assert str(log) in line
    assert "\n" not in line


def test_constraints_pin_every_package_that_is_installed() -> None:
    pinned = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, _, version = line.partition("==")
            pinned[canonicalize_name(name)] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["test"])]
    seen = set()
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        installed = metadata.distribution(wanted.name)
        assert pinned.get(canonicalize_name(wanted.name)) == installed.version, wanted.name
        extras = wanted.extras or {""}
        waiting += [
            needed
            for needed in map(Requirement, installed.requires or [])
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    assert len(seen) > 50


def test_stripe_is_doubled_only_without_keys_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    state = folder.open(port=free_block().base)
    assert folder.open(port=state.port) == state, "the double's keys are kept"

    def told() -> dict[str, dict[str, str]]:
        made = parts.parts(folder, state, folder.keys(), project.supabase_config())
        names = ("EDGE_STRIPE_", "JOBS_STRIPE_")
        return {
            part.name: {name: value for name, value in part.environment.items() if name.startswith(names)}
            for part in made
            if part.name in ("edge", "worker", "stripe")
        }

    for name in parts.REAL_STRIPE:
        monkeypatch.delenv(name, raising=False)
    key, url = state.double_keys["stripe_api_key"], f"http://127.0.0.1:{state.ports.stripe}"
    secret = state.double_keys["stripe_webhook_secret"]
    assert (key[:8], secret[:6]) == ("sk_test_", "whsec_")
    doubled = told()
    assert doubled.pop("stripe") == {}
    assert doubled == {
        "edge": {"EDGE_STRIPE_API_KEY": key, "EDGE_STRIPE_API_URL": url, "EDGE_STRIPE_WEBHOOK_SECRET": secret},
        "worker": {"JOBS_STRIPE_API_KEY": key, "JOBS_STRIPE_API_URL": url},
    }
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_real")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_real")
    assert told() == {
        "edge": {"EDGE_STRIPE_API_KEY": "sk_test_real", "EDGE_STRIPE_WEBHOOK_SECRET": "whsec_real"},
        "worker": {"JOBS_STRIPE_API_KEY": "sk_test_real"},
    }


# The stack that the run shares


def test_status_says_what_programs_need(stack: Stack, stack_data: Path) -> None:
    facts = json.loads(guildhall("status", "--json", "--data", stack_data).stdout)
    assert facts.keys() == FACTS | {"running"}
    for address, key in ((f"{stack.api_url}/rest/v1/courses?limit=1", stack.publishable_key), (stack.jwks_url, "")):
        assert httpx.get(address, headers={"apikey": key}).status_code == 200
    for address in (stack.mail_url, stack.edge_url, stack.stripe_url):
        assert httpx.get(f"{address}/health").status_code == 200


def test_up_again_says_that_it_runs(stack: Stack, stack_data: Path) -> None:
    again = guildhall("up", "--data", stack_data)
    assert again.returncode == 0
    assert stack.api_url in again.stdout
    elsewhere = guildhall("up", "--data", stack_data, "--port", str(free_block().base))
    assert (elsewhere.returncode, elsewhere.stderr.count("\n")) == (1, 1)


def test_doctor_finds_nothing_wrong(stack: Stack, stack_data: Path) -> None:
    found = guildhall("doctor", "--data", stack_data)
    assert found.returncode == 0, found.stdout
    for part in ("postgres", "postgrest", "auth", "storage", "gateway", "mailbox", "edge", "worker", "stripe"):
        assert re.search(rf"^ok +{part} answers", found.stdout, re.MULTILINE)
    assert stack.secret_key not in found.stdout


def test_doctor_finds_what_is_wrong(tmp_path: Path) -> None:
    state = Folder(tmp_path / "data").open(port=free_block().base)
    (tmp_path / "data" / "stack.json").chmod(0o644)
    with socket.create_server(("127.0.0.1", state.ports.edge)):
        found = guildhall("doctor", "--data", tmp_path / "data")
    assert found.returncode == 1
    problems = [line for line in found.stdout.splitlines() if line.startswith("problem")]
    assert [str(state.ports.edge) in line for line in problems].count(True) == 1
    assert ["chmod 600" in line for line in problems].count(True) == 1


def test_a_token_is_of_a_session_that_auth_knows(stack: Stack, stack_data: Path) -> None:
    token = guildhall("token", "teacher@example.com", "--data", stack_data).stdout.strip()
    headers = {"apikey": stack.publishable_key, "authorization": f"Bearer {token}"}
    user = httpx.get(f"{stack.api_url}/auth/v1/user", headers=headers)
    assert (user.status_code, user.json()["email"]) == (200, "teacher@example.com")
    own = httpx.get(f"{stack.api_url}/rest/v1/profiles?id=eq.{user.json()['id']}", headers=headers)
    assert (own.status_code, len(own.json())) == (200, 1)
    stranger = guildhall("token", "stranger@example.com", "--data", stack_data)
    assert (stranger.returncode, stranger.stdout) == (1, "")
    admin = {"apikey": stack.secret_key}
    found = httpx.get(f"{stack.api_url}/auth/v1/admin/users?filter=stranger@example.com", headers=admin)
    assert found.json()["users"] == [], "asking for a token made the user"


def test_a_second_supervisor_of_the_same_data_is_refused(stack: Stack, stack_data: Path) -> None:
    assert stack
    second = subprocess.run(
        [sys.executable, "-m", "stack.supervisor", "--data", stack_data, "--report", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (second.returncode, json.loads(second.stdout)["kind"]) == (1, "error")


# A stack of one's own


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    """A stack whose first start was killed in the middle, and which runs."""
    with own_stack() as stack:
        with subprocess.Popen(
            command("up", "--data", stack.data, "--port", str(stack.ports.base)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as first:
            assert first.stdout is not None
            for line in first.stdout:
                if "migrations" in line:
                    break
            left = stack.family()
            first.kill()
        if sys.platform == "linux":
            gone(left)
        yield stack


@pytest.fixture
def running(own: OwnStack) -> OwnStack:
    """The same, running."""
    if own("status").returncode != 0:
        own.up()
    return own


def bio(stack: OwnStack, text: str | None = None) -> str:
    """The demo student's bio, after a change where one is given."""
    with stack.database() as connection:
        if text is not None:
            connection.execute("update public.profiles set bio = %s where id = %s", [text, STUDENT])
        row = connection.execute("select bio from public.profiles where id = %s", [STUDENT]).fetchone()
    assert row is not None
    found: str = row[0]
    return found


def left_over(stack: OwnStack) -> Path:
    """A file in storage."""
    file = stack.data / "storage" / "objects" / "00" / f"{uuid.uuid4()}.{uuid.uuid4()}"
    file.write_bytes(b"bytes")
    return file


def upload(stack: OwnStack) -> int:
    """The status of an upload of an avatar by the demo student."""
    with stack.http(stack.token()) as http:
        path = f"/storage/v1/object/avatars/{STUDENT}/{uuid.uuid4()}.png"
        return http.post(path, content=PNG, headers={"content-type": "image/png"}).status_code


def test_an_interrupted_first_start_is_done_again(running: OwnStack) -> None:
    assert bio(running)
    with running.database() as connection:
        assert connection.execute("select from pg_database where datname = 'guildhall_new'").fetchone() is None


def test_secrets_are_closed_to_others(running: OwnStack) -> None:
    for name in ("stack.json", "keys.json", "processes.json", "postgrest.conf"):
        assert (running.data / name).stat().st_mode & 0o077 == 0, name
    for name in ("logs", "storage", "mailbox", "doubles/stripe", "postgres"):
        assert (running.data / name).stat().st_mode & 0o077 == 0, name


def test_a_rotation_refuses_no_token_and_a_revocation_all_older_ones(running: OwnStack) -> None:
    older = running.token()
    before = Keys.load(running.data / "keys.json")
    assert running("rotate-keys").returncode == 0
    assert Keys.load(running.data / "keys.json").current.kid != before.current.kid
    newer = running.token()
    for token in (older, newer):
        with running.http(token) as http:
            assert http.get("/rest/v1/profiles?limit=1").status_code == 200
            assert http.get("/auth/v1/user").status_code == 200
    assert running("rotate-keys", "--revoke").returncode == 0
    for token in (older, newer):
        with running.http(token) as http:
            assert http.get("/rest/v1/profiles?limit=1").status_code == 401
            assert http.get("/auth/v1/user").status_code == 403
    with running.http(running.token()) as http:
        assert http.get("/rest/v1/profiles?limit=1").status_code == 200
    with running.http() as http:
        assert http.get("/rest/v1/courses?limit=1").status_code == 200, "the publishable key outlives its token"


def test_a_reset_of_a_running_stack_begins_anew_and_keeps_the_keys(running: OwnStack) -> None:
    before = running.status()
    bio(running, "gone after the reset")
    stored = left_over(running)
    with running.http() as http:
        http.post("/auth/v1/recover", json={"email": "student@example.com"}).raise_for_status()
        mail = f"{before['MAIL_URL']}/api/messages"
        wait_until(lambda: http.get(mail).json())
        assert running("reset").returncode == 0
        assert bio(running) != "gone after the reset"
        assert http.get(mail).json() == []
        assert http.get("/rest/v1/courses?limit=1").status_code == 200
    assert not stored.exists()
    assert running.status() == before
    assert upload(running) == 200


def test_a_reset_that_fails_changes_nothing(running: OwnStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for file in project.MIGRATIONS.glob("*.sql"):
        shutil.copy(file, tmp_path)
    (tmp_path / "20981231235959_wrong_file.sql").write_text("select 1;\n\nselect from nowhere;\n")
    monkeypatch.setattr(database, "MIGRATIONS", tmp_path)
    bio(running, "still here")
    with pytest.raises(StackError, match=r"20981231235959_wrong_file\.sql, line 3"):
        database.make(Folder(running.data).state(), lambda _: None)
    assert bio(running) == "still here"


@linux_only
def test_down_and_ctrl_c_leave_no_process_and_lose_nothing(running: OwnStack, stack: Stack) -> None:
    bio(running, "kept")
    family = running.family()
    assert running("down").returncode == 0
    gone(family, seconds=0.1)
    assert not running.ports.busy()
    assert running("status").returncode == 1

    with subprocess.Popen(
        command("up", "--data", running.data), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as foreground:
        assert foreground.stdout is not None
        started = time.monotonic()
        while "Ctrl-C" not in (line := foreground.stdout.readline()):
            assert line, "it ended before it was ready"
        assert time.monotonic() - started < 15, "a warm start takes under 5 s on two idle cores"
        assert running.status()["API_URL"] == f"http://127.0.0.1:{running.ports.base}", "the ports are remembered"
        assert bio(running) == "kept"
        assert httpx.get(f"{stack.mail_url}/health").status_code == 200, "two stacks run side by side"
        family = running.family()
        assert len(family) > 7
        foreground.send_signal(signal.SIGINT)
        assert foreground.wait(timeout=20) == 0
    gone(family, seconds=0.1)
    assert not running.ports.busy()


def test_a_reset_of_a_stopped_stack_begins_anew(own: OwnStack) -> None:
    if own("status").returncode == 0:
        bio(own, "gone after the reset")
        assert own("down").returncode == 0
    stored = left_over(own)
    assert own("reset").returncode == 0
    assert not own.ports.busy()
    assert not stored.exists()
    own.up()
    assert bio(own) not in {"kept", "gone after the reset"}
    assert upload(own) == 200


def test_a_part_that_will_not_stay_up_stops_the_stack_with_one_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    told: list[str] = []
    state = folder.open(port=free_block().base)
    program = ("/bin/sh", "-c", "echo 'FATAL: no such luck' >&2; echo 'HINT: none'; exit 3")

    async def run() -> None:
        supervisor = Supervisor(folder, state, tell=told.append)

        async def work() -> None:
            supervisor._keep(_Kept(part=Part(name="luck", command=program, environment={}, wave=1), quick_deaths=2))
            await asyncio.sleep(30)

        await supervisor._supervise(work())

    with pytest.raises(StackError, match=rf"^luck does not stay up: FATAL: no such luck; .*{folder.log('luck')}$"):
        asyncio.run(run())
    assert told == ["luck ended (exit status 3) and is started again"] * 2
    assert folder.run() is None
