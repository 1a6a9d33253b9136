"""What a package adds to the worker."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec
from prometheus_client import CollectorRegistry

from common.settings import BaseSettings, ProcessSettings
from edge.database import Database
from edge.http.health import ReadinessChecks


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A coroutine function that runs jobs of its name, or runs by the clock.

    A job may run twice, because its worker may die between the work and the note that it is done: the second run must
    change nothing. It raises PermanentError where no later run can succeed; after any other error it is retried.
    """

    run: Callable[..., Awaitable[None]]
    """Takes the arguments of the job; with `cron`, also `timestamp`."""
    cron: str | None = None
    """Runs it at these times; never twice at once."""
    takes_context: bool = False
    """Whether its first argument is Procrastinate's JobContext."""
    is_retried: bool = True
    """Whether a failed run is retried before the next time of `cron`."""

    @property
    def name(self) -> str:
        """The name by which private.defer_job defers it."""
        return self.run.__name__


class WorkerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What every package of the worker may use."""

    settings: ProcessSettings
    database: Database
    readiness: ReadinessChecks
    """A package may add checks of its own."""
    registry: CollectorRegistry
    """A package may add metrics of its own."""


class WorkerPackage(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks of a package, and what they need."""

    open: Callable[[WorkerContext], AbstractAsyncContextManager[Sequence[Task]]]
    """Opens the package's clients, yields its tasks, and closes the clients at the end."""
    settings: type[BaseSettings] | None = None
    """The package's part of the settings, WORKER_*."""
