"""Ids of Stripe's objects that the database has stored. None of them blocks a person for ever.

An object may be deleted at Stripe, or belong to another account or mode since the key was changed: then its id is
dropped, and the object is made anew. A creation that Stripe refused, or in which it failed, is tried again with another
idempotency key, because Stripe repeats its answer to the same one for a day.
"""

from collections.abc import Awaitable, Callable

import structlog

from common.errors import PermanentError
from edge.database import Database
from edge.payments.client import MISSING, SavedFailureError, StripeSnapshot

log = structlog.get_logger()


async def create(
    database: Database, kind: str, subject: str, request: Callable[[int], Awaitable[StripeSnapshot]]
) -> StripeSnapshot:
    """Create an object; after a failure that Stripe keeps, the next call uses another idempotency key.

    Args:
        database: which counts the attempts.
        kind: of the object, as in provider_references.
        subject: the id of its row.
        request: the call, given the number of the attempt.

    Raises:
        PermanentError, TransientError: as the call does.
    """
    attempt: int = await database.call("stripe_attempt", p_object=kind, p_subject=subject)
    try:
        return await request(attempt)
    except (PermanentError, SavedFailureError):
        await database.call("renew_stripe_attempt", p_object=kind, p_subject=subject, p_attempt=attempt)
        raise


async def use(
    database: Database, kind: str, stripe_id: str, request: Callable[[str], Awaitable[StripeSnapshot]]
) -> StripeSnapshot | None:
    """Make a call about a stored object.

    Args:
        database: which has stored its id.
        kind: of the object, as in provider_references.
        stripe_id: its id.
        request: the call.

    Returns:
        None where Stripe does not have the object any more: its id is dropped.

    Raises:
        PermanentError, TransientError: as the call does.
    """
    try:
        found = await request(stripe_id)
    except PermanentError as refusal:
        if refusal.code not in MISSING:
            raise
    else:
        if not found.body.get("deleted"):
            return found
    await drop(database, kind, stripe_id)
    return None


async def drop(database: Database, kind: str, stripe_id: str) -> None:
    """Have the database forget an id that Stripe does not know."""
    is_new: bool = await database.call("drop_stripe_id", p_object=kind, p_stripe_id=stripe_id)
    log.warning("stripe_id_dropped", kind=kind, stripe_id=stripe_id, is_new=is_new)
