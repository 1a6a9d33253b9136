"""Transfers to connected accounts, their reversals, and payouts of what is left to the platform's bank."""

from stack.doubles.stripe import balance, rules
from stack.doubles.stripe.book import Book, listed, new_id
from stack.doubles.stripe.errors import Object, StripeError, invalid, missing_param, unknown_id
from stack.doubles.stripe.money import check_amount, read_currency, written
from stack.doubles.stripe.params import Params


def create(book: Book, params: Params) -> Object:
    """POST /v1/transfers."""
    currency = read_currency(params.require("currency"), "currency")
    destination = params.require("destination")
    source = params.text("source_transaction")
    charge = None if source is None else book.get("charge", source, "source_transaction")
    amount = params.integer("amount", low=1)
    if amount is None:
        if charge is None:
            raise missing_param("amount")
        amount = charge["amount"]
    check_amount(amount, currency, "amount")
    params.choice("source_type", "card")
    metadata, group = params.metadata(), params.text("transfer_group")
    account = book.find(destination)
    if account is None or account["object"] != "account":
        raise unknown_id("destination", destination, "destination")
    if account["capabilities"].get("transfers") != "active":
        message = (
            "Your destination account needs to have at least one of the following capabilities enabled: transfers, "
            "crypto_transfers, legacy_payments"
        )
        raise StripeError(message, code="insufficient_capabilities_for_transfer")
    refused = rules.outcome(book.connection, "transfer", f"{destination} {group} {metadata}")
    if refused is not None:
        raise StripeError(
            refused["message"], status=refused["status"], code=refused["code"] or "balance_insufficient", is_done=True
        )
    if charge is not None:
        group = _draw_on(book, charge, amount, currency, group)
    elif amount > balance.available(book, currency):
        message = (
            "You have insufficient available funds in your Stripe account. Try adding funds directly to your available "
            f"balance. ({written(balance.available(book, currency), currency)} of {written(amount, currency)})"
        )
        raise StripeError(message, code="balance_insufficient", is_done=True)
    name, description = new_id("tr_"), params.text("description")
    transaction = balance.record(book, "transfer", -amount, currency, source=name, description=description)
    transfer: Object = {
        "id": name,
        "object": "transfer",
        "amount": amount,
        "amount_reversed": 0,
        "balance_transaction": transaction["id"],
        "created": book.now,
        "currency": currency,
        "description": description,
        "destination": destination,
        "destination_payment": new_id("py_"),
        "livemode": False,
        "metadata": metadata,
        "reversals": listed([], f"/v1/transfers/{name}/reversals"),
        "reversed": False,
        "source_transaction": source,
        "source_type": "card",
        "transfer_group": group,
    }
    book.insert(transfer)
    book.emit("transfer.created", transfer)
    return transfer


