"""Which call a path means."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

import msgspec

from stack.storage.database import Call
from stack.storage.errors import StorageError, invalid_bucket_name, invalid_key
from stack.storage.http import Request, Response, decode_path
from stack.storage.names import check_bucket_name, check_object_name
from stack.storage.objects import Place


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A call, with what its path names."""

    request: Request
    call: Call
    bucket: str = ""
    name: str = ""

    @property
    def place(self) -> Place:
        """The object that the path names."""
        return Place(bucket=self.bucket, name=self.name)


Handler = Callable[[Visit], Awaitable[Response]]


class Route(msgspec.Struct, frozen=True):
    """One line of the API."""

    method: str
    prefix: str
    takes: Literal["nothing", "bucket", "object", "anything"]
    operation: str
    """What `storage.operation()` tells the policies."""
    handler: Handler
    suffix: str = ""


def find_route(routes: Iterable[Route], request: Request) -> tuple[Handler, Visit]:
    """What answers a call: the first route that fits.

    Raises:
        StorageError: no route fits, or the bucket or object name in the path cannot be one.
    """
    for route in routes:
        if route.method not in (request.method, "*"):
            continue
        if route.takes == "nothing":
            fits = request.path.rstrip("/") == route.prefix
        else:
            fits = request.path.startswith(route.prefix) and request.path.endswith(route.suffix)
        if not fits:
            continue
        rest = request.path[len(route.prefix) : len(request.path) - len(route.suffix)]
        bucket, slash, name = rest.partition("/")
        if (route.takes == "bucket" and (slash or not bucket)) or (route.takes == "object" and not (bucket and name)):
            continue
        call = Call(method=request.method, path=request.path, operation=route.operation)
        match route.takes:
            case "bucket":
                return route.handler, Visit(request=request, call=call, bucket=_bucket(bucket))
            case "object":
                return route.handler, Visit(request=request, call=call, bucket=_bucket(bucket), name=_name(name))
        return route.handler, Visit(request=request, call=call)
    message = f"Route {request.method}:{request.path[:200]} not found"
    raise StorageError(404, "NotFound", message, error="Not Found", http_status=404)


def _bucket(encoded: str) -> str:
    bucket = decode_path(encoded)
    if bucket is None:
        raise invalid_bucket_name()
    return check_bucket_name(bucket)


def _name(encoded: str) -> str:
    name = decode_path(encoded)
    if name is None:
        raise invalid_key(encoded[:200])
    return check_object_name(name)
