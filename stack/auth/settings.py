"""The settings of the auth server: variables AUTH_*."""

from pathlib import Path
from typing import Annotated

from common.settings import BaseSettings, DatabaseUrl, FunctionName, HttpUrl, Port, Texts, between


class Settings(BaseSettings, frozen=True, kw_only=True):
    """The settings of one auth server. The defaults are those of a new Supabase project."""

    prefix = "AUTH_"
    port: Port
    db_url: DatabaseUrl
    keys_file: Path
    external_url: HttpUrl
    """The address of this server behind the gateway; also the issuer of its tokens."""
    site_url: str
    """Where a link in a mail redirects when the caller names no allowed address."""
    redirect_urls: Texts = ()
    """Globs of the other addresses to which a link may redirect."""
    jwt_expiry: int = 3600
    autoconfirm: bool = False
    """Whether a new address counts as confirmed without a mail."""
    min_password_length: Annotated[int, between(6, 72)] = 6
    anonymous: bool = False
    signup: bool = True
    refresh_reuse_interval: Annotated[int, between(0, 2**31 - 1)] = 10
    otp_expiry: int = 3600
    hook_access_token: FunctionName | None = None
    """Schema and name of the function that may change a token's claims."""
    hook_password_attempt: FunctionName | None = None
    """Schema and name of the function that gets each attempt to sign in with a password."""
    smtp_host: str = "127.0.0.1"
    smtp_port: Port
    mail_from: str
    max_frequency: float = 60
    """Seconds between two mails of one kind to one address."""
    mails_an_hour: int = 10
    """Mails of one kind to one address in an hour."""
    wrong_passwords: int = 10
    """Wrong passwords for one account from one network in five minutes."""
    wrong_passwords_from_unknown_networks: int = 20
    """Wrong passwords for one account in an hour, from all networks from which the account has no sign-in."""
    wrong_codes: int = 5
    """Wrong codes for one account from one network in five minutes."""
    wrong_codes_from_unknown_networks: int = 10
    """Wrong codes for one account in an hour, from all networks from which the account has no sign-in."""
    sign_in_sign_ups: int = 30
    """Sign-ins by password and sign-ups from one network in five minutes; and as many requests for a mail."""
    token_verifications: int = 30
    """Links and codes that one network may redeem in five minutes."""
    token_refresh: int = 150
    """Sessions that one network may refresh in five minutes."""
    user_updates: int = 30
    """Changes that a user may make to themselves in five minutes."""
    user_metadata_size: int = 16 * 1024
    """Bytes of a user's own metadata. It goes into each of their tokens, and so into each of their requests."""
    anonymous_users: int = 30
    mfa_totp_enroll: bool = True
    mfa_totp_verify: bool = True
    mfa_max_enrolled_factors: Annotated[int, between(0, 100)] = 10
    mfa_requests: int = 30
    """Enrolments, challenges and verifications of second factors from one network in a minute."""
    """Anonymous sign-ins from one network in an hour."""
    bcrypt_cost: Annotated[int, between(4, 15)] = 10
