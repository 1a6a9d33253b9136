"""Errors of payments."""

from edge.errors import ErrorDefinition

ERRORS = (
    ErrorDefinition(
        "customer_not_found",
        404,
        "You have bought nothing yet, so the payment provider has no billing page for you.",
        "Buy something first.",
    ),
    ErrorDefinition(
        "price_not_found",
        404,
        "The payment provider has no such price in the platform's account.",
        "Copy the id of the price from the provider's dashboard.",
    ),
    ErrorDefinition(
        "payout_account_not_found",
        404,
        "You have no account for payouts.",
        "POST /functions/v1/payout-account makes one.",
    ),
    ErrorDefinition(
        "payout_country_unsupported",
        422,
        "The payment provider cannot pay people in this country from the platform's; `details` gives its reason.",
        "Send the country of another bank account of yours, or ask the operator.",
        detail="%s",
    ),
    ErrorDefinition(
        "payout_country_fixed",
        409,
        "Your account for payouts is complete, so its country can no longer be changed.",
        "Ask the operator.",
    ),
    ErrorDefinition(
        "subscription_not_found", 404, "There is no such subscription, or it is not yours.", "Read subscriptions again."
    ),
    ErrorDefinition(
        "subscription_ended", 409, "The subscription has ended and can no longer be changed.", "Subscribe again."
    ),
    ErrorDefinition(
        "url_foreign",
        422,
        "A URL to return to is not of this installation: neither of EDGE_PUBLIC_URL nor of EDGE_CORS_ORIGINS.",
        "Send a page of your own site.",
        detail="%s is not a URL of this installation.",
    ),
    ErrorDefinition(
        "payment_provider_refused",
        502,
        "The payment provider refuses this; `details` gives its reason.",
        "Try something else, or ask the operator.",
        detail="%s",
    ),
    ErrorDefinition(
        "payment_provider_unavailable",
        503,
        "The payment provider does not answer, is busy, or rejects the installation's key; it may have done what was"
        " requested, and a repeated request does it once.",
        "Try again in a moment.",
    ),
)
