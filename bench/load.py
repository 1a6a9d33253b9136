"""Load from another process, and the comparison of two loads in one run."""

import json
import shutil
import statistics
import subprocess
from pathlib import Path

import msgspec

from stack.errors import StackError
from stack.paths import ROOT


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A load: requests for these paths, in rotation."""

    url: str
    paths: tuple[str, ...]
    headers: dict[str, str]
    method: str = "GET"
    bodies: tuple[str, ...] = ()
    """One for each path, or none."""
    tokens: tuple[str, ...] = ()
    """Access tokens: one for each path, or none."""
    connections: int = 8
    seconds: int = 4


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a load."""

    per_second: float
    failed: int


def run(load: Load) -> Result:
    """Run a load and wait for its end.

    Raises:
        StackError: an answer was an error, so the rate would mean nothing.
    """
    node = shutil.which("node", path=f"{ROOT / '.venv' / 'bin'}:{Path('/usr/bin')}:{Path('/usr/local/bin')}") or "node"
    done = subprocess.run(
        [node, ROOT / "bench" / "load.mjs"], input=msgspec.json.encode(load), capture_output=True, check=False
    )
    if done.returncode != 0:
        raise StackError(f"the load generator failed: {done.stderr.decode().strip().splitlines()[-1]}")
    result = msgspec.convert(json.loads(done.stdout), Result)
    if result.failed:
        raise StackError(f"{result.failed} requests to {load.url} did not succeed")
    return result


def compare(one: Load, other: Load, *, rounds: int) -> tuple[list[Result], list[Result]]:
    """Run both loads `rounds` times, interleaved, so that other load on the machine affects both.

    Returns:
        The results of each.
    """
    run(msgspec.structs.replace(one, seconds=2))  # warm caches and pools before anything counts
    run(msgspec.structs.replace(other, seconds=2))
    first: list[Result] = []
    second: list[Result] = []
    for number in range(rounds):
        turns = [(one, first), (other, second)]
        for load, results in turns if number % 2 == 0 else reversed(turns):
            results.append(run(load))
    return first, second


def median_per_second(results: list[Result]) -> float:
    """The median of the rounds' requests per second."""
    return statistics.median(result.per_second for result in results)
