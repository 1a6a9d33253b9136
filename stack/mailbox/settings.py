"""What the mailbox is told from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from stack.given import Given


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The two ports to listen on, and the folder that keeps the mail."""

    web_port: int
    smtp_port: int
    folder: Path

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> Self:
        """The settings that MAILBOX_* variables hold. Raises StackError naming the one that is missing or wrong."""
        given = Given(environment)
        return cls(
            web_port=given.integer("MAILBOX_WEB_PORT"),
            smtp_port=given.integer("MAILBOX_SMTP_PORT"),
            folder=given.path("MAILBOX_FOLDER"),
        )
