"""Sending mails over SMTP, and what the refusals of a server mean."""

import asyncio
import contextlib
from email.message import EmailMessage
from enum import StrEnum

import aiosmtplib
import msgspec

from common.errors import PermanentError, TransientError

TIMEOUT = 20.0
"""Seconds for each step of the conversation with the server."""
TIME_CAP = 60.0
"""Seconds for all of it."""


class Security(StrEnum):
    """How the connection is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"
    """For a server on this machine only."""


class Smtp(msgspec.Struct, frozen=True, kw_only=True):
    """The mail server."""

    host: str
    port: int
    user: str | None
    password: str | None
    security: Security

    def __repr__(self) -> str:
        # The password must not reach a log.
        return f"Smtp(host={self.host!r}, port={self.port}, ...)"


async def send(smtp: Smtp, message: EmailMessage) -> None:
    """Send a mail, and return when the server has accepted it.

    Raises:
        PermanentError: the server refused the recipient or the content for good (5xx).
        TransientError: it could not be reached, or refused for a time or for a reason that lies with us. Both messages
            name the error and its code, and never quote the server's answer.
    """
    server = aiosmtplib.SMTP(
        hostname=smtp.host,
        port=smtp.port,
        username=smtp.user,
        password=smtp.password,
        use_tls=smtp.security is Security.TLS,
        start_tls=smtp.security is Security.STARTTLS,
        local_hostname=message["From"].addresses[0].domain,
        timeout=TIMEOUT,
    )
    try:
        async with asyncio.timeout(TIME_CAP):
            await server.connect()
            await server.send_message(message)
            with contextlib.suppress(aiosmtplib.SMTPException):  # it has accepted the mail, however it says goodbye
                await server.quit()
    except aiosmtplib.SMTPRecipientsRefused as refusal:
        raise _translate_error(refusal.recipients[0]) from None
    except aiosmtplib.SMTPResponseException as refusal:
        raise _translate_error(refusal) from None
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as failure:
        raise TransientError(type(failure).__name__) from None
    finally:
        server.close()


def _translate_error(refusal: aiosmtplib.SMTPResponseException) -> PermanentError | TransientError:
    message = f"{type(refusal).__name__} {refusal.code}"
    # A 5xx to our greeting, our password or our own address is a fault of our setup, not of the mail.
    is_about_the_mail = isinstance(refusal, (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError))
    return PermanentError(message) if is_about_the_mail and refusal.code >= 500 else TransientError(message)
