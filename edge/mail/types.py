"""A mail as the database has it, and as it is rendered."""

from typing import Any

import msgspec


class OutgoingMail(msgspec.Struct, frozen=True, kw_only=True):
    """What `private.claim_mail` answers."""

    address: str
    display_name: str
    template: str
    params: dict[str, Any]
    topic: str
    is_mandatory: bool
    attempts: int
    """How often it was tried before."""
    message_id: str
    """The same at each attempt."""


class RenderedMail(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a mail, in both forms."""

    subject: str
    text: str
    html: str


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """The installation, as mails name it."""

    name: str
    """The name of the site."""
    address: str
    """The address that mails come from."""
    site: str
    """The site that people see: http(s), without a slash at its end."""

    @property
    def domain(self) -> str:
        """The part of the address after the @."""
        return self.address.rpartition("@")[2]
