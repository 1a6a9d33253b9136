"""`python -m edge`: serve the edge on loopback until SIGTERM or Ctrl-C."""

import os
import signal
import sys

import uvicorn

from edge.app import create_app
from edge.logs import configure_logs
from edge.settings import Settings, SettingsError

HOST = "127.0.0.1"
KEEP_ALIVE = 75
"""Seconds: longer than the gateway keeps its idle connections, so that it is never the edge that closes one in use."""
GRACE = 10
"""Seconds that requests under way get to finish at a stop."""


def main() -> None:
    """Serve until told to stop."""
    try:
        settings = Settings.from_mapping(os.environ)
    except SettingsError as error:
        sys.exit(f"edge: {error}")
    configure_logs()
    # uvicorn stops gracefully and then raises the signal again: this makes that an exit with 0.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    uvicorn.run(
        create_app(settings),
        host=HOST,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )


if __name__ == "__main__":
    main()
