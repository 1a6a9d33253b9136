"""A change of address: confirmed by the new address, and by the old one where there is one."""

from stack.auth import mail, pkce, users
from stack.auth.database import Connection
from stack.auth.errors import email_exists, otp_expired
from stack.auth.onetime import Kind
from stack.auth.server import Asked, Auth
from stack.auth.users import User

PKCE_METHOD = "email_change"
ONE_DONE = "Confirmation link accepted. Please proceed to confirm link sent to the other email"
"""What clients show while the other address is awaited."""


async def require_free(connection: Connection, email: str, *, user: User) -> None:
    """Refuse an address that is somebody else's. Raises AuthError `email_exists`."""
    holder = await users.by_email(connection, email)
    if holder is not None and holder.id != user.id:
        raise email_exists()


async def write_email_change(
    auth: Auth, connection: Connection, user: User, new: str, asked: Asked
) -> list[tuple[str, mail.Letter]]:
    """Remember the new address, and write to both addresses how to confirm it."""
    await users.change(connection, user.id, {"email_change": new, "email_change_confirm_status": 0})
    if asked.challenge is not None:
        await pkce.begin(connection, asked.challenge, user_id=user.id, method=PKCE_METHOD)
    recipients = [(new, Kind.EMAIL_CHANGE_NEW)]
    if user.email and not auth.settings.autoconfirm:
        recipients.append((user.email, Kind.EMAIL_CHANGE_CURRENT))
    letters = []
    for address, kind in recipients:
        issued = await auth.onetime.issue(
            connection, user.id, kind, address=address, by_pkce=asked.challenge is not None
        )
        link = auth.link(token=issued.token, purpose="email_change", redirect_to=asked.place)
        letters.append((address, mail.email_change(link=link, otp=issued.otp, old=user.email or "", new=new)))
    return letters


async def confirm_one(auth: Auth, connection: Connection, user: User, kind: Kind) -> bool:
    """Record the confirmation of one address, and change the address where nothing is missing.

    Returns:
        Whether it was changed; otherwise the other address must confirm too.

    Raises:
        AuthError: `otp_expired`, where no change is under way.
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
    return True


async def apply(connection: Connection, user: User, email: str) -> None:
    """Give a user an address that counts as confirmed; one who had none is anonymous no more."""
    await users.change(
        connection,
        user.id,
        {"email": email, "email_change": "", "email_change_confirm_status": 0, "is_anonymous": False},
    )
    await users.set_identity(connection, user.id, "email", verified=True, email=email)
    await users.confirm_email(connection, user.id)
