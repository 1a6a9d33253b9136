"""`python -m stack.gateway`: settings from GATEWAY_*, until SIGTERM."""

import asyncio
import logging
import os
import signal
import sys

import structlog
import uvloop
from aiohttp import web

from stack.errors import StackError
from stack.gateway.app import create_runner
from stack.gateway.settings import Settings
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


def configure_logs() -> None:
    """JSON lines on stderr, those of libraries included."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # It quotes malformed requests, keys included, and clients that left.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def main() -> None:
    """Run the gateway."""
    configure_logs()
    try:
        uvloop.run(serve(Settings.from_mapping(os.environ)))
    except StackError as error:
        sys.exit(f"gateway: {error}")
    except OSError as error:
        sys.exit(f"gateway: cannot listen: {error.strerror}")


if __name__ == "__main__":
    main()
