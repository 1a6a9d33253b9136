"""POST /signup: new users, and anonymous users."""

import contextlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
from litestar import Request, post
from psycopg import errors as pg

from stack.auth import audit, mail, pkce, users
from stack.auth.client import Client
from stack.auth.database import Connection
from stack.auth.errors import AuthError, invalid, is_taken_email, phone_disabled
from stack.auth.one_time_tokens import Kind
from stack.auth.passwords import check_strength
from stack.auth.requests import SignUp, check_metadata, read, read_email
from stack.auth.server import Auth, MailRequest
from stack.auth.users import NewUser, User

PKCE_METHOD = "email/signup"


@post("/signup", status_code=200)
async def sign_up(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Make a user. The answer is a session, or only the user where the address has yet to be confirmed."""
    body = await read(request, SignUp)
    client = Client.of(request)
    check_metadata(body.data, size=auth.settings.user_metadata_size)
    anonymous = not body.email and not body.phone
    if anonymous and not auth.settings.anonymous:
        raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
    if not auth.settings.signup:
        raise AuthError(422, "signup_disabled", "Signups not allowed for this instance")
    if anonymous:
        auth.limits.anonymous.take(client)
        return await _sign_up_anonymously(auth, body, client)
    if body.email and body.phone:
        raise invalid("Only an email address or phone number should be provided on signup.")
    if body.phone:
        raise phone_disabled("Phone signups are disabled")
    if not body.password:
        raise invalid("Signup requires a valid password")
    check_strength(body.password, min_length=auth.settings.min_password_length)
    email = read_email(body.email)
    mail_request = auth.mail_request(request, body)
    auth.limits.sign_ins.take(client)
    if auth.settings.autoconfirm:
        new = NewUser.by_email(email, hashed=await auth.hasher.hash(body.password), data=body.data)
        return await _sign_up_confirmed(auth, new, client)
    with auth.limits.mails.slot("confirmation", email):
        new = NewUser.by_email(email, hashed=await auth.hasher.hash(body.password), data=body.data)
        await sign_up_unconfirmed(auth, new, email=email, mail_request=mail_request, is_answered=False)
    return _unconfirmed_answer(new)


async def _sign_up_anonymously(auth: Auth, body: SignUp, client: Client) -> dict[str, Any]:
    new = NewUser(id=uuid4(), app_metadata={}, user_metadata=body.data or {}, is_anonymous=True)
    async with auth.transaction() as connection:
        user = await users.insert(connection, new)
        await audit.record(connection, "login", actor=user, ip=client.ip)
        return await auth.sessions.begin(connection, user, method="anonymous", client=client)


async def _sign_up_confirmed(auth: Auth, new: NewUser, client: Client) -> dict[str, Any]:
    try:
        async with auth.transaction() as connection:
            user = await insert_confirmed(connection, new, client)
            await audit.record(connection, "login", actor=user, ip=client.ip, traits={"provider": "email"})
            return await auth.sessions.begin(connection, user, method="password", client=client)
    except pg.UniqueViolation as error:
        if is_taken_email(error):
            raise AuthError(422, "user_already_exists", "User already registered") from error
        raise


async def insert_confirmed(connection: Connection, new: NewUser, client: Client) -> User:
    """Make a user with a confirmed address."""
    user = await users.insert(connection, new)
    await audit.record(connection, "user_signedup", actor=user, ip=client.ip, traits={"provider": "email"})
    await users.confirm_email(connection, user.id)
    return await users.existing(connection, user.id)


async def sign_up_unconfirmed(
    auth: Auth, new: NewUser, *, email: str, mail_request: MailRequest, is_answered: bool
) -> None:
    """Make a user with an unconfirmed address, and mail them the confirmation.

    Neither the answer nor the work reveals whether the address has an account: for a known address the same rows are
    written and rolled back, and a mail is sent too.

    Args:
        auth: the server.
        new: the user, if there is none yet.
        email: the user's address.
        mail_request: the fields of the request.
        is_answered: whether the caller has the answer already. Otherwise the mail is sent before the commit, so that no
            user is created if it cannot be sent.
    """
    for is_last_try in (False, True):
        try:
            async with auth.transaction() as connection:
                outgoing = await _write_mail(auth, connection, new, email, mail_request)
                if not is_answered:
                    await auth.mail(email, outgoing)
        except psycopg.Error as error:
            # Another signup made the user meanwhile, so the address is known now.
            if is_last_try or not is_taken_email(error):
                raise
        else:
            break
    if is_answered:
        await auth.mail(email, outgoing)


async def _write_mail(
    auth: Auth, connection: Connection, new: NewUser, email: str, mail_request: MailRequest
) -> mail.OutgoingMail:
    known = await users.by_email(connection, email, lock=True)
    if known is None:
        return await write_confirmation(auth, connection, await users.insert(connection, new), mail_request)
    await _imitate_sign_up(auth, connection, new, mail_request)
    if known.email_confirmed_at is not None:
        await audit.record(
            connection, "user_repeated_signup", actor=known, ip=mail_request.client.ip, traits={"provider": "email"}
        )
        return mail.already_registered(link=auth.settings.site_url)
    if not known.is_pending_sign_up:
        return await write_invitation(auth, connection, known, mail_request)
    # The link confirms the sign-up that it belongs to. The holder of the address, who signs up after somebody else has,
    # would otherwise confirm the password of the other.
    await users.replace_sign_up(connection, known, new)
    return await write_confirmation(auth, connection, known, mail_request, write=mail.repeated_confirmation)


async def write_invitation(
    auth: Auth, connection: Connection, user: User, mail_request: MailRequest
) -> mail.OutgoingMail:
    """Invite the user of an account that is more than a sign-up, and that another sign-up leaves as it is."""
    await users.change(connection, user.id, {"invited_at": datetime.now(UTC)})
    return await write_confirmation(auth, connection, user, mail_request, write=mail.invitation)


async def write_confirmation(
    auth: Auth,
    connection: Connection,
    user: User,
    mail_request: MailRequest,
    *,
    write: Callable[..., mail.OutgoingMail] = mail.confirmation,
) -> mail.OutgoingMail:
    """Make the link and code that confirm a user's address, and the mail with them, which `write` writes."""
    await audit.record(
        connection, "user_confirmation_requested", actor=user, ip=mail_request.client.ip, traits={"provider": "email"}
    )
    if mail_request.challenge is not None:
        await pkce.begin(connection, mail_request.challenge, user_id=user.id, method=PKCE_METHOD)
    issued = await auth.one_time_tokens.issue(
        connection, user.id, Kind.CONFIRMATION, address=user.email or "", by_pkce=mail_request.challenge is not None
    )
    link = auth.link(token=issued.token, purpose="signup", redirect_to=mail_request.redirect_to)
    return write(link=link, otp=issued.otp)


async def _imitate_sign_up(auth: Auth, connection: Connection, new: NewUser, mail_request: MailRequest) -> None:
    """Do for a random address what is done for a new one, triggers included, and roll it back."""
    local, _, domain = (new.email or "").partition("@")
    decoy = msgspec.structs.replace(new, id=uuid4(), email=f"{secrets.token_hex(32)[: len(local)]}@{domain}")
    # A short random name may exist.
    with contextlib.suppress(pg.UniqueViolation):
        async with connection.transaction(force_rollback=True):
            await write_confirmation(auth, connection, await users.insert(connection, decoy), mail_request)


def _unconfirmed_answer(new: NewUser) -> dict[str, Any]:
    """The answer to a signup that awaits its confirmation, made from the request alone.

    Supabase answers a known address without `identities`, which reveals to a decoy that there is an account. Here
    every answer has a random identity, and a frontend that checks for one takes no address for known.
    """
    now = datetime.now(UTC)
    return {
        "id": new.id,
        "aud": users.AUDIENCE,
        "role": users.ROLE,
        "email": new.email,
        "phone": "",
        "confirmation_sent_at": now,
        "app_metadata": new.app_metadata,
        "user_metadata": new.user_metadata,
        "identities": [
            {
                "identity_id": uuid4(),
                "id": new.id,
                "user_id": new.id,
                "identity_data": users.identity_claims(new.id, email=new.email or ""),
                "provider": "email",
                "email": new.email,
                "last_sign_in_at": now,
                "created_at": now,
                "updated_at": now,
            }
        ],
        "created_at": now,
        "updated_at": now,
        "is_anonymous": False,
    }
