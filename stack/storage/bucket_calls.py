"""The calls on buckets."""

from stack.storage import buckets, objects
from stack.storage.errors import access_denied
from stack.storage.http import Response, json_response
from stack.storage.routing import Route, RoutedRequest
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
        """The routes of the API."""
        return (
            Route("GET", "/bucket", "nothing", "storage.bucket.list", self.list_all),
            Route("POST", "/bucket", "nothing", "storage.bucket.create", self.create),
            Route("GET", "/bucket/", "bucket", "storage.bucket.get", self.get),
            Route("PUT", "/bucket/", "bucket", "storage.bucket.update", self.update),
            Route("DELETE", "/bucket/", "bucket", "storage.bucket.delete", self.delete),
            Route("POST", "/bucket/", "bucket", "storage.bucket.empty", self.empty, "/empty"),
        )

    async def list_all(self, routed: RoutedRequest) -> Response:
        """The buckets that the caller may select."""
        async with self._database.transaction(routed.call, self._caller(routed)) as transaction:
            return json_response(await buckets.list_all(transaction, routed.request.query))

    async def create(self, routed: RoutedRequest) -> Response:
        """Create a bucket."""
        body = await routed.request.json(CreateBucketRequest)
        caller = self._caller(routed)
        async with self._database.transaction(routed.call, caller) as transaction:
            await buckets.create(transaction, body, caller.owner_id, self._limit)
        return json_response({"name": body.name})

    async def get(self, routed: RoutedRequest) -> Response:
        """A bucket."""
        async with self._database.transaction(routed.call, self._caller(routed)) as transaction:
            return json_response(await buckets.find(transaction, routed.bucket))

    async def update(self, routed: RoutedRequest) -> Response:
        """Change a bucket."""
        body = await routed.request.json(UpdateBucketRequest)
        async with self._database.transaction(routed.call, self._caller(routed)) as transaction:
            await buckets.update(transaction, routed.bucket, body, self._limit)
        return json_response({"message": "Successfully updated"})

    async def delete(self, routed: RoutedRequest) -> Response:
        """Delete an empty bucket."""
        async with self._database.transaction(routed.call, self._caller(routed)) as transaction:
            await buckets.delete(transaction, routed.bucket)
        return json_response({"message": "Successfully deleted"})

    async def empty(self, routed: RoutedRequest) -> Response:
        """Delete every object of a bucket that the caller sees, or none of them."""
        async with self._database.transaction(routed.call, self._caller(routed)) as transaction:
            await buckets.find(transaction, routed.bucket)
            deleted = await objects.delete_all(transaction, routed.bucket)
            if deleted is None:
                raise access_denied("There are objects that you may select but not delete")
        await self._files.remove(row.stored for row in deleted if row.stored is not None)
        # Supabase's words, which clients compare. Here the objects are deleted already.
        return json_response({"message": "Empty bucket has been queued. Completion may take up to an hour."})

    def _caller(self, routed: RoutedRequest) -> Caller:
        return self._tokens.caller(routed.request.headers.get("authorization"))
