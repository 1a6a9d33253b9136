"""The settings of the worker: variables WORKER_*. Each package adds its own part. docs/deploy.md explains each."""

from collections.abc import Mapping
from typing import Annotated

from common.settings import BaseSettings, DatabaseUrl, Port, ProcessSettings, between
from edge import packages

PREFIX = "WORKER_"


class WorkerSettings(BaseSettings, frozen=True, kw_only=True):
    """What every worker needs, whatever its packages."""

    port: Port
    """Where to answer probes and Prometheus."""
    db_url: DatabaseUrl
    """The database, as the role `worker`."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    concurrency: Annotated[int, between(1, 100)] = 8
    """Jobs at once."""
    heartbeat: Annotated[int, between(1, 19)] = 10
    """Seconds between two heartbeats. A worker that missed three counts as dead, and its jobs go to others."""
    first_pause_ms: Annotated[int, between(10, 60_000)] = 5000
    """Milliseconds until a failed job is retried; the pause then doubles each time."""


def read_settings(values: Mapping[str, str]) -> ProcessSettings:
    """Read the settings of the worker and of all its packages.

    Raises:
        SettingsError: variables WORKER_* are missing, wrong or unknown.
    """
    parts = (each.settings for each in packages.worker_packages() if each.settings is not None)
    return ProcessSettings.read(values, PREFIX, [WorkerSettings, *parts], refuse_unknown=True)
