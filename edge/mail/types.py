"""What the database says of a mail to send, and what it looks like when it is composed."""

from typing import Any

import msgspec


class Letter(msgspec.Struct, frozen=True, kw_only=True):
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
    """The same for the same mail, each time that it is sent."""


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail says, in both forms."""

    subject: str
    text: str
    html: str


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes."""

    name: str
    """What the site is called."""
    address: str
    site: str
    """Where people find it: http(s), without a slash at its end."""

    @property
    def domain(self) -> str:
        """The part of the address behind the @."""
        return self.address.rpartition("@")[2]
