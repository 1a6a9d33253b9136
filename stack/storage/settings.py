"""The settings of the storage server: variables STORAGE_*."""

from pathlib import Path
from typing import Annotated

from common.settings import TEXT, BaseSettings, DatabaseUrl, Port, between, listed


class Settings(BaseSettings, frozen=True, kw_only=True):
    """Where to listen, the database, the keys and the files."""

    prefix = "STORAGE_"
    port: Port
    db_url: DatabaseUrl
    """As the role `supabase_storage_admin`."""
    keys_file: Path
    files: Path
    """The folder of the bytes; made where it is missing."""
    file_size_limit: Annotated[int, between(1, 2**63 - 1)]
    """The maximum size of an object, whatever its bucket allows."""
    extra_roles: Annotated[tuple[str, ...], listed(TEXT)] = ()
    """The roles of callers that the project adds to `anon`, `authenticated` and `service_role`."""
