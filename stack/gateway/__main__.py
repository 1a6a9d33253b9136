"""`python -m stack.gateway`: settings from GATEWAY_*, until SIGTERM."""

import asyncio
from typing import cast

import structlog
from aiohttp import web

from stack.gateway.app import create_runner
from stack.gateway.connections import ConnectionLimit
from stack.gateway.settings import Settings
from stack.ports import LOOPBACK
from stack.server import serve_until_stopped

BACKLOG = 1024


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Listen until the event is set. Requests in progress then get a few seconds to end."""
    runner = create_runner(settings)
    await runner.setup()
    try:
        connections = ConnectionLimit(
            cast(web.Server, runner.server),
            of_network=settings.network_connections,
            trusted_proxies=settings.trusted_proxies,
        )
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(connections, LOOPBACK, settings.port, backlog=BACKLOG, reuse_address=True)
        structlog.get_logger("gateway").info("listening", port=settings.port)
        await stop.wait()
        listener.close()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    # aiohttp's own log quotes malformed requests, keys included.
    serve_until_stopped("gateway", Settings.from_mapping, serve, silent=("aiohttp.server",))