def retrieve(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/transfers/{id}."""
    return book.get("transfer", name)


def update(book: Book, params: Params, name: str) -> Object:
    """POST /v1/transfers/{id}: metadata and description."""
    transfer = book.get("transfer", name)
    changes: Object = {"description": params.text("description")} if params.has("description") else {}
    previous = book.update(transfer, metadata=params.metadata(transfer["metadata"]), **changes)
    if previous:
        book.emit("transfer.updated", transfer, previous)
    return transfer


def list_all(book: Book, params: Params) -> Object:
    """GET /v1/transfers."""
    destination, group = params.text("destination"), params.text("transfer_group")
    return book.page(params, "transfer", "/v1/transfers", destination=destination, transfer_group=group)


def create_reversal(book: Book, params: Params, name: str) -> Object:
    """POST /v1/transfers/{id}/reversals: whole or in part."""
    transfer = book.get("transfer", name)
    left, currency = transfer["amount"] - transfer["amount_reversed"], transfer["currency"]
    amount = params.integer("amount", low=1)
    params.ignore("refund_application_fee")
    if left == 0:
        raise StripeError(f"Transfer {name} is already fully reversed.", code="transfer_already_reversed")
    amount = left if amount is None else amount
    if amount > left:
        message = (
            f"Transfer reversal amount ({written(amount, currency)}) is greater than unreversed amount on transfer "
            f"({written(left, currency)})."
        )
        raise invalid("amount", message, "amount_too_large")
    made = new_id("trr_")
    description = params.text("description")
    transaction = balance.record(book, "transfer_refund", amount, currency, source=made, description=description)
    reversal: Object = {
        "id": made,
        "object": "transfer_reversal",
        "amount": amount,
        "balance_transaction": transaction["id"],
        "created": book.now,
        "currency": currency,
        "destination_payment_refund": new_id("pyr_"),
        "metadata": params.metadata(),
        "source_refund": None,
        "transfer": name,
    }
    book.insert(reversal)
    reversed_now = transfer["amount_reversed"] + amount
    reversals = transfer["reversals"] | {"data": [reversal, *transfer["reversals"]["data"]]}
    previous = book.update(
        transfer, amount_reversed=reversed_now, reversed=reversed_now == transfer["amount"], reversals=reversals
    )
    book.emit("transfer.reversed", transfer, previous)
    return reversal


def retrieve_reversal(book: Book, _params: Params, transfer: str, name: str) -> Object:
    """GET /v1/transfers/{id}/reversals/{id}."""
    reversal = book.get("transfer_reversal", name)
    if reversal["transfer"] != transfer:
        raise unknown_id("transfer_reversal", name)
    return reversal


def list_reversals(book: Book, params: Params, name: str) -> Object:
    """GET /v1/transfers/{id}/reversals."""
    book.get("transfer", name)
    return book.page(params, "transfer_reversal", f"/v1/transfers/{name}/reversals", transfer=name)


def pay_out(book: Book, currency: str, amount: int | None) -> Object:
    """Pay out some of the balance, or all of it; the movements that are in it until now belong to the payout.

    Raises:
        StripeError: 400 `balance_insufficient`.
    """
    available = balance.available(book, currency)
    amount = available if amount is None else amount
    if not 0 < amount <= available:
        raise StripeError("You have insufficient funds in your Stripe account.", code="balance_insufficient")
    name = new_id("po_")
    before = book.all("balance_transaction", currency=currency, _payout=None)
    transaction = balance.record(book, "payout", -amount, currency, source=name, description="STRIPE PAYOUT")
    for each in [*before, transaction]:
        book.update(each, _payout=name)
    payout: Object = {
        "id": name,
        "object": "payout",
        "amount": amount,
        "arrival_date": book.now,
        "automatic": True,
        "balance_transaction": transaction["id"],
        "created": book.now,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "reconciliation_status": "completed",
        "source_type": "card",
        "statement_descriptor": None,
        "status": "paid",
        "type": "bank_account",
    }
    book.insert(payout)
    book.emit("payout.paid", payout)
    return payout


def retrieve_payout(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/payouts/{id}."""
    return book.get("payout", name)


def list_payouts(book: Book, params: Params) -> Object:
    """GET /v1/payouts."""
    return book.page(params, "payout", "/v1/payouts", status=params.text("status"))


def _draw_on(book: Book, charge: Object, amount: int, currency: str, group: str | None) -> str:
    """Take an amount of a charge rather than of the balance; returns the transfer group, which the charge gets too."""
    if charge["status"] != "succeeded" or charge["currency"] != currency:
        raise invalid("source_transaction", f"Charge {charge['id']} has not succeeded in {currency}.")
    drawn = sum(
        each["amount"] - each["amount_reversed"] for each in book.all("transfer", source_transaction=charge["id"])
    )
    if drawn + amount > charge["amount"]:
        message = f"The transfers of {charge['id']} may not exceed its amount ({written(charge['amount'], currency)})."
        raise invalid("amount", message, "amount_too_large")
    group = group or charge["transfer_group"] or f"group_{charge['payment_intent']}"
    book.update(charge, transfer_group=charge["transfer_group"] or group)
    return group
