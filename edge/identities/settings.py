"""Settings of external identities."""

from typing import Annotated

from common.settings import BaseSettings, Rule
from edge.identities.client import WebhookVerifier


def _svix_secret(text: str) -> str:
    WebhookVerifier(text)
    return text


class IdentitySettings(BaseSettings, frozen=True, kw_only=True):
    """The identity provider of the installation."""

    clerk_webhook_secret: Annotated[str, Rule("a secret as Svix writes it, whsec_...", _svix_secret)] | None = None
    """What Clerk's webhooks are signed with."""
