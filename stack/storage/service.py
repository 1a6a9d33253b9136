"""What every call needs, and the writing of objects: a row and its file, both or neither."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from stack.storage import buckets, objects
from stack.storage.database import Call, Database, Transaction
from stack.storage.errors import invalid_mime_type, too_large
from stack.storage.files import Draft, Files, Stored
from stack.storage.http import Request
from stack.storage.names import is_allowed
from stack.storage.objects import Content, Place
from stack.storage.serving import looks_like
from stack.storage.settings import Settings
from stack.storage.tokens import Caller, Tokens
from stack.storage.types import Rules
from stack.storage.uploads import HEAD_BYTES, Declared, Gate, Upload, receive

Write = Callable[[Transaction, Place, Content], Awaitable[uuid.UUID]]


class Storing(msgspec.Struct, frozen=True, kw_only=True):
    """An object that somebody wants to be somewhere."""

    call: Call
    place: Place
    write: Write
    """The statement that writes its row."""
    caller: Caller | None
    """Whose policies decide; None where a signed URL has decided already."""
    owner_id: str | None
    """Whose it becomes."""

    async def rehearse(
        self, database: Database, metadata: dict[str, Any], user_metadata: dict[str, Any] | None
    ) -> None:
        """Ask the policies and constraints, changing nothing. Raises psycopg.Error where they refuse."""
        content = Content(stored=new_stored(), owner_id=self.owner_id, metadata=metadata, user_metadata=user_metadata)
        async with database.transaction(self.call, self.caller, rehearsal=True) as transaction:
            await self.write(transaction, self.place, content)


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one storage server."""

    settings: Settings
    database: Database
    files: Files
    tokens: Tokens

    def limit(self, rules: Rules) -> int:
        """The most bytes an object of a bucket may have."""
        own = self.settings.file_size_limit
        return own if rules.file_size_limit is None else min(own, rules.file_size_limit)

    async def check_rules(self, rules: Rules, metadata: dict[str, Any], stored: Stored) -> None:
        """Refuse an object that its new bucket would not have taken in. Raises InvalidMimeType, EntityTooLarge."""
        mime_type, size = str(metadata.get("mimetype")), metadata.get("size")
        if isinstance(size, int) and size > self.limit(rules):
            raise too_large()
        if rules.allowed_mime_types:
            head = await self.files.head(stored, HEAD_BYTES)
            if not is_allowed(mime_type, rules.allowed_mime_types) or not looks_like(mime_type, head):
                raise invalid_mime_type(mime_type)

    async def upload(self, request: Request, storing: Storing) -> uuid.UUID:
        """Take in an object: all of it, or nothing.

        Returns:
            The object's id.

        Raises:
            StorageError: the bucket, its limits or its types refuse it, or the request is malformed.
            psycopg.Error: a policy or a constraint refuses it.
            ClientLeftError: the client went away; nothing is left of it.
        """
        async with self.database.transaction(storing.call) as transaction:
            rules = await buckets.rules(transaction, storing.place.bucket)
        return await self._store(storing, await receive(request, self.files, self._gate(storing, rules)))

    def _gate(self, storing: Storing, rules: Rules) -> Gate:
        async def admit(declared: Declared) -> None:
            if not is_allowed(declared.mime_type, rules.allowed_mime_types):
                raise invalid_mime_type(declared.mime_type)
            metadata: dict[str, Any] = {"mimetype": declared.mime_type}
            if declared.size is not None:
                metadata |= {"size": declared.size, "contentLength": declared.size}
            # The policies are asked before any byte is stored, and again with all that is known of the file.
            await storing.rehearse(self.database, metadata, declared.user_metadata)

        def inspect(mime_type: str, head: bytes) -> None:
            # A bucket that limits its types is not to be filled with others under a false name.
            if rules.allowed_mime_types and not looks_like(mime_type, head):
                raise invalid_mime_type(mime_type)

        return Gate(limit=self.limit(rules), admit=admit, inspect=inspect)

    async def _store(self, storing: Storing, upload: Upload) -> uuid.UUID:
        new = new_stored()
        content = Content(
            stored=new,
            owner_id=storing.owner_id,
            metadata=upload.metadata(now()),
            user_metadata=upload.user_metadata,
        )
        placing = Placing(self.files, upload.draft)
        async with placing, self.database.transaction(storing.call) as transaction:
            old = await objects.lock(transaction, storing.place)
            if storing.caller is not None:
                await transaction.act_as(storing.caller)
            object_id = await storing.write(transaction, storing.place, content)
            await placing.place(Stored(object_id=object_id, version=new.version))
            placing.committing = True
        if old is not None:
            await self.files.remove([old])
        return object_id


class Placing:
    """Around a transaction that writes a row for a file: takes the file back where the row does not come to be."""

    def __init__(self, files: Files, draft: Draft | None) -> None:
        self._files = files
        self._draft = draft
        self._placed: Stored | None = None
        self.committing = False
        """Set as the last thing in the transaction."""

    async def place(self, stored: Stored) -> None:
        """Give the draft its name."""
        if self._draft is None:
            raise ValueError("there is no draft to place")
        self._placed = stored
        await self._files.place(self._draft, stored)

    async def duplicate(self, source: Stored, copy: Stored) -> bool:
        """Give a file a second name. Returns False where it is not there."""
        self._placed = copy
        return await self._files.duplicate(source, copy)

    async def __aenter__(self) -> "Placing":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        if self._draft is not None:
            await self._files.discard(self._draft)
        # Only the database's own refusal says that a commit failed. Where the connection was lost meanwhile nobody
        # knows whether the row is there: then the file stays, and the sweep at the next start finds out.
        refused = isinstance(error, psycopg.DatabaseError) and not isinstance(error, psycopg.OperationalError)
        if self._placed is not None and (refused or not self.committing):
            await self._files.remove([self._placed])


def new_stored() -> Stored:
    """A name that no file has yet."""
    return Stored(object_id=uuid.uuid4(), version=uuid.uuid4())


def now() -> str:
    """The time now, as metadata holds it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
