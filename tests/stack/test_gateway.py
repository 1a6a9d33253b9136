"""The gateway over real sockets: a real gateway process between raw clients and an upstream that tells what it got."""

import asyncio
import base64
import contextlib
import gzip
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stack.errors import StackError
from stack.gateway.settings import Settings
from stack.keys import Keys
from stack.ports import LOOPBACK, free_block

MIB = 1024 * 1024
LARGE = 96 * MIB
PARTS = ("rest", "auth", "storage", "edge")
START_SECONDS = 10.0
WAIT_SECONDS = 5.0

# A part that can be killed: HTTP/1.1, keeps connections, says its process id.
KILLABLE = """
import http.server, os, sys
class Part(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer.allow_reuse_address = True
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Part).serve_forever()
"""


class Upstream:
    """One server on four ports that stands for all four parts."""

    def __init__(self) -> None:
        self.ports: dict[int, str] = {}
        self.requests: Counter[str] = Counter()
        self.written = 0
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self.go_on = threading.Event()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,))
        self._thread.start()
        assert ready.wait(WAIT_SECONDS)

    def url(self, part: str) -> str:
        """Where a part listens."""
        return next(f"http://{LOOPBACK}:{port}" for port, name in self.ports.items() if name == part)

    def stop(self) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()

    def _run(self, ready: threading.Event) -> None:
        self._loop.run_until_complete(self._serve(ready))
        self._loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=2 * LARGE)
        for name in ("answer", "drop", "torn", "hang", "wait", "flood", "swallow", "unread", "early", "events"):
            app.router.add_route("*", f"/test/{name}", getattr(self, name))
        app.router.add_route("*", "/{path:.*}", self.echo)
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            auto_decompress=False,
            max_line_size=64 * 1024,
            shutdown_timeout=0.1,
        )
        await runner.setup()
        for part in PARTS:
            site = web.TCPSite(runner, LOOPBACK, 0)
            await site.start()
            self.ports[site.port] = part
        ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def echo(self, request: web.Request) -> web.Response:
        """What arrived, byte for byte."""
        assert request.transport is not None
        body = await request.read()
        self.requests["echo"] += 1
        return web.json_response(
            {
                "part": self.ports[request.transport.get_extra_info("sockname")[1]],
                "method": request.method,
                "target": request.raw_path,
                "headers": [[name.lower(), value] for name, value in request.headers.items()],
                "body": base64.b64encode(body).decode(),
            }
        )

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the client wants: status, headers, body as JSON in the query's `as`."""
        wanted = json.loads(request.query["as"])
        response = web.Response(status=wanted.get("status", 200), body=base64.b64decode(wanted.get("body", "")))
        for name, value in wanted.get("headers", []):
            response.headers.add(name, value)
        return response

    async def drop(self, request: web.Request) -> web.Response:
        """Die without a word."""
        self.requests[request.method] += 1
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def torn(self, request: web.Request) -> web.StreamResponse:
        """Die in the middle of the answer."""
        response = web.StreamResponse()
        if "length" in request.query:
            response.content_length = 1000
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return response

    async def hang(self, _request: web.Request) -> web.Response:
        """Wait for the caller to leave."""
        self.started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return web.Response()

    async def wait(self, request: web.Request) -> web.Response:
        """Answer after some seconds."""
        self.started.set()
        await asyncio.sleep(float(request.query["seconds"]))
        return web.Response(text="done")

    async def flood(self, request: web.Request) -> web.StreamResponse:
        """Send a lot, counting."""
        response = web.StreamResponse(headers={"ETag": '"big"'})
        await response.prepare(request)
        self.written = 0
        piece = os.urandom(MIB)
        digest = hashlib.sha256()
        for _ in range(LARGE // MIB):
            await response.write(piece)
            digest.update(piece)
            self.written += MIB
        await response.write(digest.digest())
        return response

    async def swallow(self, request: web.Request) -> web.Response:
        """Read everything, keep nothing."""
        digest, size = hashlib.sha256(), 0
        async for piece in request.content.iter_any():
            digest.update(piece)
            size += len(piece)
        return web.json_response({"size": size, "sha256": digest.hexdigest()})

    async def unread(self, _request: web.Request) -> web.Response:
        """Read nothing until told."""
        self.started.set()
        await asyncio.to_thread(self.go_on.wait, WAIT_SECONDS)
        return web.Response(text="enough")

    async def early(self, _request: web.Request) -> web.Response:
        """Refuse an upload before it has arrived."""
        return web.json_response({"code": "too_large"}, status=413)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Two events, the second only when the client has seen the first."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        await asyncio.to_thread(self.go_on.wait, WAIT_SECONDS)
        await response.write(b"data: two\n\n")
        return response


class Gateway:
    """A gateway process of its own."""

    def __init__(self, folder: Path, urls: dict[str, str], **settings: str) -> None:
        self.keys = Keys.generate()
        self.keys_file = folder / "keys.json"
        self.keys.save(self.keys_file)
        self.log = folder / "log"
        self.port = free_block().api
        environment = {
            **os.environ,
            "GATEWAY_PORT": str(self.port),
            "GATEWAY_KEYS_FILE": str(self.keys_file),
            **{f"GATEWAY_{part.upper()}_URL": url for part, url in urls.items()},
            **settings,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "stack.gateway"], env=environment, stderr=log)
        wait_until_open(self.port)
        self.http = httpx.Client(base_url=f"http://{LOOPBACK}:{self.port}", timeout=WAIT_SECONDS)

    def stop(self) -> int:
        """End it by SIGTERM; its exit status."""
        self.http.close()
        self.process.terminate()
        return self.process.wait(WAIT_SECONDS)

    @property
    def publishable(self) -> dict[str, str]:
        """A frontend's headers."""
        return {"apikey": self.keys.publishable}

    @property
    def secret(self) -> dict[str, str]:
        """A server's headers."""
        return {"apikey": self.keys.secret}

    def raw(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes until the gateway closes or is silent."""
        with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
            connection.sendall(data)
            received = b""
            with contextlib.suppress(TimeoutError):
                while piece := connection.recv(65536):
                    received += piece
                    if b"\r\n\r\n" in received and b"Content-Length: 0" in received:
                        break
            return received

    def peak_memory(self) -> int:
        """The most bytes it ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


def wait_until_open(port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    urls = {part: upstream.url(part) for part in upstream.ports.values()}
    running = Gateway(tmp_path_factory.mktemp("gateway"), urls)
    yield running
    assert running.stop() == 0


def headers_of(echo: httpx.Response) -> dict[str, str]:
    return dict(echo.json()["headers"])


def claims_of(echo: httpx.Response) -> dict[str, Any]:
    scheme, token = headers_of(echo)["authorization"].split()
    assert scheme == "Bearer"
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert set(response.json()) == {"code", "message", "details", "hint"}
    assert response.headers["access-control-allow-origin"] == "*"


# Paths


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
def test_what_is_for_operators_is_not_there(gateway: Gateway, upstream: Upstream, path: str) -> None:
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
def test_targets_that_no_client_may_send_are_refused(gateway: Gateway, target: str) -> None:
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\napikey: {gateway.keys.publishable}\r\n\r\n"
    assert gateway.raw(head.encode())[9:12] == b"400"


def test_long_filters_pass(gateway: Gateway) -> None:
    target = "/courses?id=in.(" + ",".join(["00000000-0000-0000-0000-000000000000"] * 800) + ")"
    assert gateway.http.get("/rest/v1" + target, headers=gateway.publishable).json()["target"] == target


# Keys


def test_opaque_keys_become_the_token_of_their_role(gateway: Gateway) -> None:
    for key, role in ((gateway.keys.publishable, "anon"), (gateway.keys.secret, "service_role")):
        for path in ("/rest/v1/x", "/auth/v1/user", "/storage/v1/x", "/functions/v1/x"):
            for extra in ({}, {"Authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key}"}):
                echo = gateway.http.get(path, headers={"apikey": key, **extra})
                assert claims_of(echo)["role"] == role
                assert key not in echo.text
                assert "apikey" not in headers_of(echo)


def test_apikey_decides_over_a_key_in_authorization(gateway: Gateway) -> None:
    sent = {**gateway.publishable, "Authorization": f"Bearer {gateway.keys.secret}"}
    assert claims_of(gateway.http.get("/rest/v1/x", headers=sent))["role"] == "anon"


def test_a_persons_token_is_kept(gateway: Gateway) -> None:
    for value in ("Bearer eyJ.person.token", "bearer x", "Basic dTpw", "Bearer eyJsb_x"):
        echo = gateway.http.get("/rest/v1/x", headers={**gateway.secret, "Authorization": value})
        assert headers_of(echo)["authorization"] == value


def test_legacy_keys_pass(gateway: Gateway) -> None:
    for key, role in ((gateway.keys.anon, "anon"), (gateway.keys.service_role, "service_role")):
        for _ in range(2):  # the second is remembered
            assert claims_of(gateway.http.get("/rest/v1/x", headers={"apikey": key}))["role"] == role


def test_the_key_may_stand_in_the_query_and_goes_no_further(gateway: Gateway) -> None:
    for query in ("apikey=KEY&select=*&a=%2B", "select=*&apikey=KEY&a=%2B", "select=*&a=%2B&api%6Bey=KEY"):
        echo = gateway.http.get("/rest/v1/x?" + query.replace("KEY", gateway.keys.secret))
        assert echo.json()["target"] == "/x?select=*&a=%2B"
        assert claims_of(echo)["role"] == "service_role"
    echo = gateway.http.get(f"/functions/v1/x?apikey={gateway.keys.secret}")
    assert gateway.keys.secret not in echo.text


def lookalikes(keys: Keys) -> dict[str, str]:
    """Keys that nearly are keys."""
    key = keys.current
    claims = {"role": "service_role", "exp": int(time.time()) + 3600}
    stranger = ec.generate_private_key(ec.SECP256R1())
    public = key.private().public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    def signed_by_hand(header: object) -> str:
        text = f"{encoded(header)}.{encoded(claims)}"
        mac = hashlib.sha256(pem + text.encode()).digest()
        return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    return {
        "longer": keys.secret + "x",
        "shorter": keys.secret[:-1],
        "case": keys.secret.swapcase(),
        "prefix": "sb_secret_",
        "other prefix": keys.publishable.replace("publishable", "secret"),
        "unicode": keys.secret.replace("s", "\u0455", 1),
        "null": keys.secret + "%00",
        "word": "anon",
        "none": f"{encoded({'alg': 'none', 'kid': key.kid})}.{encoded(claims)}.",
        "hs256 of the public key": signed_by_hand({"alg": "HS256", "typ": "JWT", "kid": key.kid}),
        "stranger": jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": key.kid}),
        "unknown kid": jwt.encode(claims, key.private(), algorithm="ES256", headers={"kid": "0"}),
        "no kid": jwt.encode(claims, key.private(), algorithm="ES256"),
        "kid of another type": signed_by_hand({"alg": "ES256", "kid": ["x"]}),
        "expired": keys.sign({**claims, "exp": int(time.time()) - 60}),
        "no expiry": keys.sign({"role": "service_role"}),
        "other role": keys.sign({**claims, "role": "postgres"}),
        "no role": keys.sign({"exp": claims["exp"]}),
        "a session": keys.sign({**claims, "role": "authenticated", "sub": "7"}),
        "a session of role service_role": keys.sign({**claims, "sub": "7"}),
        "tampered": keys.anon[:-4] + ("AAAA" if keys.anon[-4:] != "AAAA" else "BBBB"),
    }


def test_lookalike_keys_are_refused_everywhere(gateway: Gateway, upstream: Upstream) -> None:
    before = upstream.requests["echo"]
    for name, key in lookalikes(gateway.keys).items():
        for path in ("/rest/v1/x", "/auth/v1/user", "/storage/v1/x", "/functions/v1/x"):
            response = gateway.http.get(path, headers=[(b"apikey", key.encode())])
            assert (name, response.json()["code"]) == (name, "invalid_api_key")
            refused(response, 401, "invalid_api_key")
        refused(gateway.http.get(f"/rest/v1/x?apikey={quote(key)}"), 401, "invalid_api_key")
    assert upstream.requests["echo"] == before


def test_who_needs_a_key(gateway: Gateway) -> None:
    for path in ("/rest/v1/x", "/rest/v1", "/rest/v1/x?apikey=", "/auth/v1/user", "/auth/v1/settings"):
        refused(gateway.http.get(path), 401, "no_api_key")
        refused(gateway.http.get(path, headers={"apikey": ""}), 401, "no_api_key")
        refused(gateway.http.get(path, headers={"Authorization": "Bearer token"}), 401, "no_api_key")
    for path in ("/storage/v1/object/public/a/b", "/functions/v1/webhooks/x"):
        assert "authorization" not in headers_of(gateway.http.get(path))
        # A key where only a token belongs neither makes the caller anonymous nor travels on.
        response = gateway.http.get(path, headers={"Authorization": f"Bearer {gateway.keys.secret}"})
        refused(response, 401, "no_api_key")


def test_what_is_open_without_a_key(gateway: Gateway) -> None:
    for path in ("/verify?token=x", "/callback?code=1", "/authorize", "/.well-known/jwks.json", "/health"):
        for sent in ({}, {"apikey": "wrong"}, {"Authorization": f"Bearer {gateway.keys.secret}"}):
            echo = gateway.http.get("/auth/v1" + path, headers=sent)
            assert echo.json()["target"] == path
            assert "authorization" not in headers_of(echo)
    for lookalike in (
        "/verify/",
        "/verify/../admin/users",
        "/verify%2f..",
        "/verifyx",
        "/Verify",
        "/health/x",
        "//verify",
    ):
        connection = http.client.HTTPConnection(LOOPBACK, gateway.port, timeout=WAIT_SECONDS)
        connection.request("GET", "/auth/v1" + lookalike)
        assert connection.getresponse().status == 401
        connection.close()
    refused(gateway.http.get("/rest/v1/verify"), 401, "no_api_key")


def test_the_schema_needs_the_secret_key(gateway: Gateway) -> None:
    for path in (
        "/rest/v1/",
        "/rest/v1",
        "/rest/v1/?select=*",
        "/rest/v1//",
        "/rest/v1/.",
        "/rest/v1/%2F",
        "/rest/v1/%2e/",
    ):
        connection = http.client.HTTPConnection(LOOPBACK, gateway.port, timeout=WAIT_SECONDS)
        for key, status in ((gateway.keys.publishable, 401), (gateway.keys.anon, 401), (gateway.keys.secret, 200)):
            for method in ("GET", "HEAD"):
                connection.request(method, path, headers={"apikey": key})
                response = connection.getresponse()
                response.read()
                assert (path, method, response.status) == (path, method, status)
        connection.close()
    sent = {**gateway.publishable, "Authorization": f"Bearer {gateway.keys.service_role}"}
    refused(gateway.http.get("/rest/v1/", headers=sent), 401, "secret_key_required")


def test_two_keys_or_two_tokens_are_refused(gateway: Gateway) -> None:
    both = [("apikey", gateway.keys.publishable), ("apikey", gateway.keys.secret)]
    refused(gateway.http.get("/rest/v1/x", headers=both), 401, "duplicate_api_key")
    query = f"apikey={gateway.keys.publishable}&apikey={gateway.keys.secret}"
    refused(gateway.http.get(f"/rest/v1/x?{query}"), 401, "duplicate_api_key")
    tokens = [("apikey", gateway.keys.publishable), ("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    refused(gateway.http.get("/rest/v1/x", headers=tokens), 400, "duplicate_authorization")


# Headers


def test_a_clients_word_about_its_address_is_not_passed_on(gateway: Gateway) -> None:
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
    ("forwarded", "believed"),
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
def test_a_proxys_word_is_believed_and_no_strangers(proxied: Gateway, forwarded: list[str], believed: str) -> None:
    sent = [*proxied.publishable.items(), *(("X-Forwarded-For", hops) for hops in forwarded)]
    got = proxied.http.get("/rest/v1/x", headers=[*sent, ("CF-Connecting-IP", "6.6.6.6")])
    assert [value for name, value in got.json()["headers"] if name == "x-forwarded-for"] == [believed]
    assert "6.6.6.6" not in got.text


def test_a_server_says_for_whom_it_asks(gateway: Gateway) -> None:
    said = {"Sb-Forwarded-For": "198.51.100.7"}
    for key, believed in ((gateway.secret, "198.51.100.7"), (gateway.publishable, LOOPBACK)):
        echo = gateway.http.get("/auth/v1/x", headers=key | said)
        assert headers_of(echo)["x-forwarded-for"] == believed
        assert "sb-forwarded-for" not in headers_of(echo)
    nonsense = gateway.http.get("/auth/v1/x", headers=gateway.secret | {"Sb-Forwarded-For": "somebody"})
    assert headers_of(nonsense)["x-forwarded-for"] == LOOPBACK


def test_a_proxy_that_is_no_network_is_named(tmp_path: Path) -> None:
    given = {"GATEWAY_PORT": "1", "GATEWAY_KEYS_FILE": str(tmp_path), "GATEWAY_TRUSTED_PROXIES": "10.0.0.1/8"}
    urls = {f"GATEWAY_{part.upper()}_URL": "http://127.0.0.1:1" for part in PARTS}
    with pytest.raises(StackError, match="GATEWAY_TRUSTED_PROXIES"):
        Settings.from_mapping(given | urls)


def test_hop_by_hop_headers_end_here(gateway: Gateway) -> None:
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
    gone = {"keep-alive", "x-private", "te", "proxy-authorization", "proxy-connection", "upgrade", "connection"}
    assert not gone & set(got)


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
        ("User-Agent", "someone"),
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
    assert names == {"host", "x-request-id"} | forwarded  # nothing is made up


def answer_of(gateway: Gateway, wanted: dict[str, Any], method: str = "GET") -> httpx.Response:
    sent = {**gateway.publishable, "Origin": "https://site.example"}
    return gateway.http.request(method, f"/rest/v1/test/answer?as={quote(json.dumps(wanted))}", headers=sent)


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

    told = answer_of(gateway, {"headers": [["Server", "postgrest/12.0.2"], ["X-Powered-By", "a version"]]}).headers
    assert (told["server"], "x-powered-by" in told) == ("guildhall", False)

    # A cookie is its client's: the gateway never sends it again by itself.
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


def test_encodings_are_left_alone(gateway: Gateway) -> None:
    packed = gzip.compress(b"text" * 1000)
    wanted = {"headers": [["Content-Encoding", "gzip"]], "body": base64.b64encode(packed).decode()}
    target = f"/rest/v1/test/answer?as={quote(json.dumps(wanted))}"
    with gateway.http.stream("GET", target, headers=gateway.publishable) as got:
        assert got.headers["content-encoding"] == "gzip"
        assert b"".join(got.iter_raw()) == packed
    echo = gateway.http.post("/rest/v1/x", headers={**gateway.publishable, "Content-Encoding": "gzip"}, content=packed)
    assert base64.b64decode(echo.json()["body"]) == packed


def test_request_ids(gateway: Gateway) -> None:
    given = gateway.http.get("/rest/v1/x", headers={**gateway.publishable, "X-Request-Id": "job-7_a.b"})
    assert given.headers["x-request-id"] == headers_of(given)["x-request-id"] == "job-7_a.b"
    seen = set()
    for bad in ("", "a b", "x" * 129, "é", '{"a":1}', "a\tb"):
        made = gateway.http.get("/storage/v1/x", headers=[(b"X-Request-Id", bad.encode())])
        assert made.headers["x-request-id"] == headers_of(made)["x-request-id"] != bad
        seen.add(made.headers["x-request-id"])
    assert len(seen) == 6
    assert answer_of(gateway, {"headers": [["X-Request-Id", "theirs"]]}).headers.get_list("x-request-id") != ["theirs"]
    own = gateway.http.get("/nowhere").headers
    assert own["x-request-id"]
    assert own["server"] == "guildhall"


def test_smuggled_requests_reach_nobody(gateway: Gateway, upstream: Upstream) -> None:
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


def test_control_characters_and_strange_methods(gateway: Gateway) -> None:
    for lines, status in (("X-A: a\x7fb", b"400"), ("X-A: \xe9", b"200")):
        head = f"GET /storage/v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n\r\n"
        assert gateway.raw(head.encode("latin-1"))[9:12] == status
    for method in ("TRACE", "PROPFIND"):
        answer = gateway.http.request(method, "/storage/v1/x")
        refused(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    for line in ("OPTIONS * HTTP/1.1", "CONNECT a:1 HTTP/1.1", "GET http://a/storage/v1/x HTTP/1.1"):
        raw = gateway.raw(f"{line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert raw[9:12] in {b"400", b"404", b"405"}


# Browsers


@pytest.mark.parametrize("origin", ["https://site.example", "http://localhost:3000", "null", "https://evil.example"])
def test_preflights_are_answered_here(gateway: Gateway, upstream: Upstream, origin: str) -> None:
    before = upstream.requests["echo"]
    for path in ("/rest/v1/x", "/auth/v1/token", "/storage/v1/object/a/b", "/functions/v1/metrics", "/nowhere"):
        sent = {
            "Origin": origin,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "apikey,authorization,prefer,x-client-info,x-new",
        }
        answer = gateway.http.options(path, headers=sent)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["access-control-allow-headers"] == sent["Access-Control-Request-Headers"]
        assert {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} <= set(
            answer.headers["access-control-allow-methods"].split(", ")
        )
    assert upstream.requests["echo"] == before


def test_the_edge_answers_its_preflights_itself(gateway: Gateway) -> None:
    sent = {
        "Origin": "https://site.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "apikey,authorization",
    }
    echo = gateway.http.options("/functions/v1/x", headers=sent)
    assert (echo.json()["part"], echo.json()["method"]) == ("edge", "OPTIONS")
    assert {name.lower(): value for name, value in sent.items()}.items() <= headers_of(echo).items()
    assert not [name for name in echo.headers if name.startswith("access-control-")]


def test_other_options_reach_the_part(gateway: Gateway) -> None:
    echo = gateway.http.options("/rest/v1/courses", headers=gateway.publishable)
    assert (echo.json()["method"], echo.json()["part"]) == ("OPTIONS", "rest")


OWN_CORS = [
    ["Access-Control-Allow-Origin", "https://site.example"],
    ["Access-Control-Allow-Credentials", "true"],
    ["Access-Control-Expose-Headers", "X-Other"],
    ["Vary", "Origin"],
]


def test_the_edges_word_to_browsers_passes(gateway: Gateway) -> None:
    for sent in (OWN_CORS, OWN_CORS[3:]):
        got = gateway.http.get(f"/functions/v1/test/answer?as={quote(json.dumps({'headers': sent}))}")
        said = [[name.title(), value] for name, value in got.headers.items() if name.startswith("access-control-")]
        assert said == sent[:-1]
        assert got.headers["vary"] == "Origin"
    # What the gateway says in its place is no secret, and a page shall know what is wrong.
    refused(gateway.http.get("/functions/v1/x", headers={"apikey": "wrong"}), 401, "invalid_api_key")
    refused(gateway.http.get("/functions/v1/test/drop"), 502, "upstream_broken")


def test_every_other_answer_has_the_gateways_cors(gateway: Gateway) -> None:
    for answer in (
        answer_of(gateway, {"headers": OWN_CORS}),
        gateway.http.get("/rest/v1/x"),
        gateway.http.get("/nowhere"),
    ):
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
        exposed = {name.lower() for name in answer.headers["access-control-expose-headers"].split(", ")}
        assert exposed >= {
            *("content-range", "x-sb-error-code", "x-total-count", "link", "location", "retry-after", "x-request-id"),
        }


# Bodies


def test_small_and_chunked_bodies(gateway: Gateway) -> None:
    for body in (b"", b"x", os.urandom(300_000)):
        for content in (body, iter([body])):
            echo = gateway.http.post("/rest/v1/x", headers=gateway.publishable, content=content)
            assert base64.b64decode(echo.json()["body"]) == body
    echo = gateway.http.request("DELETE", "/storage/v1/object/a", content=b'{"prefixes":["b"]}')
    assert base64.b64decode(echo.json()["body"]) == b'{"prefixes":["b"]}'
    expecting = {"Expect": "100-continue", "Content-Length": "3"}
    head = "".join(f"{name}: {value}\r\n" for name, value in expecting.items())
    with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(f"PUT /storage/v1/x HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(b"abc")
        answer = connection.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"expect"' not in answer


def test_large_bodies_stream_in_bounded_memory(gateway: Gateway) -> None:
    before = gateway.peak_memory()
    piece = os.urandom(MIB)
    digest = hashlib.sha256(piece * (LARGE // MIB)).hexdigest()
    for length in ({"Content-Length": str(LARGE)}, {}):
        upload = gateway.http.post(
            "/storage/v1/test/swallow", headers=length, content=(piece for _ in range(LARGE // MIB))
        )
        assert upload.json() == {"size": LARGE, "sha256": digest}
    received, tail = hashlib.sha256(), b""
    with gateway.http.stream("GET", "/storage/v1/test/flood") as download:
        assert download.headers["etag"] == '"big"'
        for data in download.iter_raw():
            tail += data
            received.update(tail[:-32])
            tail = tail[-32:]
    assert received.digest() == tail
    assert gateway.peak_memory() - before < 16 * MIB


def test_a_slow_reader_holds_the_part_back(gateway: Gateway, upstream: Upstream) -> None:
    with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(b"GET /storage/v1/test/flood HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(10).startswith(b"HTTP/1.1 2")
        time.sleep(0.4)
        assert 0 < upstream.written < LARGE / 2  # a third is what the system's buffers may hold


def test_a_slow_part_holds_the_sender_back(gateway: Gateway, upstream: Upstream) -> None:
    upstream.started.clear()
    upstream.go_on.clear()
    with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
        head = f"POST /storage/v1/test/unread HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"
        connection.sendall(head.encode() + b"x")
        assert upstream.started.wait(WAIT_SECONDS)
        connection.settimeout(0.4)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < LARGE:
                sent += connection.send(bytes(MIB))
        assert sent < LARGE / 2
    upstream.go_on.set()


def test_events_arrive_as_they_happen(gateway: Gateway, upstream: Upstream) -> None:
    upstream.go_on.clear()
    with gateway.http.stream("GET", "/functions/v1/test/events") as answer:
        events = answer.iter_raw()
        assert next(events) == b"data: one\n\n"
        upstream.go_on.set()
        assert next(events) == b"data: two\n\n"


def test_an_early_refusal_reaches_the_uploader(gateway: Gateway) -> None:
    with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
        head = f"POST /storage/v1/test/early HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"
        connection.sendall(head.encode() + bytes(1000))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_malformed_body_never_looks_complete(gateway: Gateway, upstream: Upstream) -> None:
    upstream.started.clear()
    upstream.cancelled.clear()
    before = upstream.requests["echo"]
    head = "HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    for path in ("echo", "test/hang"):
        with socket.create_connection((LOOPBACK, gateway.port), timeout=WAIT_SECONDS) as connection:
            connection.sendall(f"POST /storage/v1/{path} {head}".encode())
            time.sleep(0.1)
            connection.sendall(b"zz\r\nGET /storage/v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    assert upstream.started.is_set()
    assert upstream.cancelled.wait(WAIT_SECONDS)
    assert upstream.requests["echo"] == before


# Failures


def test_a_client_that_leaves_cancels_its_call(gateway: Gateway, upstream: Upstream) -> None:
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
def test_a_torn_answer_is_torn_not_shortened(gateway: Gateway, query: str) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, gateway.port, timeout=WAIT_SECONDS)
    connection.request("GET", f"/storage/v1/test/torn{query}")
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
            refused(answer, 502, "upstream_broken")
        assert (method, upstream.requests[method] - before) == (method, times)


def test_many_calls_at_once(gateway: Gateway) -> None:
    async def calls() -> list[int]:
        limits = httpx.Limits(max_connections=None)
        url = f"http://{LOOPBACK}:{gateway.port}"
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=WAIT_SECONDS) as client:
            path = "/functions/v1/test/wait?seconds=0.5"
            return [answer.status_code for answer in await asyncio.gather(*(client.get(path) for _ in range(200)))]

    start = time.monotonic()
    assert asyncio.run(calls()) == [200] * 200
    assert time.monotonic() - start < 50  # one after the other would take 100


def test_a_killed_part_and_its_successor(tmp_path: Path) -> None:
    port = free_block().rest

    def part() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", KILLABLE, str(port)])
        wait_until_open(port)
        return process

    gateway = Gateway(tmp_path, dict.fromkeys(PARTS, f"http://{LOOPBACK}:{port}"))
    url = "/rest/v1/x"
    try:
        refused(gateway.http.get(url, headers=gateway.publishable), 503, "upstream_unavailable")
        health = gateway.http.get("/health")
        assert (health.status_code, health.json()["code"]) == (503, "upstream_unavailable")
        for method in ("GET", "POST", "POST", "GET"):
            process = part()
            try:
                for _ in range(3):
                    answer = gateway.http.request(method, url, headers=gateway.publishable)
                    assert answer.text == str(process.pid)
                assert gateway.http.get("/health").json()["status"] == "ok"
            finally:
                process.kill()
                process.wait()
        refused(gateway.http.post(url, headers=gateway.publishable), 503, "upstream_unavailable")
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
        refused(gateway.http.get("/rest/v1/x", headers={"apikey": first.anon}), 401, "invalid_api_key")
        assert gateway.http.get("/rest/v1/x", headers={"apikey": second.anon}).status_code == 200

        replaced = msgspec.structs.replace(second, secret="sb_secret_new")
        replaced.save(gateway.keys_file)
        refused(gateway.http.get("/rest/v1/x", headers={"apikey": first.secret}), 401, "invalid_api_key")

        gateway.keys_file.unlink()
        refused(gateway.http.get("/rest/v1/x", headers=gateway.publishable), 503, "keys_unreadable")
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


# The gateway itself


def test_index_and_health(gateway: Gateway) -> None:
    assert gateway.http.get("/").json()["paths"] == {
        "rest": "/rest/v1",
        "auth": "/auth/v1",
        "storage": "/storage/v1",
        "edge": "/functions/v1",
    }
    health = gateway.http.get("/health")
    assert (health.status_code, health.json()["parts"]["rest"]) == (200, "ok")


def test_logs_are_json_and_tell_no_key(gateway: Gateway) -> None:
    secret = gateway.keys.secret
    for head in (
        f"GET /rest/v1/x?apikey={secret} HTTP/1.1\r\nHost: x\r\napikey\x00: {secret}\r\n\r\n",
        f"GET /rest/v1/{secret} HTTP/9.9\r\napikey: {secret}\r\n\r\n",
    ):
        gateway.raw(head.encode())
    gateway.http.get(f"/storage/v1/test/drop?apikey={secret}", headers={"Authorization": f"Bearer {secret}"})
    lines = gateway.log.read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert "upstream_broken" in events
    assert "failed" not in events
    assert not [line for line in lines if "sb_secret" in line or "eyJ" in line]


def test_missing_settings_are_one_clear_line() -> None:
    command = [sys.executable, "-m", "stack.gateway"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "GATEWAY_PORT" in result.stderr
    assert len(result.stderr.splitlines()) == 1
