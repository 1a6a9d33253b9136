"""Routes of downloads."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.openapi.spec import Example
from litestar.params import PathParameter, QueryParameter
from postgrest import AsyncPostgrestClient

from edge.auth import Caller
from edge.downloads.types import Download, Downloads, FileType, ProductFile
from edge.openapi import refusals
from edge.storage import UNAVAILABLE, Storage, provide_storage
from edge.tiers import STANDARD

BUCKET = "products"
EXAMPLE = Example(value="5eed0000-0000-4000-8000-000000000d01")
SHORTEST, LONGEST = 60, 600
"""Seconds that a link may live: long enough to begin a download, too short to be passed around."""


@get(
    "/orders/{order_id:uuid}/downloads",
    summary="Links to the files that an order gives, for its buyer",
    tags=["documents"],
    opt=STANDARD,
    responses=refusals(
        (403, "account_inactive", "The caller's account is suspended or banned."),
        (403, "entitlement_ended", "What the order gave has ended: the money went back."),
        (403, "file_type_not_included", "The licence that was bought gives no files of this type."),
        (404, "order_not_found", "There is no such order, or it is not the caller's."),
        (409, "order_unpaid", "The order is not paid."),
        (409, "order_without_files", "The order is not of files."),
        UNAVAILABLE,
    ),
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
    """Asks the database what the order gives, and Storage for links to it, both with the caller's own token."""
    now = datetime.now(UTC).replace(microsecond=0)
    wanted = {"order_id": str(order_id)} | ({"file_type": file_type} if file_type else {})
    found = await rest.rpc("order_files", wanted).execute()
    files = msgspec.convert(found.data, list[ProductFile])
    links = await storage.sign(caller, BUCKET, [file.path for file in files], expires_in) if files else {}
    answer = Downloads(
        order_id=order_id,
        expires_at=now + timedelta(seconds=expires_in),
        files=[_download(file, links.get(file.path)) for file in files],
    )
    return Response(answer, headers={"cache-control": "private, no-store"})


router = Router(path="/", route_handlers=[order_downloads], dependencies={"storage": Provide(provide_storage)})


def _download(file: ProductFile, link: str | None) -> Download:
    name = file.path.rpartition("/")[2]
    return Download(
        id=file.id,
        file_type=file.file_type,
        name=name,
        size_bytes=file.size_bytes,
        mime_type=file.mime_type,
        # Storage then says to browsers that it is to be saved, and under which name.
        url=f"{link}&download={quote(name, safe='')}" if link else None,
    )
