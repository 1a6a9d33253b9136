"""Settings of mail."""

from email.message import EmailMessage
from typing import Annotated

from common.settings import BaseSettings, HttpUrl, Port, Rule, Secret, one_of
from edge.mail.client import Security, Smtp
from edge.mail.types import Sender

PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}
"""Where mail servers listen by convention."""


def _mailbox(text: str) -> tuple[str, str]:
    message = EmailMessage()
    message["From"] = " ".join(text.split())
    addresses = message["From"].addresses
    if message["From"].defects or len(addresses) != 1 or not addresses[0].domain:
        raise ValueError
    [address] = addresses
    return address.display_name or address.domain, address.addr_spec


Mailbox = Annotated[tuple[str, str], Rule("an address such as Guildhall <guildhall@example.com>", _mailbox)]
"""A name and an address."""
SecurityName = Annotated[Security, one_of(*Security)]


class MailSettings(BaseSettings, frozen=True, kw_only=True):
    """The sender of mails, and the server that takes them."""

    mail_from: Mailbox
    """The sender."""
    public_url: HttpUrl
    """The site that mails link to: its /verify/<code> shows a certificate, its /settings/notifications the topics."""
    smtp_host: str | None = None
    """The mail server. Without one, mails wait."""
    smtp_port: Port | None = None
    """Left out, it follows `smtp_security`."""
    smtp_user: str | None = None
    smtp_password: Secret | None = None
    smtp_security: SecurityName = Security.STARTTLS

    @property
    def sender(self) -> Sender:
        """The installation, as mails name it."""
        name, address = self.mail_from
        return Sender(name=name, address=address, site=self.public_url)

    @property
    def smtp(self) -> Smtp | None:
        """The mail server; None where none is set."""
        if self.smtp_host is None:
            return None
        return Smtp(
            host=self.smtp_host,
            port=self.smtp_port or PORTS[self.smtp_security],
            user=self.smtp_user,
            password=self.smtp_password,
            security=self.smtp_security,
        )
