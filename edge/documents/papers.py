"""What the papers of an order say: its invoice, and the contract of a licence."""

from functools import partial
from urllib.parse import quote, urlsplit

from edge.documents.client import Document, Printer
from edge.documents.types import Licence, Order, Words
from edge.documents.words import day_of, money
from edge.errors import EdgeError
from edge.text import printable

KINDS = {
    "course": "Course",
    "bundle": "Bundle of courses",
    "coaching": "Coaching",
    "beat_licence": "Beat licence",
    "mixing_service": "Mixing",
    "digital_product": "Digital product",
    "service": "Service",
    "credit_package": "Credits",
    "membership": "Membership",
    "creator_plan": "Creator plan",
    "pro_plan": "Pro plan",
    "creator_subscription": "Support of a creator",
    "playlist_submission": "Playlist submission",
    "tip": "Tip",
}
"""Kinds of offers, for people; one that is not here is shown without."""
FILES = {"mp3": "MP3", "wav": "WAV", "stems": "stems", "trackouts": "track-outs", "other": "other files"}


def compose_invoice(printer: Printer, order: Order) -> Document:
    """Put together the invoice of a paid order: with what was given back since, if anything was."""
    amount = partial(money, decimals=order.decimals, currency=order.currency)
    refunded = sum(refund.amount for refund in order.refunds)
    words: Words = {
        "number": str(order.number),
        "date": day_of(order.paid_at),
        "seller": _seller(printer, order),
        "buyer": printable(order.buyer_name),
        "title": printable(order.title),
        "kind": KINDS.get(order.kind, "") + (f", {order.licence.tier}" if order.licence else ""),
        "period": [day_of(moment) for moment in (order.period_starts_at, order.period_ends_at) if moment],
        "quantity": f"{order.quantity:,}",
        "unit": amount(order.unit_amount),
        "subtotal": amount(order.unit_amount * order.quantity),
        "discount": amount(-order.discount_amount) if order.discount_amount else "",
        "coupon": order.coupon or "",
        "trial": amount(order.paid_amount - order.amount) if order.paid_amount != order.amount else "",
        "total": amount(order.paid_amount),
        "refunds": [{"date": day_of(refund.settled_at), "amount": amount(-refund.amount)} for refund in order.refunds],
        "rest": amount(order.paid_amount - refunded),
        "stamp": "Refunded" if order.refunds and refunded == order.paid_amount else "Paid",
        "site": _site(printer),
    }
    return printer.compose("invoice", words, order.paid_at)


def compose_contract(printer: Printer, order: Order) -> Document:
    """Put together the contract of a licence, as it was when it was ordered; an ended one says that it is.

    Raises:
        EdgeError: 409 `order_without_licence`, something else was ordered.
    """
    licence = order.licence
    if licence is None or order.licence_code is None:
        raise EdgeError(409, "order_without_licence", "This order is not of a licence.", "Print its invoice.")
    link = f"{printer.public_url}/licences/{quote(order.licence_code, safe='')}"
    words: Words = {
        "number": str(order.number),
        "date": day_of(order.paid_at),
        "licensor": _seller(printer, order),
        "licensee": printable(order.buyer_name),
        "beat": printable(licence.product_title),
        "tier": licence.tier,
        "is_exclusive": licence.tier == "exclusive",
        "rights": _rights(licence),
        "files": _listed([FILES[kind] for kind in FILES if kind in licence.file_types]),
        "credit": licence.is_credit_required,
        "years": licence.term_years or 0,
        "price": money(order.paid_amount, order.decimals, order.currency),
        "ended": [] if order.is_held else day_of(order.ended_at or order.paid_at),
        "code": order.licence_code,
        "link": link,
        "address": link.partition("://")[2],
    }
    return printer.compose("contract", words, order.paid_at, link)


def _rights(licence: Licence) -> list[list[str]]:
    """What may be done with the beat, and how often."""
    return [
        ["Copies sold or given away", _up_to(licence.copies)],
        ["Streams", _up_to(licence.streams)],
        ["Music videos", _up_to(licence.videos)],
        ["Paid performances", _up_to(licence.performances)],
    ]


def _up_to(most: int | None) -> str:
    match most:
        case None:
            return "unlimited"
        case 0:
            return "none"
        case _:
            return f"up to {most:,}"


def _listed(words: list[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _seller(printer: Printer, order: Order) -> str:
    """Who sold it: the platform, by its address, where nobody else did."""
    return printable(order.seller_name) if order.seller_name is not None else _site(printer)


def _site(printer: Printer) -> str:
    return urlsplit(printer.public_url).netloc
