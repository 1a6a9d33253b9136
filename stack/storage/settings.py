"""What the storage server is told from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from stack.errors import StackError


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
        try:
            return cls(
                port=int(environment["STORAGE_PORT"]),
                database_url=environment["STORAGE_DB_URL"],
                keys_file=Path(environment["STORAGE_KEYS_FILE"]),
                files=Path(environment["STORAGE_FILES"]),
                file_size_limit=int(environment["STORAGE_FILE_SIZE_LIMIT"]),
            )
        except KeyError as missing:
            raise StackError(f"{missing.args[0]} is not set") from missing
        except ValueError as wrong:
            raise StackError("STORAGE_PORT and STORAGE_FILE_SIZE_LIMIT must be numbers") from wrong
