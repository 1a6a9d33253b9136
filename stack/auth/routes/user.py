"""GET and PUT /user: somebody who is signed in sees and changes himself."""

from typing import Any

from litestar import Request, get, put

from stack.auth import audit, onetime, users
from stack.auth.client import Client
from stack.auth.database import Connection
from stack.auth.errors import AuthError, invalid, invalid_credentials, phone_disabled
from stack.auth.onetime import Kind
from stack.auth.passwords import check_strength
from stack.auth.requests import UserUpdate, read, read_email
from stack.auth.routes import email_change
from stack.auth.server import Asked, Auth
from stack.auth.users import User


@get("/user")
async def get_user(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """The user as he is now, not as he was when the token was made."""
    async with auth.pool.connection() as connection:
        return (await auth.caller(request, connection)).user.view()


@put("/user")
async def update_user(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Change metadata, password or address. All of it or nothing; a new address waits for its confirmation."""
    body = await read(request, UserUpdate)
    async with auth.pool.connection() as connection:
        seen = (await auth.caller(request, connection)).user
    if body.app_metadata is not None:
        raise AuthError(403, "not_admin", "Updating app_metadata requires admin privileges")
    if body.phone and body.phone != seen.phone:
        raise phone_disabled()
    email = read_email(body.email) if body.email else None
    email = None if email == seen.email else email
    asked = auth.asked(request, body)
    if seen.is_anonymous and body.password and email is None:
        raise invalid("Updating password of an anonymous user without an email or phone is not allowed")
    if email is not None:
        auth.limits.mails_asked.take(asked.client)
    guess = await auth.guess_code(_account(seen), asked.client) if body.password and body.nonce else None
    hashed = await _new_password(auth, body, seen, asked.client) if body.password else None
    async with auth.transaction() as connection:
        caller = await auth.caller(request, connection, lock=True)
        if hashed is not None:
            if caller.user.encrypted_password != seen.encrypted_password:
                raise AuthError(409, "conflict", "The password was changed meanwhile")
            if guess is not None:
                await _check_nonce(auth, connection, caller.user, body.nonce or "")
                guess.give_back()
            await users.set_password(connection, caller.user.id, hashed, keep_session=caller.session_id)
            await audit.record(connection, "user_updated_password", actor=caller.user, ip=asked.client.ip)
        if body.data is not None:
            await users.merge_metadata(connection, caller.user.id, user=body.data)
        if email is not None:
            await _change_email(auth, connection, caller.user, email, asked)
        await audit.record(connection, "user_modified", actor=caller.user, ip=asked.client.ip)
        return (await users.existing(connection, caller.user.id)).view()


def _account(user: User) -> str:
    """By what guesses at a user's secrets are counted."""
    return user.email or str(user.id)


async def _new_password(auth: Auth, body: UserUpdate, user: User, client: Client) -> str:
    """The hash of the new password, which must be strong and not the old one."""
    password = body.password or ""
    check_strength(password, shortest=auth.settings.min_password_length)
    auth.limits.sign_ins.take(client)
    if body.current_password:
        guess = await auth.guess_password(_account(user), client)
        if not await auth.hasher.matches(body.current_password, user.encrypted_password):
            raise invalid_credentials()
        guess.give_back()
    if await auth.hasher.matches(password, user.encrypted_password):
        raise AuthError(422, "same_password", "New password should be different from the old password.")
    return await auth.hasher.hash(password)


async def _check_nonce(auth: Auth, connection: Connection, user: User, nonce: str) -> None:
    token = auth.onetime.token_hash(user.email or "", nonce)
    try:
        redeemed = await onetime.redeem(
            connection, token, kinds=(Kind.REAUTHENTICATION,), expiry=auth.settings.otp_expiry
        )
    except AuthError:
        redeemed = None
    if redeemed is None or redeemed.user_id != user.id:
        raise AuthError(422, "reauthentication_not_valid", "Nonce has expired or is invalid")


async def _change_email(auth: Auth, connection: Connection, user: User, email: str, asked: Asked) -> None:
    await email_change.require_free(connection, email, user=user)
    if user.is_anonymous and auth.settings.autoconfirm:
        await email_change.apply(connection, user, email)
        return
    with auth.limits.mails.slot("email_change", user.email or str(user.id)):
        # Before the commit: a change whose mails cannot be sent is not begun.
        for address, letter in await email_change.write_email_change(auth, connection, user, email, asked):
            await auth.mail(address, letter)
