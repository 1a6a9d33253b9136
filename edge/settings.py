"""The edge's settings: one frozen Struct, built from a mapping such as `os.environ`."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names it and never shows a value that may be secret."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the edge is told from outside. Addresses have no slash at their end."""

    port: int
    """Where to listen, on loopback."""
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

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the EDGE_* entries.

        Raises:
            SettingsError: entries are missing or malformed.
        """
        names = {field: f"EDGE_{field.upper()}" for field in cls.__struct_fields__}
        missing = [name for name in names.values() if not environment.get(name, "").strip()]
        if missing:
            raise SettingsError(f"missing settings: {', '.join(missing)}")
        values = {field: environment[name].strip() for field, name in names.items()}
        return cls(
            port=_port(values["port"]),
            db_url=values["db_url"],
            api_url=_address(names["api_url"], values["api_url"]),
            rest_url=_address(names["rest_url"], values["rest_url"]),
            jwks_url=_address(names["jwks_url"], values["jwks_url"]),
            jwt_issuer=values["jwt_issuer"],
            publishable_key=values["publishable_key"],
            cors_origins=_origins(values["cors_origins"]),
            public_url=_address(names["public_url"], values["public_url"]),
        )

    def __repr__(self) -> str:
        # The database URL holds a password: a settings object must be safe to log.
        return f"Settings(port={self.port}, api_url={self.api_url!r}, ...)"


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise SettingsError("EDGE_PORT is not a port number")
    return int(text)


def _address(name: str, text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise SettingsError(f"{name} is not an http(s) address")
    return text.rstrip("/")


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in text.split(",") if origin.strip())
    if origins == ("*",):
        return origins
    for origin in origins:
        parts = urlsplit(origin)
        # Exact origins only: a pattern is how lookalike sites get in.
        if "*" in origin or not parts.scheme or not parts.netloc or parts.path or parts.query or parts.fragment:
            raise SettingsError("EDGE_CORS_ORIGINS is neither * nor a list of scheme://host[:port], comma separated")
    return origins
