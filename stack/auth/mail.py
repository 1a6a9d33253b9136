"""The mails: their texts, and how they are sent."""

import asyncio
import html
import smtplib
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import quote, urlencode

import msgspec
import structlog

from stack.auth.errors import AuthError

TIMEOUT = 10.0
"""For each step of the SMTP dialogue, in seconds."""

PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body style="margin:0;padding:32px 16px;background:#f4f1ea;font-family:Georgia,'Times New Roman',serif;color:#2b2621">
<table role="presentation" align="center" style="max-width:480px;width:100%;background:#fffdf8;\
border:1px solid #ddd5c5;border-radius:8px"><tr><td style="padding:32px">
<h1 style="margin:0 0 16px;font-size:22px;font-weight:normal">{title}</h1>
<p style="margin:0 0 24px;font-size:16px;line-height:1.5">{text}</p>
{action}
<p style="margin:24px 0 0;font-size:13px;line-height:1.5;color:#7a7063">{footer}</p>
</td></tr></table>
</body>
</html>
"""
BUTTON = (
    '<p style="margin:0 0 24px"><a href="{link}" style="display:inline-block;padding:12px 24px;background:#5b3a29;'
    'color:#fffdf8;text-decoration:none;border-radius:4px;font-size:16px">{label}</a></p>'
)
CODE = (
    '<p style="margin:0;font-size:16px">{lead} <strong style="font-family:monospace;font-size:20px;'
    'outgoing-spacing:3px">{otp}</strong></p>'
)

log = structlog.get_logger("auth")


class OutgoingMail(msgspec.Struct, frozen=True, kw_only=True):
    """The text of one mail."""

    subject: str
    text: str
    footer: str = "If you did not ask for this, you can ignore it: nothing changes."
    label: str | None = None
    """The button's text."""
    link: str | None = None
    otp: str | None = None

    def plain(self) -> str:
        """The mail as text."""
        parts = [self.subject, self.text]
        if self.link:
            parts.append(f"{self.label}:\n{self.link}")
        if self.otp:
            parts.append(f"{'Or enter' if self.link else 'Enter'} the code: {self.otp}")
        return "\n\n".join([*parts, self.footer]) + "\n"

    def page(self) -> str:
        """The mail as HTML."""
        action = ""
        if self.link:
            action += BUTTON.format(link=html.escape(self.link), label=html.escape(self.label or ""))
        if self.otp:
            action += CODE.format(lead="Or enter the code:" if self.link else "Enter the code:", otp=self.otp)
        return PAGE.format(
            title=html.escape(self.subject),
            text=html.escape(self.text),
            action=action,
            footer=html.escape(self.footer),
        )


def verify_link(external_url: str, *, token: str, purpose: str, redirect_to: str) -> str:
    """The address that redeems a token and then redirects to `redirect_to`."""
    # As on Supabase, the address that it redirects to stays legible.
    values = urlencode({"token": token, "type": purpose, "redirect_to": redirect_to}, quote_via=quote, safe=":/?@")
    return f"{external_url}/verify?{values}"


def confirmation(*, link: str, otp: str) -> OutgoingMail:
    """After a signup. To confirm is to let in the person who chose the password, and the mail says so."""
    return OutgoingMail(
        subject="Confirm your email address",
        text="Welcome! Confirm that this address is yours to finish signing up.",
        label="Confirm address",
        link=link,
        otp=otp,
        footer="If you did not sign up, do not confirm: somebody else chose the password. To use your address here, ask"
        " for a sign-in link or for a new password instead, which removes theirs.",
    )


def repeated_confirmation(*, link: str, otp: str) -> OutgoingMail:
    """After a signup with an address with which somebody signed up before and that nobody has confirmed."""
    outgoing = confirmation(link=link, otp=otp)
    return msgspec.structs.replace(
        outgoing, text=f"{outgoing.text} Somebody signed up with it before: the password of that time is void."
    )


def already_registered(*, link: str) -> OutgoingMail:
    """After a signup with the address of an existing account. Only the owner of the address learns of it."""
    return OutgoingMail(
        subject="You already have an account",
        text="Someone, perhaps you, tried to sign up with this address. You have an account: sign in, or reset your "
        "password if you forgot it.",
        label="Sign in",
        link=link,
    )


def recovery(*, link: str, otp: str) -> OutgoingMail:
    """For a forgotten password."""
    return OutgoingMail(
        subject="Reset your password",
        text="Someone, perhaps you, asked to reset your password.",
        label="Reset password",
        link=link,
        otp=otp,
    )


def magic_link(*, link: str, otp: str) -> OutgoingMail:
    """To sign in without a password."""
    return OutgoingMail(
        subject="Your sign-in link",
        text="Follow the link to sign in. It works once.",
        label="Sign in",
        link=link,
        otp=otp,
    )


def invitation(*, link: str, otp: str) -> OutgoingMail:
    """From an admin to a new user."""
    return OutgoingMail(
        subject="You have been invited",
        text="An account was made for you. Accept the invitation to use it.",
        label="Accept the invitation",
        link=link,
        otp=otp,
    )


def email_change(*, link: str, otp: str, old: str, new: str) -> OutgoingMail:
    """To the old and the new address of a user who changes theirs."""
    return OutgoingMail(
        subject="Confirm your new email address",
        text=f"Confirm the change of your address from {old} to {new}." if old else f"Confirm your address {new}.",
        label="Confirm change",
        link=link,
        otp=otp,
        footer="If you did not ask for this, do not follow the link, and change your password.",
    )


def address_taken(*, link: str) -> OutgoingMail:
    """To an address with an account that another account wants to change to. Only its owner learns of it."""
    return OutgoingMail(
        subject="You already have an account",
        text="Someone, perhaps you, asked to change the address of another account to this one. You have an account "
        "with this address: sign in to it, and delete it or change its address first.",
        label="Sign in",
        link=link,
    )


def reauthentication(*, otp: str) -> OutgoingMail:
    """To confirm a user's identity before a sensitive change."""
    return OutgoingMail(
        subject="Confirm that it is you",
        text="Enter this code to continue.",
        otp=otp,
        footer="If you did not ask for this, change your password: someone is signed in as you.",
    )


class Mailer:
    """Sends mails through an SMTP server."""

    def __init__(self, *, host: str, port: int, sender: str) -> None:
        """Send through the server at host and port, from `sender`."""
        self._host = host
        self._port = port
        self._sender = sender
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="smtp")

    async def send(self, address: str, outgoing: OutgoingMail) -> None:
        """Send a mail and wait until the mail server has it.

        Raises:
            AuthError: 500 `unexpected_failure`; nothing was sent.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._send, address, outgoing)
        except (OSError, smtplib.SMTPException) as error:
            log.error("mail_failed", host=self._host, port=self._port, why=type(error).__name__)  # noqa: TRY400
            raise AuthError(500, "unexpected_failure", "Error sending the mail, try again later") from error

    def _send(self, address: str, outgoing: OutgoingMail) -> None:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = address
        message["Subject"] = outgoing.subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2].strip("<> ") or "localhost")
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(outgoing.plain())
        message.add_alternative(outgoing.page(), subtype="html")
        with smtplib.SMTP(self._host, self._port, timeout=TIMEOUT) as server:
            server.send_message(message)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
