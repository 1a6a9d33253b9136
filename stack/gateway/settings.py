"""What the gateway is told from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from stack.errors import StackError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The port to listen on, the key file, and the base URLs of the parts behind the gateway."""

    port: int
    keys_file: Path
    rest_url: str
    auth_url: str
    storage_url: str
    edge_url: str

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> Self:
        """The settings that GATEWAY_* variables hold. Raises StackError naming the one that is missing or wrong."""
        try:
            return cls(
                port=int(environment["GATEWAY_PORT"]),
                keys_file=Path(environment["GATEWAY_KEYS_FILE"]),
                rest_url=environment["GATEWAY_REST_URL"].rstrip("/"),
                auth_url=environment["GATEWAY_AUTH_URL"].rstrip("/"),
                storage_url=environment["GATEWAY_STORAGE_URL"].rstrip("/"),
                edge_url=environment["GATEWAY_EDGE_URL"].rstrip("/"),
            )
        except KeyError as missing:
            raise StackError(f"{missing.args[0]} is not set") from missing
        except ValueError as wrong:
            raise StackError("GATEWAY_PORT is not a number") from wrong
