"""Settings of payments."""

import re
from typing import Annotated

from common.settings import BaseSettings, HttpUrl, Rule


def _api_key(text: str) -> str:
    if not text.startswith(("sk_", "rk_")):
        raise ValueError
    return text


def _webhook_secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(secret.strip() for secret in text.split(","))
    if not all(secret.startswith("whsec_") and secret != "whsec_" for secret in secrets):  # noqa: S105  the prefix
        raise ValueError
    return secrets


def _country(text: str) -> str:
    if not re.fullmatch("[A-Z]{2}", text):
        raise ValueError
    return text


ApiKey = Annotated[str, Rule("a secret or restricted key of Stripe (sk_... or rk_...)", _api_key)]
WebhookSecrets = Annotated[
    tuple[str, ...], Rule("secrets as Stripe writes them, whsec_..., separated by commas", _webhook_secrets)
]


Country = Annotated[str, Rule("a country by ISO 3166-1, such as SE", _country)]


class StripeSettings(BaseSettings, frozen=True, kw_only=True):
    """The account at Stripe, for the edge and the worker."""

    stripe_api_key: ApiKey | None = None
    """The key of the account. Without one nothing is sold, and jobs at Stripe wait."""
    stripe_api_url: HttpUrl | None = None
    """The address of Stripe's API, where it is not Stripe's own."""


class PaymentSettings(StripeSettings, frozen=True, kw_only=True):
    """What the edge needs beside the account."""

    stripe_webhook_secret: WebhookSecrets | None = None
    """What Stripe's webhooks are signed with: one secret for each endpoint, and two while one is being changed."""
    stripe_country: Country | None = None
    """The country of the account, on which the terms of people's accounts depend. None: as theirs."""
    stripe_transfers_only: bool = False
    """Whether Stripe approved the account for people's accounts that have the capability transfers alone."""
