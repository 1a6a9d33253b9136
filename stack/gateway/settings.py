"""What the gateway is told from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from stack.given import Given, Network


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The port to listen on, the key file, and the base URLs of the parts behind the gateway."""

    port: int
    keys_file: Path
    rest_url: str
    auth_url: str
    storage_url: str
    edge_url: str
    trusted_proxies: tuple[Network, ...] = ()
    """The reverse proxies before the gateway, whose X-Forwarded-For is believed."""

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> Self:
        """The settings that GATEWAY_* variables hold. Raises StackError naming the one that is missing or wrong."""
        given = Given(environment)
        return cls(
            port=given.integer("GATEWAY_PORT"),
            keys_file=given.path("GATEWAY_KEYS_FILE"),
            rest_url=given.address("GATEWAY_REST_URL"),
            auth_url=given.address("GATEWAY_AUTH_URL"),
            storage_url=given.address("GATEWAY_STORAGE_URL"),
            edge_url=given.address("GATEWAY_EDGE_URL"),
            trusted_proxies=given.networks("GATEWAY_TRUSTED_PROXIES"),
        )
