"""Documents of an order: its invoice, and the contract of a licence."""

from functools import partial
from urllib.parse import quote, urlsplit

from common.text import printable
from edge.documents.client import Document, Printer
from edge.documents.formatting import day_of, money
from edge.documents.types import Content, Licence, Order
from edge.errors import error

FILES = {"mp3": "MP3", "wav": "WAV", "stems": "stems", "trackouts": "track-outs", "other": "other files"}


def compose_invoice(printer: Printer, order: Order) -> Document:
    """Compose the invoice of a paid order, with its refunds so far."""
    amount = partial(money, decimals=order.decimals, currency=order.currency)
    refunded = sum(refund.amount for refund in order.refunds)
    is_tax_on_top = order.tax_amount > 0 and order.paid_amount > order.amount
    added_tax = order.tax_amount if is_tax_on_top else 0
    # What the provider did not charge: a trial, or a credit that the buyer had there.
    uncharged = order.paid_amount - order.amount - added_tax
    is_trial = order.trial_days > 0 and order.paid_amount == 0
    content: Content = {
        "number": str(order.number),
        "date": day_of(order.paid_at),
        "seller": _seller(printer, order),
        "buyer": printable(order.buyer_name),
        "title": printable(order.title),
        "kind": order.kind_label + (f", {order.licence.tier}" if order.licence else ""),
        "period": [day_of(moment) for moment in (order.period_starts_at, order.period_ends_at) if moment],
        "quantity": f"{order.quantity:,}",
        "unit": amount(order.unit_amount),
        "subtotal": amount(order.unit_amount * order.quantity),
        "discount": amount(-order.discount_amount) if order.discount_amount else "",
        "coupon": order.coupon or "",
        "tax": amount(added_tax) if added_tax else "",
        "uncharged": amount(uncharged) if uncharged else "",
        "uncharged_label": "Trial" if is_trial else "Balance",
        "included_tax": amount(order.tax_amount) if order.tax_amount and not is_tax_on_top else "",
        "total": amount(order.paid_amount),
        "refunds": [
            {"date": day_of(refund.completed_at), "amount": amount(-refund.amount)} for refund in order.refunds
        ],
        "rest": amount(order.paid_amount - refunded),
        "stamp": "Refunded" if order.refunds and refunded == order.paid_amount else "Paid",
        "site": _site(printer),
    }
    return printer.compose("invoice", content, order.paid_at)


def compose_contract(printer: Printer, order: Order) -> Document:
    """Compose the contract of a licence, in the terms of the order; the contract of an ended licence says so.

    Raises:
        EdgeError: 409 `order_without_licence`, the order is of something else.
    """
    licence = order.licence
    if licence is None or order.licence_code is None:
        raise error("order_without_licence")
    link = f"{printer.public_url}/licences/{quote(order.licence_code, safe='')}"
    content: Content = {
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
        "ended": [] if order.is_order_in_force else day_of(order.ended_at or order.paid_at),
        "code": order.licence_code,
        "link": link,
        "address": link.partition("://")[2],
    }
    return printer.compose("contract", content, order.paid_at, link)


def _rights(licence: Licence) -> list[list[str]]:
    """The uses that the licence allows, and how many of each."""
    return [
        ["Copies sold or given away", _up_to(licence.copies)],
        ["Streams", _up_to(licence.streams)],
        ["Music videos", _up_to(licence.videos)],
        ["Paid performances", _up_to(licence.performances)],
    ]


def _up_to(limit: int | None) -> str:
    match limit:
        case None:
            return "unlimited"
        case 0:
            return "none"
        case _:
            return f"up to {limit:,}"


def _listed(words: list[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _seller(printer: Printer, order: Order) -> str:
    """The name of the seller; where the platform itself sells, its address."""
    return printable(order.seller_name) if order.seller_name is not None else _site(printer)


def _site(printer: Printer) -> str:
    return urlsplit(printer.public_url).netloc
