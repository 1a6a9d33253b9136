"""The ASGI application: its lifespan, its routes, and the translation of failures into answers."""

import asyncio
import contextlib
import errno

import psycopg
import structlog

from stack.errors import StackError
from stack.keys import KeyFile
from stack.storage import objects
from stack.storage.bucket_calls import BucketCalls
from stack.storage.database import Call, Database
from stack.storage.errors import StorageError, feature_not_enabled, from_database, internal
from stack.storage.files import Files, Stored
from stack.storage.http import (
    ClientDisconnectedError,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    error_response,
    json_response,
)
from stack.storage.object_calls import ObjectCalls
from stack.storage.routing import Route, RoutedRequest, find_route
from stack.storage.service import Service
from stack.storage.settings import Settings
from stack.storage.tokens import Tokens

SWEEP_PAUSE_SECONDS = 1.0
SWEEP = Call(method="", path="", operation="storage.sweep")
# Parts of Supabase Storage that this server leaves out.
MISSING_FEATURES = {
    "/render/image/": "image transformation",
    "/upload/resumable": "resumable upload",
    "/s3/": "S3 protocol",
    "/cdn/": "CDN cache purge",
    "/vector/": "vector buckets",
    "/iceberg/": "analytics buckets",
}

log = structlog.get_logger("storage")


def create_app(settings: Settings) -> "Application":
    """The storage server as an ASGI application. Nothing is opened before its lifespan starts."""
    return Application(settings)


class Application:
    """One storage server."""

    def __init__(self, settings: Settings) -> None:
        self._service = Service(
            settings=settings,
            database=Database(settings.db_url),
            files=Files(settings.files),
            tokens=Tokens(KeyFile(settings.keys_file), settings.extra_roles),
        )
        self._routes = (
            Route("GET", "/health", "nothing", "", _health),
            Route("GET", "/ready", "nothing", "", self._ready),
            *(Route("*", prefix, "anything", feature, _refuse_feature) for prefix, feature in MISSING_FEATURES.items()),
            *BucketCalls(self._service).routes(),
            *ObjectCalls(self._service).routes(),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, or run through the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif scope["type"] == "http":
            with contextlib.suppress(ClientDisconnectedError):
                request = Request(scope, receive)
                await (await self._answer(request)).send(send)

    async def _answer(self, request: Request) -> Response:
        try:
            handler, routed = find_route(self._routes, request)
            return await handler(routed)
        except StorageError as error:
            refusal = error
        except psycopg.Error as error:
            refusal = from_database(error)
            if refusal.http_status >= 500:
                log.warning("database", path=request.path, sqlstate=error.sqlstate, error=str(error))
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            refusal = StorageError(507, "InsufficientStorage", "The disk is full") if full else internal()
            log.exception("files", path=request.path)
        except ClientDisconnectedError:
            raise
        except Exception:  # the client learns that it is our fault, and the log why
            refusal = internal()
            log.exception("failed", path=request.path)
        response = error_response(refusal)
        if not await request.drain():
            response.headers["connection"] = "close"
        return response

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await asyncio.to_thread(self._service.files.open)
        except StackError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await self._service.database.open()
        sweeping = asyncio.create_task(self._sweep())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping
        await self._service.database.close()
        self._service.files.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _ready(self, routed: RoutedRequest) -> Response:
        """Answer when the database does. Raises psycopg.Error, which becomes a 503."""
        async with self._service.database.transaction(routed.call):
            return json_response({"status": "ok"})

    async def _sweep(self) -> None:
        """Remove what a crash left, as soon as the database answers."""
        database = self._service.database

        async def known(files: list[Stored]) -> set[Stored]:
            async with database.transaction(SWEEP) as transaction:
                return await objects.known(transaction, files)

        while True:
            try:
                async with database.transaction(SWEEP) as transaction:
                    await transaction.run(objects.BARRIER, {})
                removed = await self._service.files.sweep(known)
            except psycopg.Error:
                await asyncio.sleep(SWEEP_PAUSE_SECONDS)
                continue
            if removed:
                log.info("swept", files=removed)
            return


async def _health(_visit: RoutedRequest) -> Response:
    return json_response({"status": "ok"})


async def _refuse_feature(routed: RoutedRequest) -> Response:
    raise feature_not_enabled(routed.call.operation)
