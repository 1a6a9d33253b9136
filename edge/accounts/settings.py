"""Settings of accounts."""

from common.settings import BaseSettings, HttpUrl, PublishableKey


class AccountSettings(BaseSettings, frozen=True, kw_only=True):
    """How the worker reaches auth, which mails links for a new password."""

    auth_url: HttpUrl
    publishable_key: PublishableKey
    """The API key for auth. The worker has no secret one."""
