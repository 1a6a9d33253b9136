"""Routes of external identities."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from litestar import Litestar, Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from litestar.params import HeaderParameter

from edge.database import Database
from edge.errors import error
from edge.http.openapi import error_responses
from edge.http.package import HttpPackage
from edge.http.tiers import UNLIMITED
from edge.http.webhooks import ERRORS, Receipt, WebhookEvent, receive_webhook
from edge.identities.client import WebhookVerifier
from edge.identities.settings import IdentitySettings
from edge.settings import required_setting

MAX_EVENT = 256 << 10
"""Bytes; Clerk's largest events are a tenth of it."""
HANDLED_EVENTS = frozenset({"user.created", "user.updated", "user.deleted"})
"""The types that private.apply_clerk_event handles."""


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Make the verifier of webhooks, where there is a secret."""
    secret = app.state.settings[IdentitySettings].clerk_webhook_secret
    app.state.clerk_webhook_verifier = None if secret is None else WebhookVerifier(secret)
    yield


@post(
    "/webhooks/clerk",
    summary="Clerk reports a change of a user",
    description="Takes every event whose Svix signature is right. `user.created`, `user.updated` and `user.deleted`"
    " have an effect, once each, in whatever order they arrive.",
    tags=["identities"],
    opt=UNLIMITED,
    status_code=200,
    request_max_body_size=MAX_EVENT,
    responses=error_responses(tokens=ERRORS),
)
async def clerk_webhook(
    request: Request[Any, Any, State],
    *,
    database: NamedDependency[Database],
    state: State,
    svix_id: Annotated[str, HeaderParameter(name="svix-id", description="The event, the same at each delivery")] = "",
    svix_timestamp: Annotated[str, HeaderParameter(name="svix-timestamp", description="Seconds since 1970")] = "",
    svix_signature: Annotated[str, HeaderParameter(name="svix-signature", description="`v1,` and base64")] = "",
) -> Receipt:
    """The database stores the event and applies it."""
    required_setting(state.settings[IdentitySettings], "clerk_webhook_secret")
    verifier: WebhookVerifier = state.clerk_webhook_verifier

    def is_signed(body: bytes) -> bool:
        return verifier.is_signed(body, event_id=svix_id, timestamp=svix_timestamp, signatures=svix_signature)

    return await receive_webhook(
        request,
        database,
        provider="clerk",
        event_type=WebhookEvent,
        handled=HANDLED_EVENTS,
        is_signed=is_signed,
        event_id=lambda _event: svix_id,
    )


@post(
    "/auth/oauth",
    summary="Gone: sign in through auth",
    description="Always refused, with the calls to use instead.",
    tags=["identities"],
    opt=UNLIMITED,
    status_code=410,
    responses=error_responses(tokens=("endpoint_gone",)),
)
async def oauth() -> None:
    """Name the calls to use instead.

    Raises:
        EdgeError: 410 `endpoint_gone`, always.
    """
    raise error("endpoint_gone")


PACKAGE = HttpPackage(
    public=[clerk_webhook, oauth],
    settings=IdentitySettings,
    lifespan=lifespan,
    tag=Tag(name="identities", description="Accounts that come from an identity provider."),
)
