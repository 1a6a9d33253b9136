"""The edge's settings: one frozen Struct, built from a mapping such as `os.environ`. docs/deploy.md explains each."""

import ipaddress
import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from edge.errors import EdgeError


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names it and never shows a value that may be secret."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the edge is told from outside. What has a default may be left out.

    Addresses have no slash at their end.
    """

    port: int
    """Where to listen."""
    db_url: str
    """The database, as the role `edge`."""
    api_url: str
    """The gateway, as clients reach it."""
    rest_url: str
    """PostgREST."""
    jwks_url: str
    """Auth's public keys."""
    jwt_issuer: str
    """The `iss` of a user's token."""
    publishable_key: str
    """The API key that goes with a caller's own token."""
    cors_origins: tuple[str, ...]
    """Origins whose pages may call the edge, or only `*`."""
    public_url: str
    """The site that people see: certificates point to its /verify/<code>."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1",)
    """Addresses and networks whose X-Forwarded-For is believed."""
    drain_seconds: float = 5.0
    """How long, after SIGTERM, `/ready` says no while everything is still served."""
    grace_seconds: int = 10
    """How long, after that, requests under way may take to end."""
    max_requests: int = 512
    """Requests served at once; further ones are refused until one has ended."""
    fetch_ports: tuple[int, ...] = (80, 443)
    """Ports from which addresses that users give may be fetched."""
    metrics_token: str | None = None
    """The bearer token that `/metrics` asks for. Without one, only a direct caller from this machine is answered."""
    clerk_webhook_secret: str | None = None
    """What Clerk's webhooks are signed with."""
    stripe_api_key: str | None = None
    """The key of the account at Stripe."""
    stripe_api_url: str | None = None
    """Where Stripe's API is, where it is not Stripe's own."""
    stripe_webhook_secret: str | None = None
    """What Stripe's webhooks are signed with; several, comma separated, where there are several endpoints."""

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the EDGE_* entries; an empty one is as good as none.

        Raises:
            SettingsError: entries are missing or malformed.
        """
        given = {field: environment.get(variable(field), "").strip() for field in cls.__struct_fields__}
        missing = [variable(field.name) for field in msgspec.structs.fields(cls) if field.required]
        missing = [name for name in missing if not environment.get(name, "").strip()]
        if missing:
            raise SettingsError(f"missing settings: {', '.join(missing)}")
        values: dict[str, Any] = {
            field: READERS[field](variable(field), text) if field in READERS else text
            for field, text in given.items()
            if text
        }
        return cls(**values)

    def provider(self, field: str) -> str:
        """The value of an optional setting without which a provider cannot be used.

        Raises:
            EdgeError: 503 `provider_not_configured`, it is not set; the details name it.
        """
        value: str | None = getattr(self, field)
        if value is None:
            raise EdgeError(503, "provider_not_configured", f"{variable(field)} is not set.", "Ask the operator.")
        return value

    def __repr__(self) -> str:
        # The database URL holds a password: a settings object must be safe to log.
        return f"Settings(port={self.port}, api_url={self.api_url!r}, ...)"


def variable(field: str) -> str:
    """The environment's name for a setting."""
    return f"EDGE_{field.upper()}"


def _port(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 65_536:
        raise SettingsError(f"{name} is not a port number")
    return int(text)


def _ports(name: str, text: str) -> tuple[int, ...]:
    return tuple(_port(name, port) for port in _list(text))


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"{name} is not a whole number above 0")
    return int(text)


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise SettingsError(f"{name} is not a number of seconds")
    return seconds


def _address(name: str, text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise SettingsError(f"{name} is not an http(s) address")
    return text.rstrip("/")


def _networks(name: str, text: str) -> tuple[str, ...]:
    networks = _list(text)
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise SettingsError(f"{name} is not a list of addresses and networks, comma separated") from None
    return networks


def _origins(name: str, text: str) -> tuple[str, ...]:
    origins = _list(text)
    if origins == ("*",):
        return origins
    for origin in origins:
        # Exact origins only, written as browsers write them: a pattern is how lookalike sites get in, and an origin
        # written otherwise would never match.
        if origin != canonical_origin(origin):
            raise SettingsError(f"{name} is neither * nor a list of scheme://host[:port], comma separated")
    return origins


def canonical_origin(origin: str) -> str | None:
    """The origin of an address as browsers write it; None where it has none that can be told."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "*" in origin or not origin.isascii():
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_default = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{port}"


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


READERS: dict[str, Callable[[str, str], object]] = {
    "port": _port,
    "api_url": _address,
    "rest_url": _address,
    "jwks_url": _address,
    "cors_origins": _origins,
    "public_url": _address,
    "trusted_proxies": _networks,
    "drain_seconds": _seconds,
    "grace_seconds": _number,
    "max_requests": _number,
    "fetch_ports": _ports,
    "stripe_api_url": _address,
}
"""How the text of a setting is read, where it is not taken as it is."""
