"""The worker's settings: one frozen Struct, built from a mapping such as `os.environ`."""

from collections.abc import Mapping
from email.message import EmailMessage
from urllib.parse import urlsplit

import msgspec

from edge.mail.client import Security, Smtp
from edge.mail.types import Sender
from edge.settings import SettingsError

PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}
"""Where mail servers listen, by custom."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the worker is told from outside."""

    port: int
    """JOBS_PORT: where to answer for health and metrics."""
    db_url: str
    """JOBS_DB_URL: the database, as the role `worker`."""
    auth_url: str
    """JOBS_AUTH_URL: auth, which mails links to new passwords."""
    publishable_key: str
    """JOBS_PUBLISHABLE_KEY: the API key for auth. The worker has no secret one."""
    sender: Sender
    """JOBS_MAIL_FROM, such as `Guildhall <guildhall@example.com>`, and JOBS_PUBLIC_URL, the site that mails lead
    to: its /verify/<code> shows a certificate, its /settings/notifications what one is mailed about."""
    smtp: Smtp | None
    """JOBS_SMTP_HOST and, where they differ, JOBS_SMTP_PORT, JOBS_SMTP_USER, JOBS_SMTP_PASSWORD, and
    JOBS_SMTP_SECURITY: starttls, tls or none. Without a host mails wait."""
    concurrency: int
    """JOBS_CONCURRENCY: how many jobs at once."""
    heartbeat: int
    """JOBS_HEARTBEAT: seconds between two signs of life. A worker that gave none for three times as long counts as
    dead, and its jobs are given to others."""
    host: str
    """JOBS_HOST: the address to listen on."""
    stripe_api_key: str | None
    """JOBS_STRIPE_API_KEY: the key of the account at Stripe. Without one what is asked of Stripe waits."""
    stripe_api_url: str | None
    """JOBS_STRIPE_API_URL: where Stripe's API is, where it is not Stripe's own."""
    first_pause: float
    """JOBS_FIRST_PAUSE_MS: after how long a failed job is tried again, in seconds here; each time twice as long."""

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the JOBS_* entries.

        Raises:
            SettingsError: entries are missing or malformed.
        """
        given = _Given(environment)
        return cls(
            port=given.number("PORT", low=1, high=65_535),
            host=given.text("HOST", "127.0.0.1"),
            db_url=given.text("DB_URL"),
            auth_url=given.address("AUTH_URL"),
            publishable_key=given.text("PUBLISHABLE_KEY"),
            sender=given.sender(),
            smtp=given.smtp(),
            concurrency=given.number("CONCURRENCY", "8", low=1, high=100),
            heartbeat=given.number("HEARTBEAT", "10", low=1, high=19),
            stripe_api_key=given.text("STRIPE_API_KEY", "") or None,
            stripe_api_url=given.address("STRIPE_API_URL") if given.text("STRIPE_API_URL", "") else None,
            first_pause=given.number("FIRST_PAUSE_MS", "5000", low=10, high=60_000) / 1000,
        )

    def __repr__(self) -> str:
        # The database URL holds a password: a settings object must be safe to log.
        return f"Settings(port={self.port}, smtp={self.smtp!r}, ...)"


class _Given:
    """Reads one entry after another; each method raises SettingsError, which names the entry and shows no value."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environment.get(f"JOBS_{name}", "").strip() or default
        if value is None:
            raise SettingsError(f"missing settings: JOBS_{name}")
        return value

    def number(self, name: str, default: str | None = None, *, low: int, high: int) -> int:
        text = self.text(name, default)
        if not text.isdecimal() or not low <= int(text) <= high:
            raise SettingsError(f"JOBS_{name} is not a whole number from {low} to {high}")
        return int(text)

    def address(self, name: str) -> str:
        text = self.text(name)
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise SettingsError(f"JOBS_{name} is not an http(s) address")
        return text.rstrip("/")

    def sender(self) -> Sender:
        message = EmailMessage()
        message["From"] = " ".join(self.text("MAIL_FROM").split())
        addresses = message["From"].addresses
        if message["From"].defects or len(addresses) != 1 or not addresses[0].domain:
            raise SettingsError("JOBS_MAIL_FROM is not an address such as Guildhall <guildhall@example.com>")
        [address] = addresses
        return Sender(
            name=address.display_name or address.domain, address=address.addr_spec, site=self.address("PUBLIC_URL")
        )

    def smtp(self) -> Smtp | None:
        host = self.text("SMTP_HOST", "")
        if not host:
            return None
        security = self.text("SMTP_SECURITY", Security.STARTTLS)
        if security not in PORTS:
            raise SettingsError(f"JOBS_SMTP_SECURITY is none of {', '.join(PORTS)}")
        return Smtp(
            host=host,
            port=self.number("SMTP_PORT", str(PORTS[Security(security)]), low=1, high=65_535),
            user=self.text("SMTP_USER", "") or None,
            password=self.text("SMTP_PASSWORD", "") or None,
            security=Security(security),
        )
