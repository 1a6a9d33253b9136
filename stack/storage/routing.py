"""Routing: the call that a path means."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

import msgspec

from stack.storage.database import Call
from stack.storage.errors import StorageError, invalid_bucket_name, invalid_key
from stack.storage.http import Request, Response, decode_path
from stack.storage.names import check_bucket_name, check_object_name
from stack.storage.objects import ObjectPath


class RoutedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A call, with the bucket and object in its path."""

    request: Request
    call: Call
    bucket: str = ""
    name: str = ""

    @property
    def object_path(self) -> ObjectPath:
        """The object in the path."""
        return ObjectPath(bucket=self.bucket, name=self.name)


Handler = Callable[[RoutedRequest], Awaitable[Response]]


class Route(msgspec.Struct, frozen=True):
    """One route of the API."""

    method: str
    prefix: str
    takes: Literal["nothing", "bucket", "object", "anything"]
    operation: str
    """The value of `storage.operation()` in policies."""
    handler: Handler
    suffix: str = ""


def find_route(routes: Iterable[Route], request: Request) -> tuple[Handler, RoutedRequest]:
    """The handler of a request: that of the first route that matches.

    Raises:
        StorageError: no route matches, or the path holds an invalid bucket or object name.
    """
    for route in routes:
        if route.method not in (request.method, "*"):
            continue
        if route.takes == "nothing":
            matches = request.path.rstrip("/") == route.prefix
        else:
            matches = request.path.startswith(route.prefix) and request.path.endswith(route.suffix)
        if not matches:
            continue
        rest = request.path[len(route.prefix) : len(request.path) - len(route.suffix)]
        bucket, slash, name = rest.partition("/")
        if (route.takes == "bucket" and (slash or not bucket)) or (route.takes == "object" and not (bucket and name)):
            continue
        call = Call(method=request.method, path=request.path, operation=route.operation)
        match route.takes:
            case "bucket":
                return route.handler, RoutedRequest(request=request, call=call, bucket=_bucket(bucket))
            case "object":
                return route.handler, RoutedRequest(
                    request=request, call=call, bucket=_bucket(bucket), name=_name(name)
                )
        return route.handler, RoutedRequest(request=request, call=call)
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
