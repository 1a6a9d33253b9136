"""`python -m edge.jobs`: do the jobs of the queue until SIGTERM or Ctrl-C."""

import logging
import os
import signal
import sys

import uvicorn

from edge.jobs.app import create_app
from edge.jobs.settings import Settings
from edge.logs import configure_logs
from edge.settings import SettingsError

GRACE = 2
"""Seconds that requests for health and metrics get to finish at a stop; jobs get their own."""


def main() -> None:
    """Work until told to stop."""
    try:
        settings = Settings.from_mapping(os.environ)
    except SettingsError as error:
        sys.exit(f"worker: {error}")
    configure_logs()
    # The library writes several lines a job, with all arguments; we write one.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    # uvicorn stops gracefully and then raises the signal again: this makes that an exit with 0.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )


if __name__ == "__main__":
    main()
