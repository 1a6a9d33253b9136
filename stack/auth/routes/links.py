"""Mails that a stranger may ask for: /recover, /otp, /magiclink, /resend. And GET /reauthenticate for who is signed in.

The answer is `{}` and comes before anybody looks whether there is such a user: the work goes on afterwards, so that
neither the answer nor its time tells. What fails then is logged. Each mail is sent after the commit: a program that
reads it may be quick.
"""

from typing import Any

from litestar import Request, get, post

from stack.auth import audit, mail, pkce, users
from stack.auth.client import Client
from stack.auth.errors import AuthError, invalid, phone_disabled
from stack.auth.onetime import Kind
from stack.auth.requests import Contact, Otp, Resend, read, read_email
from stack.auth.routes.email_change import write_email_change
from stack.auth.routes.sign_up import insert_confirmed, invite_to_confirm, write_confirmation
from stack.auth.server import Asked, Auth
from stack.auth.users import NewUser, User


@post("/recover", status_code=200)
async def recover(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Mail a link that signs a user in so that he can set a new password."""
    body = await read(request, Contact)
    email = read_email(body.email)
    asked = auth.asked(request, body)
    auth.limits.mails_asked.take(asked.client)
    with auth.limits.mails.slot("recovery", email):
        auth.background.start("recover", _send(auth, email, "recovery", asked))
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
    asked = auth.asked(request, body)
    may_create = auth.settings.signup and body.create_user is not False
    new = NewUser.by_email(email, hashed=None, data=body.data) if may_create else None
    auth.limits.mails_asked.take(asked.client)
    with auth.limits.mails.slot("recovery", email):
        auth.background.start("otp", _sign_in_link(auth, email, new, asked))
    return {}


async def _sign_in_link(auth: Auth, email: str, new: NewUser | None, asked: Asked) -> None:
    async with auth.transaction() as connection:
        known = await users.by_email(connection, email)
        if known is None and new is not None and auth.settings.autoconfirm:
            known = await insert_confirmed(connection, new, asked.client)
    if known is not None and known.email_confirmed_at is not None:
        await _send(auth, email, "magiclink", asked)
    elif new is not None:
        await invite_to_confirm(auth, new, email=email, asked=asked, is_answered=True)
    else:
        await _resend_confirmation(auth, email, asked)


async def _send(auth: Auth, email: str, purpose: str, asked: Asked) -> None:
    """Mail a link of the kind `recovery`, which both purposes are, where there is such a user."""
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email, lock=True)
        if user is None:
            return
        await audit.record(connection, "user_recovery_requested", actor=user, ip=asked.client.ip)
        if asked.challenge is not None:
            await pkce.begin(connection, asked.challenge, user_id=user.id, method=purpose)
        issued = await auth.onetime.issue(
            connection, user.id, Kind.RECOVERY, address=email, by_pkce=asked.challenge is not None
        )
        link = auth.link(token=issued.token, purpose=purpose, redirect_to=asked.place)
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
    asked = auth.asked(request, body)
    auth.limits.mails_asked.take(asked.client)
    with auth.limits.mails.slot("confirmation" if body.type == "signup" else "email_change", email):
        again = _resend_confirmation if body.type == "signup" else _resend_email_change
        auth.background.start("resend", again(auth, email, asked))
    return {}


async def _resend_confirmation(auth: Auth, email: str, asked: Asked) -> None:
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email, lock=True)
        if user is None or user.email_confirmed_at is not None:
            return
        letter = await write_confirmation(auth, connection, user, asked)
    await auth.mail(email, letter)


async def _resend_email_change(auth: Auth, email: str, asked: Asked) -> None:
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email, lock=True)
        if user is None or user.new_email is None:
            return
        letters = await write_email_change(auth, connection, user, user.new_email, asked)
    for address, letter in letters:
        await auth.mail(address, letter)


@get("/reauthenticate")
async def reauthenticate(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Mail a code by which somebody who is signed in shows that he still holds his address."""
    client = Client.of(request)
    async with auth.transaction() as connection:
        user = (await auth.caller(request, connection, lock=True)).user
        email = _confirmed_address(user)
        auth.limits.mails_asked.take(client)
        with auth.limits.mails.slot("reauthentication", email):
            await audit.record(connection, "user_reauthenticate_requested", actor=user, ip=client.ip)
            issued = await auth.onetime.issue(connection, user.id, Kind.REAUTHENTICATION, address=email)
            await auth.mail(email, mail.reauthentication(otp=issued.otp))
    return {}


def _confirmed_address(user: User) -> str:
    if not user.email:
        raise invalid("Reauthentication requires the user to have an email or a phone number")
    if user.email_confirmed_at is None:
        raise AuthError(422, "email_not_confirmed", "Please verify your email first.")
    return user.email
