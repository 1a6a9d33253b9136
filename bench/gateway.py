"""The cost of the gateway: the same tiny answer fetched directly and through it, interleaved in one run.

`python -m bench.gateway`
"""

import asyncio
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from stack.keys import Keys
from stack.ports import LOOPBACK, free_block

ROUNDS = 5
REQUESTS = 400
"""Requests of each round over one connection."""
CONNECTIONS = 16
SECONDS = 1.0
"""Seconds of load over all connections in each round."""
START_SECONDS = 20.0

BODY = b'[{"id":1,"name":"' + b"x" * 200 + b'"}]'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of the median request, and requests a second over all connections."""

    direct_ms: float
    gateway_ms: float
    direct_per_second: float
    gateway_per_second: float

    @property
    def added_ms(self) -> float:
        """Milliseconds that the gateway adds to the median request."""
        return self.gateway_ms - self.direct_ms

    @property
    def ratio(self) -> float:
        """Requests a second through the gateway, as a share of direct ones."""
        return self.gateway_per_second / self.direct_per_second


class Upstream(asyncio.Protocol):
    """An HTTP server with one fixed answer, which costs next to nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for answers."""
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's does not inherit asyncio's

    def data_received(self, data: bytes) -> None:
        """Answer each complete request; requests here fit into one segment."""
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def serve_upstream(port: int) -> None:
    """Run the upstream until it is killed."""
    server = await asyncio.get_running_loop().create_server(Upstream, LOOPBACK, port)
    await server.serve_forever()


def run_upstream(port: int) -> None:
    """The upstream's process."""
    uvloop.run(serve_upstream(port))


async def latencies(port: int, request: bytes) -> list[float]:
    """Seconds of each of some requests over one connection."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    taken = []
    for _ in range(REQUESTS):
        start = time.perf_counter()
        writer.write(request)
        await reader.readuntil(BODY)
        taken.append(time.perf_counter() - start)
    writer.close()
    return taken


async def throughput(port: int, request: bytes) -> float:
    """Requests a second over all connections at once."""
    end = time.perf_counter() + SECONDS

    async def caller() -> int:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        count = 0
        while time.perf_counter() < end:
            writer.write(request)
            await reader.readuntil(BODY)
            count += 1
        writer.close()
        return count

    return sum(await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))) / SECONDS


async def rounds(upstream: int, gateway: int, key: str) -> Figures:
    """Both sides, interleaved, so that other load on the machine affects both."""
    head = f"Host: {LOOPBACK}\r\napikey: {key}\r\nAccept: application/json\r\n\r\n"
    direct = (upstream, f"GET /courses?select=* HTTP/1.1\r\n{head}".encode())
    through = (gateway, f"GET /rest/v1/courses?select=* HTTP/1.1\r\n{head}".encode())
    seconds: dict[int, list[float]] = {upstream: [], gateway: []}
    rates: dict[int, list[float]] = {upstream: [], gateway: []}
    for _ in range(ROUNDS):
        for port, request in (direct, through):
            seconds[port] += await latencies(port, request)
            rates[port].append(await throughput(port, request))
    return Figures(
        direct_ms=statistics.median(seconds[upstream]) * 1000,
        gateway_ms=statistics.median(seconds[gateway]) * 1000,
        direct_per_second=statistics.median(rates[upstream]),
        gateway_per_second=statistics.median(rates[gateway]),
    )


def wait_until_open(port: int) -> None:
    """Wait until something listens. Raises TimeoutError."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


def measure() -> Figures:
    """Start an upstream and a gateway, measure, and stop both."""
    ports = free_block()
    with tempfile.TemporaryDirectory() as folder:
        keys = Keys.generate()
        keys_file = Path(folder, "keys.json")
        keys.save(keys_file)
        url = f"http://{LOOPBACK}:{ports.rest}"
        environment = {
            **os.environ,
            "GATEWAY_PORT": str(ports.api),
            "GATEWAY_KEYS_FILE": str(keys_file),
            **{f"GATEWAY_{part}_URL": url for part in ("REST", "AUTH", "STORAGE", "EDGE")},
        }
        upstream = multiprocessing.get_context("spawn").Process(target=run_upstream, args=(ports.rest,), daemon=True)
        upstream.start()
        command = [sys.executable, "-m", "stack.gateway"]
        gateway = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            wait_until_open(ports.rest)
            wait_until_open(ports.api)
            return uvloop.run(rounds(ports.rest, ports.api, keys.publishable))
        finally:
            gateway.terminate()
            gateway.wait()
            upstream.terminate()
            upstream.join()


def main() -> None:
    """Print the figures."""
    figures = measure()
    print(f"direct   p50 {figures.direct_ms:.3f} ms, {figures.direct_per_second:,.0f} requests/s")
    print(f"gateway  p50 {figures.gateway_ms:.3f} ms, {figures.gateway_per_second:,.0f} requests/s")
    print(f"added    p50 {figures.added_ms:.3f} ms, {figures.ratio:.3f} of the direct requests/s")


if __name__ == "__main__":
    main()
