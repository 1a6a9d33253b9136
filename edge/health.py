"""Operations: is the process alive, and can it serve."""

import asyncio

import msgspec
from litestar import get
from litestar.datastructures import State

from edge.auth import Keyring
from edge.database import Rest, System
from edge.errors import EdgeError


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process lives."""

    status: str = "ok"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge needs, all of it there."""

    status: str = "ready"
    checks: tuple[str, ...]


@get("/health", summary="Whether the process lives", tags=["operations"], sync_to_thread=False)
def health() -> Health:
    """Answer at once, whatever else is down."""
    return Health()


@get("/ready", summary="Whether everything that the edge needs answers", tags=["operations"])
async def ready(state: State) -> Readiness:
    """Ask the database, PostgREST and Auth's keys; 503 `not_ready` names what is missing."""
    system: System = state.system
    rest: Rest = state.rest
    keyring: Keyring = state.keyring
    names = ("database", "rest", "auth")
    found = await asyncio.gather(system.is_reachable(), rest.is_reachable(), keyring.is_loaded())
    missing = [name for name, answers in zip(names, found, strict=True) if not answers]
    if missing:
        raise EdgeError(503, "not_ready", f"Not reachable: {', '.join(missing)}.")
    return Readiness(checks=names)
