"""What the mailbox is told from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from stack.errors import StackError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The two ports to listen on, and the folder that keeps the mail."""

    web_port: int
    smtp_port: int
    folder: Path

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> Self:
        """The settings that MAILBOX_* variables hold. Raises StackError naming the one that is missing or wrong."""
        try:
            return cls(
                web_port=int(environment["MAILBOX_WEB_PORT"]),
                smtp_port=int(environment["MAILBOX_SMTP_PORT"]),
                folder=Path(environment["MAILBOX_FOLDER"]),
            )
        except KeyError as missing:
            raise StackError(f"{missing.args[0]} is not set") from missing
        except ValueError as wrong:
            raise StackError("MAILBOX_WEB_PORT and MAILBOX_SMTP_PORT must be numbers") from wrong
