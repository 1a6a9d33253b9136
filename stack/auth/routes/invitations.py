"""Invitations, and links for an admin to hand out: /invite and /admin/generate_link."""

from datetime import UTC, datetime
from typing import Any

from litestar import Request, post

from stack.auth import audit, mail, users
from stack.auth.client import Client
from stack.auth.database import Connection
from stack.auth.errors import AuthError, email_exists, invalid
from stack.auth.one_time_tokens import IssuedToken, Kind
from stack.auth.passwords import check_strength
from stack.auth.requests import GenerateLink, Invite, read, read_email, redirect_of
from stack.auth.routes import email_change
from stack.auth.server import Auth
from stack.auth.users import NewUser, User

LINK_TYPES = ("signup", "invite", "magiclink", "recovery", "email_change_current", "email_change_new")


@post("/invite", status_code=200)
async def invite(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Make a user without a password and mail them an invitation."""
    auth.admin(request)
    body = await read(request, Invite)
    email = read_email(body.email)
    redirect_to = auth.redirects.choose(redirect_of(request, body))
    with auth.limits.mails.slot("invitation", email):
        async with auth.transaction() as connection:
            user, issued = await _invite(auth, connection, email, body.data, Client.of(request))
            link = auth.link(token=issued.token, purpose="invite", redirect_to=redirect_to)
            await auth.mail(email, mail.invitation(link=link, otp=issued.otp))
            return (await users.existing(connection, user.id)).view()


@post("/admin/generate_link", status_code=200)
async def generate_link(request: Request[Any, Any, Any], auth: Auth) -> dict[str, Any]:
    """Make the link and code of a mail, for an admin who sends it."""
    auth.admin(request)
    body = await read(request, GenerateLink)
    if body.type not in LINK_TYPES:
        raise invalid(f"type must be one of {', '.join(LINK_TYPES)}")
    email = read_email(body.email)
    redirect_to = auth.redirects.choose(redirect_of(request, body))
    hashed = None
    if body.type == "signup" and body.password:
        check_strength(body.password, min_length=auth.settings.min_password_length)
        hashed = await auth.hasher.hash(body.password)
    client = Client.of(request)
    async with auth.transaction() as connection:
        user, issued, purpose = await _generate(auth, connection, body, email, hashed=hashed, client=client)
        view = (await users.existing(connection, user.id)).view()
    verified_as = "email_change" if purpose.startswith("email_change") else purpose
    return {
        **view,
        "action_link": auth.link(token=issued.token, purpose=verified_as, redirect_to=redirect_to),
        "email_otp": issued.otp,
        "hashed_token": issued.token,
        "verification_type": purpose,
        "redirect_to": redirect_to,
    }


async def _generate(
    auth: Auth, connection: Connection, body: GenerateLink, email: str, *, hashed: str | None, client: Client
) -> tuple[User, IssuedToken, str]:
    known = await users.by_email(connection, email, lock=True)
    purpose = body.type or ""
    if purpose == "magiclink" and known is None:
        purpose = "signup"
    if purpose == "invite":
        return (*await _invite(auth, connection, email, body.data, client), purpose)
    if purpose == "signup":
        new = NewUser.by_email(email, hashed=hashed, data=body.data, by_admin=True)
        return (*await _signup(auth, connection, known, new, client), purpose)
    if known is None:
        raise AuthError(404, "user_not_found", "User with this email not found")
    if purpose in {"magiclink", "recovery"}:
        await audit.record(connection, "user_recovery_requested", actor=known, ip=client.ip)
        return known, await auth.one_time_tokens.issue(connection, known.id, Kind.RECOVERY, address=email), purpose
    changed = read_email(body.new_email)
    await email_change.require_free(connection, changed, user=known)
    await users.change(connection, known.id, {"email_change": changed, "email_change_confirm_status": 0})
    if purpose == "email_change_current":
        return (
            known,
            await auth.one_time_tokens.issue(connection, known.id, Kind.EMAIL_CHANGE_CURRENT, address=email),
            purpose,
        )
    return (
        known,
        await auth.one_time_tokens.issue(connection, known.id, Kind.EMAIL_CHANGE_NEW, address=changed),
        purpose,
    )


async def _signup(
    auth: Auth, connection: Connection, known: User | None, new: NewUser, client: Client
) -> tuple[User, IssuedToken]:
    if known is not None and known.email_confirmed_at is not None:
        raise email_exists()
    if known is not None:
        await users.replace_sign_up(connection, known, new)
    user = known or await users.insert(connection, new)
    await audit.record(connection, "user_confirmation_requested", actor=user, ip=client.ip)
    return user, await auth.one_time_tokens.issue(connection, user.id, Kind.CONFIRMATION, address=new.email or "")


async def _invite(
    auth: Auth, connection: Connection, email: str, data: dict[str, Any] | None, client: Client
) -> tuple[User, IssuedToken]:
    known = await users.by_email(connection, email, lock=True)
    if known is not None and known.email_confirmed_at is not None:
        raise email_exists()
    new = NewUser.by_email(email, hashed=None, data=data, by_admin=True)
    if known is not None:
        await users.replace_sign_up(connection, known, new)
    user = known or await users.insert(connection, new)
    await users.change(connection, user.id, {"invited_at": datetime.now(UTC)})
    await audit.record(
        connection, "user_invited", actor=None, ip=client.ip, traits={"user_id": user.id, "user_email": email}
    )
    return user, await auth.one_time_tokens.issue(connection, user.id, Kind.CONFIRMATION, address=email)
