"""What the server says about itself: /health, /settings, the public keys, and the features that it does not have."""

from typing import Any

from litestar import Request, Response, delete, get, post, route

from stack.auth.errors import AuthError, invalid
from stack.auth.requests import Enrolment, read
from stack.auth.server import Auth

PROVIDERS = (
    "apple", "azure", "bitbucket", "discord", "facebook", "figma", "fly", "github", "gitlab", "google", "kakao",
    "keycloak", "linkedin", "linkedin_oidc", "notion", "slack", "slack_oidc", "snapchat", "spotify", "twitch",
    "twitter", "workos", "x", "zoom",
)  # fmt: skip
JWKS_AGE = 600
"""Seconds for which clients may keep the public keys; they ask again for a key that they do not know."""


@get("/health")
async def health() -> dict[str, Any]:
    """That the server listens."""
    return {"name": "auth", "description": "The embedded stack's auth server"}


@get("/ready")
async def ready(auth: Auth) -> dict[str, str]:
    """That the database answers too; 503 `database_unavailable` until then."""
    async with auth.pool.connection() as connection:
        await connection.execute("select 1")
    return {"status": "ok"}


@get("/settings")
async def settings(auth: Auth) -> dict[str, Any]:
    """Which ways of signing in there are."""
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
    """The public keys with which tokens are verified."""
    return Response(auth.signer.keys().jwks(), headers={"Cache-Control": f"public, max-age={JWKS_AGE}"})


@get("/authorize")
async def authorize() -> None:
    """Sign in with another company's account."""
    raise invalid("Unsupported provider: provider is not enabled")


@route("/callback", http_method=["GET", "POST"])
async def callback() -> None:
    """Where such a company sends the user back to."""
    raise AuthError(400, "bad_oauth_callback", "No external provider is enabled")


@route(["/sso", "/sso/saml/metadata", "/sso/saml/acs"], http_method=["GET", "POST"])
async def single_sign_on() -> None:
    """Sign in with an organisation's account."""
    raise AuthError(404, "saml_provider_disabled", "SAML 2.0 is disabled")


@get("/user/identities/authorize")
async def link_identity(request: Request[Any, Any, Any], auth: Auth) -> None:
    """Add a further account to a user."""
    await _must_be_signed_in(request, auth)
    raise AuthError(404, "manual_linking_disabled", "Manual linking is disabled")


@delete("/user/identities/{identity_id:str}", status_code=200)
async def unlink_identity(request: Request[Any, Any, Any], auth: Auth, identity_id: str) -> None:  # noqa: ARG001
    """Take an account from a user."""
    await _must_be_signed_in(request, auth)
    raise AuthError(404, "manual_linking_disabled", "Manual linking is disabled")


@post("/factors")
async def enrol_factor(request: Request[Any, Any, Any], auth: Auth) -> None:
    """Add a second factor."""
    await _must_be_signed_in(request, auth)
    kind = (await read(request, Enrolment)).factor_type or "totp"
    if kind not in {"totp", "phone", "webauthn"}:
        raise invalid("factor_type needs to be totp, phone, or webauthn")
    raise AuthError(422, f"mfa_{kind}_enroll_not_enabled", f"MFA enroll is disabled for {kind}")


@post(["/factors/{factor_id:str}/challenge", "/factors/{factor_id:str}/verify"])
async def use_factor(request: Request[Any, Any, Any], auth: Auth, factor_id: str) -> None:  # noqa: ARG001
    """Ask a second factor."""
    await _must_be_signed_in(request, auth)
    raise AuthError(422, "mfa_totp_verify_not_enabled", "MFA verification is disabled")


@delete("/factors/{factor_id:str}", status_code=200)
async def remove_factor(request: Request[Any, Any, Any], auth: Auth, factor_id: str) -> None:  # noqa: ARG001
    """Remove a second factor, of which nobody has one."""
    await _must_be_signed_in(request, auth)
    raise AuthError(404, "mfa_factor_not_found", "Factor not found")


@get("/admin/users/{user_id:str}/factors")
async def list_factors(request: Request[Any, Any, Any], auth: Auth, user_id: str) -> list[Any]:  # noqa: ARG001
    """A user's second factors: none."""
    auth.admin(request)
    return []


@delete("/admin/users/{user_id:str}/factors/{factor_id:str}", status_code=200)
async def remove_users_factor(
    request: Request[Any, Any, Any],
    auth: Auth,
    user_id: str,  # noqa: ARG001
    factor_id: str,  # noqa: ARG001
) -> None:
    """Remove a user's second factor, of which nobody has one."""
    auth.admin(request)
    raise AuthError(404, "mfa_factor_not_found", "Factor not found")


async def _must_be_signed_in(request: Request[Any, Any, Any], auth: Auth) -> None:
    async with auth.pool.connection() as connection:
        await auth.caller(request, connection)
