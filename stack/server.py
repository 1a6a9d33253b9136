"""Running one part of the stack: settings from the environment, JSON logs, a graceful end at SIGTERM or Ctrl-C."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from types import FrameType
from typing import Any, Protocol, TypeVar

import uvicorn
import uvloop

from common.logs import configure_logs
from common.settings import SettingsError, exit_for_settings
from stack.ports import LOOPBACK

KEEP_ALIVE_SECONDS = 75
"""Longer than the gateway keeps an idle connection, so that the gateway closes it first."""
GRACE_SECONDS = 5
"""How long requests may take to end at shutdown. The supervisor waits a little longer."""


class _Settings(Protocol):
    @property
    def port(self) -> int: ...


S = TypeVar("S", bound=_Settings)
T = TypeVar("T")


def serve_app(name: str, read: Callable[[Mapping[str, str]], S], create_app: Callable[[S], Callable[..., Any]]) -> None:
    """Serve an ASGI application on loopback until a signal stops it.

    Args:
        name: of the part, for the error message of a failed start.
        read: reads its settings from the environment; raises SettingsError.
        create_app: makes the application.
    """
    configure_logs()
    try:
        settings = read(os.environ)
    except SettingsError as error:
        exit_for_settings(name, error)
    # uvicorn stops gracefully and then raises the signal again, for an earlier handler. That is not a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    uvicorn.run(
        create_app(settings),
        host=LOOPBACK,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,  # a line would hold the token of a link that was followed
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def serve_until_stopped(
    name: str,
    read: Callable[[Mapping[str, str]], T],
    work: Callable[[T, asyncio.Event], Coroutine[Any, Any, None]],
    *,
    silent: tuple[str, ...],
) -> None:
    """Run a coroutine that serves by itself, and set its event when a signal stops it.

    Args:
        name: of the part, for the error message of a failed start.
        read: reads its settings from the environment; raises SettingsError.
        work: serves until the event is set.
        silent: loggers of libraries that would quote what must not be logged.
    """
    configure_logs(silent)

    async def until_stopped(settings: T) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await work(settings, stop)

    try:
        uvloop.run(until_stopped(read(os.environ)))
    except SettingsError as error:
        exit_for_settings(name, error)
    except OSError as error:
        sys.exit(f"{name}: {error.strerror or error}")


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
