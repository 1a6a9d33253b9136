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
    hook_password_attempt: tuple[str, str] | None = None
    """Schema and name of the function that is told of each password that somebody tries for a user."""
    smtp_host: str = "127.0.0.1"
    smtp_port: int
    mail_from: str
    max_frequency: float = 60
    """Seconds between two mails of one kind to one address."""
    mails_an_hour: int = 10
    """Mails of one kind to one address in an hour."""
    wrong_passwords: int = 10
    """Wrong passwords for one account from one address in five minutes."""
    wrong_passwords_of_strangers: int = 20
    """Wrong passwords for one account in an hour, from all addresses where nobody ever signed in to it."""
    wrong_codes: int = 5
    """Wrong codes for one account from one address in five minutes."""
    wrong_codes_of_strangers: int = 10
    """Wrong codes for one account in an hour, from all addresses where nobody ever signed in to it."""
    sign_in_sign_ups: int = 30
    """Sign-ins by password and sign-ups from one address in five minutes; and as many requests for a mail."""
    token_verifications: int = 30
    """Links and codes that one address may bring in five minutes."""
    token_refresh: int = 150
    """Sessions that one address may refresh in five minutes."""
    anonymous_users: int = 30
    """Anonymous sign-ins from one address in an hour."""
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
            hook_password_attempt=given.function("AUTH_HOOK_PASSWORD_ATTEMPT"),
            smtp_host=given.text("AUTH_SMTP_HOST", "127.0.0.1"),
            smtp_port=given.integer("AUTH_SMTP_PORT"),
            mail_from=given.text("AUTH_MAIL_FROM"),
            max_frequency=given.seconds("AUTH_MAX_FREQUENCY", 60),
            mails_an_hour=given.integer("AUTH_MAILS_AN_HOUR", 10),
            wrong_passwords=given.integer("AUTH_WRONG_PASSWORDS", 10),
            wrong_passwords_of_strangers=given.integer("AUTH_WRONG_PASSWORDS_OF_STRANGERS", 20),
            wrong_codes=given.integer("AUTH_WRONG_CODES", 5),
            wrong_codes_of_strangers=given.integer("AUTH_WRONG_CODES_OF_STRANGERS", 10),
            sign_in_sign_ups=given.integer("AUTH_SIGN_IN_SIGN_UPS", 30),
            token_verifications=given.integer("AUTH_TOKEN_VERIFICATIONS", 30),
            token_refresh=given.integer("AUTH_TOKEN_REFRESH", 150),
            anonymous_users=given.integer("AUTH_ANONYMOUS_USERS", 30),
            bcrypt_cost=given.integer("AUTH_BCRYPT_COST", 10, low=4, high=15),
        )
