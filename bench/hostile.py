"""A normal reader beside hostile clients: its p99 while nobody else asks, and while 20 clients attack.

`python -m bench.hostile`, or `python -m bench.hostile --one-address` to let the clients share the reader's address.
"""

import asyncio
import contextlib
import itertools
import math
import multiprocessing
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from urllib.parse import quote, urlsplit

import aiohttp
import psycopg
import uvloop

from bench.stack import BenchStack, running
from stack.ports import LOOPBACK

CLIENTS = 20
QUIET_SECONDS = 15
HOSTILE_SECONDS = 30
SETTLE_SECONDS = 1
LIMIT = 5
"""How many times its quiet value the reader's p99 may be."""
COURSES = 2000
BODY = 40 * 1024 * 1024
AT_ONCE = 8
"""Connections of each client."""

Attack = Callable[["Client"], Coroutine[None, None, str]]

COURSE_ROWS = """
insert into public.courses (creator_id, slug, title, description, status, published_at)
select p.id, 'bench-' || g, 'Course ' || g, repeat('clay and kiln ', 300), 'published', now()
from generate_series(1, %s) as g, (select p.id from public.profiles as p order by p.id limit 1) as p
"""


class Client:
    """A hostile client: an address, and connections in which it attacks."""

    def __init__(self, address: str, port: int, key: str) -> None:
        self.address = address
        self.port = port
        self.key = key
        self.numbers = itertools.count()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection from its address."""
        return await asyncio.open_connection(LOOPBACK, self.port, local_addr=(self.address, 0))

    async def ask(self, target: str) -> str:
        """Make a request; returns the status."""
        reader, writer = await self.connect()
        with contextlib.closing(writer):
            writer.write(
                f"GET {target} HTTP/1.1\r\nHost: x\r\napikey: {self.key}\r\nConnection: close\r\n\r\n".encode()
            )
            answer = await reader.read()
            return answer[9:12].decode() or "closed"


async def search_by_pattern(client: Client) -> str:
    """Filter by a pattern with back-references."""
    pattern = quote(rf"^(.+)(.+)(.+)\3\1\2\1{next(client.numbers)}?$")
    return await client.ask(f"/rest/v1/courses?select=id&description=imatch.{pattern}")


async def send_large_body(client: Client) -> str:
    """Send 40 MB of JSON."""
    reader, writer = await client.connect()
    with contextlib.closing(writer):
        head = f"POST /rest/v1/profiles HTTP/1.1\r\nHost: x\r\napikey: {client.key}\r\nContent-Length: {BODY}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n[".encode())
        sending = asyncio.create_task(_write(writer))
        status = (await reader.read(12))[9:12].decode() or "closed"
        sending.cancel()
        return status


async def send_headers_slowly(client: Client) -> str:
    """Send a header now and then, and never the last."""
    _, writer = await client.connect()
    with contextlib.closing(writer):
        writer.write(b"GET /rest/v1/courses HTTP/1.1\r\nHost: x\r\n")
        while True:
            writer.write(b"X-More: headers\r\n")
            await writer.drain()
            await asyncio.sleep(0.5)


async def select_deeply(client: Client) -> str:
    """Embed as many tables as are served, and then more."""
    depth = (6, 60)[next(client.numbers) % 2]
    inner = "id"
    for level in range(depth):
        inner = f"{('modules', 'courses')[level % 2]}!modules_course_id_fkey({inner})"
    table = ("modules", "courses")[depth % 2]
    return await client.ask(f"/rest/v1/{table}?select={inner}")


ATTACKS: tuple[Attack, ...] = (search_by_pattern, send_large_body, send_headers_slowly, select_deeply)


async def _write(writer: asyncio.StreamWriter) -> None:
    piece = b'{"display_name":"x"},' * 3000
    with contextlib.suppress(OSError):
        for _ in range(BODY // len(piece)):
            writer.write(piece)
            await writer.drain()


async def attack(port: int, key: str, addresses: list[str]) -> Counter[str]:
    """Attack from each address; returns how often each attack had each answer."""
    answers: Counter[str] = Counter()

    async def repeat(client: Client, how: Attack) -> None:
        while True:
            try:
                answers[f"{how.__name__} {await how(client)}"] += 1
            except (OSError, RuntimeError):  # uvloop raises RuntimeError at a write to a closed connection
                answers[f"{how.__name__} closed"] += 1
                await asyncio.sleep(0.01)  # a client whose connections are refused cannot be faster

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HOSTILE_SECONDS + 2 * SETTLE_SECONDS), asyncio.TaskGroup() as tasks:
            for number, address in enumerate(addresses):
                client = Client(address, port, key)
                for _ in range(AT_ONCE):
                    tasks.create_task(repeat(client, ATTACKS[number % len(ATTACKS)]))
    return answers


def run_attack(port: int, key: str, addresses: list[str]) -> None:
    """The process of the hostile clients, which in truth run on other machines."""
    os.nice(10)
    for answer, count in sorted(uvloop.run(attack(port, key, addresses)).items()):
        print(f"  {answer:34} {count:8,}", flush=True)


async def read(stack: BenchStack, seconds: float) -> list[float]:
    """The seconds of each request of the reader, one after another; infinite where one is not served."""
    taken = []
    headers = {"apikey": stack.publishable_key}
    async with aiohttp.ClientSession(stack.api_url, headers=headers) as session:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            async with session.get("/rest/v1/courses?select=id,title&order=id&limit=10") as answer:
                await answer.read()
            taken.append(time.perf_counter() - start if answer.ok else math.inf)
            await asyncio.sleep(0.02)
    return taken


def p99(taken: list[float]) -> float:
    """The 99th percentile, in milliseconds."""
    return sorted(taken)[math.ceil(len(taken) * 0.99) - 1] * 1000


def measure(stack: BenchStack, *, one_address: bool = False) -> float:
    """Print the reader's p99 in both cases; returns their ratio."""
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(COURSE_ROWS, [COURSES])
        connection.execute("vacuum analyze public.courses")
    addresses = [LOOPBACK if one_address else f"127.0.1.{number}" for number in range(1, CLIENTS + 1)]
    port = urlsplit(stack.api_url).port
    uvloop.run(read(stack, 3))
    quiet = uvloop.run(read(stack, QUIET_SECONDS))
    spawn = multiprocessing.get_context("spawn")
    hostile = spawn.Process(target=run_attack, args=(port, stack.publishable_key, addresses), daemon=True)
    print(f"{CLIENTS} hostile clients for {HOSTILE_SECONDS} s, of {len(set(addresses))} addresses")
    hostile.start()
    time.sleep(SETTLE_SECONDS)
    taken = uvloop.run(read(stack, HOSTILE_SECONDS))
    hostile.join()
    ratio = p99(taken) / p99(quiet)
    for name, seconds in (("quiet", quiet), ("attacked", taken)):
        middle = statistics.median(seconds) * 1000
        print(f"  reader, {name:9} p50 {middle:7.1f} ms   p99 {p99(seconds):7.1f} ms   {len(seconds):6,} requests")
    print(f"  ratio of p99             {ratio:7.2f}   (target <= {LIMIT})")
    return ratio


def main() -> None:
    """Start a stack, measure, print; exit with 1 where the target is missed."""
    with running() as stack:
        ratio = measure(stack, one_address="--one-address" in sys.argv)
    sys.exit(ratio > LIMIT)


if __name__ == "__main__":
    main()
