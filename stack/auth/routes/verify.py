"""/verify: redeem a link or code. GET is the link in a mail and redirects; POST answers with a session."""

from typing import Any

import msgspec
import psycopg
from litestar import Request, Response, get, post

from stack.auth import audit, one_time_tokens, pkce, redirects, users
from stack.auth.client import Client
from stack.auth.database import Connection
from stack.auth.errors import AuthError, as_auth_error, code_expired, invalid, otp_expired
from stack.auth.one_time_tokens import PKCE_PREFIX, Kind
from stack.auth.requests import Verify, read, read_email, read_phone, redirect_of
from stack.auth.routes import email_change
from stack.auth.server import Auth
from stack.auth.users import User

KINDS = {
    "signup": (Kind.CONFIRMATION,),
    "invite": (Kind.CONFIRMATION,),
    "recovery": (Kind.RECOVERY,),
    "magiclink": (Kind.RECOVERY,),
    "email": (Kind.CONFIRMATION, Kind.RECOVERY),
    "email_change": (Kind.EMAIL_CHANGE_CURRENT, Kind.EMAIL_CHANGE_NEW),
}
PKCE_METHODS = {
    "signup": "email/signup",
    "invite": "invite",
    "recovery": "recovery",
    "magiclink": "magiclink",
    "email_change": "email_change",
}
OAUTH_ERRORS = {
    400: "invalid_request",
    401: "unauthorized_client",
    403: "access_denied",
    503: "temporarily_unavailable",
}
PHONE_TYPES = {"sms", "phone_change"}


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A redeemed link or code."""

    user: User
    by_pkce: bool
    purpose: str
    complete: bool
    """False while the other address has yet to confirm a change of address."""


@post("/verify", status_code=200)
async def verify(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Get a session for a code with its address, or for the token of a link."""
    body = await read(request, Verify)
    if not body.type:
        raise invalid("Verify requires a verification type")
    if bool(body.token) == bool(body.token_hash):
        raise invalid("Verify requires either a token or a token hash")
    if body.phone:
        if body.email:
            raise invalid("Only an email address or phone number should be provided on verify")
        read_phone(body.phone)
        if body.type not in PHONE_TYPES:
            raise invalid("Invalid sms verification type")
        raise code_expired()  # no code is ever sent to a phone
    if body.token_hash and body.email:
        raise invalid("Only the token_hash and type should be provided")
    client = Client.of(request)
    if body.token_hash:
        auth.limits.verifications.take(client)
        return await _session(auth, token=body.token_hash, purpose=body.type, client=client)
    email = read_email(body.email)
    auth.limits.verifications.take(client)
    guess = await auth.guess_code(email, client)
    token = auth.one_time_tokens.token_hash(email, (body.token or "").strip().replace("-", ""))
    try:
        answer = await _session(auth, token=token, purpose=body.type, client=client)
    except AuthError as error:
        if error.code != "otp_expired":
            raise
        raise code_expired() from error
    guess.give_back()
    return answer


async def _session(auth: Auth, *, token: str, purpose: str, client: Client) -> dict[str, Any]:
    async with auth.transaction() as connection:
        done = await _redeem(auth, connection, token=token, purpose=purpose, client=client)
        if not done.complete:
            return {"msg": email_change.ONE_CONFIRMED, "code": "200"}
        return await auth.sessions.begin(connection, done.user, method="otp", client=client)


@get("/verify")
async def follow_link(request: Request[Any, Any, Any], auth: Auth) -> Response[None]:
    """Redeem the token of a link and redirect, with a session in the fragment or a PKCE code in the query."""
    token, purpose = request.query_params.get("token"), request.query_params.get("type")
    if not token or not purpose:
        raise invalid("Verify requires a token and a verification type")
    client = Client.of(request)
    auth.limits.verifications.take(client)
    redirect_to = auth.redirects.choose(redirect_of(request))
    by_pkce = token.startswith(PKCE_PREFIX)
    try:
        return _see_other(
            await _redirect_url(auth, token=token, purpose=purpose, redirect_to=redirect_to, client=client)
        )
    except (AuthError, psycopg.Error) as error:
        refusal = as_auth_error(error, path="/verify")
        if refusal.status >= 500 and refusal.status != 503:
            raise
        return _see_other(_with_error(redirect_to, refusal, by_pkce=by_pkce))


async def _redirect_url(auth: Auth, *, token: str, purpose: str, redirect_to: str, client: Client) -> str:
    async with auth.transaction() as connection:
        done = await _redeem(auth, connection, token=token, purpose=purpose, client=client)
        if not done.complete:
            message = {"message": email_change.ONE_CONFIRMED}
            return redirects.with_fragment(
                redirects.with_query(redirect_to, message) if done.by_pkce else redirect_to, message
            )
        if done.by_pkce:
            code = await pkce.issue_code(connection, user_id=done.user.id, method=PKCE_METHODS[done.purpose])
            return redirects.with_query(redirect_to, {"code": code})
        session = await auth.sessions.begin(connection, done.user, method="otp", client=client)
    names = ("access_token", "expires_at", "expires_in", "refresh_token", "token_type")
    return redirects.with_fragment(redirect_to, {"type": done.purpose, **{name: str(session[name]) for name in names}})


def _with_error(redirect_to: str, refusal: AuthError, *, by_pkce: bool) -> str:
    values = {
        "error": OAUTH_ERRORS.get(refusal.status, "invalid_request"),
        "error_code": refusal.code,
        "error_description": refusal.message,
    }
    return redirects.with_fragment(redirects.with_query(redirect_to, values) if by_pkce else redirect_to, values)


def _see_other(redirect_to: str) -> Response[None]:
    return Response(None, status_code=303, headers={"Location": redirect_to})


async def _redeem(auth: Auth, connection: Connection, *, token: str, purpose: str, client: Client) -> Verified:
    """Redeem a link or code and do what it is for.

    Raises:
        AuthError: `otp_expired`, `user_banned`, `validation_failed`.
    """
    kinds = KINDS.get(purpose)
    if kinds is None:
        raise invalid("Unsupported verification type")
    redeemed = await one_time_tokens.redeem(connection, token, kinds=kinds, expiry=auth.settings.otp_expiry)
    user = await users.by_id(connection, redeemed.user_id, lock=True)
    if user is None:
        raise otp_expired()
    if user.is_banned:
        raise AuthError(403, "user_banned", "User is banned")
    complete = True
    match redeemed.kind:
        case Kind.CONFIRMATION:
            purpose = "signup" if purpose == "email" else purpose
            await _confirm(connection, user, client, by_sign_up=True)
        case Kind.RECOVERY:
            purpose = "magiclink" if purpose == "email" else purpose
            if user.email_confirmed_at is None:
                await _confirm(connection, user, client, by_sign_up=False)
            else:
                await users.forget_one_time_tokens(connection, user.id)
                await audit.record(connection, "login", actor=user, ip=client.ip)
        case _:
            await audit.record(connection, "user_modified", actor=user, ip=client.ip)
            complete = await email_change.confirm_one(auth, connection, user, redeemed.kind)
    return Verified(
        user=await users.existing(connection, user.id), by_pkce=redeemed.by_pkce, purpose=purpose, complete=complete
    )


async def _confirm(connection: Connection, user: User, client: Client, *, by_sign_up: bool) -> None:
    """Confirm an address. Only the link of the sign-up itself keeps the password that was chosen in it."""
    if user.email_confirmed_at is None:
        await users.void_unproved(connection, user, keep_sign_up=by_sign_up)
    await users.confirm_email(connection, user.id)
    await audit.record(connection, "user_signedup", actor=user, ip=client.ip)
