"""`python -m edge.worker`: run the jobs of the queue until SIGTERM or Ctrl-C."""

import logging
import os
import signal
import sys

import uvicorn

from common.logs import configure_logs
from common.settings import SettingsError, exit_for_settings
from edge.worker.app import create_app
from edge.worker.settings import WorkerSettings, read_settings

GRACE = 2
"""Seconds in which requests of probes may finish at a stop; jobs have their own."""


def main() -> None:
    """Run jobs until a signal stops it."""
    try:
        settings = read_settings(os.environ)
    except SettingsError as fault:
        exit_for_settings("worker", fault)
    configure_logs()
    # The library writes several lines a job, with all arguments; we write one.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    # uvicorn stops gracefully and then raises the signal again: this makes that an exit with 0.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    own = settings[WorkerSettings]
    uvicorn.run(
        create_app(settings),
        host=own.host,
        port=own.port,
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
