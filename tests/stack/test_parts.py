"""Ports, settings and processes of parts, without a running stack."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stack import ports
from stack.config import duration, size
from stack.errors import StackError
from stack.parts import Part, parts
from stack.paths import ROOT
from stack.ports import free_block, reserve
from stack.state import Folder
from stack.supervisor import Supervisor
from stack.tools.project import GUILDHALL


def test_reserved_ports_are_free_for_servers_and_not_for_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    block = free_block()
    uses = GUILDHALL.port_uses(block.base)
    with reserve(uses, lines.append):
        with socket.create_server(("127.0.0.1", block.api)) as server:  # sets SO_REUSEADDR, as the parts do
            assert server.getsockname()[1] == block.api
        if sys.platform == "linux":
            with socket.socket() as connection, pytest.raises(OSError, match="in use"):
                connection.bind(("127.0.0.1", block.api))
    assert lines == []
    monkeypatch.setattr(ports, "ASSIGNED_SECONDS", 0)
    edge = GUILDHALL.port(block.base, "edge")
    with socket.socket() as connection:
        connection.bind(("127.0.0.1", edge))  # as for a minute after a connection has ended
        with pytest.raises(StackError, match=rf"port {edge} \(edge\)"), reserve(uses, lines.append):
            pytest.fail("the port was not free")


def test_a_block_that_one_process_chose_is_taken_for_others() -> None:
    program = f"from stack.ports import is_free_block; print(is_free_block({free_block().base}))"
    asked = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert asked.stdout == "False\n"


def test_sizes_and_durations_have_the_formats_of_the_supabase_cli() -> None:
    assert (size("50MiB"), size("1KB"), size(7)) == (50 * 2**20, 1000, 7)
    assert (duration("1m30s"), duration("250ms")) == (90, 0.25)
    for wrong in ("1 day", "", "s"):
        with pytest.raises(StackError):
            duration(wrong)
    with pytest.raises(StackError):
        size("50 apples")


def test_a_double_runs_only_without_keys_of_the_provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    state = folder.open(GUILDHALL, port=free_block().base)
    assert folder.open(GUILDHALL, port=state.port) == state, "opening again keeps the keys"

    def environments() -> dict[str, dict[str, str]]:
        prefixes = ("EDGE_STRIPE_", "WORKER_STRIPE_")
        return {
            part.name: {name: value for name, value in part.environment.items() if name.startswith(prefixes)}
            for part in parts(GUILDHALL, folder, state, folder.keys())
            if part.name in ("edge", "worker", "stripe")
        }

    [stripe] = GUILDHALL.doubles
    for name in stripe.real_variables():
        monkeypatch.delenv(name, raising=False)
    key, url = state.double_keys["stripe_api_key"], f"http://127.0.0.1:{GUILDHALL.port(state.port, 'stripe')}"
    secret = state.double_keys["stripe_webhook_secret"]
    assert (key[:8], secret[:6]) == ("sk_test_", "whsec_")
    doubled = environments()
    assert doubled.pop("stripe") == {}
    assert doubled == {
        "edge": {
            "EDGE_STRIPE_API_KEY": key,
            "EDGE_STRIPE_API_URL": url,
            "EDGE_STRIPE_WEBHOOK_SECRET": secret,
            "EDGE_STRIPE_COUNTRY": "US",
        },
        "worker": {"WORKER_STRIPE_API_KEY": key, "WORKER_STRIPE_API_URL": url},
    }
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_real")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_real")
    monkeypatch.setenv("STRIPE_COUNTRY", "DE")
    assert environments() == {
        "edge": {
            "EDGE_STRIPE_API_KEY": "sk_test_real",
            "EDGE_STRIPE_WEBHOOK_SECRET": "whsec_real",
            "EDGE_STRIPE_COUNTRY": "DE",
        },
        "worker": {"WORKER_STRIPE_API_KEY": "sk_test_real"},
    }


def test_addresses_that_status_sets_in_a_shell_reach_no_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The edge refuses variables that begin like its settings and are none, such as EDGE_URL."""
    folder = Folder(tmp_path)
    state = folder.open(GUILDHALL, port=free_block().base)
    for name in ("EDGE_URL", "STRIPE_URL", "UNRELATED"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for part in parts(GUILDHALL, folder, state, folder.keys()):
        if part.name in ("edge", "worker", "stripe"):
            assert part.environment.keys() & {"EDGE_URL", "STRIPE_URL", "UNRELATED"} == {"UNRELATED"}, part.name


def test_a_part_with_wrong_settings_stops_the_stack_at_once(tmp_path: Path) -> None:
    """Seen: `up` started it again for 11 seconds before it said why."""
    folder = Folder(tmp_path)
    lines: list[str] = []
    state = folder.open(GUILDHALL, port=free_block().base)
    program = (sys.executable, "-m", "edge.worker")

    async def run() -> None:
        supervisor = Supervisor(GUILDHALL, folder, state, report=lines.append)

        async def start() -> None:
            supervisor.keep(Part(name="worker", command=program, environment={"WORKER_PROT": "1"}, wave=1))
            await asyncio.sleep(60)

        await supervisor.supervise(start())

    expected = r"^worker cannot start: worker: WORKER_PROT is unknown \(is it WORKER_PORT\?\); WORKER_PORT is not set; "
    with pytest.raises(StackError, match=expected):
        asyncio.run(run())
    assert lines == []


def test_a_part_that_ends_repeatedly_stops_the_stack_with_one_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    lines: list[str] = []
    state = folder.open(GUILDHALL, port=free_block().base)
    program = ("/bin/sh", "-c", "echo 'FATAL: no such file' >&2; echo 'HINT: none'; exit 3")

    async def run() -> None:
        supervisor = Supervisor(GUILDHALL, folder, state, report=lines.append)

        async def start() -> None:
            supervisor.keep(Part(name="broken", command=program, environment={}, wave=1), quick_deaths=2)
            await asyncio.sleep(30)

        await supervisor.supervise(start())

    with pytest.raises(StackError, match=rf"^broken does not stay up: FATAL: no such file; .*{folder.log('broken')}$"):
        asyncio.run(run())
    assert lines == ["broken ended (exit status 3) and is started again"] * 2
    assert folder.run() is None


def test_waiting_for_a_port_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: the same line every two seconds, for a minute."""
    base, lines, bound = free_block().base, list[str](), iter([False, False, False, True])
    bind = ports._bind
    monkeypatch.setattr(ports, "_bind", lambda port: bind(port) if next(bound) else None)
    monkeypatch.setattr(ports, "_is_listening", lambda _port: False)
    monkeypatch.setattr("stack.ports.time.sleep", lambda _seconds: None)
    with reserve({base: "API"}, lines.append):
        pass
    assert [line.partition(",")[0] for line in lines] == [f"waiting for port {base}"]
