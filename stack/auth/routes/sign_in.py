"""POST /token: a session for a password, a refresh token or a PKCE code; POST /logout."""

from typing import Any

from litestar import Request, post

from stack.auth import audit, pkce, sessions, users
from stack.auth.client import Client
from stack.auth.errors import AuthError, invalid, invalid_credentials, phone_disabled
from stack.auth.passwords import cost_of
from stack.auth.requests import PasswordGrant, PkceGrant, RefreshGrant, read
from stack.auth.server import Auth

SCOPES = ("global", "local", "others")


@post("/token", status_code=200)
async def token(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Begin or continue a session, by `grant_type`."""
    match request.query_params.get("grant_type"):
        case "password":
            return await _by_password(request, auth)
        case "refresh_token":
            return await _by_refresh_token(request, auth)
        case "pkce":
            return await _by_pkce_code(request, auth)
        case "id_token":
            raise AuthError(400, "provider_disabled", "No external provider is enabled")
        case "web3":
            raise AuthError(422, "web3_provider_disabled", "Web3 provider is disabled")
        case _:
            raise AuthError(400, "unsupported_grant_type", "grant_type must be password, refresh_token or pkce")


async def _by_password(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    body = await read(request, PasswordGrant)
    client = Client.of(request)
    if body.email and body.phone:
        raise invalid("Only an email address or phone number should be provided on login.")
    if body.phone:
        raise phone_disabled()
    if not body.email:
        raise invalid("missing email or phone")
    password = body.password or ""
    email = body.email.lower()
    auth.limits.sign_ins.take(client)
    guess = await auth.guess_password(email, client)
    async with auth.pool.connection() as connection:
        user = await users.by_email(connection, email)
    # Nothing above the refusal may depend on whether there is such a user.
    matched = await auth.hasher.matches(password, user.encrypted_password if user else None)
    await auth.report_password_attempt(user, valid=matched, client=client)
    if not matched or user is None:
        raise invalid_credentials()
    guess.give_back()
    rehashed = None
    if cost_of(user.encrypted_password or "") != auth.hasher.cost:
        rehashed = await auth.hasher.hash(password)
    async with auth.transaction() as connection:
        now = await users.by_id(connection, user.id, lock=True)
        if now is None or now.encrypted_password != user.encrypted_password:
            # Deleted or changed during the comparison.
            raise invalid_credentials()
        if now.is_banned:
            raise AuthError(400, "user_banned", "User is banned")
        if now.email_confirmed_at is None:
            raise AuthError(400, "email_not_confirmed", "Email not confirmed")
        if rehashed is not None:
            await users.change(connection, now.id, {"encrypted_password": rehashed})
        await audit.record(connection, "login", actor=now, ip=client.ip, traits={"provider": "email"})
        return await auth.sessions.begin(connection, now, method="password", client=client)


async def _by_refresh_token(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    body = await read(request, RefreshGrant)
    if not body.refresh_token:
        raise invalid("refresh_token required")
    client = Client.of(request)
    auth.limits.refreshes.take(client)
    async with auth.transaction() as connection:
        outcome = await auth.sessions.refresh(connection, body.refresh_token, client=client)
    # Raised only after the commit, which ends the session of a stolen token.
    if isinstance(outcome, AuthError):
        raise outcome
    return outcome


async def _by_pkce_code(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    body = await read(request, PkceGrant)
    client = Client.of(request)
    if not body.auth_code or not body.code_verifier:
        raise invalid("invalid request: both auth code and code verifier should be non-empty")
    auth.limits.refreshes.take(client)
    async with auth.transaction() as connection:
        flow = await pkce.exchange(connection, code=body.auth_code, verifier=body.code_verifier)
        user = await users.by_id(connection, flow.user_id, lock=True)
        if user is None:
            raise AuthError(404, "flow_state_not_found", "invalid flow state, no valid flow state found")
        if user.is_banned:
            raise AuthError(403, "user_banned", "User is banned")
        await audit.record(connection, "login", actor=user, ip=client.ip, traits={"provider_type": flow.method})
        return await auth.sessions.begin(connection, user, method=flow.method, client=client)


@post("/logout", status_code=204)
async def logout(request: Request[Any, Any, Any], auth: Auth) -> None:
    """End this session, the user's others, or all, by `scope`."""
    scope = request.query_params.get("scope") or "global"
    if scope not in SCOPES:
        raise invalid(f"scope must be one of {', '.join(SCOPES)}")
    async with auth.transaction() as connection:
        caller = await auth.caller(request, connection)
        await audit.record(connection, "logout", actor=caller.user, ip=Client.of(request).ip)
        await sessions.end_by_scope(connection, user_id=caller.user.id, session_id=caller.session_id, scope=scope)
