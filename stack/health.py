"""Whether the parts of a running stack can do their work."""

import asyncio
import time
from collections.abc import Mapping

from stack.parts import Probe
from stack.ports import LOOPBACK

POLL_SECONDS = 0.05
ANSWER_SECONDS = 5


async def silent_parts(probes: Mapping[str, Probe], *, within: float) -> list[str]:
    """The parts that do not report themselves ready within so many seconds."""
    deadline = time.monotonic() + within

    async def is_silent(probe: Probe) -> bool:
        while not await is_ready(probe):
            if time.monotonic() > deadline:
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    silent = await asyncio.gather(*(is_silent(probe) for probe in probes.values()))
    return [name for name, is_so in zip(probes, silent, strict=True) if is_so]


async def is_ready(probe: Probe) -> bool:
    """Whether a part answers its probe with 200 within five seconds."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(LOOPBACK, probe.port)
            try:
                host = f"{LOOPBACK}:{probe.port}"
                writer.write(f"GET {probe.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
