"""Headers and answers that pass, and those that do not."""

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from common.settings import SettingsError
from stack.gateway.settings import Settings
from stack.ports import LOOPBACK
from tests.stack.gateway.support import PARTS, Gateway, Upstream, answer_of, assert_refused, headers_of


def test_address_headers_of_clients_are_not_passed_on(gateway: Gateway) -> None:
    forged = "6.6.6.6"
    names = [
        *("X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "X-Forwarded-Host", "X-Forwarded-Proto"),
        *("X-Forwarded-Port", "X-Forwarded-Prefix", "Forwarded", "X-Real-IP", "X_Real_IP"),
        *("CF-Connecting-IP", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Fly-Client-IP"),
    ]
    sent = [*gateway.publishable.items(), *((name, forged) for name in names)]
    echo = gateway.http.get("/rest/v1/x", headers=sent)
    assert forged not in echo.text
    got = headers_of(echo)
    assert got["x-forwarded-for"] == LOOPBACK
    assert got["x-forwarded-host"] == f"{LOOPBACK}:{gateway.port}"
    assert (got["x-forwarded-proto"], got["x-forwarded-port"]) == ("http", str(gateway.port))


@pytest.fixture(scope="module")
def proxied(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway behind two reverse proxies: one on this machine, one in 10.0.0.0/8 or fd00::/8."""
    urls = {part: upstream.url(part) for part in upstream.ports.values()}
    proxies = f"{LOOPBACK}, 10.0.0.0/8,fd00::/8"
    running = Gateway(tmp_path_factory.mktemp("proxied"), urls, GATEWAY_TRUSTED_PROXIES=proxies)
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ([], LOOPBACK),
        (["198.51.100.7"], "198.51.100.7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        (["6.6.6.6", "198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        (["6.6.6.6, 198.51.100.7,fd00::1 , 10.1.2.3"], "198.51.100.7"),
        (["10.9.9.9, 10.1.2.3"], "10.9.9.9"),
        (["6.6.6.6, unknown"], LOOPBACK),
        (["6.6.6.6, , 10.1.2.3"], "10.1.2.3"),
        (["6.6.6.6, 198.51.100.7:1234"], LOOPBACK),
    ],
)
def test_the_address_from_trusted_proxies_is_used(proxied: Gateway, forwarded: list[str], expected: str) -> None:
    sent = [*proxied.publishable.items(), *(("X-Forwarded-For", hops) for hops in forwarded)]
    got = proxied.http.get("/rest/v1/x", headers=[*sent, ("CF-Connecting-IP", "6.6.6.6")])
    assert [value for name, value in got.json()["headers"] if name == "x-forwarded-for"] == [expected]
    assert "6.6.6.6" not in got.text


def test_a_server_can_name_its_clients_address(gateway: Gateway) -> None:
    header = {"Sb-Forwarded-For": "198.51.100.7"}
    for key, expected in ((gateway.secret, "198.51.100.7"), (gateway.publishable, LOOPBACK)):
        echo = gateway.http.get("/auth/v1/x", headers=key | header)
        assert headers_of(echo)["x-forwarded-for"] == expected
        assert "sb-forwarded-for" not in headers_of(echo)
    invalid = gateway.http.get("/auth/v1/x", headers=gateway.secret | {"Sb-Forwarded-For": "not-an-address"})
    assert headers_of(invalid)["x-forwarded-for"] == LOOPBACK


def test_an_invalid_network_of_proxies_is_named(tmp_path: Path) -> None:
    environment = {"GATEWAY_PORT": "1", "GATEWAY_KEYS_FILE": str(tmp_path), "GATEWAY_TRUSTED_PROXIES": "10.0.0.1/8"}
    urls = {f"GATEWAY_{part.upper()}_URL": "http://127.0.0.1:1" for part in PARTS}
    with pytest.raises(SettingsError, match="GATEWAY_TRUSTED_PROXIES"):
        Settings.from_mapping(environment | urls)


def test_hop_by_hop_headers_are_removed(gateway: Gateway) -> None:
    sent = {
        **gateway.publishable,
        "Connection": "keep-alive, X-Private, X-Forwarded-For",
        "Keep-Alive": "timeout=5",
        "X-Private": "1",
        "X-Kept": "1",
        "TE": "trailers",
        "Proxy-Authorization": "Basic x",
        "Proxy-Connection": "keep-alive",
        "Upgrade": "h2c",
    }
    got = headers_of(gateway.http.get("/rest/v1/x", headers=sent))
    assert got["x-kept"] == "1"
    assert got["x-forwarded-for"] == LOOPBACK
    removed = {"keep-alive", "x-private", "te", "proxy-authorization", "proxy-connection", "upgrade", "connection"}
    assert not removed & set(got)


def test_request_headers_pass_unchanged(gateway: Gateway) -> None:
    sent = [
        *gateway.publishable.items(),
        ("Prefer", "return=representation"),
        ("Prefer", "count=exact"),
        ("Range", "0-24"),
        ("Range-Unit", "items"),
        ("If-None-Match", '"a", W/"b"'),
        ("Accept-Profile", "public"),
        ("Accept", "application/vnd.pgrst.object+json"),
        ("User-Agent", "browser/1"),
        ("Cookie", "a=1; b=2"),
        ("X-Client-Info", "supabase-js/2"),
    ]
    got = gateway.http.get("/rest/v1/x", headers=sent).json()["headers"]
    for name, value in sent[1:]:
        assert [name.lower(), value] in got
    assert [value for name, value in got if name == "prefer"] == ["return=representation", "count=exact"]
    plain = gateway.raw(f"GET /storage/v1/x HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode())
    names = {name for name, _ in json.loads(plain.split(b"\r\n\r\n", 1)[1])["headers"]}
    forwarded = {f"x-forwarded-{name}" for name in ("for", "host", "port", "proto")}
    assert names == {"host", "x-request-id"} | forwarded  # no other header is added


def test_answers_pass_unchanged(gateway: Gateway) -> None:
    body = base64.b64encode(b"[1,2]").decode()
    headers = [
        ["Content-Type", "application/json; charset=utf-8"],
        ["Content-Range", "0-1/573"],
        ["Preference-Applied", "count=exact"],
        ["Set-Cookie", "a=1; Path=/"],
        ["Set-Cookie", "b=2; Path=/"],
        ["x-sb-error-code", "weak_password"],
        ["Vary", "Accept"],
    ]
    got = answer_of(gateway, {"status": 206, "headers": headers, "body": body})
    assert (got.status_code, got.content) == (206, b"[1,2]")
    for name, value in headers:
        assert value in got.headers.get_list(name)

    headers_sent = answer_of(
        gateway, {"headers": [["Server", "postgrest/12.0.2"], ["X-Powered-By", "a version"]]}
    ).headers
    assert (headers_sent["server"], "x-powered-by" in headers_sent) == ("guildhall", False)

    # The gateway keeps no cookies.
    assert "cookie" not in headers_of(httpx.get(gateway.http.base_url.join("/functions/v1/x")))

    assert answer_of(gateway, {"status": 201, "headers": [["Location", "/courses?id=eq.1"]]}).content == b""
    redirect = answer_of(gateway, {"status": 303, "headers": [["Location", "https://site.example/#access_token=x"]]})
    assert (redirect.status_code, redirect.headers["location"]) == (303, "https://site.example/#access_token=x")
    kept = answer_of(gateway, {"status": 304, "headers": [["ETag", '"abc"']]})
    assert (kept.status_code, kept.headers["etag"], kept.content) == (304, '"abc"', b"")
    empty = answer_of(gateway, {"status": 204})
    assert (empty.status_code, "content-length" in empty.headers) == (204, False)
    head = answer_of(gateway, {"headers": [["Content-Range", "*/9"]], "body": body}, "HEAD")
    assert (head.headers["content-length"], head.headers["content-range"], head.content) == ("5", "*/9", b"")
    for status in (400, 404, 409, 500, 503):
        assert answer_of(gateway, {"status": status}).status_code == status


def test_encoded_bodies_pass_unchanged(gateway: Gateway) -> None:
    packed = gzip.compress(b"text" * 1000)
    answer = {"headers": [["Content-Encoding", "gzip"]], "body": base64.b64encode(packed).decode()}
    target = f"/rest/v1/test/answer?as={quote(json.dumps(answer))}"
    with gateway.http.stream("GET", target, headers=gateway.publishable) as got:
        assert got.headers["content-encoding"] == "gzip"
        assert b"".join(got.iter_raw()) == packed
    echo = gateway.http.post("/rest/v1/x", headers={**gateway.publishable, "Content-Encoding": "gzip"}, content=packed)
    assert base64.b64decode(echo.json()["body"]) == packed


def test_request_ids_are_passed_on_or_created(gateway: Gateway) -> None:
    kept = gateway.http.get("/rest/v1/x", headers={**gateway.publishable, "X-Request-Id": "job-7_a.b"})
    assert kept.headers["x-request-id"] == headers_of(kept)["x-request-id"] == "job-7_a.b"
    seen = set()
    for bad in ("", "a b", "x" * 129, "é", '{"a":1}', "a\tb"):
        made = gateway.http.get("/storage/v1/x", headers=[(b"X-Request-Id", bad.encode())])
        assert made.headers["x-request-id"] == headers_of(made)["x-request-id"] != bad
        seen.add(made.headers["x-request-id"])
    assert len(seen) == 6
    assert answer_of(gateway, {"headers": [["X-Request-Id", "of-the-part"]]}).headers.get_list("x-request-id") != [
        "of-the-part"
    ]
    own = gateway.http.get("/nowhere").headers
    assert own["x-request-id"]
    assert own["server"] == "guildhall"


def test_smuggled_requests_are_refused(gateway: Gateway, upstream: Upstream) -> None:
    before = upstream.requests["echo"]
    for lines in (
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: +4",
        "Content-Length: 4, 5",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding:\x0bchunked",
        "X-A: 1\r\n X-Folded: 2\r\nContent-Length: 0\r\nContent-Length: 9",
        "X-A: 1\nX-B: 2",
        "X-A: a\rapikey: b",
        "apikey : x",
        "X-A: \x00",
    ):
        head = f"POST /storage/v1/x HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n"
        answer = gateway.raw(head.encode() + b"0\r\n\r\nGET /storage/v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (lines, answer[9:12]) == (lines, b"400")
        assert b"Traceback" not in answer
    assert upstream.requests["echo"] == before


def test_control_characters_and_unknown_methods(gateway: Gateway) -> None:
    for lines, status in (("X-A: a\x7fb", b"400"), ("X-A: \xe9", b"200")):
        head = f"GET /storage/v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n\r\n"
        assert gateway.raw(head.encode("latin-1"))[9:12] == status
    for method in ("TRACE", "PROPFIND"):
        answer = gateway.http.request(method, "/storage/v1/x")
        assert_refused(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    for line in ("OPTIONS * HTTP/1.1", "CONNECT a:1 HTTP/1.1", "GET http://a/storage/v1/x HTTP/1.1"):
        raw = gateway.raw(f"{line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert raw[9:12] in {b"400", b"404", b"405"}
