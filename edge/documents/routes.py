"""Routes of documents."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, PathParameter
from postgrest import AsyncPostgrestClient

from edge.documents.client import Printer
from edge.documents.types import Certificate
from edge.errors import EdgeError
from edge.openapi import refusals
from edge.settings import Settings
from edge.text import printable
from edge.tiers import STANDARD

COLUMNS = ",".join(field for field in Certificate.__struct_fields__ if field != "score_percent")
SCORE = "...quiz_attempts(score_percent)"
"""It lies with the attempt, which fewer people may read than the certificate: others' copies have none."""
ISSUED = "issued"
PDF = "application/pdf"
EXAMPLE = Example(value="5eed0000-0000-4000-8000-000000000c01")


def lifespan(settings: Settings) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """What the documents need while the application runs: the printer."""

    @asynccontextmanager
    async def printing(app: Litestar) -> AsyncIterator[None]:
        app.state.printer = Printer(settings.public_url)
        yield
        app.state.printer.close()

    return printing


@get(
    "/certificates/{certificate_id:uuid}/pdf",
    summary="A certificate as PDF, for whoever may read it",
    tags=["documents"],
    opt=STANDARD,
    media_type=PDF,
    response_description="The certificate. Its `ETag` makes a later request cheap: send it as `If-None-Match`.",
    responses={
        304: ResponseSpec(None, description="The copy whose `ETag` was sent is still right."),
        **refusals(
            (404, "certificate_not_found", "There is no such certificate, or it is not the caller's to see."),
            (409, "certificate_not_issued", "The certificate is pending, rejected or revoked."),
            (503, "document_timeout", "The document could not be printed in time."),
        ),
    },
)
async def certificate_pdf(
    certificate_id: Annotated[UUID, PathParameter(description="`id` of a row of `certificates`", examples=[EXAMPLE])],
    rest: NamedDependency[AsyncPostgrestClient],
    state: State,
    if_none_match: Annotated[str, HeaderParameter(name="if-none-match", description="`ETag` of a copy at hand")] = "",
) -> Response[bytes]:
    """Prints what row level security shows to the caller: with the score for its holder, the creator and moderators."""
    answer = await rest.from_("certificates").select(COLUMNS, SCORE).eq("id", str(certificate_id)).execute()
    if not answer.data:
        raise EdgeError(404, "certificate_not_found", "There is no such certificate, or it is not yours to see.")
    certificate = msgspec.convert(answer.data[0], Certificate)
    if certificate.status != ISSUED or certificate.issued_at is None:
        raise EdgeError(409, "certificate_not_issued", f"This certificate is {certificate.status}, not issued.")
    printer: Printer = state.printer
    document = printer.compose(certificate, certificate.issued_at)
    headers = {
        # A certificate can be revoked: the copy may be kept, and is asked about each time.
        "cache-control": "private, no-cache",
        "vary": "authorization",
        "etag": document.etag,
    }
    if document.etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(",")):
        return Response(b"", status_code=304, headers=headers)
    headers["content-disposition"] = _attachment(certificate)
    return Response(await printer.render(document), media_type=PDF, headers=headers)


router = Router(path="/", route_handlers=[certificate_pdf])


def _attachment(certificate: Certificate) -> str:
    """A file name for everybody, and its better form (RFC 5987) for those who read Unicode."""
    plain = "".join(letter for letter in certificate.code if (letter.isascii() and letter.isalnum()) or letter in "-_")
    title = f"{printable(certificate.course_title)[:80]} - {printable(certificate.holder_name)[:80]}.pdf"
    return f"attachment; filename=\"certificate-{plain}.pdf\"; filename*=UTF-8''{quote(title, safe='')}"
