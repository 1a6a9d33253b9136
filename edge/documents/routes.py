"""Routes of documents."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, HeaderParameter
from postgrest import AsyncPostgrestClient

from edge.documents.client import Printer, printable
from edge.documents.types import Certificate
from edge.errors import EdgeError
from edge.settings import Settings

COLUMNS = ",".join(Certificate.__struct_fields__)
ISSUED = "issued"
PDF = "application/pdf"


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
    media_type=PDF,
)
async def certificate_pdf(
    certificate_id: FromPath[UUID],
    rest: NamedDependency[AsyncPostgrestClient],
    printer: NamedDependency[Printer],
    if_none_match: Annotated[str, HeaderParameter(name="if-none-match")] = "",
) -> Response[bytes]:
    """Print what row level security shows to the caller: its holder, the course's creator and admins."""
    answer = await rest.from_("certificates").select(COLUMNS).eq("id", str(certificate_id)).execute()
    if not answer.data:
        raise EdgeError(404, "certificate_not_found", "There is no such certificate, or it is not yours to see.")
    certificate = msgspec.convert(answer.data[0], Certificate)
    if certificate.status != ISSUED or certificate.issued_at is None:
        raise EdgeError(409, "certificate_not_issued", f"This certificate is {certificate.status}, not issued.")
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


async def provide_printer(state: State) -> Printer:
    """Dependency `printer`."""
    printer: Printer = state.printer
    return printer


router = Router(path="/", route_handlers=[certificate_pdf], dependencies={"printer": Provide(provide_printer)})


def _attachment(certificate: Certificate) -> str:
    """A file name for everybody, and its better form (RFC 5987) for those who read Unicode."""
    plain = "".join(letter for letter in certificate.code if (letter.isascii() and letter.isalnum()) or letter in "-_")
    title = f"{printable(certificate.course_title)[:80]} - {printable(certificate.holder_name)[:80]}.pdf"
    return f"attachment; filename=\"certificate-{plain}.pdf\"; filename*=UTF-8''{quote(title, safe='')}"
