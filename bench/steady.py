"""Posts bodies at a steady rate without waiting for answers, as a provider does.

stdin: a `Steady` as JSON; stdout: its `Outcome`s. `python -m bench.steady`
"""

import asyncio
import hashlib
import hmac
import subprocess
import sys
import time

import aiohttp
import msgspec

from stack.paths import ROOT

TIMEOUT = 30


class Steady(msgspec.Struct, frozen=True, kw_only=True):
    """The bodies to post, and where to."""

    url: str
    bodies: list[str]
    per_second: int
    secret: str
    """The secret of a Stripe endpoint; each body is signed when it is sent."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one body."""

    status: int
    """The HTTP status, or 0 without an answer."""
    milliseconds: float
    """From the time at which it was due until the answer was read."""
    late: float
    """Milliseconds of these by which the sender was late."""


def post(job: Steady) -> list[Outcome]:
    """Post from another process; returns the answer to each body, in order."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.steady"],
        input=msgspec.json.encode(job),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=list[Outcome])


async def _run(job: Steady) -> list[Outcome]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        began = time.perf_counter() + 0.2
        tasks = []
        for number, body in enumerate(job.bodies):
            due = began + number / job.per_second
            await asyncio.sleep(due - time.perf_counter())
            tasks.append(asyncio.create_task(_post(http, job, body.encode(), due)))
        return await asyncio.gather(*tasks)


async def _post(http: aiohttp.ClientSession, job: Steady, body: bytes, due: float) -> Outcome:
    at = int(time.time())
    signature = hmac.new(job.secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "stripe-signature": f"t={at},v1={signature}"}
    late = time.perf_counter() - due
    try:
        async with http.post(job.url, data=body, headers=headers) as answer:
            await answer.read()
            status = answer.status
    except (aiohttp.ClientError, TimeoutError):
        status = 0
    return Outcome(status=status, milliseconds=(time.perf_counter() - due) * 1000, late=late * 1000)


def main() -> None:
    """Read the job, do it, and write the outcomes."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Steady)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_run(job))))


if __name__ == "__main__":
    main()
