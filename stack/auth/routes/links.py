"""Mails that a stranger may ask for: /recover, /otp, /magiclink, /resend. And GET /reauthenticate for who is signed in.

The answer is `{}` and comes before anybody looks whether there is such a user: the work goes on afterwards, so that
neither the answer nor its time tells. What fails then is logged.
"""

from typing import Any

from litestar import Request, get, post

from stack.auth import audit, mail, onetime, pkce, users
from stack.auth.client import Client
from stack.auth.errors import AuthError, invalid, phone_disabled
from stack.auth.onetime import Kind
from stack.auth.requests import Contact, Otp, Resend, read, read_email, redirect_of
from stack.auth.routes.email_change import send_email_change
from stack.auth.routes.sign_up import insert_confirmed, invite_to_confirm
from stack.auth.server import Auth
from stack.auth.users import NewUser, User


@post("/recover", status_code=200)
async def recover(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Mail a link that signs a user in so that he can set a new password."""
    body = await read(request, Contact)
    email = read_email(body.email)
    challenge = pkce.read_challenge(body.code_challenge, body.code_challenge_method)
    place = auth.redirects.choose(redirect_of(request, body))
    with auth.throttle.slot("recovery", email):
        auth.background.start(
            "recover", _send(auth, email, "recovery", challenge=challenge, client=Client.of(request), place=place)
        )
    return {}


@post(["/otp", "/magiclink"], status_code=200)
async def otp(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Mail a link and a code that sign in. Somebody new becomes a user, unless `create_user` is false."""
    body = await read(request, Otp)
    if body.phone and body.email:
        raise invalid("Only an email address or phone number should be provided")
    if body.phone:
        raise phone_disabled()
    email = read_email(body.email)
    challenge = pkce.read_challenge(body.code_challenge, body.code_challenge_method)
    asked = redirect_of(request, body)
    may_create = auth.settings.signup and body.create_user is not False
    new = NewUser.by_email(email, hashed=None, data=body.data) if may_create else None
    with auth.throttle.slot("recovery", email):
        auth.background.start(
            "otp", _sign_in_link(auth, email, new, challenge=challenge, client=Client.of(request), asked=asked)
        )
    return {}


async def _sign_in_link(
    auth: Auth,
    email: str,
    new: NewUser | None,
    *,
    challenge: pkce.Challenge | None,
    client: Client,
    asked: str | None,
) -> None:
    async with auth.transaction() as connection:
        known = await users.by_email(connection, email)
        if known is None and new is not None and auth.settings.autoconfirm:
            known = await insert_confirmed(connection, new, client)
    if known is not None and known.email_confirmed_at is not None:
        place = auth.redirects.choose(asked)
        await _send(auth, email, "magiclink", challenge=challenge, client=client, place=place)
    elif new is not None:
        await invite_to_confirm(auth, new, email=email, challenge=challenge, client=client, redirect_to=asked)
    elif known is not None:
        await _resend_confirmation(auth, known.email or email, client=client, asked=asked)


async def _send(
    auth: Auth, email: str, purpose: str, *, challenge: pkce.Challenge | None, client: Client, place: str
) -> None:
    """Mail a link of the kind `recovery`, which both purposes are, where there is such a user."""
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email, lock=True)
        if user is None:
            return
        await audit.record(connection, "user_recovery_requested", actor=user, ip=client.ip)
        if challenge is not None:
            await pkce.begin(connection, challenge, user_id=user.id, method=purpose)
        issued = await onetime.issue(connection, user.id, Kind.RECOVERY, address=email, by_pkce=challenge is not None)
        link = auth.link(token=issued.token, purpose=purpose, redirect_to=place)
        letter = mail.recovery if purpose == "recovery" else mail.magic_link
        await auth.mail(email, letter(link=link, otp=issued.otp))


@post("/resend", status_code=200)
async def resend(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Mail the confirmation of a signup or of a change of address once more."""
    body = await read(request, Resend)
    if body.type in {"sms", "phone_change"} or body.phone:
        raise phone_disabled()
    if body.type not in {"signup", "email_change"}:
        raise invalid("Missing one of these types: signup, email_change, sms, phone_change")
    email = read_email(body.email)
    client, asked = Client.of(request), redirect_of(request, body)
    with auth.throttle.slot("confirmation" if body.type == "signup" else "email_change", email):
        if body.type == "signup":
            auth.background.start("resend", _resend_confirmation(auth, email, client=client, asked=asked))
        else:
            auth.background.start("resend", _resend_email_change(auth, email, asked=asked))
    return {}


async def _resend_confirmation(auth: Auth, email: str, *, client: Client, asked: str | None) -> None:
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email, lock=True)
        if user is None or user.email_confirmed_at is not None:
            return
        await audit.record(connection, "user_confirmation_requested", actor=user, ip=client.ip)
        issued = await onetime.issue(connection, user.id, Kind.CONFIRMATION, address=email)
        link = auth.link(token=issued.token, purpose="signup", redirect_to=auth.redirects.choose(asked))
        await auth.mail(email, mail.confirmation(link=link, otp=issued.otp))


async def _resend_email_change(auth: Auth, email: str, *, asked: str | None) -> None:
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email, lock=True)
        if user is not None and user.new_email is not None:
            place = auth.redirects.choose(asked)
            await send_email_change(auth, connection, user, user.new_email, challenge=None, place=place)


@get("/reauthenticate")
async def reauthenticate(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Mail a code by which somebody who is signed in shows that he still holds his address."""
    async with auth.transaction() as connection:
        user = (await auth.caller(request, connection, lock=True)).user
        email = _confirmed_address(user)
        with auth.throttle.slot("reauthentication", email):
            await audit.record(connection, "user_reauthenticate_requested", actor=user, ip=Client.of(request).ip)
            issued = await onetime.issue(connection, user.id, Kind.REAUTHENTICATION, address=email)
            await auth.mail(email, mail.reauthentication(otp=issued.otp))
    return {}


def _confirmed_address(user: User) -> str:
    if not user.email:
        raise invalid("Reauthentication requires the user to have an email or a phone number")
    if user.email_confirmed_at is None:
        raise AuthError(422, "email_not_confirmed", "Please verify your email first.")
    return user.email
