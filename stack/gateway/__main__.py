"""`python -m stack.gateway`: settings from GATEWAY_*, until SIGTERM."""

import asyncio
import os
import signal
import sys

import structlog
import uvloop
from aiohttp import web

from stack.errors import StackError
from stack.gateway.app import create_runner
from stack.gateway.settings import Settings
from stack.logs import configure_logs
from stack.ports import LOOPBACK

BACKLOG = 1024


async def serve(settings: Settings) -> None:
    """Listen until SIGTERM or Ctrl-C; calls that are under way then get a few seconds to end."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    runner = create_runner(settings)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, settings.port, backlog=BACKLOG).start()
        structlog.get_logger("gateway").info("listening", port=settings.port)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Run the gateway."""
    # aiohttp's own log quotes malformed requests, keys included.
    configure_logs(silent=("aiohttp.server",))
    try:
        uvloop.run(serve(Settings.from_mapping(os.environ)))
    except StackError as error:
        sys.exit(f"gateway: {error}")
    except OSError as error:
        sys.exit(f"gateway: cannot listen: {error.strerror}")


if __name__ == "__main__":
    main()
