"""The folder of .eml files. A mail is acknowledged when it is on disk, and the newest thousand are kept."""

import asyncio
import os
import re
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

from stack.mailbox.messages import Envelope, Message, Stored, Summary

KEPT = 1000
ID = re.compile(r"\d{19}-[0-9a-f]{8}")
"""Nanoseconds since 1970, so that names sort by time, and a random tail."""
NANOSECONDS = 1_000_000_000


class Store:
    """The mail of one stack, with its summaries in memory. An id finds only mail that the store itself has listed."""

    def __init__(self, folder: Path) -> None:
        """Open a folder, made where it is missing. Raises OSError where it cannot be read."""
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unfinished in folder.glob("*.new"):
            unfinished.unlink()
        names = sorted(file.stem for file in folder.glob("*.eml") if ID.fullmatch(file.stem))
        self._summaries = {name: self._read(name).summary() for name in names}
        self._forget_oldest()
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._summaries)

    def save(self, envelope: Envelope, content: bytes) -> str:
        """Keep a mail and return its id. Raises OSError where it cannot be written, and leaves nothing then."""
        name = f"{time.time_ns():019}-{secrets.token_hex(4)}"
        draft = self._folder / f"{name}.new"
        try:
            # Mail holds one-time tokens, so only its owner may read it. Writing blocks the loop for the few
            # milliseconds of a disk sync, which costs less here than a thread.
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(Stored.encode(envelope, content))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path(name))
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        self._sync_folder()
        self._summaries[name] = self._read(name).summary()
        self._forget_oldest()
        self._arrival.set()
        self._arrival = asyncio.Event()
        return name

    async def next_mail(self) -> None:
        """Wait until a mail arrives."""
        await self._arrival.wait()

    def newest(self, limit: int, to: str | None = None, subject: str = "") -> list[Summary]:
        """The newest mails first: to one address, with this text in the subject, or all. Case does not matter."""
        recipient = to.casefold() if to is not None else None
        text = subject.casefold()
        found: list[Summary] = []
        for summary in reversed(self._summaries.values()):
            if len(found) == limit:
                break
            is_to_recipient = recipient is None or recipient in (address.casefold() for address in summary.to)
            if is_to_recipient and text in summary.subject.casefold():
                found.append(summary)
        return found

    def get(self, name: str) -> Message | None:
        """One mail; None where there is none of that id."""
        if name not in self._summaries:
            return None
        try:
            return self._read(name).message()
        except FileNotFoundError:  # a person emptied the folder
            del self._summaries[name]
            return None

    def clear(self) -> None:
        """Delete every mail."""
        for name in list(self._summaries):
            self._delete(name)

    def _forget_oldest(self) -> None:
        for name in list(self._summaries)[:-KEPT]:
            self._delete(name)

    def _delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)
        del self._summaries[name]

    def _read(self, name: str) -> Stored:
        received_at = datetime.fromtimestamp(int(name.partition("-")[0]) / NANOSECONDS, UTC)
        return Stored(id=name, received_at=received_at, content=self._path(name).read_bytes())

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.eml"

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
