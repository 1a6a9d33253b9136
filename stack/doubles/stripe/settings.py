"""What the double is told from outside."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from stack.errors import StackError
from stack.given import Given

REFUNDS = ("succeeded", "pending", "failed")
AFTER_RETRIES = ("canceled", "unpaid", "past_due")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, where to keep the books, and how to play. What has a default may be left out."""

    port: int
    folder: Path
    """Holds the one sqlite file; made where it is missing."""
    public_url: str
    """Where browsers reach the pages."""
    api_key: str
    """The secret key that callers show, of the API and of the control alike."""
    webhook_secret: str
    """What deliveries are signed with."""
    webhook_url: str = ""
    """Where events are delivered to; nowhere where it is empty."""
    webhook_backoff: tuple[float, ...] = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
    """Seconds after each failed attempt until the next; after the last an event is given up."""
    webhook_timeout: float = 10
    """Seconds that a receiver has to answer."""
    webhook_concurrency: int = 4
    """Deliveries at once. With more than one, events overtake one another, as they do with Stripe."""
    latency: float = 0
    """Seconds that each answer of the API is kept back; 0, the default, is instant."""
    refunds: str = "succeeded"
    """What becomes of refunds: succeeded, pending (until the control settles them), or failed."""
    retry_days: tuple[float, ...] = (3, 5, 7)
    """Days from each failed payment of an invoice to the next try."""
    after_retries: str = "canceled"
    """What becomes of a subscription after the last try: canceled, unpaid or past_due."""

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> Self:
        """The settings that DOUBLE_STRIPE_* variables hold. Raises StackError naming the one that is wrong."""
        given = Given(environment)
        name = "DOUBLE_STRIPE_{}".format
        defaults = {field.name: field.default for field in msgspec.structs.fields(cls)}
        return cls(
            port=given.integer(name("PORT")),
            folder=given.path(name("FOLDER")),
            public_url=given.address(name("PUBLIC_URL")),
            api_key=given.text(name("API_KEY")),
            webhook_secret=given.text(name("WEBHOOK_SECRET")),
            webhook_url=given.text(name("WEBHOOK_URL"), ""),
            webhook_backoff=_numbers(given, name("WEBHOOK_BACKOFF"), defaults["webhook_backoff"]),
            webhook_timeout=given.seconds(name("WEBHOOK_TIMEOUT"), defaults["webhook_timeout"]),
            webhook_concurrency=given.integer(name("WEBHOOK_CONCURRENCY"), defaults["webhook_concurrency"]),
            latency=given.seconds(name("LATENCY"), defaults["latency"]),
            refunds=_word(given, name("REFUNDS"), REFUNDS),
            retry_days=_numbers(given, name("RETRY_DAYS"), defaults["retry_days"]),
            after_retries=_word(given, name("AFTER_RETRIES"), AFTER_RETRIES),
        )


def _numbers(given: Given, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
    text = given.text(name, ",".join(map(str, default)))
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    if not all(re.fullmatch(r"\d{1,9}(\.\d{1,6})?", piece) for piece in pieces):
        raise StackError(f"{name} must be numbers separated by commas, not {text!r}")
    return tuple(map(float, pieces))


def _word(given: Given, name: str, words: tuple[str, ...]) -> str:
    text = given.text(name, words[0])
    if text not in words:
        raise StackError(f"{name} must be one of {', '.join(words)}, not {text!r}")
    return text
