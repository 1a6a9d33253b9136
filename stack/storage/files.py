"""The bytes of objects on disk.

    <root>/incoming/<uuid>                     an upload in progress, which cannot be read
    <root>/objects/<2 hex>/<object>.<version>  the file of a row

Both parts of a name are uuids of ours, so no name that a client chose ever becomes a path. A file is written once and
never changed: an overwrite makes a new version, and the row names the current one. A file gets its name before its row
is committed, and is removed after its row is deleted. So a crash can leave a file without a row, but never a row
without its file. `sweep` removes such files at the next start.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from stack.errors import StackError
from stack.storage.errors import too_large

WRITE_BYTES = 1 << 20
READ_BYTES = 1 << 18
SHARDS = tuple(f"{number:02x}" for number in range(256))
SWEEP_BATCH = 500


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Identifies one file: an object and one of its versions."""

    object_id: uuid.UUID
    version: uuid.UUID

    @property
    def file_name(self) -> str:
        """The name on disk."""
        return f"{self.object_id}.{self.version}"

    @classmethod
    def parse(cls, file_name: str) -> "Stored | None":
        """The object and version in a file's name, or None where it is not a name of ours."""
        object_id, _, version = file_name.partition(".")
        try:
            stored = cls(object_id=uuid.UUID(object_id), version=uuid.UUID(version))
        except ValueError:
            return None
        return stored if stored.file_name == file_name else None


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A complete upload on disk, which has no name yet."""

    path: Path
    size: int
    etag: str


class Files:
    """The folder of one storage server."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._objects = root / "objects"
        self._lock: BinaryIO | None = None
        self._found_at_start: list[Stored] = []

    def open(self) -> None:
        """Take the folder for this process alone, and remove the uploads of an interrupted one.

        Raises:
            StackError: another process holds the folder, or it cannot be made.
        """
        try:
            for folder in (self._root, self._incoming, self._objects, *(self._objects / shard for shard in SHARDS)):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (self._root / "lock").open("wb")
        except OSError as error:
            raise StackError(f"cannot use the folder {self._root}: {error.strerror}") from error
        try:
            # The kernel releases it when this process ends, in any way.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise StackError(f"another storage server uses the folder {self._root}") from error
        for left in self._incoming.iterdir():
            left.unlink()
        # Listed before the first call, so that a sweep never sees a file whose row has yet to be written.
        named = (Stored.parse(entry.name) for shard in SHARDS for entry in (self._objects / shard).iterdir())
        self._found_at_start = [stored for stored in named if stored is not None]

    def close(self) -> None:
        """Release the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def receive(self, chunks: AsyncIterator[bytes], limit: int) -> Draft:
        """Write a stream to disk, durably.

        Args:
            chunks: the bytes, in chunks of any size.
            limit: the maximum size in bytes.

        Raises:
            StorageError: EntityTooLarge, as soon as there are more.
        """
        path = self._incoming / str(uuid.uuid4())
        digest = hashlib.blake2b(digest_size=16)

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        def finish() -> None:
            file.flush()
            os.fsync(file.fileno())
            file.close()

        size = 0
        file = await asyncio.to_thread(_create, path)
        try:
            buffer = bytearray()
            async for chunk in _limited(chunks, limit):
                buffer += chunk
                size += len(chunk)
                if len(buffer) >= WRITE_BYTES:
                    await asyncio.to_thread(write, bytes(buffer))
                    buffer.clear()
            await asyncio.to_thread(write, bytes(buffer))
            await asyncio.to_thread(finish)
        except BaseException:
            file.close()
            path.unlink()
            raise
        return Draft(path=path, size=size, etag=f'"{digest.hexdigest()}"')

    async def name(self, draft: Draft, stored: Stored) -> None:
        """Give a draft its name, durably."""

        def move() -> None:
            path = self._path(stored)
            draft.path.rename(path)
            _sync_folder(path.parent)

        await asyncio.to_thread(move)

    async def discard(self, draft: Draft) -> None:
        """Remove a draft that has no name."""
        await asyncio.to_thread(draft.path.unlink, missing_ok=True)

    async def duplicate(self, source: Stored, copy: Stored) -> bool:
        """Give the same bytes a second name, durably. Returns False where the source does not exist."""

        def link() -> bool:
            path = self._path(copy)
            try:
                try:
                    path.hardlink_to(self._path(source))
                except FileNotFoundError:
                    raise
                except OSError:  # a file system without links, or one that allows no more of them
                    self._copy(source, path)
            except FileNotFoundError:
                return False
            _sync_folder(path.parent)
            return True

        return await asyncio.to_thread(link)

    async def read(self, stored: Stored) -> BinaryIO | None:
        """The open file, or None where it does not exist. It stays readable even if it is removed meanwhile."""

        def opened() -> BinaryIO | None:
            with contextlib.suppress(FileNotFoundError):
                return self._path(stored).open("rb")
            return None

        return await asyncio.to_thread(opened)

    async def head(self, stored: Stored, size: int) -> bytes:
        """The first bytes of a file; empty where it does not exist."""

        def read() -> bytes:
            with contextlib.suppress(FileNotFoundError), self._path(stored).open("rb") as file:
                return file.read(size)
            return b""

        return await asyncio.to_thread(read)

    async def remove(self, names: Iterable[Stored]) -> None:
        """Remove files whose rows are deleted. The next start sweeps those that cannot be removed now."""

        def unlink(batch: list[Stored]) -> None:
            for stored in batch:
                with contextlib.suppress(OSError):
                    self._path(stored).unlink()

        if batch := list(names):
            await asyncio.to_thread(unlink, batch)

    async def sweep(self, known: Callable[[list[Stored]], Awaitable[set[Stored]]]) -> int:
        """Remove the files that existed at the start and that no row names.

        Args:
            known: returns those of some files that have a row.

        Returns:
            The number of removed files.
        """
        removed = 0
        while self._found_at_start:
            batch = self._found_at_start[-SWEEP_BATCH:]
            orphans = set(batch) - await known(batch)
            await self.remove(orphans)
            removed += len(orphans)
            del self._found_at_start[-SWEEP_BATCH:]
        return removed

    def _copy(self, source: Stored, path: Path) -> None:
        draft = self._incoming / str(uuid.uuid4())
        try:
            with self._path(source).open("rb") as original, _create(draft) as file:
                shutil.copyfileobj(original, file, WRITE_BYTES)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)

    def _path(self, stored: Stored) -> Path:
        name = stored.file_name
        return self._objects / name[:2] / name


async def _limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    left = limit
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise too_large()
        yield chunk


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
