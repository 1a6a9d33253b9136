"""The calls on buckets."""

from stack.storage import buckets, objects
from stack.storage.errors import access_denied
from stack.storage.http import Response, json_response
from stack.storage.routing import Route, Visit
from stack.storage.service import Service
from stack.storage.tokens import Caller
from stack.storage.types import CreateBucketRequest, UpdateBucketRequest


class BucketCalls:
    """The calls on buckets, for one server."""

    def __init__(self, service: Service) -> None:
        self._database = service.database
        self._files = service.files
        self._tokens = service.tokens
        self._limit = service.settings.file_size_limit

    def routes(self) -> tuple[Route, ...]:
        """The lines of the API."""
        return (
            Route("GET", "/bucket", "nothing", "storage.bucket.list", self.list_all),
            Route("POST", "/bucket", "nothing", "storage.bucket.create", self.create),
            Route("GET", "/bucket/", "bucket", "storage.bucket.get", self.get),
            Route("PUT", "/bucket/", "bucket", "storage.bucket.update", self.update),
            Route("DELETE", "/bucket/", "bucket", "storage.bucket.delete", self.delete),
            Route("POST", "/bucket/", "bucket", "storage.bucket.empty", self.empty, "/empty"),
        )

    async def list_all(self, visit: Visit) -> Response:
        """The buckets that the caller may select."""
        async with self._database.transaction(visit.call, self._caller(visit)) as transaction:
            return json_response(await buckets.list_all(transaction, visit.request.query))

    async def create(self, visit: Visit) -> Response:
        """Create a bucket."""
        wanted = await visit.request.json(CreateBucketRequest)
        caller = self._caller(visit)
        async with self._database.transaction(visit.call, caller) as transaction:
            await buckets.create(transaction, wanted, caller.owner_id, self._limit)
        return json_response({"name": wanted.name})

    async def get(self, visit: Visit) -> Response:
        """A bucket."""
        async with self._database.transaction(visit.call, self._caller(visit)) as transaction:
            return json_response(await buckets.find(transaction, visit.bucket))

    async def update(self, visit: Visit) -> Response:
        """Change a bucket."""
        wanted = await visit.request.json(UpdateBucketRequest)
        async with self._database.transaction(visit.call, self._caller(visit)) as transaction:
            await buckets.update(transaction, visit.bucket, wanted, self._limit)
        return json_response({"message": "Successfully updated"})

    async def delete(self, visit: Visit) -> Response:
        """Delete an empty bucket."""
        async with self._database.transaction(visit.call, self._caller(visit)) as transaction:
            await buckets.delete(transaction, visit.bucket)
        return json_response({"message": "Successfully deleted"})

    async def empty(self, visit: Visit) -> Response:
        """Delete every object of a bucket that the caller sees, or none of them."""
        async with self._database.transaction(visit.call, self._caller(visit)) as transaction:
            await buckets.find(transaction, visit.bucket)
            deleted = await objects.delete_all(transaction, visit.bucket)
            if deleted is None:
                raise access_denied("There are objects that you may select but not delete")
        await self._files.remove(row.stored for row in deleted if row.stored is not None)
        return json_response({"message": "Successfully emptied"})

    def _caller(self, visit: Visit) -> Caller:
        return self._tokens.caller(visit.request.headers.get("authorization"))
