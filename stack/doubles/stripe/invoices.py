"""The invoices of subscriptions, and which payment belongs to which invoice."""

from stack.doubles.stripe import discounts, taxes
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.money import as_text, smallest_charge
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, as_list, new_id


def add(work: UnitOfWork, subscription: Object, lines: list[Object], reason: str) -> Object:
    """Make an open invoice: discount and tax are applied to its lines, and then the customer's balance."""
    customer = work.get("customer", subscription["customer"])
    invoice_id, currency = new_id("in_"), subscription["currency"]
    number = customer["next_invoice_sequence"]
    discounts.apply(work, subscription, lines)
    taxes.apply(lines, subscription["_tax_percent"])
    for line in lines:
        line["invoice"] = invoice_id
    off = [each for line in lines for each in line["discount_amounts"]]
    tax = taxes.total(lines)
    subtotal = sum(line["amount"] for line in lines)
    before_tax = subtotal - sum(each["amount"] for each in off)
    total = before_tax + sum(each["amount"] for each in tax)
    starting = customer["balance"]
    due = max(total + starting, 0)
    if due < smallest_charge(currency):
        due = 0  # too little to be charged: the customer owes it with the next invoice
    ending = total + starting - due
    invoice: Object = {
        "id": invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Guildhall",
        "account_tax_ids": None,
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": due,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": taxes.automatic(is_enabled=subscription["automatic_tax"]["enabled"]),
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": work.now,
        "currency": currency,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": None,
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": None,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": sorted({each["discount"] for each in off}),
        "due_date": None,
        "effective_at": work.now,
        "ending_balance": ending,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": as_list(lines, f"/v1/invoices/{invoice_id}/lines"),
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
        "period_end": work.now,
        "period_start": subscription["items"]["data"][0]["current_period_start"],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": starting,
        "statement_descriptor": None,
        "status": "open",
        "status_transitions": {
            "finalized_at": work.now,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "test_clock": subscription["test_clock"],
        "total": total,
        "total_discount_amounts": _totals(off),
        "total_excluding_tax": before_tax,
        "total_pretax_credit_amounts": [each | {"type": "discount"} for each in _totals(off)],
        "total_taxes": tax,
        "webhooks_delivered_at": None,
        "_subscription": subscription["id"],
    }
    work.insert(invoice)
    work.update(customer, next_invoice_sequence=number + 1)
    change_balance(work, customer, ending)
    work.emit("invoice.created", invoice)
    work.emit("invoice.finalized", invoice)
    return invoice


def change_balance(work: UnitOfWork, customer: Object, balance: int) -> None:
    """Set a customer's balance, with its event where it differs."""
    previous = work.update(customer, balance=balance)
    if previous:
        work.emit("customer.updated", customer, previous)


def _totals(off: list[Object]) -> list[Object]:
    """Discounts of lines, added up."""
    ids = sorted({each["discount"] for each in off})
    return [{"amount": sum(o["amount"] for o in off if o["discount"] == one), "discount": one} for one in ids]


def mark_paid(work: UnitOfWork, invoice: Object, intent: Object | None) -> None:
    """Record that an open invoice is paid, by an intent or because nothing was due."""
    work.update(
        invoice,
        amount_paid=invoice["amount_due"],
        amount_remaining=0,
        attempted=True,
        auto_advance=False,
        next_payment_attempt=None,
        status="paid",
        status_transitions=invoice["status_transitions"] | {"paid_at": work.now},
    )
    if intent is not None:
        payment = payment_of(work, invoice, intent)
        transitions = payment["status_transitions"] | {"paid_at": work.now}
        work.update(payment, amount_paid=invoice["amount_paid"], status="paid", status_transitions=transitions)
        work.emit("invoice_payment.paid", payment)
    work.emit("invoice.paid", invoice)
    work.emit("invoice.payment_succeeded", invoice)


def set_aside(work: UnitOfWork, invoice: Object, behavior: str) -> None:
    """Collect nothing for an invoice, because its subscription is paused."""
    if behavior == "keep_as_draft":
        work.update(invoice, auto_advance=False, status="draft")
        return
    transitions = invoice["status_transitions"]
    if behavior == "void":
        transitions = transitions | {"voided_at": work.now}
        work.update(invoice, auto_advance=False, status="void", status_transitions=transitions)
        work.emit("invoice.voided", invoice)
    else:
        transitions = transitions | {"marked_uncollectible_at": work.now}
        work.update(invoice, auto_advance=False, status="uncollectible", status_transitions=transitions)
        work.emit("invoice.marked_uncollectible", invoice)


def payments(work: UnitOfWork, invoice: Object) -> list[Object]:
    """The payments of an invoice, oldest first."""
    return work.all("invoice_payment", invoice=invoice["id"])


def payment_of(work: UnitOfWork, invoice: Object, intent: Object) -> Object:
    """The object that links an invoice and its payment intent; made where it is missing."""
    for payment in payments(work, invoice):
        return payment
    payment = {
        "id": new_id("inpay_"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": work.now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
    return work.insert(payment)


def line(subscription: Object, item: Object) -> Object:
    """The line of a subscription's item for its current period."""
    price, quantity = item["price"], item["quantity"]
    unit = f"{as_text(price['unit_amount'], price['currency'])} / {price['recurring']['interval']}"
    details: Object = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
        "subscription_item": item["id"],
    }
    return _line(
        subscription,
        item,
        price["unit_amount"] * quantity,
        description=f"{quantity} × {item['_product']} (at {unit})",  # noqa: RUF001 - as Stripe writes it
        period=(item["current_period_start"], item["current_period_end"]),
        parent={
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        },
    )


def proration(
    subscription: Object, item: Object, amount: int, period: tuple[int, int], *, credited: Object | None
) -> Object:
    """A line for the rest of a period whose price has changed.

    Args:
        subscription: of the line.
        item: with the price that the line is about, the former or the new one.
        amount: below zero for the former price.
        period: from the change to the end of the period.
        credited: the invoice and the lines that paid the former price.
    """
    name = f"{item['quantity']} × {item['_product']}"  # noqa: RUF001
    words = "Unused time on" if amount < 0 else "Remaining time on"
    details: Object = {
        "invoice_item": new_id("ii_"),
        "proration": True,
        "proration_details": {"credited_items": credited},
        "subscription": subscription["id"],
    }
    line = _line(
        subscription,
        item,
        amount,
        description=f"{words} {name}",
        period=period,
        parent={"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"},
    )
    return line | {"discountable": False}


def _line(
    subscription: Object, item: Object, amount: int, *, description: str, period: tuple[int, int], parent: Object
) -> Object:
    price = item["price"]
    return {
        "id": new_id("il_"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": subscription["metadata"],
        "parent": parent,
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"]),
        "subscription": subscription["id"],
        "subtotal": amount,
        "taxes": [],
    }


def retrieve(work: UnitOfWork, _params: Params, invoice_id: str) -> Object:
    """GET /v1/invoices/{id}."""
    return work.get("invoice", invoice_id)


def list_payments(work: UnitOfWork, params: Params) -> Object:
    """GET /v1/invoice_payments."""
    return work.page(params, "invoice_payment", "/v1/invoice_payments", invoice=params.text("invoice"))
