"""Running an ASGI application as one part of the stack: on loopback, JSON logs, a graceful end at SIGTERM or Ctrl-C."""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Protocol, TypeVar

import uvicorn

from stack.errors import StackError
from stack.logs import configure_logs
from stack.ports import LOOPBACK

KEEP_ALIVE_SECONDS = 75
"""Longer than the gateway keeps an idle connection, so that it is the gateway that lets go."""
GRACE_SECONDS = 5
"""What requests under way get to finish; the supervisor waits a little longer."""


class _Settings(Protocol):
    @property
    def port(self) -> int: ...


S = TypeVar("S", bound=_Settings)


def serve(name: str, read: Callable[[Mapping[str, str]], S], create_app: Callable[[S], Callable[..., Any]]) -> None:
    """Serve until told to stop.

    Args:
        name: of the part, for the line that says why it cannot start.
        read: makes its settings of the environment; raises StackError.
        create_app: makes the application.
    """
    configure_logs()
    try:
        settings = read(os.environ)
    except StackError as error:
        sys.exit(f"{name}: {error}")
    # uvicorn stops gracefully and then raises the signal again, for whoever handled it before: that is not a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    uvicorn.run(
        create_app(settings),
        host=LOOPBACK,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,  # a line would hold the token of the link that was followed
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
