"""What the calls share, and the writing of objects: a row and its file, both or neither."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from stack.storage import buckets, objects
from stack.storage.database import Call, Database, Transaction
from stack.storage.errors import false_mime_type, invalid_mime_type, too_large
from stack.storage.files import Draft, Files, Stored
from stack.storage.http import Request, timestamp
from stack.storage.names import is_allowed
from stack.storage.objects import Content, ObjectPath
from stack.storage.serving import looks_like
from stack.storage.settings import Settings
from stack.storage.tokens import Caller, Tokens
from stack.storage.types import Rules
from stack.storage.uploads import HEAD_BYTES, Declaration, Upload, UploadChecks, receive

Write = Callable[[Transaction, ObjectPath, Content], Awaitable[uuid.UUID]]


class ObjectWrite(msgspec.Struct, frozen=True, kw_only=True):
    """An object to be written."""

    call: Call
    object_path: ObjectPath
    write: Write
    """The statement that writes its row."""
    caller: Caller | None
    """The caller whose policies decide; None where a signed URL has decided already."""
    owner_id: str | None
    """The owner of the object."""

    async def check(self, database: Database, metadata: dict[str, Any], user_metadata: dict[str, Any] | None) -> None:
        """Check policies and constraints without a change. Raises psycopg.Error where they refuse."""
        content = Content(stored=new_stored(), owner_id=self.owner_id, metadata=metadata, user_metadata=user_metadata)
        async with database.transaction(self.call, self.caller, dry_run=True) as transaction:
            await self.write(transaction, self.object_path, content)


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one storage server."""

    settings: Settings
    database: Database
    files: Files
    tokens: Tokens

    def limit(self, rules: Rules) -> int:
        """The maximum size of an object in a bucket, in bytes."""
        own = self.settings.file_size_limit
        return own if rules.file_size_limit is None else min(own, rules.file_size_limit)

    async def check_rules(self, rules: Rules, metadata: dict[str, Any], stored: Stored) -> None:
        """Refuse an object that its new bucket would not accept. Raises InvalidMimeType, EntityTooLarge."""
        mime_type, size = str(metadata.get("mimetype")), metadata.get("size")
        if isinstance(size, int) and size > self.limit(rules):
            raise too_large()
        if rules.allowed_mime_types:
            if not is_allowed(mime_type, rules.allowed_mime_types):
                raise invalid_mime_type(mime_type)
            if not looks_like(mime_type, await self.files.head(stored, HEAD_BYTES)):
                raise false_mime_type(mime_type)

    async def upload(self, request: Request, object_write: ObjectWrite) -> uuid.UUID:
        """Store an object, as a whole or not at all.

        Returns:
            The object's id.

        Raises:
            StorageError: the bucket, its limits or its types refuse it, or the request is malformed.
            psycopg.Error: a policy or a constraint refuses it.
            ClientDisconnectedError: the client disconnected; nothing is stored.
        """
        async with self.database.transaction(object_write.call) as transaction:
            rules = await buckets.rules(transaction, object_write.object_path.bucket)
        return await self._store(object_write, await receive(request, self.files, self._checks(object_write, rules)))

    def _checks(self, object_write: ObjectWrite, rules: Rules) -> UploadChecks:
        async def check_declaration(declaration: Declaration) -> None:
            if not is_allowed(declaration.mime_type, rules.allowed_mime_types):
                raise invalid_mime_type(declaration.mime_type)
            metadata: dict[str, Any] = {"mimetype": declaration.mime_type}
            if declaration.size is not None:
                metadata |= {"size": declaration.size, "contentLength": declaration.size}
            # The policies are checked before any byte is stored, and again with everything known about the file.
            await object_write.check(self.database, metadata, declaration.user_metadata)

        def check_bytes(mime_type: str, head: bytes) -> None:
            # A bucket that limits its types must not receive others under a false declaration.
            if rules.allowed_mime_types and not looks_like(mime_type, head):
                raise false_mime_type(mime_type)

        return UploadChecks(limit=self.limit(rules), check_declaration=check_declaration, check_bytes=check_bytes)

    async def _store(self, object_write: ObjectWrite, upload: Upload) -> uuid.UUID:
        new = new_stored()
        content = Content(
            stored=new,
            owner_id=object_write.owner_id,
            metadata=upload.metadata(now()),
            user_metadata=upload.user_metadata,
        )
        new_file = NewFile(self.files, upload.draft)
        async with new_file, self.database.transaction(object_write.call) as transaction:
            old = await objects.lock(transaction, object_write.object_path)
            if object_write.caller is not None:
                await transaction.act_as(object_write.caller)
            object_id = await object_write.write(transaction, object_write.object_path, content)
            await new_file.name(Stored(object_id=object_id, version=new.version))
            new_file.committing = True
        if old is not None:
            await self.files.remove([old])
        return object_id


class NewFile:
    """Encloses a transaction that writes a row for a file, and removes the file if the row is not committed."""

    def __init__(self, files: Files, draft: Draft | None) -> None:
        self._files = files
        self._draft = draft
        self._stored: Stored | None = None
        self.committing = False
        """Set as the last thing in the transaction."""

    async def name(self, stored: Stored) -> None:
        """Give the draft its name."""
        if self._draft is None:
            raise ValueError("there is no draft to name")
        self._stored = stored
        await self._files.name(self._draft, stored)

    async def duplicate(self, source: Stored, copy: Stored) -> bool:
        """Give a file a second name. Returns False where it does not exist."""
        self._stored = copy
        return await self._files.duplicate(source, copy)

    async def __aenter__(self) -> "NewFile":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        if self._draft is not None:
            await self._files.discard(self._draft)
        # Only an error of the database means that a commit failed. If the connection was lost, the row may exist: the
        # file is kept, and the sweep at the next start deletes it if it has no row.
        refused = isinstance(error, psycopg.DatabaseError) and not isinstance(error, psycopg.OperationalError)
        if self._stored is not None and (refused or not self.committing):
            await self._files.remove([self._stored])


def new_stored() -> Stored:
    """A name that no file has yet."""
    return Stored(object_id=uuid.uuid4(), version=uuid.uuid4())


def now() -> str:
    """The current time, in the form of metadata."""
    return timestamp(datetime.now(UTC))
