"""The settings of the edge: variables EDGE_*. docs/deploy.md explains each.

Each package adds its own part: `settings[PaymentSettings]` are those of the package `payments`.
"""

import ipaddress
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from common.settings import (
    BaseSettings,
    DatabaseUrl,
    HttpUrl,
    Networks,
    Port,
    Ports,
    ProcessSettings,
    PublishableKey,
    Rule,
    Secret,
    listed,
)
from edge import packages
from edge.errors import error

PREFIX = "EDGE_"


def canonical_origin(url: str) -> str | None:
    """The origin of a URL as browsers write it; None where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "*" in url or not url.isascii():
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_default = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{port}"


def _origin(text: str) -> str:
    # Exact origins only, as browsers write them: a pattern lets lookalike sites in, and another spelling never matches.
    if text != canonical_origin(text):
        raise ValueError
    return text


_ORIGINS = listed(Rule("scheme://host[:port]", _origin))
Origins = Annotated[
    tuple[str, ...],
    Rule(f"* or {_ORIGINS.expected}", lambda text: ("*",) if text == "*" else _ORIGINS.read(text)),
]


class EdgeSettings(BaseSettings, frozen=True, kw_only=True):
    """What every edge needs, whatever its packages."""

    port: Port
    """Where to listen."""
    db_url: DatabaseUrl
    """The database, as the role `edge`."""
    api_url: HttpUrl
    """The gateway, as clients reach it."""
    rest_url: HttpUrl
    """PostgREST."""
    jwks_url: HttpUrl
    """Auth's public keys."""
    jwt_issuer: str
    """The `iss` of a user's token."""
    publishable_key: PublishableKey
    """The API key that goes with a caller's own token."""
    cors_origins: Origins
    """Origins whose pages may call the edge, or only `*`."""
    public_url: HttpUrl
    """The site that people see: certificates point to its /verify/<code>."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    trusted_proxies: Networks = (ipaddress.ip_network("127.0.0.1"),)
    """Addresses and networks whose X-Forwarded-For is believed."""
    drain_seconds: float = 5.0
    """How long, after SIGTERM, `/ready` answers 503 while everything else is still served."""
    grace_seconds: int = 10
    """How long, after that, requests in progress may take to end."""
    max_requests: int = 512
    """Requests served at once; further ones are refused until one has ended."""
    fetch_ports: Ports = (80, 443)
    """Ports from which addresses that users give may be fetched."""
    metrics_token: Secret | None = None
    """The bearer token of `/metrics`. Without one, only a direct caller on this machine is answered."""


def read_settings(values: Mapping[str, str]) -> ProcessSettings:
    """Read the settings of the edge and of all its packages.

    Raises:
        SettingsError: variables EDGE_* are missing, wrong or unknown.
    """
    parts = (each.settings for each in packages.http_packages() if each.settings is not None)
    return ProcessSettings.read(values, PREFIX, [EdgeSettings, *parts], refuse_unknown=True)


def required_setting(part: BaseSettings, field: str) -> str:
    """The value of an optional setting without which a provider cannot be used.

    Raises:
        EdgeError: 503 `provider_not_configured`, it is not set; the details name it.
    """
    value: str | None = getattr(part, field)
    if value is None:
        raise error("provider_not_configured", f"{PREFIX}{field.upper()}")
    return value
