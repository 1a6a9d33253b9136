"""Requests of mails: /recover, /otp, /magiclink and /resend for everyone, GET /reauthenticate for signed-in users.

The answer is `{}`, and the work is done after it, so that neither the answer nor its time reveals whether the user
exists. Failures of that work are logged. Each mail is sent after the commit, so that its link works when it arrives.

One request is answered by whether there is a user, as on Supabase: for a link to sign in that may make no new one. Its
caller asks just that. Few such questions are answered to one network (`sign_in_sign_ups`).
"""

from typing import Any

from litestar import Request, get, post

from stack.auth import audit, mail, pkce, users
from stack.auth.client import Client
from stack.auth.errors import AuthError, invalid, phone_disabled
from stack.auth.one_time_tokens import Kind
from stack.auth.requests import Contact, Otp, Resend, check_metadata, read, read_email
from stack.auth.routes.email_change import write_email_change
from stack.auth.routes.sign_up import (
    insert_confirmed,
    sign_up_unconfirmed,
    write_confirmation,
    write_invitation,
)
from stack.auth.server import Auth, MailRequest
from stack.auth.users import NewUser, User


@post("/recover", status_code=200)
async def recover(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Mail a link that signs a user in to set a new password."""
    body = await read(request, Contact)
    email = read_email(body.email)
    mail_request = auth.mail_request(request, body)
    auth.limits.mail_requests.take(mail_request.client)
    with auth.limits.mails.slot("recovery", email):
        auth.background.start("recover", _send(auth, email, "recovery", mail_request))
    return {}


@post(["/otp", "/magiclink"], status_code=200)
async def otp(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Mail a link and a code to sign in.

    A new address makes a new user. Where `create_user` is false, or sign-ups are closed, it is refused: `otp_disabled`,
    or `signup_disabled`.
    """
    body = await read(request, Otp)
    if body.phone and body.email:
        raise invalid("Only an email address or phone number should be provided")
    if body.phone:
        raise phone_disabled("Unsupported phone provider")
    check_metadata(body.data, size=auth.settings.user_metadata_size)
    email = read_email(body.email)
    mail_request = auth.mail_request(request, body)
    may_create = auth.settings.signup and body.create_user is not False
    new = NewUser.by_email(email, hashed=None, data=body.data) if may_create else None
    auth.limits.mail_requests.take(mail_request.client)
    if new is None:
        await _require_user(auth, email, create_user=body.create_user is not False)
    with auth.limits.mails.slot("recovery", email):
        auth.background.start("otp", _sign_in_link(auth, email, new, mail_request))
    return {}


async def _require_user(auth: Auth, email: str, *, create_user: bool) -> None:
    async with auth.pool.connection() as connection:
        if await users.by_email(connection, email) is not None:
            return
    if create_user:
        raise AuthError(422, "signup_disabled", "Signups not allowed for this instance")
    raise AuthError(422, "otp_disabled", "Signups not allowed for otp")


async def _sign_in_link(auth: Auth, email: str, new: NewUser | None, mail_request: MailRequest) -> None:
    async with auth.transaction() as connection:
        known = await users.by_email(connection, email)
        if known is None and new is not None and auth.settings.autoconfirm:
            known = await insert_confirmed(connection, new, mail_request.client)
    is_confirmed = known is not None and known.email_confirmed_at is not None
    if known is not None and (is_confirmed or known.encrypted_password is not None):
        # A link of this kind removes an unproved password. The link of the sign-up remains valid beside it.
        await _send(auth, email, "magiclink", mail_request)
    elif new is not None and (known is None or known.is_pending_sign_up):
        await sign_up_unconfirmed(auth, new, email=email, mail_request=mail_request, is_answered=True)
    else:
        await _resend_confirmation(auth, email, mail_request)


async def _send(auth: Auth, email: str, purpose: str, mail_request: MailRequest) -> None:
    """Mail a link of the kind `recovery`, which both purposes are, where there is such a user."""
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email, lock=True)
        if user is None:
            return
        await audit.record(connection, "user_recovery_requested", actor=user, ip=mail_request.client.ip)
        if mail_request.challenge is not None:
            await pkce.begin(connection, mail_request.challenge, user_id=user.id, method=purpose)
        issued = await auth.one_time_tokens.issue(
            connection, user.id, Kind.RECOVERY, address=email, by_pkce=mail_request.challenge is not None
        )
        link = auth.link(token=issued.token, purpose=purpose, redirect_to=mail_request.redirect_to)
    write = mail.recovery if purpose == "recovery" else mail.magic_link
    await auth.mail(email, write(link=link, otp=issued.otp))


@post("/resend", status_code=200)
async def resend(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Mail the confirmation of a signup or of a change of address again."""
    body = await read(request, Resend)
    if body.type in {"sms", "phone_change"} or body.phone:
        raise phone_disabled()
    if body.type not in {"signup", "email_change"}:
        raise invalid("Missing one of these types: signup, email_change, sms, phone_change")
    email = read_email(body.email)
    mail_request = auth.mail_request(request, body)
    auth.limits.mail_requests.take(mail_request.client)
    with auth.limits.mails.slot("confirmation" if body.type == "signup" else "email_change", email):
        send_again = _resend_confirmation if body.type == "signup" else _resend_email_change
        auth.background.start("resend", send_again(auth, email, mail_request))
    return {}


async def _resend_confirmation(auth: Auth, email: str, mail_request: MailRequest) -> None:
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email, lock=True)
        if user is None or user.email_confirmed_at is not None:
            return
        write = write_confirmation if user.is_pending_sign_up else write_invitation
        outgoing = await write(auth, connection, user, mail_request)
    await auth.mail(email, outgoing)


async def _resend_email_change(auth: Auth, email: str, mail_request: MailRequest) -> None:
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email, lock=True)
        if user is None or user.new_email is None:
            return
        try:
            # The request counted the present address. The new one is anybody's.
            with auth.limits.mails.slot("email_change", user.new_email):
                mails = await write_email_change(auth, connection, user, user.new_email, mail_request)
        except AuthError:
            return
    for address, outgoing in mails:
        await auth.mail(address, outgoing)


@get("/reauthenticate")
async def reauthenticate(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Mail a code by which a signed-in user confirms that they still hold their address."""
    client = Client.of(request)
    async with auth.transaction() as connection:
        user = (await auth.caller(request, connection, lock=True)).user
        email = _confirmed_address(user)
        auth.limits.mail_requests.take(client)
        with auth.limits.mails.slot("reauthentication", email):
            await audit.record(connection, "user_reauthenticate_requested", actor=user, ip=client.ip)
            issued = await auth.one_time_tokens.issue(connection, user.id, Kind.REAUTHENTICATION, address=email)
            await auth.mail(email, mail.reauthentication(otp=issued.otp))
    return {}


def _confirmed_address(user: User) -> str:
    if not user.email:
        raise invalid("Reauthentication requires the user to have an email or a phone number")
    if user.email_confirmed_at is None:
        raise AuthError(422, "email_not_confirmed", "Please verify your email first.")
    return user.email
