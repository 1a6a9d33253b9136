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
from stack.storage.names import check_bucket_name, check_encoding, check_header, check_mime_type, check_object_name
from stack.storage.objects import Content, Place
from stack.storage.routing import Route, Visit
from stack.storage.service import Placing, Service, Storing, Write, new_stored, now
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
"""The longest that a signed URL may live."""
MANY = 1000
"""The most objects that one call may name."""
HIDDEN = "Either the object does not exist or you do not have access to it"


Find = Callable[[Visit, Transaction], Awaitable[Row]]


class ObjectCalls:
    """The calls on objects, for one server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database
        self._files = service.files
        self._tokens = service.tokens

    def routes(self) -> tuple[Route, ...]:
        """The lines of the API. Earlier ones win, so that `/object/sign/...` is not an object in a bucket `sign`."""
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
            Route("GET", "/object/info/authenticated/", "object", "storage.object.get_authenticated_info", self.info),
            Route("GET", "/object/info/", "object", "storage.object.get_authenticated_info", self.info),
            Route("GET", "/object/authenticated/", "object", "storage.object.get_authenticated", self.get),
            Route("HEAD", "/object/authenticated/", "object", "storage.object.head_authenticated_info", self.get),
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

    async def upload(self, visit: Visit) -> Response:
        """Upload an object; with `x-upsert: true` in place of one that is there."""
        return await self._upload(visit, objects.upsert if _upserts(visit) else objects.insert)

    async def update(self, visit: Visit) -> Response:
        """Put other bytes in place of an object's."""
        return await self._upload(visit, objects.update)

    async def sign_upload(self, visit: Visit) -> Response:
        """A URL that permits one upload to this path, to whoever may upload there now."""
        caller = self._caller(visit)
        upsert = _upserts(visit)
        write = objects.upsert if upsert else objects.insert
        await _storing(visit, write, caller, caller.owner_id).rehearse(self._database, {}, None)
        path = visit.place.path
        token = self._tokens.sign(path, "upload", UPLOAD_SECONDS, owner=caller.owner_id, upsert=upsert)
        return json_response({"url": f"/object/upload/sign/{path}?token={token}", "token": token})

    async def upload_signed(self, visit: Visit) -> Response:
        """Upload by such a URL; who signed it owns the object."""
        signed = self._tokens.verify(_token(visit), visit.place.path, "upload")
        write: Write = objects.upsert if signed.upsert else objects.insert
        await self._service.upload(visit.request, _storing(visit, write, None, signed.owner))
        return json_response({"Key": visit.place.path})

    async def sign(self, visit: Visit) -> Response:
        """A URL by which anyone can read this object for a while."""
        wanted = await visit.request.json(SignRequest)
        if wanted.transform:
            raise feature_not_enabled("image transformation")
        seconds = _seconds(wanted.expires_in)
        async with self._database.transaction(visit.call, self._caller(visit)) as transaction:
            if await objects.find(transaction, visit.place) is None:
                raise no_such_key()
        return json_response({"signedURL": self._signed_url(visit.place, seconds)})

    async def sign_many(self, visit: Visit) -> Response:
        """Such URLs for many objects of a bucket; those that the caller cannot see have an error in their place."""
        wanted = await visit.request.json(SignManyRequest)
        seconds = _seconds(wanted.expires_in)
        if not 1 <= len(wanted.paths) <= MANY:
            raise invalid_parameter(f"paths must be 1 to {MANY}")
        async with self._database.transaction(visit.call, self._caller(visit)) as transaction:
            visible = await objects.names(transaction, visit.bucket, wanted.paths)
        answers = []
        for path in wanted.paths:
            url = self._signed_url(Place(bucket=visit.bucket, name=path), seconds) if path in visible else None
            answers.append({"error": None if url else HIDDEN, "path": path, "signedURL": url})
        return json_response(answers)

    async def get_signed(self, visit: Visit) -> Response:
        """The bytes of an object, by a signed URL."""
        signed = self._tokens.verify(_token(visit), visit.place.path, "download")
        return await self._serve(visit, self._find_any, expires=signed.exp)

    async def get_public(self, visit: Visit) -> Response:
        """The bytes of an object in a public bucket."""
        return await self._serve(visit, self._find_public)

    async def get(self, visit: Visit) -> Response:
        """The bytes of an object that the caller may select, or that is in a public bucket."""
        return await self._serve(visit, self._find_readable)

    async def info_public(self, visit: Visit) -> Response:
        """What is known of an object in a public bucket."""
        return await self._info(visit, self._find_public)

    async def info(self, visit: Visit) -> Response:
        """What is known of an object that the caller may select, or that is in a public bucket."""
        return await self._info(visit, self._find_readable)

    async def search(self, visit: Visit) -> Response:
        """The files and folders directly below a folder."""
        wanted = await visit.request.json(ListRequest)
        async with self._database.transaction(visit.call, self._caller(visit)) as transaction:
            return json_response(await objects.search(transaction, visit.bucket, wanted))

    async def list_v2(self, visit: Visit) -> Response:
        """A page of the objects whose names begin with a prefix."""
        wanted = await visit.request.json(ListRequestV2)
        async with self._database.transaction(visit.call, self._caller(visit)) as transaction:
            return json_response(await objects.list_v2(transaction, visit.bucket, wanted))

    async def remove(self, visit: Visit) -> Response:
        """Delete those of the named objects that the caller may."""
        wanted = await visit.request.json(RemoveRequest)
        if not 1 <= len(wanted.prefixes) <= MANY:
            raise invalid_parameter(f"prefixes must be 1 to {MANY}")
        return json_response(await self._delete(visit, wanted.prefixes))

    async def remove_one(self, visit: Visit) -> Response:
        """Delete an object."""
        if not await self._delete(visit, [visit.name]):
            raise no_such_key()
        return json_response({"message": "Successfully deleted"})

    async def move(self, visit: Visit) -> Response:
        """Give an object another name, in its bucket or another. Its file stays where it is."""
        wanted = await visit.request.json(MoveRequest)
        source, target = _places(wanted)
        caller = self._caller(visit)
        async with self._database.transaction(visit.call) as transaction:
            rules = await buckets.rules(transaction, target.bucket)
            for place in sorted((source, target), key=lambda place: place.path):
                await objects.lock(transaction, place)
            await transaction.act_as(caller)
            row = await objects.find(transaction, source)
            if row is None:
                raise no_such_key()
            if source.bucket != target.bucket and row.stored is not None:
                await self._service.check_rules(rules, row.metadata or {}, row.stored)
            if await objects.move(transaction, source, target, caller.owner_id) is None:
                raise no_such_key()
        return json_response({"message": "Successfully moved", "Id": row.id, "Key": target.path})

    async def copy(self, visit: Visit) -> Response:
        """Make another object of the same bytes, the caller's own."""
        wanted = await visit.request.json(CopyRequest)
        source, target = _places(wanted)
        caller = self._caller(visit)
        user_metadata = read_user_metadata(visit.request)
        write = objects.upsert if _upserts(visit) else objects.insert
        new = new_stored()
        placing = Placing(self._files, None)
        async with placing, self._database.transaction(visit.call) as transaction:
            rules = await buckets.rules(transaction, target.bucket)
            replaced: dict[Place, Stored | None] = {}
            for place in sorted({source, target}, key=lambda place: place.path):
                replaced[place] = await objects.lock(transaction, place)
            await transaction.act_as(caller)
            row = await objects.find(transaction, source)
            if row is None or row.stored is None:
                raise no_such_key()
            metadata = {**(row.metadata or {}), **_overrides(wanted), "lastModified": now()}
            await self._service.check_rules(rules, metadata, row.stored)
            content = Content(
                stored=new,
                owner_id=caller.owner_id,
                metadata=metadata,
                user_metadata=row.user_metadata if wanted.copy_metadata else user_metadata,
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

    def _caller(self, visit: Visit) -> Caller:
        return self._tokens.caller(visit.request.headers.get("authorization"))

    async def _upload(self, visit: Visit, write: Write) -> Response:
        caller = self._caller(visit)
        object_id = await self._service.upload(visit.request, _storing(visit, write, caller, caller.owner_id))
        return json_response({"Id": object_id, "Key": visit.place.path})

    async def _delete(self, visit: Visit, names: list[str]) -> list[Row]:
        async with self._database.transaction(visit.call, self._caller(visit)) as transaction:
            rows = await objects.delete(transaction, visit.bucket, names)
        await self._files.remove(row.stored for row in rows if row.stored is not None)
        return rows

    def _signed_url(self, place: Place, seconds: int) -> str:
        return f"/object/sign/{place.path}?token={self._tokens.sign(place.path, 'download', seconds)}"

    async def _info(self, visit: Visit, find: Find) -> Response:
        async with self._database.transaction(visit.call) as transaction:
            row = await find(visit, transaction)
        return json_response(describe(row), headers={"cache-control": "no-cache"})

    async def _serve(self, visit: Visit, find: Find, *, expires: int | None = None) -> Response:
        async with self._database.transaction(visit.call) as transaction:
            row = await find(visit, transaction)
        response = await serve(visit.request, self._files, row, expires=expires)
        if response is None:
            # An overwrite took the file away between the look at the row and the opening: now keep it out meanwhile.
            async with self._database.transaction(visit.call) as transaction:
                await objects.keep(transaction, visit.place)
                row = await find(visit, transaction)
                response = await serve(visit.request, self._files, row, expires=expires)
        if response is None:
            raise no_such_key()
        return response

    async def _find_any(self, visit: Visit, transaction: Transaction) -> Row:
        row = await objects.find(transaction, visit.place)
        if row is None:
            raise no_such_key()
        return row

    async def _find_public(self, visit: Visit, transaction: Transaction) -> Row:
        rules = await buckets.rules(transaction, visit.bucket)
        if not rules.public:
            raise no_such_bucket()
        return await self._find_any(visit, transaction)

    async def _find_readable(self, visit: Visit, transaction: Transaction) -> Row:
        rules = await buckets.rules(transaction, visit.bucket)
        if not rules.public:
            await transaction.act_as(self._caller(visit))
        row = await objects.find(transaction, visit.place)
        if row is not None:
            return row
        if rules.public or "authorization" in visit.request.headers:
            raise no_such_key()
        raise no_such_bucket()  # a stranger does not even learn which buckets there are


def _storing(visit: Visit, write: Write, caller: Caller | None, owner_id: str | None) -> Storing:
    return Storing(call=visit.call, place=visit.place, write=write, caller=caller, owner_id=owner_id)


def _upserts(visit: Visit) -> bool:
    return visit.request.headers.get("x-upsert", "").lower() == "true"


def _token(visit: Visit) -> str:
    token = visit.request.query.get("token")
    if not token:
        raise invalid_request("The token is missing")
    return token


def _seconds(asked: int) -> int:
    if not 1 <= asked <= SIGNED_SECONDS:
        raise invalid_parameter(f"expiresIn must be 1 to {SIGNED_SECONDS} seconds")
    return asked


def _places(wanted: MoveRequest) -> tuple[Place, Place]:
    source = Place(bucket=check_bucket_name(wanted.bucket_id), name=check_object_name(wanted.source_key))
    target = Place(
        bucket=check_bucket_name(wanted.destination_bucket or wanted.bucket_id),
        name=check_object_name(wanted.destination_key),
    )
    return source, target


def _overrides(wanted: CopyRequest) -> dict[str, str | None]:
    if wanted.copy_metadata or wanted.metadata is None:
        return {}
    overrides: dict[str, str | None] = {}
    if wanted.metadata.mimetype is not None:
        overrides["mimetype"] = check_mime_type(wanted.metadata.mimetype)
    if wanted.metadata.cache_control is not None:
        overrides["cacheControl"] = check_header(wanted.metadata.cache_control, "cacheControl")
    if wanted.metadata.content_encoding is not None:
        overrides["contentEncoding"] = check_encoding(wanted.metadata.content_encoding)
    return overrides
