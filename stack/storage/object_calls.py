"""The calls on objects."""

from collections.abc import Awaitable, Callable

from stack.storage import buckets, objects
from stack.storage.database import Transaction
from stack.storage.errors import (
    feature_not_enabled,
    invalid_parameter,
    invalid_request,
    no_such_bucket,
    no_such_key,
)
from stack.storage.files import Stored
from stack.storage.http import Response, json_response
from stack.storage.names import (
    check_bucket_name,
    check_encoding,
    check_header,
    check_mime_type,
    check_object_name,
    normalised,
)
from stack.storage.objects import Content, ObjectPath
from stack.storage.routing import Route, RoutedRequest
from stack.storage.service import NewFile, ObjectWrite, Service, Write, new_stored, now
from stack.storage.serving import describe, serve
from stack.storage.tokens import UPLOAD_SECONDS, Caller
from stack.storage.types import (
    CopyRequest,
    ListRequest,
    ListRequestV2,
    MoveRequest,
    RemoveRequest,
    Row,
    SignManyRequest,
    SignRequest,
)
from stack.storage.uploads import read_user_metadata

SIGNED_SECONDS = 10 * 365 * 24 * 3600
"""The longest life of a signed URL."""
PRIVATE_SIGNED_SECONDS = 10 * 60
"""The longest life of a signed URL to a private bucket, whatever the caller asks for. Hosted Supabase has no limit."""
MAX_OBJECTS = 1000
"""The maximum number of objects that one call may name."""
HIDDEN = "Either the object does not exist or you do not have access to it"


Find = Callable[[RoutedRequest, Transaction], Awaitable[Row]]


