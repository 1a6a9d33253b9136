"""What the database answers."""

import msgspec


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `personal_files`: a file that is removed with its owner."""

    bucket_id: str
    name: str
