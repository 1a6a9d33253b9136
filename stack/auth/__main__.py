"""`python -m stack.auth`: the auth server, with its settings from the environment."""

import os
import signal
import sys
from types import FrameType

import uvicorn

from stack.auth.app import create_app
from stack.auth.log import configure
from stack.auth.settings import Settings
from stack.errors import StackError
from stack.ports import LOOPBACK

GRACE = 5
"""Seconds that requests under way get to finish when the server is told to stop."""


def main() -> None:
    """Serve until told to stop."""
    configure()
    try:
        settings = Settings.from_mapping(os.environ)
    except StackError as error:
        sys.exit(f"auth: {error}")
    # uvicorn stops gracefully and then raises the signal again, for whoever handled it before: that is not a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    uvicorn.run(
        create_app(settings),
        host=LOOPBACK,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        access_log=False,  # a line would hold the token of the link that was followed
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    sys.exit(0)


if __name__ == "__main__":
    main()
