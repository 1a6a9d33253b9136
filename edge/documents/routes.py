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

from edge.documents.certificates import compose_certificate
from edge.documents.client import Document, Printer
from edge.documents.papers import compose_contract, compose_invoice
from edge.documents.types import Certificate, Order
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
ORDER_EXAMPLE = Example(value="5eed0000-0000-4000-8000-000000000d01")
COPY = ResponseSpec(None, description="The copy whose `ETag` was sent is still right.")
TIMEOUT = (503, "document_timeout", "The document could not be printed in time.")

OrderId = Annotated[UUID, PathParameter(description="`id` of a row of `orders`", examples=[ORDER_EXAMPLE])]
KnownTag = Annotated[str, HeaderParameter(name="if-none-match", description="`ETag` of a copy at hand")]


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
        304: COPY,
        **refusals(
            (404, "certificate_not_found", "There is no such certificate, or it is not the caller's to see."),
            (409, "certificate_not_issued", "The certificate is pending, rejected or revoked."),
            TIMEOUT,
        ),
    },
)
async def certificate_pdf(
    certificate_id: Annotated[UUID, PathParameter(description="`id` of a row of `certificates`", examples=[EXAMPLE])],
    rest: NamedDependency[AsyncPostgrestClient],
    state: State,
    if_none_match: KnownTag = "",
) -> Response[bytes]:
    """Prints what row level security shows to the caller: with the score for its holder, the creator and moderators."""
    answer = await rest.from_("certificates").select(COLUMNS, SCORE).eq("id", str(certificate_id)).execute()
    if not answer.data:
        raise EdgeError(404, "certificate_not_found", "There is no such certificate, or it is not yours to see.")
    certificate = msgspec.convert(answer.data[0], Certificate)
    if certificate.status != ISSUED or certificate.issued_at is None:
        raise EdgeError(409, "certificate_not_issued", f"This certificate is {certificate.status}, not issued.")
    printer: Printer = state.printer
    document = compose_certificate(printer, certificate, certificate.issued_at)
    title = f"{printable(certificate.course_title)[:80]} - {printable(certificate.holder_name)[:80]}"
    return await _printed(printer, document, if_none_match, f"certificate-{certificate.code}", title)


@get(
    "/orders/{order_id:uuid}/invoice.pdf",
    summary="The invoice of a paid order as PDF, for its buyer, its seller and admins",
    tags=["documents"],
    opt=STANDARD,
    media_type=PDF,
    response_description="The invoice, with what was given back. Send its `ETag` as `If-None-Match` the next time.",
    responses={
        304: COPY,
        **refusals(
            (404, "order_not_found", "There is no such order, or it is not the caller's to see."),
            (409, "order_unpaid", "The order is not paid."),
            TIMEOUT,
        ),
    },
)
async def invoice_pdf(
    order_id: OrderId, rest: NamedDependency[AsyncPostgrestClient], state: State, if_none_match: KnownTag = ""
) -> Response[bytes]:
    """Prints what the database tells the caller of the order."""
    order = await _order(rest, order_id)
    printer: Printer = state.printer
    document = compose_invoice(printer, order)
    name = f"invoice-{order.number}"
    return await _printed(printer, document, if_none_match, name, f"{printable(order.title)[:80]} - {name}")


@get(
    "/orders/{order_id:uuid}/contract.pdf",
    summary="The contract of a beat's licence as PDF, for who sold and who bought it, and admins",
    tags=["documents"],
    opt=STANDARD,
    media_type=PDF,
    response_description="The contract; an ended one says so. Send its `ETag` as `If-None-Match` the next time.",
    responses={
        304: COPY,
        **refusals(
            (404, "order_not_found", "There is no such order, or it is not the caller's to see."),
            (409, "order_unpaid", "The order is not paid."),
            (409, "order_without_licence", "The order is not of a beat's licence."),
            TIMEOUT,
        ),
    },
)
async def contract_pdf(
    order_id: OrderId, rest: NamedDependency[AsyncPostgrestClient], state: State, if_none_match: KnownTag = ""
) -> Response[bytes]:
    """Prints what was bought, in the terms of the day on which it was ordered."""
    order = await _order(rest, order_id)
    printer: Printer = state.printer
    document = compose_contract(printer, order)
    name = f"licence-{order.number}"
    return await _printed(printer, document, if_none_match, name, f"{printable(order.title)[:80]} - {name}")


router = Router(path="/", route_handlers=[certificate_pdf, invoice_pdf, contract_pdf])


async def _order(rest: AsyncPostgrestClient, order_id: UUID) -> Order:
    answer = await rest.rpc("order_document", {"order_id": str(order_id)}).execute()
    return msgspec.convert(answer.data, Order)


async def _printed(printer: Printer, document: Document, if_none_match: str, plain: str, title: str) -> Response[bytes]:
    """The answer: the document under both its names, or that the copy at hand is still right."""
    headers = {
        # It can be revoked, refunded or renamed: the copy may be kept, and is asked about each time.
        "cache-control": "private, no-cache",
        "vary": "authorization",
        "etag": document.etag,
    }
    if document.etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(",")):
        return Response(b"", status_code=304, headers=headers)
    headers["content-disposition"] = _attachment(plain, title)
    return Response(await printer.render(document), media_type=PDF, headers=headers)


def _attachment(plain: str, title: str) -> str:
    """A file name for everybody, and its better form (RFC 5987) for those who read Unicode."""
    safe = "".join(letter for letter in plain if (letter.isascii() and letter.isalnum()) or letter in "-_")
    return f"attachment; filename=\"{safe}.pdf\"; filename*=UTF-8''{quote(f'{title}.pdf', safe='')}"
