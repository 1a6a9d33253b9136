"""Webhooks: each event is verified, decoded and handed to the database, which stores it and applies it once."""

from collections.abc import Callable, Collection
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import structlog
from litestar import Request
from litestar.datastructures import State

from edge.database import Database
from edge.errors import error

log = structlog.get_logger()

ERRORS = (
    "invalid_request",
    "signature_invalid",
    "payload_too_large",
    "database_unavailable",
    "provider_not_configured",
    "webhook_failed",
)
"""What every route of webhooks may answer with."""


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What every event has. SQL knows what the rest means: private.apply_<provider>_event."""

    type: Annotated[str, msgspec.Meta(max_length=255)]
    data: dict[str, Any]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the event, now or when it was delivered before.

    applied: it had an effect. ignored: it means nothing here. waiting: it is applied when the object that it names
    arrives. foreign: it is about an object of another application.
    """

    status: Literal["applied", "ignored", "waiting", "foreign"]


Event = TypeVar("Event", bound=WebhookEvent)


async def receive_webhook(
    request: Request[Any, Any, State],
    database: Database,
    *,
    provider: str,
    event_type: type[Event],
    handled: Collection[str],
    is_signed: Callable[[bytes], bool],
    event_id: Callable[[Event], str],
    is_foreign: Callable[[Event], bool] = lambda _: False,
) -> Receipt:
    """Receive one delivery.

    Args:
        request: its body is the event, in the very bytes that the provider signed.
        database: where the event is stored and applied.
        provider: its name in the database.
        event_type: what every event of the provider has.
        handled: the types that may have an effect. Others are acknowledged, and write nothing.
        is_signed: whether the provider signed these bytes.
        event_id: the id of an event, the same at each delivery.
        is_foreign: whether an event is certainly not meant for this installation. It is acknowledged and counted.

    Raises:
        EdgeError: 400 `signature_invalid`, 400 `invalid_request`, 503 `database_unavailable`, or 503 `webhook_failed`,
            after which the provider delivers the event again.
    """
    body = await request.body()
    if not is_signed(body):
        raise error("signature_invalid")
    try:
        event = msgspec.json.decode(body, type=event_type)
        payload: dict[str, Any] = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        fields = ", ".join(event_type.__struct_fields__)
        raise error("invalid_request", f"The body is not an event: it lacks some of {fields}.") from None
    known = {"provider": provider, "event_id": event_id(event), "type": event.type}
    status = "ignored"
    if event.type in handled:
        status = await database.call(
            "receive_webhook",
            p_provider=provider,
            p_event_id=known["event_id"],
            p_type=event.type,
            p_payload=payload,
            p_is_foreign=is_foreign(event),
        )
    if status == "failed":
        log.error("webhook_failed", **known)
        raise error("webhook_failed")
    log.info("webhook", outcome=status, **known)
    return msgspec.convert({"status": status}, Receipt)
