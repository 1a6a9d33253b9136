"""What the storage server is told from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from stack.given import Given


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, the database, the keys and the files."""

    port: int
    database_url: str
    """As the role `supabase_storage_admin`."""
    keys_file: Path
    files: Path
    """The folder that holds the bytes; made where it is missing."""
    file_size_limit: int
    """Bytes an object may have, whatever its bucket allows."""

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> Self:
        """The settings that STORAGE_* variables hold. Raises StackError naming the one that is missing or wrong."""
        given = Given(environment)
        return cls(
            port=given.integer("STORAGE_PORT"),
            database_url=given.text("STORAGE_DB_URL"),
            keys_file=given.path("STORAGE_KEYS_FILE"),
            files=given.path("STORAGE_FILES"),
            file_size_limit=given.integer("STORAGE_FILE_SIZE_LIMIT", high=2**63 - 1),
        )
