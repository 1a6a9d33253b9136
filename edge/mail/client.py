"""Handing mails to an SMTP server, and what its refusals mean."""

import asyncio
import contextlib
from email.message import EmailMessage
from enum import StrEnum

import aiosmtplib
import msgspec

TIMEOUT = 20.0
"""Seconds for each step of the talk with the server."""
TIME_CAP = 60.0
"""Seconds for all of it."""


class Security(StrEnum):
    """How the talk is kept from others."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"
    """For a server on this machine only."""


class Smtp(msgspec.Struct, frozen=True, kw_only=True):
    """The server that takes our mail."""

    host: str
    port: int
    user: str | None
    password: str | None
    security: Security

    def __repr__(self) -> str:
        return f"Smtp(host={self.host!r}, port={self.port}, ...)"


class NotTakenError(Exception):
    """The server did not take a mail; it may, later. The message names error and code, and never quotes the answer."""


class RefusedError(NotTakenError):
    """The server will never take this mail for this recipient."""


async def send(smtp: Smtp, message: EmailMessage) -> None:
    """Send a mail, and return when the server has it.

    Raises:
        RefusedError: the server refused the recipient or the content for good (5xx).
        NotTakenError: it could not be reached, or refused for a time or for a reason that lies with us.
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
            with contextlib.suppress(aiosmtplib.SMTPException):  # it has the mail, however it says goodbye
                await server.quit()
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _judged(error.recipients[0]) from None
    except aiosmtplib.SMTPResponseException as error:
        raise _judged(error) from None
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        raise NotTakenError(type(error).__name__) from None
    finally:
        server.close()


def _judged(error: aiosmtplib.SMTPResponseException) -> NotTakenError:
    what = f"{type(error).__name__} {error.code}"
    # A 5xx to our greeting, our password or our own address says that we are set up wrongly, not that the mail is.
    is_about_the_mail = isinstance(error, (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError))
    return RefusedError(what) if is_about_the_mail and error.code >= 500 else NotTakenError(what)
