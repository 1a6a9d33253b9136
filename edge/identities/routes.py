"""Routes of external identities."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter

from edge.database import System, provide_system
from edge.errors import EdgeError
from edge.identities.client import Signatures
from edge.identities.types import Event
from edge.openapi import refusals
from edge.settings import Settings, SettingsError, variable
from edge.tiers import UNLIMITED
from edge.webhooks import FAILED, Receipt, receive

CLERK = "clerk"
MAX_EVENT = 256 << 10
"""Bytes; Clerk's largest events are a tenth of it."""


@post(
    "/webhooks/clerk",
    summary="Clerk tells of a user",
    description="Takes every event whose Svix signature is right. `user.created`, `user.updated` and `user.deleted`"
    " have an effect, once each, in whatever order they arrive.",
    tags=["identities"],
    opt=UNLIMITED,
    status_code=200,
    request_max_body_size=MAX_EVENT,
    responses=refusals(
        (400, "invalid_request", "The body is no event: it needs a type and data."),
        (400, "signature_invalid", "The body is not signed by the provider, or not signed just now."),
        (413, "payload_too_large", "The request's body is too large."),
        (503, "database_unavailable", "Postgres does not answer."),
        (503, "provider_not_configured", "The installation has no secret for these webhooks."),
        FAILED,
    ),
)
async def clerk_webhook(
    request: Request[Any, Any, State],
    *,
    signatures: NamedDependency[Signatures],
    system: NamedDependency[System],
    svix_id: Annotated[str, HeaderParameter(name="svix-id", description="The event, the same at each delivery")] = "",
    svix_timestamp: Annotated[str, HeaderParameter(name="svix-timestamp", description="Seconds since 1970")] = "",
    svix_signature: Annotated[str, HeaderParameter(name="svix-signature", description="`v1,` and base64")] = "",
) -> Receipt:
    """Verify the raw bytes, and hand the event to the database, which keeps it and applies it."""
    body = await request.body()
    signatures.verify(body, event_id=svix_id, timestamp=svix_timestamp, signature=svix_signature)
    try:
        event = msgspec.json.decode(body, type=Event)
        payload: dict[str, Any] = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise EdgeError(400, "invalid_request", "The body is no event: it needs a type and data.") from None
    return await receive(system, CLERK, svix_id, event.type, payload)


@post(
    "/auth/oauth",
    summary="Gone: sign in through auth",
    description="Always refused, with the way to take instead.",
    tags=["identities"],
    opt=UNLIMITED,
    status_code=410,
    responses=refusals((410, "endpoint_gone", "This way is no more; `details` names the one instead.")),
)
async def oauth() -> None:
    """Say where to go instead.

    Raises:
        EdgeError: 410 `endpoint_gone`, always.
    """
    raise EdgeError(
        410,
        "endpoint_gone",
        "Auth signs people in: GET /auth/v1/authorize?provider=<name>, signInWithOAuth of the official clients,"
        " and POST /auth/v1/token?grant_type=pkce with the code that it gives.",
        "Call those, or POST /auth/v1/token?grant_type=password where auth has no such provider.",
    )


def router(settings: Settings) -> Router:
    """These routes, as configured.

    Raises:
        SettingsError: the secret is none that Svix can have made.
    """
    secret = settings.clerk_webhook_secret
    signatures = None if secret is None else _signatures(secret)

    async def provide_signatures() -> Signatures:
        return signatures or Signatures(settings.provider("clerk_webhook_secret"))

    return Router(
        path="/",
        route_handlers=[clerk_webhook, oauth],
        dependencies={"signatures": Provide(provide_signatures), "system": Provide(provide_system)},
    )


def _signatures(secret: str) -> Signatures:
    try:
        return Signatures(secret)
    except ValueError:
        name = variable("clerk_webhook_secret")
        raise SettingsError(f"{name} is not a secret as Svix writes it, whsec_...") from None