class ObjectCalls:
    """The calls on objects, for one server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database
        self._files = service.files
        self._tokens = service.tokens

    def routes(self) -> tuple[Route, ...]:
        """The routes of the API. The first match counts: `/object/sign/...` is not an object in a bucket `sign`."""
        return (
            Route("POST", "/object/upload/sign/", "object", "storage.object.sign_upload_url", self.sign_upload),
            Route("PUT", "/object/upload/sign/", "object", "storage.object.upload_signed", self.upload_signed),
            Route("POST", "/object/sign/", "object", "storage.object.sign", self.sign),
            Route("POST", "/object/sign/", "bucket", "storage.object.sign_many", self.sign_many),
            Route("GET", "/object/sign/", "object", "storage.object.get_signed", self.get_signed),
            Route("HEAD", "/object/sign/", "object", "storage.object.get_signed", self.get_signed),
            Route("GET", "/object/public/", "object", "storage.object.get_public", self.get_public),
            Route("HEAD", "/object/public/", "object", "storage.object.info_public", self.get_public),
            Route("GET", "/object/info/public/", "object", "storage.object.info_public", self.info_public),
            Route(
                "GET",
                "/object/info/authenticated/",
                "object",
                "storage.object.get_authenticated_info",
                self.info_by_token,
            ),
            Route("GET", "/object/info/", "object", "storage.object.get_authenticated_info", self.info),
            Route("GET", "/object/authenticated/", "object", "storage.object.get_authenticated", self.get_by_token),
            Route(
                "HEAD", "/object/authenticated/", "object", "storage.object.head_authenticated_info", self.get_by_token
            ),
            Route("POST", "/object/list/", "bucket", "storage.object.list", self.search),
            Route("POST", "/object/list-v2/", "bucket", "storage.object.list_v2", self.list_v2),
            Route("POST", "/object/move", "nothing", "storage.object.move", self.move),
            Route("POST", "/object/copy", "nothing", "storage.object.copy", self.copy),
            Route("DELETE", "/object/", "bucket", "storage.object.delete_many", self.remove),
            Route("DELETE", "/object/", "object", "storage.object.delete", self.remove_one),
            Route("POST", "/object/", "object", "storage.object.upload", self.upload),
            Route("PUT", "/object/", "object", "storage.object.upload_update", self.update),
            Route("GET", "/object/", "object", "storage.object.get_authenticated", self.get),
            Route("HEAD", "/object/", "object", "storage.object.head_authenticated_info", self.get),
        )

    async def upload(self, routed: RoutedRequest) -> Response:
        """Upload an object; with `x-upsert: true` replace an existing one."""
        return await self._upload(routed, objects.upsert if _upserts(routed) else objects.insert)

    async def update(self, routed: RoutedRequest) -> Response:
        """Replace an object's bytes."""
        return await self._upload(routed, objects.update)

    async def sign_upload(self, routed: RoutedRequest) -> Response:
        """Make a URL that permits one upload to this path, if the caller may upload there now."""
        caller = self._caller(routed)
        upsert = _upserts(routed)
        write = objects.upsert if upsert else objects.insert
        await _storing(routed, write, caller, caller.owner_id).check(self._database, {}, None)
        path = routed.object_path.path
        token = self._tokens.sign(path, "upload", UPLOAD_SECONDS, caller, upsert=upsert)
        return json_response({"url": f"/object/upload/sign/{path}?token={token}", "token": token})

    async def upload_signed(self, routed: RoutedRequest) -> Response:
        """Upload by such a URL. The user who signed it owns the object."""
        signed = self._tokens.verify(_token(routed), routed.object_path.path, "upload")
        write: Write = objects.upsert if signed.upsert else objects.insert
        await self._service.upload(routed.request, _storing(routed, write, None, signed.owner))
        return json_response({"Key": routed.object_path.path})

    async def sign(self, routed: RoutedRequest) -> Response:
        """Make a URL by which anyone can read this object for a while, as long as the caller can."""
        body = await routed.request.json(SignRequest)
        if body.transform:
            raise feature_not_enabled("image transformation")
        seconds, caller = _seconds(body.expires_in), self._caller(routed)
        async with self._database.transaction(routed.call) as transaction:
            seconds = await _limited(transaction, routed.bucket, seconds)
            await transaction.act_as(caller)
            if await objects.find(transaction, routed.object_path) is None:
                raise no_such_key()
        return json_response({"signedURL": self._signed_url(routed.object_path, seconds, caller)})

    async def sign_many(self, routed: RoutedRequest) -> Response:
        """Make such URLs for many objects of a bucket. An object that the caller cannot see has an error instead."""
        body = await routed.request.json(SignManyRequest)
        seconds, caller = _seconds(body.expires_in), self._caller(routed)
        if not 1 <= len(body.paths) <= MAX_OBJECTS:
            raise invalid_parameter(f"paths must be 1 to {MAX_OBJECTS}")
        async with self._database.transaction(routed.call) as transaction:
            seconds = await _limited(transaction, routed.bucket, seconds)
            await transaction.act_as(caller)
            visible = await objects.names(transaction, routed.bucket, [normalised(path) for path in body.paths])
        answers = []
        for path in body.paths:
            object_path = ObjectPath(bucket=routed.bucket, name=normalised(path))
            url = self._signed_url(object_path, seconds, caller) if object_path.name in visible else None
            answers.append({"error": None if url else HIDDEN, "path": path, "signedURL": url})
        return json_response(answers)

    async def get_signed(self, routed: RoutedRequest) -> Response:
        """Read an object by a signed URL, if who signed it may still read it."""
        signed = self._tokens.verify(_token(routed), routed.object_path.path, "download")

        async def find_as_signer(routed: RoutedRequest, transaction: Transaction) -> Row:
            if not await buckets.is_public(transaction, routed.bucket):
                await transaction.act_as(Caller.of(signed))
            return await self._find_any(routed, transaction)

        return await self._serve(routed, find_as_signer, expires=signed.exp)

    async def get_public(self, routed: RoutedRequest) -> Response:
        """Read an object in a public bucket."""
        return await self._serve(routed, self._find_public)

    async def get(self, routed: RoutedRequest) -> Response:
        """Read an object that the caller may select, or that is in a public bucket."""
        return await self._serve(routed, self._find_readable)

    async def get_by_token(self, routed: RoutedRequest) -> Response:
        """Read such an object with a token, which a public bucket needs here too."""
        self._caller(routed)
        return await self.get(routed)

    async def info_public(self, routed: RoutedRequest) -> Response:
        """Describe an object in a public bucket."""
        return await self._info(routed, self._find_public)

    async def info(self, routed: RoutedRequest) -> Response:
        """Describe an object that the caller may select, or that is in a public bucket."""
        return await self._info(routed, self._find_readable)

    async def info_by_token(self, routed: RoutedRequest) -> Response:
        """Describe such an object with a token."""
        self._caller(routed)
        return await self.info(routed)

    async def search(self, routed: RoutedRequest) -> Response:
        """List the files and folders directly below a folder."""
        body = await routed.request.json(ListRequest)
        async with self._database.transaction(routed.call, self._caller(routed)) as transaction:
            return json_response(await objects.search(transaction, routed.bucket, body))

    async def list_v2(self, routed: RoutedRequest) -> Response:
        """List a page of the objects whose names begin with a prefix."""
        body = await routed.request.json(ListRequestV2)
        async with self._database.transaction(routed.call, self._caller(routed)) as transaction:
            return json_response(await objects.list_v2(transaction, routed.bucket, body))

    async def remove(self, routed: RoutedRequest) -> Response:
        """Delete those of the named objects that the caller may delete."""
        body = await routed.request.json(RemoveRequest)
        if not 1 <= len(body.prefixes) <= MAX_OBJECTS:
            raise invalid_parameter(f"prefixes must be 1 to {MAX_OBJECTS}")
        return json_response(await self._delete(routed, [normalised(name) for name in body.prefixes]))

    async def remove_one(self, routed: RoutedRequest) -> Response:
        """Delete an object."""
        if not await self._delete(routed, [routed.name]):
            raise no_such_key()
        return json_response({"message": "Successfully deleted"})

    async def move(self, routed: RoutedRequest) -> Response:
        """Rename an object, in its bucket or into another. Its file stays where it is."""
        body = await routed.request.json(MoveRequest)
        source, target = _object_paths(body)
        caller = self._caller(routed)
        async with self._database.transaction(routed.call) as transaction:
            rules = await buckets.rules(transaction, target.bucket)
            for object_path in sorted((source, target), key=lambda object_path: object_path.path):
                await objects.lock(transaction, object_path)
            await transaction.act_as(caller)
            row = await objects.find(transaction, source)
            if row is None:
                raise no_such_key()
            if source.bucket != target.bucket and row.stored is not None:
                await self._service.check_rules(rules, row.metadata or {}, row.stored)
            if await objects.move(transaction, source, target, caller.owner_id) is None:
                raise no_such_key()
        return json_response({"message": "Successfully moved", "Id": row.id, "Key": target.path})

    async def copy(self, routed: RoutedRequest) -> Response:
        """Copy an object. The caller owns the copy."""
        body = await routed.request.json(CopyRequest)
        source, target = _object_paths(body)
        caller = self._caller(routed)
        user_metadata = read_user_metadata(routed.request)
        write = objects.upsert if _upserts(routed) else objects.insert
        new = new_stored()
        placing = NewFile(self._files, None)
        async with placing, self._database.transaction(routed.call) as transaction:
            rules = await buckets.rules(transaction, target.bucket)
            replaced: dict[ObjectPath, Stored | None] = {}
            for object_path in sorted({source, target}, key=lambda object_path: object_path.path):
                replaced[object_path] = await objects.lock(transaction, object_path)
            await transaction.act_as(caller)
            row = await objects.find(transaction, source)
            if row is None or row.stored is None:
                raise no_such_key()
            metadata = {**(row.metadata or {}), **_overrides(body), "lastModified": now()}
            await self._service.check_rules(rules, metadata, row.stored)
            content = Content(
                stored=new,
                owner_id=caller.owner_id,
                metadata=metadata,
                user_metadata=row.user_metadata if body.copy_metadata else user_metadata,
            )
            object_id = await write(transaction, target, content)
            copied = Stored(object_id=object_id, version=new.version)
            if not await placing.duplicate(row.stored, copied):
                raise no_such_key()
            placing.committing = True
        if (old := replaced[target]) is not None:
            await self._files.remove([old])
        return json_response(
            {
                "Id": object_id,
                "Key": target.path,
                "id": object_id,
                "bucket_id": target.bucket,
                "name": target.name,
                "version": new.version,
                "metadata": metadata,
            }
        )

    def _caller(self, routed: RoutedRequest) -> Caller:
        return self._tokens.caller(routed.request.headers.get("authorization"))

    async def _upload(self, routed: RoutedRequest, write: Write) -> Response:
        caller = self._caller(routed)
        object_id = await self._service.upload(routed.request, _storing(routed, write, caller, caller.owner_id))
        return json_response({"Id": object_id, "Key": routed.object_path.path})

    async def _delete(self, routed: RoutedRequest, names: list[str]) -> list[Row]:
        async with self._database.transaction(routed.call, self._caller(routed)) as transaction:
            rows = await objects.delete(transaction, routed.bucket, names)
        await self._files.remove(row.stored for row in rows if row.stored is not None)
        return rows

    def _signed_url(self, object_path: ObjectPath, seconds: int, signer: Caller) -> str:
        token = self._tokens.sign(object_path.path, "download", seconds, signer)
        return f"/object/sign/{object_path.path}?token={token}"

    async def _info(self, routed: RoutedRequest, find: Find) -> Response:
        async with self._database.transaction(routed.call) as transaction:
            row = await find(routed, transaction)
        return json_response(describe(row), headers={"cache-control": "no-cache"})

    async def _serve(self, routed: RoutedRequest, find: Find, *, expires: int | None = None) -> Response:
        async with self._database.transaction(routed.call) as transaction:
            row = await find(routed, transaction)
        response = await serve(routed.request, self._files, row, expires=expires)
        if response is None:
            # An overwrite removed the file after its row was read. Read it again, and keep writers out meanwhile.
            async with self._database.transaction(routed.call) as transaction:
                await objects.lock_out_writers(transaction, routed.object_path)
                row = await find(routed, transaction)
                response = await serve(routed.request, self._files, row, expires=expires)
        if response is None:
            raise no_such_key()
        return response

    async def _find_any(self, routed: RoutedRequest, transaction: Transaction) -> Row:
        row = await objects.find(transaction, routed.object_path)
        if row is None:
            raise no_such_key()
        return row

    async def _find_public(self, routed: RoutedRequest, transaction: Transaction) -> Row:
        rules = await buckets.rules(transaction, routed.bucket)
        if not rules.public:
            raise no_such_bucket()
        return await self._find_any(routed, transaction)

    async def _find_readable(self, routed: RoutedRequest, transaction: Transaction) -> Row:
        rules = await buckets.rules(transaction, routed.bucket)
        if not rules.public:
            if not routed.request.headers.get("authorization"):
                raise no_such_bucket()  # does not reveal which buckets exist
            await transaction.act_as(self._caller(routed))
        return await self._find_any(routed, transaction)


