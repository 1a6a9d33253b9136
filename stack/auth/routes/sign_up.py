"""POST /signup: new users, and users without an address."""

import contextlib
import secrets
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
from stack.auth.onetime import Kind
from stack.auth.passwords import check_strength
from stack.auth.requests import SignUp, read, read_email
from stack.auth.server import Asked, Auth
from stack.auth.users import NewUser, User

PKCE_METHOD = "email/signup"


@post("/signup", status_code=200)
async def sign_up(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Make a user. The answer is a session, or the bare user where he must confirm his address first."""
    body = await read(request, SignUp)
    client = Client.of(request)
    anonymous = not body.email and not body.phone
    if anonymous and not auth.settings.anonymous:
        raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
    if not auth.settings.signup:
        raise AuthError(422, "signup_disabled", "Signups not allowed for this instance")
    if anonymous:
        auth.limits.anonymous.take(client)
        return await _without_address(auth, body, client)
    if body.email and body.phone:
        raise invalid("Only an email address or phone number should be provided on signup.")
    if body.phone:
        raise phone_disabled()
    if not body.password:
        raise invalid("Signup requires a valid password")
    check_strength(body.password, shortest=auth.settings.min_password_length)
    email = read_email(body.email)
    asked = auth.asked(request, body)
    auth.limits.sign_ins.take(client)
    if auth.settings.autoconfirm:
        new = NewUser.by_email(email, hashed=await auth.hasher.hash(body.password), data=body.data)
        return await _confirmed_at_once(auth, new, client)
    with auth.limits.mails.slot("confirmation", email):
        new = NewUser.by_email(email, hashed=await auth.hasher.hash(body.password), data=body.data)
        await invite_to_confirm(auth, new, email=email, asked=asked, is_answered=False)
    return _to_be_confirmed(new)


async def _without_address(auth: Auth, body: SignUp, client: Client) -> dict[str, Any]:
    new = NewUser(id=uuid4(), app_metadata={}, user_metadata=body.data or {}, is_anonymous=True)
    async with auth.transaction() as connection:
        user = await users.insert(connection, new)
        await audit.record(connection, "login", actor=user, ip=client.ip)
        return await auth.sessions.begin(connection, user, method="anonymous", client=client)


async def _confirmed_at_once(auth: Auth, new: NewUser, client: Client) -> dict[str, Any]:
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
    """Make a user whose address counts as confirmed."""
    user = await users.insert(connection, new)
    await audit.record(connection, "user_signedup", actor=user, ip=client.ip, traits={"provider": "email"})
    await users.confirm_email(connection, user.id)
    return await users.existing(connection, user.id)


async def invite_to_confirm(auth: Auth, new: NewUser, *, email: str, asked: Asked, is_answered: bool) -> None:
    """Make a user who must confirm his address, and mail him how.

    Whether somebody has the address shows neither in what is returned nor in the work done: for a known address the
    same rows are written and taken back, and a mail goes out all the same.

    Args:
        auth: the server.
        new: the user, should there be none yet.
        email: his address.
        asked: what the request brings.
        is_answered: whether the caller has his answer already. Otherwise the mail leaves before the commit, so that
            where it cannot be sent no user is made; and nobody follows the link before we answer.
    """
    for is_last_try in (False, True):
        try:
            async with auth.transaction() as connection:
                letter = await _letter(auth, connection, new, email, asked)
                if not is_answered:
                    await auth.mail(email, letter)
        except psycopg.Error as error:
            # Somebody signed up with the same address while we looked: now it is known.
            if is_last_try or not is_taken_email(error):
                raise
        else:
            break
    if is_answered:
        await auth.mail(email, letter)


async def _letter(auth: Auth, connection: Connection, new: NewUser, email: str, asked: Asked) -> mail.Letter:
    known = await users.by_email(connection, email, lock=True)
    if known is None:
        return await write_confirmation(auth, connection, await users.insert(connection, new), asked)
    await _pretend(auth, connection, new, asked)
    if known.email_confirmed_at is not None:
        await audit.record(
            connection, "user_repeated_signup", actor=known, ip=asked.client.ip, traits={"provider": "email"}
        )
        return mail.already_registered(link=auth.settings.site_url)
    # His first password stays: we cannot know which of the two is the holder of the address.
    return await write_confirmation(auth, connection, known, asked)


async def write_confirmation(auth: Auth, connection: Connection, user: User, asked: Asked) -> mail.Letter:
    """Make the link and code by which a user confirms his address, and the mail that brings them."""
    await audit.record(
        connection, "user_confirmation_requested", actor=user, ip=asked.client.ip, traits={"provider": "email"}
    )
    if asked.challenge is not None:
        await pkce.begin(connection, asked.challenge, user_id=user.id, method=PKCE_METHOD)
    issued = await auth.onetime.issue(
        connection, user.id, Kind.CONFIRMATION, address=user.email or "", by_pkce=asked.challenge is not None
    )
    link = auth.link(token=issued.token, purpose="signup", redirect_to=asked.place)
    return mail.confirmation(link=link, otp=issued.otp)


async def _pretend(auth: Auth, connection: Connection, new: NewUser, asked: Asked) -> None:
    """Do for a made-up address what is done for a new one, triggers and all, and take it back."""
    local, _, domain = (new.email or "").partition("@")
    stranger = msgspec.structs.replace(new, id=uuid4(), email=f"{secrets.token_hex(32)[: len(local)]}@{domain}")
    # A short made-up name may be somebody's.
    with contextlib.suppress(pg.UniqueViolation):
        async with connection.transaction(force_rollback=True):
            await write_confirmation(auth, connection, await users.insert(connection, stranger), asked)


def _to_be_confirmed(new: NewUser) -> dict[str, Any]:
    """The answer to a signup that awaits its confirmation, made from the request alone.

    Supabase answers a known address without `identities`, from which a stranger learns that there is an account. Here
    everybody gets one, made up like the rest, and a frontend that asks for its presence takes nobody for known.
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
