"""`python -m stack.storage`: settings from STORAGE_*, until SIGTERM."""

import logging
import os
import signal
import sys

import structlog
import uvicorn

from stack.errors import StackError
from stack.ports import LOOPBACK
from stack.storage.app import create_app
from stack.storage.settings import Settings

KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 10


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
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def main() -> None:
    """Run the storage server."""
    configure_logs()
    try:
        settings = Settings.from_mapping(os.environ)
    except StackError as error:
        sys.exit(f"storage: {error}")
    # uvicorn stops gracefully and then raises the signal again; by then this handler is back, and ends well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        create_app(settings),
        host=LOOPBACK,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