def _storing(routed: RoutedRequest, write: Write, caller: Caller | None, owner_id: str | None) -> ObjectWrite:
    return ObjectWrite(call=routed.call, object_path=routed.object_path, write=write, caller=caller, owner_id=owner_id)


def _upserts(routed: RoutedRequest) -> bool:
    return routed.request.headers.get("x-upsert", "").lower() == "true"


def _token(routed: RoutedRequest) -> str:
    token = routed.request.query.get("token")
    if not token:
        raise invalid_request("The token is missing")
    return token


def _seconds(seconds: int) -> int:
    if not 1 <= seconds <= SIGNED_SECONDS:
        raise invalid_parameter(f"expiresIn must be 1 to {SIGNED_SECONDS} seconds")
    return seconds


async def _limited(transaction: Transaction, bucket: str, seconds: int) -> int:
    return seconds if await buckets.is_public(transaction, bucket) else min(seconds, PRIVATE_SIGNED_SECONDS)


def _object_paths(body: MoveRequest) -> tuple[ObjectPath, ObjectPath]:
    source = ObjectPath(bucket=check_bucket_name(body.bucket_id), name=check_object_name(body.source_key))
    target = ObjectPath(
        bucket=check_bucket_name(body.destination_bucket or body.bucket_id),
        name=check_object_name(body.destination_key),
    )
    return source, target


def _overrides(body: CopyRequest) -> dict[str, str | None]:
    if body.copy_metadata or body.metadata is None:
        return {}
    overrides: dict[str, str | None] = {}
    if body.metadata.mimetype is not None:
        overrides["mimetype"] = check_mime_type(body.metadata.mimetype)
    if body.metadata.cache_control is not None:
        overrides["cacheControl"] = check_header(body.metadata.cache_control, "cacheControl")
    if body.metadata.content_encoding is not None:
        overrides["contentEncoding"] = check_encoding(body.metadata.content_encoding)
    return overrides
