"""Paths, their parts, and the gateway's own pages."""

import http.client
import json
import os
import subprocess
import sys

import pytest

from stack.ports import LOOPBACK
from tests.stack.gateway.support import WAIT_SECONDS, Gateway, Upstream


@pytest.mark.parametrize(
    ("path", "part", "target"),
    [
        ("/rest/v1/courses?select=*", "rest", "/courses?select=*"),
        ("/rest/v1/rpc/submit_quiz", "rest", "/rpc/submit_quiz"),
        ("/auth/v1/token?grant_type=password", "auth", "/token?grant_type=password"),
        ("/storage/v1/object/avatars/a.png", "storage", "/object/avatars/a.png"),
        ("/functions/v1/certificates/7/pdf", "edge", "/certificates/7/pdf"),
        ("/functions/v1", "edge", "/"),
    ],
)
def test_each_path_reaches_its_part_without_its_prefix(gateway: Gateway, path: str, part: str, target: str) -> None:
    echo = gateway.http.get(path, headers=gateway.publishable).json()
    assert (echo["part"], echo["target"]) == (part, target)


@pytest.mark.parametrize(
    "path",
    ["/rest/v2/x", "/rest/v1x", "/REST/v1/x", "/rest%2Fv1/x", "/storage", "//rest/v1/x", "/realtime/v1/websocket"],
)
def test_other_paths_are_not_found(gateway: Gateway, path: str) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, gateway.port, timeout=WAIT_SECONDS)
    connection.request("GET", path, headers=gateway.publishable)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["code"]) == (404, "not_found")
    connection.close()


TARGETS = [
    "/courses?select=id,title,author:profiles!inner(name)&id=in.(1,2,%22a%2Cb%22)&order=title.desc.nullslast",
    '/courses?title=ilike.*%C3%BC*&data->>k=eq.%26%3D&or=(a.eq.1,and(b.gt.2,c.is.null))&q="x y"'.replace(" ", "+"),
    "/object/avatars/a%2Fb%20c/%E2%9C%93%25.png?token=a.b-c_d%3D%3D",
    "/object/public/../../etc/passwd",
    "/object/a/./b//c",
    "/x;y=1/z?a=1&&b=&=c&a=2?&d=%0d%0aEvil:%201",
    "/courses?select={}|^`\\[]<>~!*'();:@$,/",
    "/%00%ff%FF",
]


@pytest.mark.parametrize("target", TARGETS)
def test_targets_pass_byte_for_byte(gateway: Gateway, target: str) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, gateway.port, timeout=WAIT_SECONDS)
    connection.putrequest("GET", "/rest/v1" + target)
    connection.putheader("apikey", gateway.keys.publishable)
    connection.endheaders()
    assert json.loads(connection.getresponse().read())["target"] == target
    connection.close()


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/m%65trics//", "%2Fmetrics", "/metrics?x"]
)
def test_metrics_are_not_exposed(gateway: Gateway, upstream: Upstream, path: str) -> None:
    before = upstream.requests["echo"]
    for key in (gateway.keys.publishable, gateway.keys.secret):
        connection = http.client.HTTPConnection(LOOPBACK, gateway.port, timeout=WAIT_SECONDS)
        connection.request("GET", f"/functions/v1{path}", headers={"apikey": key})
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["code"]) == (404, "not_found")
        connection.close()
    assert upstream.requests["echo"] == before
    assert gateway.http.get("/functions/v1/metrics/x").json()["target"] == "/metrics/x"
    assert gateway.http.get("/storage/v1/metrics").json()["part"] == "storage"


@pytest.mark.parametrize("target", ["/rest/v1/#/x", "/rest/v1/x?a=1#b", "/storage/v1/object/é"])
def test_invalid_targets_are_refused(gateway: Gateway, target: str) -> None:
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\napikey: {gateway.keys.publishable}\r\n\r\n"
    assert gateway.raw(head.encode())[9:12] == b"400"


def test_long_filters_pass(gateway: Gateway) -> None:
    target = "/courses?id=in.(" + ",".join(["00000000-0000-0000-0000-000000000000"] * 800) + ")"
    assert gateway.http.get("/rest/v1" + target, headers=gateway.publishable).json()["target"] == target


def test_the_index_and_health(gateway: Gateway) -> None:
    assert gateway.http.get("/").json()["paths"] == {
        "rest": "/rest/v1",
        "auth": "/auth/v1",
        "storage": "/storage/v1",
        "edge": "/functions/v1",
    }
    health = gateway.http.get("/health")
    assert (health.status_code, health.json()["parts"]["rest"]) == (200, "ok")


def test_logs_are_json_and_contain_no_key(gateway: Gateway) -> None:
    secret = gateway.keys.secret
    for head in (
        f"GET /rest/v1/x?apikey={secret} HTTP/1.1\r\nHost: x\r\napikey\x00: {secret}\r\n\r\n",
        f"GET /rest/v1/{secret} HTTP/9.9\r\napikey: {secret}\r\n\r\n",
    ):
        gateway.raw(head.encode())
    gateway.http.get(f"/storage/v1/test/drop?apikey={secret}", headers={"Authorization": f"Bearer {secret}"})
    lines = gateway.log.read_text().splitlines()
    events = [json.loads(line)["message"] for line in lines]
    assert "upstream_broken" in events
    assert "failed" not in events
    assert not [line for line in lines if "sb_secret" in line or "eyJ" in line]


def test_a_missing_setting_is_reported_in_one_line() -> None:
    command = [sys.executable, "-m", "stack.gateway"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == os.EX_CONFIG
    assert "GATEWAY_PORT" in result.stderr
    assert len(result.stderr.splitlines()) == 1
