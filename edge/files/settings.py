"""Settings of files."""

from common.settings import BaseSettings, HttpUrl, PublishableKey, Secret


class FileSettings(BaseSettings, frozen=True, kw_only=True):
    """How the worker removes files from storage."""

    storage_url: HttpUrl
    publishable_key: PublishableKey
    storage_token: Secret | None = None
    """A token of the database role `file_remover`. Without one, files that no row names any more stay in storage."""
