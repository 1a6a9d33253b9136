"""The settings of the double: variables DOUBLE_STRIPE_*."""

from pathlib import Path
from typing import Annotated

from common.settings import SECONDS, BaseSettings, HttpUrl, Port, Texts, listed

Seconds = Annotated[tuple[float, ...], listed(SECONDS)]


class Settings(BaseSettings, frozen=True, kw_only=True):
    """Where to listen, where to keep the state, and where and how to deliver events."""

    prefix = "DOUBLE_STRIPE_"
    port: Port
    folder: Path
    """Holds the sqlite file; made where it is missing."""
    public_url: HttpUrl
    """The address of the pages for browsers."""
    api_key: str
    """The secret key of callers, for the API and for the control."""
    webhook_secret: str
    """The key that signs deliveries."""
    webhook_url: str = ""
    """Where events are delivered; empty delivers none."""
    webhook_events: Texts = ("*",)
    """The types of events that are delivered, as an endpoint at Stripe subscribes to them; `*` is all."""
    webhook_backoff: Seconds = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
    """Pauses after each failed attempt. After the last one an event is given up."""
    webhook_timeout: float = 10
    """Seconds that the receiver has to answer."""
    webhook_concurrency: int = 4
    """Deliveries at once. With more than one, events overtake one another, as they do at Stripe."""
    country: str = "US"
    """Of the platform's own account; it decides which connected accounts can be made."""
    is_transfers_only_approved: bool = True
    """Whether Stripe has allowed the platform accounts with `transfers` and without `card_payments`."""
    latency: float = 0
    """Seconds by which every answer of the API is delayed."""
