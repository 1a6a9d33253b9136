"""GET and PUT /user: signed-in users see and change themselves."""

from typing import Any

from litestar import Request, get, put

from stack.auth import audit, one_time_tokens, users
from stack.auth.client import Client
from stack.auth.database import Connection
from stack.auth.errors import AuthError, insufficient_aal, invalid, invalid_credentials, phone_disabled
from stack.auth.limits import take_request
from stack.auth.one_time_tokens import Kind
from stack.auth.passwords import check_strength
from stack.auth.requests import UserUpdate, check_metadata, read, read_email
from stack.auth.routes import email_change
from stack.auth.server import Auth, MailRequest
from stack.auth.users import User


@get("/user")
async def get_user(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Get the user as they are now, not as they were when the token was made."""
    async with auth.pool.connection() as connection:
        return (await auth.caller(request, connection)).user.view()


@put("/user")
async def update_user(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Change metadata, password or address, all or nothing. A new address waits for its confirmation."""
    body = await read(request, UserUpdate)
    async with auth.pool.connection() as connection:
        caller = await auth.caller(request, connection)
        user = caller.user
    take_request((auth.limits.updates, str(user.id)))
    if body.app_metadata is not None:
        raise AuthError(403, "not_admin", "Updating app_metadata requires admin privileges")
    email = read_email(body.email) if body.email else None
    email = None if email == user.email else email
    has_new_phone = bool(body.phone) and body.phone != user.phone
    if user.has_second_factor and not caller.has_used_second_factor and (body.password or email or has_new_phone):
        message = "AAL2 session is required to update email or password when MFA is enabled."
        raise insufficient_aal(401, message)
    if has_new_phone:
        raise phone_disabled()
    mail_request = auth.mail_request(request, body)
    if user.is_anonymous and body.password and email is None:
        raise invalid("Updating password of an anonymous user without an email or phone is not allowed")
    if email is not None:
        auth.limits.mail_requests.take(mail_request.client)
    guess = await auth.guess_code(_account(user), mail_request.client) if body.password and body.nonce else None
    hashed = await _new_password(auth, body, user, mail_request.client) if body.password else None
    async with auth.transaction() as connection:
        caller = await auth.caller(request, connection, lock=True)
        if caller.user.is_anonymous and email is not None and hashed is None:
            # The password was sent with another address. Who proves this one did not choose it.
            await users.change(connection, caller.user.id, {"encrypted_password": ""})
        if hashed is not None:
            if caller.user.encrypted_password != user.encrypted_password:
                raise AuthError(409, "conflict", "The password was changed meanwhile")
            if guess is not None:
                await _check_nonce(auth, connection, caller.user, body.nonce or "")
                guess.give_back()
            await users.set_password(connection, caller.user.id, hashed, keep_session=caller.session_id)
            await audit.record(connection, "user_updated_password", actor=caller.user, ip=mail_request.client.ip)
        if body.data is not None:
            await users.merge_metadata(connection, caller.user.id, user=body.data)
            changed = await users.existing(connection, caller.user.id)
            check_metadata(changed.user_metadata, size=auth.settings.user_metadata_size)
        if email is not None:
            await _change_email(auth, connection, caller.user, email, mail_request)
        await audit.record(connection, "user_modified", actor=caller.user, ip=mail_request.client.ip)
        return (await users.existing(connection, caller.user.id)).view()


def _account(user: User) -> str:
    """The key by which guesses at a user's secrets are counted."""
    return user.email or str(user.id)


async def _new_password(auth: Auth, body: UserUpdate, user: User, client: Client) -> str:
    """The hash of the new password, which must be strong and not the old one."""
    password = body.password or ""
    check_strength(password, min_length=auth.settings.min_password_length)
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
    token = auth.one_time_tokens.token_hash(user.email or "", nonce)
    try:
        redeemed = await one_time_tokens.redeem(
            connection, token, kinds=(Kind.REAUTHENTICATION,), expiry=auth.settings.otp_expiry
        )
    except AuthError:
        redeemed = None
    if redeemed is None or redeemed.user_id != user.id:
        raise AuthError(422, "reauthentication_not_valid", "Nonce has expired or is invalid")


async def _change_email(auth: Auth, connection: Connection, user: User, email: str, mail_request: MailRequest) -> None:
    if user.is_anonymous and auth.settings.autoconfirm:
        await email_change.require_free(connection, email, user=user)
        await email_change.apply(connection, user, email)
        return
    with auth.limits.mails.slot("email_change", user.email or str(user.id), email):
        # Before the commit: a change whose mails cannot be sent does not begin.
        for address, outgoing in await email_change.write_email_change(auth, connection, user, email, mail_request):
            await auth.mail(address, outgoing)
