"""Health, settings, public keys, and the features that this server does not have."""

from typing import Any

from litestar import Request, Response, delete, get, route

from stack.auth.errors import AuthError, invalid
from stack.auth.server import Auth

PROVIDERS = (
    "apple", "azure", "bitbucket", "discord", "facebook", "figma", "fly", "github", "gitlab", "google", "kakao",
    "keycloak", "linkedin", "linkedin_oidc", "notion", "slack", "slack_oidc", "snapchat", "spotify", "twitch",
    "twitter", "workos", "x", "zoom",
)  # fmt: skip
JWKS_AGE = 5
"""Seconds for which a cache on the way may keep the public keys: a revoked key must go at once."""


@get("/health")
async def health() -> dict[str, Any]:
    """Answer while the server listens."""
    return {"name": "auth", "description": "The embedded stack's auth server"}


@get("/ready")
async def ready(auth: Auth) -> dict[str, str]:
    """Answer when the database does too; 503 `database_unavailable` until then."""
    async with auth.pool.connection() as connection:
        await connection.execute("select 1")
    return {"status": "ok"}


@get("/settings")
async def settings(auth: Auth) -> dict[str, Any]:
    """List the ways to sign in."""
    return {
        "external": {
            **dict.fromkeys(PROVIDERS, False),
            "anonymous_users": auth.settings.anonymous,
            "email": True,
            "phone": False,
        },
        "disable_signup": not auth.settings.signup,
        "mailer_autoconfirm": auth.settings.autoconfirm,
        "phone_autoconfirm": False,
        "sms_provider": "",
        "saml_enabled": False,
    }


@get("/.well-known/jwks.json")
async def jwks(auth: Auth) -> Response[dict[str, Any]]:
    """List the public keys that verify tokens."""
    return Response(auth.signer.keys().jwks(), headers={"Cache-Control": f"public, max-age={JWKS_AGE}"})


@get("/authorize")
async def authorize() -> None:
    """Sign in with an external provider."""
    raise invalid("Unsupported provider: provider is not enabled")


@route("/callback", http_method=["GET", "POST"])
async def callback() -> None:
    """Come back from an external provider."""
    raise AuthError(400, "bad_oauth_callback", "No external provider is enabled")


@route(["/sso", "/sso/saml/metadata", "/sso/saml/acs"], http_method=["GET", "POST"])
async def single_sign_on() -> None:
    """Sign in with an organisation's account."""
    raise AuthError(404, "saml_provider_disabled", "SAML 2.0 is disabled")


@get("/user/identities/authorize")
async def link_identity(request: Request[Any, Any, Any], auth: Auth) -> None:
    """Link a further identity to the user."""
    await _must_be_signed_in(request, auth)
    raise AuthError(404, "manual_linking_disabled", "Manual linking is disabled")


@delete("/user/identities/{identity_id:str}", status_code=200)
async def unlink_identity(request: Request[Any, Any, Any], auth: Auth, identity_id: str) -> None:  # noqa: ARG001
    """Unlink an identity from the user."""
    await _must_be_signed_in(request, auth)
    raise AuthError(404, "manual_linking_disabled", "Manual linking is disabled")


async def _must_be_signed_in(request: Request[Any, Any, Any], auth: Auth) -> None:
    async with auth.pool.connection() as connection:
        await auth.caller(request, connection)
