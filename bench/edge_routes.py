"""Every route of the edge that calls no provider, against empty routes of its class, on one process of the edge.

`python -m bench.edge_routes`
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import psycopg

from bench.edge_process import ASKING, EMPTY, UNCOUNTED
from bench.load import Load, run
from bench.stack import BenchStack, running
from stack.parts import parts
from stack.ports import LOOPBACK, free_block
from stack.state import Folder
from stack.tools.project import GUILDHALL

ROUNDS = 7
SECONDS = 2
START_SECONDS = 20.0
WAITING_FOR_PROVIDERS: frozenset[str] = frozenset()
"""Operations that are not measured, because they wait for a provider."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A route to measure."""

    name: str
    path: str
    against: tuple[str, ...]
    """The paths of the empty routes with which it is compared."""
    headers: dict[str, str] = {}


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one route in one round."""

    per_second: float
    cpu: float
    """Seconds of the edge's processor time a request, which other load changes least."""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A running edge."""

    url: str
    pid: int

    def cpu(self) -> float:
        """Seconds of processor time used so far. Linux only."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, route: Route) -> Measured:
        """The load on one route."""
        before = self.cpu()
        result = run(Load(url=self.url, paths=(route.path,), headers=route.headers, connections=16, seconds=SECONDS))
        return Measured(per_second=result.per_second, cpu=(self.cpu() - before) / (result.per_second * SECONDS))


@contextmanager
def edge(stack: BenchStack) -> Iterator[Edge]:
    """An edge of the benchmark's own, on a running stack."""
    folder = Folder(stack.data)
    [part] = [each for each in parts(GUILDHALL, folder, folder.state(), folder.keys()) if each.name == "edge"]
    port = free_block().base
    environment = part.environment | {"EDGE_PORT": str(port)}
    command = [sys.executable, "-m", "bench.edge_process"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://{LOOPBACK}:{port}"
    try:
        until = time.monotonic() + START_SECONDS
        while not _is_ready(url):
            if time.monotonic() > until:
                raise TimeoutError("the edge did not start")
            time.sleep(0.05)
        yield Edge(url=url, pid=process.pid)
    finally:
        process.terminate()
        process.wait()


def certificates(stack: BenchStack) -> tuple[str, list[str]]:
    """Issue certificates to one student; returns the student's id and the certificates'."""
    with psycopg.connect(stack.admin_db_url, autocommit=True) as connection:
        rows = connection.execute(
            """
            with issued as (
                insert into public.certificates
                (
                    code, course_id, student_id, enrolment_id, status, holder_name, course_title, creator_name,
                    issued_at
                )
                select
                    private.new_code(), course_id, student_id, id, 'issued', 'Ada Lovelace', 'Counterpoint',
                    'J. J. Fux', now()
                from public.enrolments
                returning student_id::text, id::text
            )
            select student_id, array_agg(id) from issued group by student_id order by count(*) desc limit 1
            """
        ).fetchone()
    assert rows is not None, "nobody is enrolled in the demo academy"
    return rows[0], rows[1]


def routes(stack: BenchStack, url: str) -> list[Route]:
    """The routes to measure."""
    student, [certificate, *_] = certificates(stack)
    user = {"Authorization": f"Bearer {stack.user_token(student)}"}
    pdf = f"/certificates/{certificate}/pdf"
    known = httpx.get(url + pdf, headers=user, trust_env=False).raise_for_status().headers["etag"]
    return [
        Route(name="GET /health", path="/health", against=("/health",)),
        Route(name="GET /ready", path="/ready", against=("/health",)),
        Route(name="GET /metrics", path="/metrics", against=("/health",)),
        Route(name="GET /schema", path="/schema", against=("/health",)),
        Route(name="GET /schema/openapi.json", path="/schema/openapi.json", against=("/health",)),
        Route(name="GET /schema/page.js", path="/schema/page.js", against=("/health",)),
        Route(name="empty, signed in, without a limit", path=UNCOUNTED, against=(), headers=user),
        Route(name="empty, signed in", path=EMPTY, against=(UNCOUNTED,), headers=user),
        Route(name="asking PostgREST, signed in", path=ASKING, against=(EMPTY,), headers=user),
        Route(name="GET /certificates/{certificate_id}/pdf", path=pdf, against=(EMPTY, ASKING), headers=user),
        Route(
            name="  the same, If-None-Match",
            path=pdf,
            against=(EMPTY, ASKING),
            headers=user | {"If-None-Match": known},
        ),
    ]


def measure(stack: BenchStack) -> None:
    """Print each route's rate and cost, and the ratios to the empty routes of its class, interleaved in rounds."""
    with edge(stack) as running_edge:
        measured = routes(stack, running_edge.url)
        results: dict[str, list[Measured]] = {route.name: [] for route in measured}
        for route in measured:
            running_edge.load(route)  # warm caches and pools before anything counts
        for number in range(ROUNDS):
            for route in measured if number % 2 == 0 else reversed(measured):
                results[route.name].append(running_edge.load(route))
        described = httpx.get(f"{running_edge.url}/schema/openapi.json", trust_env=False).json()["paths"]
    by_path = {route.path: results[route.name] for route in measured if not route.name.startswith(" ")}
    print(f"routes of the edge, one process, {ROUNDS} rounds in turn: requests/s, its processor time a request,")
    print("and the ratios of both to the empty routes of the class   (target >= 0.5)")
    for route in measured:
        ours = results[route.name]
        per_second = statistics.median(each.per_second for each in ours)
        microseconds = statistics.median(each.cpu for each in ours) * 1e6
        others = [path for path in route.against if path != route.path]
        ratios = "  ".join(f"{_ratios(ours, by_path[path])} of {path}" for path in others)
        print(f"  {route.name:40} {per_second:8.0f}/s {microseconds:8.0f} us  {ratios}")
    operations = {f"{method.upper()} {path}" for path, item in described.items() for method in item}
    missing = operations - {route.name for route in measured} - WAITING_FOR_PROVIDERS
    print(f"  not measured: {', '.join(sorted(missing)) or 'none'}")


def _ratios(ours: list[Measured], others: list[Measured]) -> str:
    pairs = list(zip(ours, others, strict=True))
    rate = statistics.median(our.per_second / other.per_second for our, other in pairs)
    cost = statistics.median(other.cpu / our.cpu for our, other in pairs)
    return f"{rate:.2f}, {cost:.2f}"


def main() -> None:
    """Measure on a stack of its own."""
    with running() as stack:
        measure(stack)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
