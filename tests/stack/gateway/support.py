"""A gateway process, and an upstream that records the requests which the gateway forwards."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jwt
from aiohttp import web

from stack.keys import Keys
from stack.ports import LOOPBACK, free_block

MIB = 1024 * 1024
LARGE = 96 * MIB
PARTS = ("rest", "auth", "storage", "edge")
START_SECONDS = 10.0
WAIT_SECONDS = 5.0

# A part that can be killed: HTTP/1.1 with persistent connections, answers its process id.
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
    """One server on four ports that takes the place of all four parts."""

    def __init__(self) -> None:
        self.ports: dict[int, str] = {}
        self.requests: Counter[str] = Counter()
        self.written = 0
        self.answers = False
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self.resume = threading.Event()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,))
        self._thread.start()
        assert ready.wait(WAIT_SECONDS)

    def url(self, part: str) -> str:
        """The URL of a part."""
        return next(f"http://{LOOPBACK}:{port}" for port, name in self.ports.items() if name == part)

    def stop(self) -> None:
        """Close all connections and wait for the end."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()

    def _run(self, ready: threading.Event) -> None:
        self._loop.run_until_complete(self._serve(ready))
        self._loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=2 * LARGE)
        for name in ("answer", "drop", "truncated", "hang", "wait", "flood", "digest", "unread", "early", "events"):
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
        """Answer the request as it arrived; or, where `answers` is set, as it asks."""
        if self.answers:
            return await self.answer(request)
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
        """Answer the status, headers and body that the parameter `as` has as JSON."""
        answer = json.loads(request.query["as"])
        response = web.Response(status=answer.get("status", 200), body=base64.b64decode(answer.get("body", "")))
        for name, value in answer.get("headers", []):
            response.headers.add(name, value)
        return response

    async def drop(self, request: web.Request) -> web.Response:
        """Close the connection without an answer."""
        self.requests[request.method] += 1
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def truncated(self, request: web.Request) -> web.StreamResponse:
        """Close the connection in the middle of the answer."""
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
        """Wait until the client disconnects."""
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
        """Send a large answer, and count its bytes."""
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

    async def digest(self, request: web.Request) -> web.Response:
        """Answer the size and the digest of the body."""
        digest, size = hashlib.sha256(), 0
        async for piece in request.content.iter_any():
            digest.update(piece)
            size += len(piece)
        return web.json_response({"size": size, "sha256": digest.hexdigest()})

    async def unread(self, _request: web.Request) -> web.Response:
        """Read nothing until `resume` is set."""
        self.started.set()
        await asyncio.to_thread(self.resume.wait, WAIT_SECONDS)
        return web.Response(text="enough")

    async def early(self, _request: web.Request) -> web.Response:
        """Refuse an upload before it has arrived."""
        return web.json_response({"code": "too_large"}, status=413)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Two events, the second only when the client has seen the first."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        await asyncio.to_thread(self.resume.wait, WAIT_SECONDS)
        await response.write(b"data: two\n\n")
        return response


class Gateway:
    """A gateway process."""

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
        """Stop the process by SIGTERM; returns its exit status."""
        self.http.close()
        self.process.terminate()
        return self.process.wait(WAIT_SECONDS)

    @property
    def publishable(self) -> dict[str, str]:
        """The headers with the publishable key."""
        return {"apikey": self.keys.publishable}

    @property
    def secret(self) -> dict[str, str]:
        """The headers with the secret key."""
        return {"apikey": self.keys.secret}

    def raw(self, data: bytes) -> bytes:
        """Send bytes; returns what the gateway sends until it closes the connection or sends nothing for a second."""
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
        """The peak of its memory, in bytes."""
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


def headers_of(echo: httpx.Response) -> dict[str, str]:
    return dict(echo.json()["headers"])


def claims_of(echo: httpx.Response) -> dict[str, Any]:
    scheme, token = headers_of(echo)["authorization"].split()
    assert scheme == "Bearer"
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def assert_refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert set(response.json()) == {"code", "message", "details", "hint"}
    assert response.headers["access-control-allow-origin"] == "*"


def answer_of(gateway: Gateway, answer: dict[str, Any], method: str = "GET") -> httpx.Response:
    """Have the upstream send an answer; returns it as the gateway passes it on."""
    sent = {**gateway.publishable, "Origin": "https://site.example"}
    return gateway.http.request(method, f"/rest/v1/test/answer?as={quote(json.dumps(answer))}", headers=sent)
