"""Invoices and their lines, as subscriptions make them; and which payment belongs to which invoice."""

from typing import Any

from stack.doubles.stripe.book import Book, listed, new_id
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.money import LEAST, written
from stack.doubles.stripe.params import Params

STATUSES = ("draft", "open", "paid", "uncollectible", "void")


def add(book: Book, subscription: Object, lines: list[Object], reason: str) -> Object:
    """Make an invoice of lines, as a draft. What is too little to be charged goes to the customer's balance."""
    customer = book.get("customer", subscription["customer"])
    total = sum(line["amount"] for line in lines)
    before = customer["balance"]
    due = total + before
    is_charged = due >= LEAST.get(subscription["currency"], 1)
    name = new_id("in_")
    number = customer["next_invoice_sequence"]
    for line in lines:
        line["invoice"] = name
    invoice: Object = {
        "id": name,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Guildhall",
        "account_tax_ids": None,
        "amount_due": due if is_charged else 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": due if is_charged else 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": book.now,
        "currency": subscription["currency"],
        "custom_fields": None,
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": listed(lines, f"/v1/invoices/{name}/lines"),
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": f"{customer['invoice_prefix']}-{number:04d}",
        "on_behalf_of": None,
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
            "type": "subscription_details",
        },
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": book.now,
        "period_start": subscription["items"]["data"][0]["current_period_start"],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": before,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "test_clock": subscription["test_clock"],
        "total": total,
        "total_discount_amounts": [],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
        "_ending_balance": 0 if is_charged else due,
        "_subscription": subscription["id"],
    }
    book.insert(invoice)
    book.update(customer, next_invoice_sequence=number + 1)
    book.emit("invoice.created", invoice)
    return invoice


def finalize(book: Book, invoice: Object) -> None:
    """Make a draft an open invoice."""
    customer = book.get("customer", invoice["customer"])
    book.update(customer, balance=invoice["_ending_balance"])
    _move(book, invoice, "open", "finalized_at")
    book.update(
        invoice,
        effective_at=book.now,
        ending_balance=invoice["_ending_balance"],
        hosted_invoice_url=f"{book.settings.public_url}/invoices/{invoice['id']}",
    )
    book.emit("invoice.finalized", invoice)


def mark_paid(book: Book, invoice: Object, intent: Object | None) -> None:
    """An open invoice is paid: by an intent, or because nothing was due."""
    _move(book, invoice, "paid", "paid_at")
    book.update(
        invoice,
        amount_paid=invoice["amount_due"],
        amount_remaining=0,
        attempted=True,
        auto_advance=False,
        next_payment_attempt=None,
    )
    if intent is not None:
        payment = payment_of(book, invoice, intent)
        transitions = payment["status_transitions"] | {"paid_at": book.now}
        book.update(payment, amount_paid=invoice["amount_paid"], status="paid", status_transitions=transitions)
        book.emit("invoice_payment.paid", payment)
    book.emit("invoice.paid", invoice)
    book.emit("invoice.payment_succeeded", invoice)


def abandon(book: Book, invoice: Object, status: str) -> None:
    """An invoice is to be paid no more: `void` or `uncollectible`."""
    _move(book, invoice, status, "voided_at" if status == "void" else "marked_uncollectible_at")
    book.update(invoice, auto_advance=False, next_payment_attempt=None)
    book.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)


def payment_of(book: Book, invoice: Object, intent: Object) -> Object:
    """The link of an invoice and its payment intent; made where it is missing."""
    for payment in book.all("invoice_payment", invoice=invoice["id"]):
        if payment["payment"]["payment_intent"] == intent["id"]:
            return payment
    payment = {
        "id": new_id("inpay_"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": book.now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
    return book.insert(payment)


def line(subscription: Object, item: Object, start: int, end: int, amount: int | None = None) -> Object:
    """A line of an item for a period.

    Args:
        subscription: of the item.
        item: with its price and quantity.
        start: of the period, in seconds since 1970.
        end: of the period.
        amount: of a proration, in minor units; None for the whole period's price.
    """
    price, quantity = item["price"], item["quantity"]
    words = f"{quantity} × {item['_product']} (at {written(price['unit_amount'], price['currency'])}"  # noqa: RUF001
    words += f" / {price['recurring']['interval']})" if price["recurring"] else ")"
    if amount is not None:
        words = f"{'Unused' if amount < 0 else 'Remaining'} time on {words}"
    total = price["unit_amount"] * quantity if amount is None else amount
    details: Object = {
        "invoice_item": None if price["recurring"] else new_id("ii_"),
        "proration": amount is not None,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
    }
    kind = "subscription_item_details" if price["recurring"] else "invoice_item_details"
    if price["recurring"]:
        details["subscription_item"] = item["id"]
    return {
        "id": new_id("il_"),
        "object": "line_item",
        "amount": total,
        "currency": price["currency"],
        "description": words,
        "discount_amounts": [],
        "discountable": amount is None,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": subscription["metadata"],
        "parent": {"invoice_item_details": None, "subscription_item_details": None, "type": kind, kind: details},
        "period": {"end": end, "start": start},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "subscription": subscription["id"],
        "subtotal": total,
        "taxes": [],
    }


def retrieve(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/invoices/{id}."""
    return book.get("invoice", name)


def update(book: Book, params: Params, name: str) -> Object:
    """POST /v1/invoices/{id}: metadata and description."""
    invoice = book.get("invoice", name)
    changes: dict[str, Any] = {"description": params.text("description")} if params.has("description") else {}
    previous = book.update(invoice, metadata=params.metadata(invoice["metadata"]), **changes)
    if previous:
        book.emit("invoice.updated", invoice, previous)
    return invoice


def list_all(book: Book, params: Params) -> Object:
    """GET /v1/invoices."""
    return book.page(
        params,
        "invoice",
        "/v1/invoices",
        customer=params.text("customer"),
        status=params.choice("status", *STATUSES),
        _subscription=params.text("subscription"),
    )


def list_lines(book: Book, params: Params, name: str) -> Object:
    """GET /v1/invoices/{id}/lines: all of them, whatever the limit."""
    params.ignore("limit", "starting_after", "ending_before")
    lines: Object = book.get("invoice", name)["lines"]
    return lines


def retrieve_payment(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/invoice_payments/{id}."""
    return book.get("invoice_payment", name)


def list_payments(book: Book, params: Params) -> Object:
    """GET /v1/invoice_payments: how an invoice finds its payment intent, and the other way round."""
    payment = params.nested("payment")
    if payment is not None:
        payment.choice("type", "payment_intent")
    return book.page(
        params,
        "invoice_payment",
        "/v1/invoice_payments",
        invoice=params.text("invoice"),
        status=params.choice("status", "open", "paid", "canceled"),
        payment__payment_intent=payment and payment.text("payment_intent"),
    )


def _move(book: Book, invoice: Object, status: str, stamp: str) -> None:
    transitions = invoice["status_transitions"] | {stamp: book.now}
    book.update(invoice, status=status, status_transitions=transitions)
