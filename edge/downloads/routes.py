"""Routes of downloads."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import PathParameter, QueryParameter
from postgrest import AsyncPostgrestClient

from edge.auth import Caller
from edge.downloads.types import Download, Downloads, FileType, ProductFile
from edge.errors import error
from edge.http.openapi import error_responses
from edge.http.package import HttpPackage
from edge.http.tiers import STANDARD
from edge.storage import Storage

BUCKET = "products"
EXAMPLE = Example(value="5eed0000-0000-4000-8000-000000000d01")
SHORTEST, LONGEST = 60, 600
"""Seconds that a link may live: long enough to begin a download, too short to be shared."""


@get(
    "/orders/{order_id:uuid}/downloads",
    summary="Links to the files of an order, for its buyer",
    tags=["documents"],
    opt=STANDARD,
    responses=error_responses(calls=("order_files",), tokens=("storage_unavailable",)),
)
async def order_downloads(
    *,
    order_id: Annotated[UUID, PathParameter(description="`id` of a row of `orders`", examples=[EXAMPLE])],
    caller: NamedDependency[Caller],
    rest: NamedDependency[AsyncPostgrestClient],
    storage: NamedDependency[Storage],
    file_type: Annotated[FileType | None, QueryParameter(description="Only files of this type")] = None,
    expires_in: Annotated[
        int, QueryParameter(description="Seconds for which the links work", ge=SHORTEST, le=LONGEST)
    ] = SHORTEST,
) -> Response[Downloads]:
    """The database names the files of the order, and Storage signs links to them, both for the caller's own token."""
    now = datetime.now(UTC).replace(microsecond=0)
    parameters = {"order_id": str(order_id)} | ({"file_type": file_type} if file_type else {})
    found = await rest.rpc("order_files", parameters).execute()
    files = msgspec.convert(found.data, list[ProductFile])
    links = await storage.sign(caller, BUCKET, [file.path for file in files], expires_in)
    if any(file.path not in links for file in files):
        raise error("storage_unavailable")  # the order was refunded, or an object lost, between both calls
    answer = Downloads(
        order_id=order_id,
        expires_at=now + timedelta(seconds=expires_in),
        files=[_download(file, links[file.path]) for file in files],
    )
    return Response(answer, headers={"cache-control": "private, no-store"})


def _download(file: ProductFile, link: str) -> Download:
    name = file.path.rpartition("/")[2]
    return Download(
        id=file.id,
        file_type=file.file_type,
        name=name,
        version=file.version,
        size_bytes=file.size_bytes,
        mime_type=file.mime_type,
        # With `download`, Storage lets browsers save the file under this name.
        url=f"{link}&download={quote(name, safe='')}",
    )


PACKAGE = HttpPackage(for_users=[order_downloads])
