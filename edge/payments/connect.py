"""The terms on which people get accounts for payouts at Stripe, by the countries of the platform and of the person.

https://docs.stripe.com/connect/service-agreement-types and https://docs.stripe.com/connect/cross-border-payouts
"""

from typing import Any

from edge.payments.settings import PaymentSettings

EEA = frozenset(
    (
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI"),
        *("LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"),
    )
)
FULL_REGION = EEA | {"CA", "CH", "GB", "US"}
"""Between these countries Stripe transfers to accounts on its full agreement."""


def account_terms(settings: PaymentSettings, country: str | None) -> dict[str, Any]:
    """The country, the capabilities and the service agreement of a new account.

    On the full agreement, Stripe refuses `transfers` without `card_payments` unless it has approved the platform. Where
    it does not transfer to such accounts, the recipient agreement is required, which excludes `card_payments`.

    Args:
        settings: with the country of the platform.
        country: of the person; None is that of the platform.
    """
    platform = settings.stripe_country
    country = country or platform
    transfers = {"transfers": {"requested": True}}
    is_full = platform in (None, country) or {platform, country} <= FULL_REGION
    if not is_full:
        return {"country": country, "capabilities": transfers, "tos_acceptance": {"service_agreement": "recipient"}}
    cards = {} if settings.stripe_transfers_only else {"card_payments": {"requested": True}}
    return {"country": country, "capabilities": cards | transfers}
