"""What the database answers."""

import msgspec


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that goes with its owner: a row of `personal_files`."""

    bucket_id: str
    name: str
