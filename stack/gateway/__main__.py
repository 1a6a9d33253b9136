"""`python -m stack.gateway`: settings from GATEWAY_*, until SIGTERM."""

import asyncio

import structlog
from aiohttp import web

from stack.gateway.app import create_runner
from stack.gateway.settings import Settings
from stack.ports import LOOPBACK
from stack.server import serve_until_stopped

BACKLOG = 1024


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Listen until told to stop; calls that are under way then get a few seconds to end."""
    runner = create_runner(settings)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, settings.port, backlog=BACKLOG).start()
        structlog.get_logger("gateway").info("listening", port=settings.port)
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    # aiohttp's own log quotes malformed requests, keys included.
    serve_until_stopped("gateway", Settings.from_mapping, serve, silent=("aiohttp.server",))
