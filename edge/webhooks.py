"""What providers tell the edge: the database keeps each event, and applies it once."""

from typing import Any, Literal

import msgspec
import structlog

from edge.database import System
from edge.errors import EdgeError

log = structlog.get_logger()

FAILED = (503, "webhook_failed", "The event is kept and had no effect. Tell it again later.")
"""The refusal that every route of webhooks states."""
APPLIED_OR_IGNORED = {"applied", "ignored"}


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event: it had its effect, or means nothing here."""

    status: Literal["applied", "ignored"]


async def receive(system: System, provider: str, event_id: str, type_: str, payload: dict[str, Any]) -> Receipt:
    """Hand an event whose signature is right to the database.

    Raises:
        EdgeError: 503 `webhook_failed`, or the database is away: the provider tells it again.
    """
    status = await system.call(
        "receive_webhook", p_provider=provider, p_event_id=event_id, p_type=type_, p_payload=payload
    )
    if status not in APPLIED_OR_IGNORED:
        log.error("webhook_failed", provider=provider, event_id=event_id, type=type_)
        raise EdgeError(503, "webhook_failed", "The event is kept and had no effect.", "Tell it again later.")
    log.info("webhook", provider=provider, event_id=event_id, type=type_, outcome=status)
    return Receipt(status=status)
