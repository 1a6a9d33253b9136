"""Routes of documents."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example, Tag
from litestar.params import HeaderParameter, PathParameter
from postgrest import AsyncPostgrestClient

from common.text import printable
from edge.documents.certificates import compose_certificate
from edge.documents.client import Document, Printer
from edge.documents.order_documents import compose_contract, compose_invoice
from edge.documents.types import Certificate, Order
from edge.errors import error
from edge.http.openapi import error_responses
from edge.http.package import HttpPackage
from edge.http.tiers import STANDARD
from edge.settings import EdgeSettings

COLUMNS = ",".join(field for field in Certificate.__struct_fields__ if field != "score_percent")
SCORE = "...quiz_attempts(score_percent)"
"""The score is part of the attempt, which fewer people may read than the certificate: others' copies lack it."""
ISSUED = "issued"
PDF = "application/pdf"
EXAMPLE = Example(value="5eed0000-0000-4000-8000-000000000c01")
ORDER_EXAMPLE = Example(value="5eed0000-0000-4000-8000-000000000d01")

OrderId = Annotated[UUID, PathParameter(description="`id` of a row of `orders`", examples=[ORDER_EXAMPLE])]
IfNoneMatch = Annotated[str, HeaderParameter(name="if-none-match", description="The `ETag` of an earlier copy")]


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Start the printer."""
    app.state.printer = Printer(app.state.settings[EdgeSettings].public_url)
    yield
    app.state.printer.close()


def _responses(*, tokens: Iterable[str], calls: Iterable[str] = ()) -> dict[int, ResponseSpec]:
    unchanged = ResponseSpec(None, description="The copy whose `ETag` was sent is still current.")
    return {304: unchanged, **error_responses(tokens=(*tokens, "document_timeout"), calls=calls)}


@get(
    "/certificates/{certificate_id:uuid}/pdf",
    summary="A certificate as PDF, for everybody who may read it",
    tags=["documents"],
    opt=STANDARD,
    media_type=PDF,
    response_description="The certificate. Send its `ETag` as `If-None-Match` the next time.",
    responses=_responses(tokens=("certificate_not_found", "certificate_not_issued")),
)
async def certificate_pdf(
    certificate_id: Annotated[UUID, PathParameter(description="`id` of a row of `certificates`", examples=[EXAMPLE])],
    rest: NamedDependency[AsyncPostgrestClient],
    state: State,
    if_none_match: IfNoneMatch = "",
) -> Response[bytes]:
    """Prints what row level security shows to the caller: with the score for its holder, the creator and moderators."""
    answer = await rest.from_("certificates").select(COLUMNS, SCORE).eq("id", str(certificate_id)).execute()
    if not answer.data:
        raise error("certificate_not_found")
    certificate = msgspec.convert(answer.data[0], Certificate)
    if certificate.status != ISSUED or certificate.issued_at is None:
        raise error("certificate_not_issued", certificate.status)
    printer: Printer = state.printer
    document = compose_certificate(printer, certificate, certificate.issued_at)
    title = f"{printable(certificate.course_title)[:80]} - {printable(certificate.holder_name)[:80]}"
    return await _print(printer, document, if_none_match, f"certificate-{certificate.code}", title)


@get(
    "/orders/{order_id:uuid}/invoice.pdf",
    summary="The invoice of a paid order as PDF, for its buyer, its seller and admins",
    tags=["documents"],
    opt=STANDARD,
    media_type=PDF,
    response_description="The invoice, with its refunds. Send its `ETag` as `If-None-Match` the next time.",
    responses=_responses(calls=("order_document",), tokens=()),
)
async def invoice_pdf(
    order_id: OrderId, rest: NamedDependency[AsyncPostgrestClient], state: State, if_none_match: IfNoneMatch = ""
) -> Response[bytes]:
    """Prints what the database answers the caller about the order."""
    return await _print_of_order(
        rest, state.printer, order_id, if_none_match, compose=compose_invoice, prefix="invoice"
    )


@get(
    "/orders/{order_id:uuid}/contract.pdf",
    summary="The contract of a beat licence as PDF, for its buyer, its seller and admins",
    tags=["documents"],
    opt=STANDARD,
    media_type=PDF,
    response_description="The contract; an ended one says so. Send its `ETag` as `If-None-Match` the next time.",
    responses=_responses(calls=("order_document",), tokens=("order_without_licence",)),
)
async def contract_pdf(
    order_id: OrderId, rest: NamedDependency[AsyncPostgrestClient], state: State, if_none_match: IfNoneMatch = ""
) -> Response[bytes]:
    """Prints what was bought, in the terms of the day on which it was ordered."""
    return await _print_of_order(
        rest, state.printer, order_id, if_none_match, compose=compose_contract, prefix="licence"
    )


async def _print_of_order(
    rest: AsyncPostgrestClient,
    printer: Printer,
    order_id: UUID,
    if_none_match: str,
    *,
    compose: Callable[[Printer, Order], Document],
    prefix: str,
) -> Response[bytes]:
    answer = await rest.rpc("order_document", {"order_id": str(order_id)}).execute()
    order = msgspec.convert(answer.data, Order)
    name = f"{prefix}-{order.number}"
    title = f"{printable(order.title)[:80]} - {name}"
    return await _print(printer, compose(printer, order), if_none_match, name, title)


async def _print(printer: Printer, document: Document, if_none_match: str, name: str, title: str) -> Response[bytes]:
    """The answer: the document under both its names, or 304 where the caller's copy is current."""
    headers = {
        # It can be revoked, refunded or renamed: browsers may keep a copy, and ask each time whether it is current.
        "cache-control": "private, no-cache",
        "vary": "authorization",
        "etag": document.etag,
    }
    if document.etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(",")):
        return Response(b"", status_code=304, headers=headers)
    headers["content-disposition"] = _attachment(name, title)
    return Response(await printer.render(document), media_type=PDF, headers=headers)


def _attachment(name: str, title: str) -> str:
    """A file name in ASCII, and the title in Unicode (RFC 5987) for clients that read it."""
    safe = "".join(letter for letter in name if (letter.isascii() and letter.isalnum()) or letter in "-_")
    return f"attachment; filename=\"{safe}.pdf\"; filename*=UTF-8''{quote(f'{title}.pdf', safe='')}"


PACKAGE = HttpPackage(
    for_users=[certificate_pdf, invoice_pdf, contract_pdf],
    lifespan=lifespan,
    tag=Tag(name="documents", description="Documents of certificates and orders, and files that were bought."),
)
