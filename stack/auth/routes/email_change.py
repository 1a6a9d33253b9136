"""Changing an address: the new address confirms it, and the old one if there is one."""

from stack.auth import mail, pkce, sessions, users
from stack.auth.database import Connection
from stack.auth.errors import email_exists, otp_expired
from stack.auth.one_time_tokens import Kind
from stack.auth.server import Auth, MailRequest
from stack.auth.users import User

PKCE_METHOD = "email_change"
ONE_CONFIRMED = "Confirmation link accepted. Please proceed to confirm link sent to the other email"
"""What clients show while the other address has yet to confirm."""


async def require_free(connection: Connection, email: str, *, user: User) -> None:
    """Refuse an address that another user has. Raises AuthError `email_exists`."""
    holder = await users.by_email(connection, email)
    if holder is not None and holder.id != user.id:
        raise email_exists()


async def write_email_change(
    auth: Auth, connection: Connection, user: User, new: str, mail_request: MailRequest
) -> list[tuple[str, mail.OutgoingMail]]:
    """Store the new address, and make the mails that ask both addresses to confirm it.

    Where another user has the new address, only the mail to it differs: it has no link, so nothing can complete the
    change, and the user does not learn whether the address has an account.
    """
    holder = await users.by_email(connection, new)
    is_taken = holder is not None and holder.id != user.id
    await users.change(connection, user.id, {"email_change": new, "email_change_confirm_status": 0})
    if mail_request.challenge is not None:
        await pkce.begin(connection, mail_request.challenge, user_id=user.id, method=PKCE_METHOD)
    recipients = [(new, Kind.EMAIL_CHANGE_NEW)]
    if user.email and not auth.settings.autoconfirm:
        recipients.append((user.email, Kind.EMAIL_CHANGE_CURRENT))
    mails = []
    for address, kind in recipients:
        issued = await auth.one_time_tokens.issue(
            connection, user.id, kind, address=address, by_pkce=mail_request.challenge is not None
        )
        link = auth.link(token=issued.token, purpose="email_change", redirect_to=mail_request.redirect_to)
        if address == new and is_taken:
            mails.append((address, mail.address_taken(link=auth.settings.site_url)))
        else:
            mails.append((address, mail.email_change(link=link, otp=issued.otp, old=user.email or "", new=new)))
    return mails


async def confirm_one(auth: Auth, connection: Connection, user: User, kind: Kind) -> bool:
    """Record the confirmation of one address, and change the address when no other is missing.

    Returns:
        Whether it was changed. Otherwise the other address must confirm too.

    Raises:
        AuthError: `otp_expired`, where no change is pending.
    """
    if user.new_email is None:
        raise otp_expired()
    if user.email and not auth.settings.autoconfirm and user.email_change_confirm_status == 0:
        await connection.execute(
            "delete from auth.one_time_tokens where user_id = %s and token_type = %s::auth.one_time_token_type",
            [user.id, kind.value],
        )
        await users.change(connection, user.id, {kind.value: "", "email_change_confirm_status": 1})
        return False
    await apply(connection, user, user.new_email)
    if user.is_anonymous:
        # The holder of the address has proved it now. A session from before may be somebody else's.
        await sessions.end_by_scope(connection, user_id=user.id, session_id=None, scope="global")
    return True


async def apply(connection: Connection, user: User, email: str) -> None:
    """Give a user a confirmed address. An anonymous user is anonymous no longer."""
    await users.change(connection, user.id, {"email": email, "email_change": "", "email_change_confirm_status": 0})
    await users.set_identity(connection, user.id, "email", verified=True, email=email)
    await users.confirm_email(connection, user.id)
    if user.is_anonymous:
        await users.change(connection, user.id, {"is_anonymous": False})
