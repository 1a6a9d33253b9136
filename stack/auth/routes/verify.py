"""/verify: a link or code comes back. GET is the link in a mail and leads on by a redirect; POST answers a session."""

from typing import Any

import msgspec
import psycopg
from litestar import Request, Response, get, post

from stack.auth import audit, onetime, pkce, redirects, users
from stack.auth.client import Client
from stack.auth.database import Connection
from stack.auth.errors import AuthError, as_auth_error, invalid, otp_expired, phone_disabled
from stack.auth.onetime import PKCE_PREFIX, Kind
from stack.auth.requests import Verify, read, read_email, redirect_of
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
    """What a link or code turned out to be."""

    user: User
    by_pkce: bool
    purpose: str
    complete: bool
    """False while a change of address awaits the other address."""


@post("/verify", status_code=200)
async def verify(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """A session for a code with its address, or for the token of a link."""
    body = await read(request, Verify)
    if not body.type:
        raise invalid("Verify requires a verification type")
    if bool(body.token) == bool(body.token_hash):
        raise invalid("Verify requires either a token or a token hash")
    if body.phone or body.type in PHONE_TYPES:
        raise phone_disabled()
    if body.token_hash and body.email:
        raise invalid("Only the token_hash and type should be provided")
    client = Client.of(request)
    if body.token_hash:
        auth.limits.verifications.take(client)
        return await _session(auth, token=body.token_hash, purpose=body.type, client=client)
    email = read_email(body.email)
    auth.limits.verifications.take(client)
    guess = await auth.guess_code(email, client)
    token = auth.onetime.token_hash(email, (body.token or "").strip())
    answer = await _session(auth, token=token, purpose=body.type, client=client)
    guess.give_back()
    return answer


async def _session(auth: Auth, *, token: str, purpose: str, client: Client) -> dict[str, Any]:
    async with auth.transaction() as connection:
        done = await _redeem(auth, connection, token=token, purpose=purpose, client=client)
        if not done.complete:
            return {"msg": email_change.ONE_DONE, "code": "200"}
        return await auth.sessions.begin(connection, done.user, method="otp", client=client)


@get("/verify")
async def follow_link(request: Request[Any, Any, Any], auth: Auth) -> Response[None]:
    """Use up the token of a link and lead on, with a session in the fragment or a PKCE code in the query."""
    token, purpose = request.query_params.get("token"), request.query_params.get("type")
    if not token or not purpose:
        raise invalid("Verify requires a token and a verification type")
    client = Client.of(request)
    auth.limits.verifications.take(client)
    place = auth.redirects.choose(redirect_of(request))
    by_pkce = token.startswith(PKCE_PREFIX)
    try:
        return _see_other(await _landing(auth, token=token, purpose=purpose, place=place, client=client))
    except (AuthError, psycopg.Error) as error:
        refusal = as_auth_error(error, path="/verify")
        if refusal.status >= 500 and refusal.status != 503:
            raise
        return _see_other(_with_error(place, refusal, by_pkce=by_pkce))


async def _landing(auth: Auth, *, token: str, purpose: str, place: str, client: Client) -> str:
    async with auth.transaction() as connection:
        done = await _redeem(auth, connection, token=token, purpose=purpose, client=client)
        if not done.complete:
            message = {"message": email_change.ONE_DONE}
            return redirects.with_fragment(redirects.with_query(place, message) if done.by_pkce else place, message)
        if done.by_pkce:
            code = await pkce.issue_code(connection, user_id=done.user.id, method=PKCE_METHODS[done.purpose])
            return redirects.with_query(place, {"code": code})
        session = await auth.sessions.begin(connection, done.user, method="otp", client=client)
    names = ("access_token", "expires_at", "expires_in", "refresh_token", "token_type")
    return redirects.with_fragment(place, {"type": done.purpose, **{name: str(session[name]) for name in names}})


def _with_error(place: str, refusal: AuthError, *, by_pkce: bool) -> str:
    values = {
        "error": OAUTH_ERRORS.get(refusal.status, "invalid_request"),
        "error_code": refusal.code,
        "error_description": refusal.message,
    }
    return redirects.with_fragment(redirects.with_query(place, values) if by_pkce else place, values)


def _see_other(place: str) -> Response[None]:
    return Response(None, status_code=303, headers={"Location": place})


async def _redeem(auth: Auth, connection: Connection, *, token: str, purpose: str, client: Client) -> Verified:
    """Use up a link or code and do what it was for.

    Raises:
        AuthError: `otp_expired`, `user_banned`, `validation_failed`.
    """
    kinds = KINDS.get(purpose)
    if kinds is None:
        raise invalid("Unsupported verification type")
    redeemed = await onetime.redeem(connection, token, kinds=kinds, expiry=auth.settings.otp_expiry)
    user = await users.by_id(connection, redeemed.user_id, lock=True)
    if user is None:
        raise otp_expired()
    if user.is_banned:
        raise AuthError(403, "user_banned", "User is banned")
    complete = True
    match redeemed.kind:
        case Kind.CONFIRMATION:
            purpose = "signup" if purpose == "email" else purpose
            await _confirm(connection, user, client)
        case Kind.RECOVERY:
            purpose = "magiclink" if purpose == "email" else purpose
            if user.email_confirmed_at is None:
                await _confirm(connection, user, client)
            else:
                await users.forget_one_time_tokens(connection, user.id)
                await audit.record(connection, "login", actor=user, ip=client.ip)
        case _:
            await audit.record(connection, "user_modified", actor=user, ip=client.ip)
            complete = await email_change.confirm_one(auth, connection, user, redeemed.kind)
    return Verified(
        user=await users.existing(connection, user.id), by_pkce=redeemed.by_pkce, purpose=purpose, complete=complete
    )


async def _confirm(connection: Connection, user: User, client: Client) -> None:
    await users.confirm_email(connection, user.id)
    await audit.record(connection, "user_signedup", actor=user, ip=client.ip)
