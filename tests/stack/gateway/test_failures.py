"""Parts and clients that fail, restarts and rotated keys."""

import asyncio
import http.client
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from stack.ports import LOOPBACK, free_block
from tests.stack.gateway.support import (
    KILLABLE,
    PARTS,
    WAIT_SECONDS,
    Gateway,
    Upstream,
    assert_refused,
    wait_until_open,
)


def test_a_disconnected_client_cancels_its_call(gateway: Gateway, upstream: Upstream) -> None:
    for method, length in (("GET", 0), ("POST", 1000)):
        upstream.started.clear()
        upstream.cancelled.clear()
        with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
            head = f"{method} /functions/v1/test/hang HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
            connection.sendall(head.encode() + bytes(length // 2))
            assert upstream.started.wait(WAIT_SECONDS)
            assert not upstream.cancelled.is_set()
        assert upstream.cancelled.wait(WAIT_SECONDS)


@pytest.mark.parametrize("query", ["", "?length"])
def test_a_truncated_answer_is_an_error_for_the_client(gateway: Gateway, query: str) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, gateway.port, timeout=WAIT_SECONDS)
    connection.request("GET", f"/storage/v1/test/truncated{query}")
    answer = connection.getresponse()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    connection.close()


def test_only_reads_are_repeated(gateway: Gateway, upstream: Upstream) -> None:
    for method, times in (("GET", 2), ("HEAD", 2), ("POST", 1), ("PUT", 1), ("PATCH", 1), ("DELETE", 1)):
        before = upstream.requests[method]
        answer = gateway.http.request(method, "/storage/v1/test/drop")
        assert answer.status_code == 502
        if method != "HEAD":
            assert_refused(answer, 502, "upstream_broken")
        assert (method, upstream.requests[method] - before) == (method, times)


def test_calls_run_concurrently(gateway: Gateway) -> None:
    async def calls() -> list[int]:
        limits = httpx.Limits(max_connections=None)
        url = f"http://{LOOPBACK}:{gateway.port}"
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=WAIT_SECONDS) as client:
            path = "/functions/v1/test/wait?seconds=0.5"
            return [answer.status_code for answer in await asyncio.gather(*(client.get(path) for _ in range(200)))]

    start = time.monotonic()
    assert asyncio.run(calls()) == [200] * 200
    assert time.monotonic() - start < 50  # consecutive calls would take 100 s


def test_a_killed_part_is_used_again_after_its_restart(tmp_path: Path) -> None:
    port = free_block().rest

    def start_part() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", KILLABLE, str(port)])
        wait_until_open(port)
        return process

    gateway = Gateway(tmp_path, dict.fromkeys(PARTS, f"http://{LOOPBACK}:{port}"))
    url = "/rest/v1/x"
    try:
        assert_refused(gateway.http.get(url, headers=gateway.publishable), 503, "upstream_unavailable")
        health = gateway.http.get("/health")
        assert (health.status_code, health.json()["code"]) == (503, "upstream_unavailable")
        for method in ("GET", "POST", "POST", "GET"):
            process = start_part()
            try:
                for _ in range(3):
                    answer = gateway.http.request(method, url, headers=gateway.publishable)
                    assert answer.text == str(process.pid)
                assert gateway.http.get("/health").json()["status"] == "ok"
            finally:
                process.kill()
                process.wait()
        assert_refused(gateway.http.post(url, headers=gateway.publishable), 503, "upstream_unavailable")
    finally:
        assert gateway.stop() == 0


def test_rotation_needs_no_restart_and_sigterm_lets_calls_end(upstream: Upstream, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {part: upstream.url(part) for part in upstream.ports.values()})
    first = gateway.keys
    try:
        assert gateway.http.get("/rest/v1/x", headers={"apikey": first.anon}).status_code == 200
        second = first.rotated()
        second.save(gateway.keys_file)
        for key in (first.anon, second.anon, first.publishable):
            assert gateway.http.get("/rest/v1/x", headers={"apikey": key}).status_code == 200
        second.revoked().save(gateway.keys_file)
        assert_refused(gateway.http.get("/rest/v1/x", headers={"apikey": first.anon}), 401, "invalid_api_key")
        assert gateway.http.get("/rest/v1/x", headers={"apikey": second.anon}).status_code == 200

        replaced = msgspec.structs.replace(second, secret="sb_secret_new")
        replaced.save(gateway.keys_file)
        assert_refused(gateway.http.get("/rest/v1/x", headers={"apikey": first.secret}), 401, "invalid_api_key")

        gateway.keys_file.unlink()
        assert_refused(gateway.http.get("/rest/v1/x", headers=gateway.publishable), 503, "keys_unreadable")
        replaced.save(gateway.keys_file)

        upstream.started.clear()
        with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
            connection.sendall(b"GET /functions/v1/test/wait?seconds=0.4 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert upstream.started.wait(WAIT_SECONDS)
            gateway.process.send_signal(signal.SIGTERM)
            assert connection.recv(1000).endswith(b"done")
        assert gateway.process.wait(WAIT_SECONDS) == 0
    finally:
        assert gateway.stop() == 0
