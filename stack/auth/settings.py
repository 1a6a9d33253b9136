"""What the auth server is told when it starts."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from stack.given import Given


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one auth server. The defaults are those of a new Supabase project."""

    port: int
    db_url: str
    keys_file: Path
    external_url: str
    """Where clients reach this server, through the gateway; also the issuer of its tokens."""
    site_url: str
    """Where a link in a mail leads when the caller named no allowed place."""
    redirect_urls: tuple[str, ...] = ()
    """Globs of the other places to which a link may lead."""
    jwt_expiry: int = 3600
    autoconfirm: bool = False
    """Whether a new address counts as confirmed without a mail."""
    min_password_length: int = 6
    anonymous: bool = False
    signup: bool = True
    refresh_reuse_interval: int = 10
    otp_expiry: int = 3600
    hook_access_token: tuple[str, str] | None = None
    """Schema and name of the function that may change a token's claims."""
    smtp_host: str = "127.0.0.1"
    smtp_port: int
    mail_from: str
    max_frequency: float = 60
    """Seconds between two mails of one kind to one address."""
    bcrypt_cost: int = 10

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> "Settings":
        """Read the settings from names and strings such as the environment.

        Raises:
            StackError: a value is missing or cannot be read; the message names it.
        """
        given = Given(values)
        return cls(
            port=given.integer("AUTH_PORT"),
            db_url=given.text("AUTH_DB_URL"),
            keys_file=given.path("AUTH_KEYS_FILE"),
            external_url=given.address("AUTH_EXTERNAL_URL"),
            site_url=given.text("AUTH_SITE_URL"),
            redirect_urls=tuple(
                glob.strip() for glob in given.text("AUTH_REDIRECT_URLS", "").split(",") if glob.strip()
            ),
            jwt_expiry=given.integer("AUTH_JWT_EXPIRY", 3600, low=1),
            autoconfirm=given.boolean("AUTH_AUTOCONFIRM", default=False),
            min_password_length=given.integer("AUTH_MIN_PASSWORD_LENGTH", 6, low=6, high=72),
            anonymous=given.boolean("AUTH_ANONYMOUS", default=False),
            signup=given.boolean("AUTH_SIGNUP", default=True),
            refresh_reuse_interval=given.integer("AUTH_REFRESH_REUSE_INTERVAL", 10, low=0),
            otp_expiry=given.integer("AUTH_OTP_EXPIRY", 3600, low=1),
            hook_access_token=given.function("AUTH_HOOK_ACCESS_TOKEN"),
            smtp_host=given.text("AUTH_SMTP_HOST", "127.0.0.1"),
            smtp_port=given.integer("AUTH_SMTP_PORT"),
            mail_from=given.text("AUTH_MAIL_FROM"),
            max_frequency=given.seconds("AUTH_MAX_FREQUENCY", 60),
            bcrypt_cost=given.integer("AUTH_BCRYPT_COST", 10, low=4, high=15),
        )
