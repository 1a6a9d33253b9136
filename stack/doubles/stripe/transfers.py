"""Transfers to connected accounts."""

from stack.doubles.stripe import balance, rules
from stack.doubles.stripe.errors import Object, StripeError, missing_param, unknown_id
from stack.doubles.stripe.money import as_text, check_amount, read_currency
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, as_list, new_id


def create(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/transfers: from the platform's balance."""
    currency = read_currency(params.require("currency"), "currency")
    destination = params.require("destination")
    amount = params.integer("amount", low=1)
    if amount is None:
        raise missing_param("amount")
    check_amount(amount, currency, "amount")
    metadata, group = params.metadata(), params.text("transfer_group")
    account = work.find(destination)
    if account is None or account["object"] != "account" or account.get("_is_deleted"):
        raise unknown_id("destination", destination, "destination")
    if account["capabilities"].get("transfers") != "active":
        message = (
            "Your destination account needs to have at least one of the following capabilities enabled: transfers, "
            "crypto_transfers, legacy_payments"
        )
        raise StripeError(message, code="insufficient_capabilities_for_transfer")
    refusal = rules.outcome(work.connection, "transfer", f"{destination} {group} {metadata}")
    if refusal is not None:
        raise StripeError(rules.REFUSAL, code=refusal["code"], is_remembered=True)
    available = balance.available(work, currency)
    if amount > available:
        message = (
            "You have insufficient available funds in your Stripe account. Try adding funds directly to your available "
            f"balance. ({as_text(available, currency)} of {as_text(amount, currency)})"
        )
        raise StripeError(message, code="balance_insufficient", is_remembered=True)
    transfer_id = new_id("tr_")
    transaction = balance.record(work, "transfer", -amount, currency, source=transfer_id)
    transfer: Object = {
        "id": transfer_id,
        "object": "transfer",
        "amount": amount,
        "amount_reversed": 0,
        "balance_transaction": transaction["id"],
        "created": work.now,
        "currency": currency,
        "description": None,
        "destination": destination,
        "destination_payment": new_id("py_"),
        "livemode": False,
        "metadata": metadata,
        "reversals": as_list([], f"/v1/transfers/{transfer_id}/reversals"),
        "reversed": False,
        "source_transaction": None,
        "source_type": "card",
        "transfer_group": group,
    }
    work.insert(transfer)
    work.emit("transfer.created", transfer)
    return transfer


def create_reversal(work: UnitOfWork, params: Params, transfer_id: str) -> Object:
    """POST /v1/transfers/{id}/reversals."""
    transfer = reverse(work, transfer_id, params.integer("amount", low=1), params.metadata())
    reversal: Object = transfer["reversals"]["data"][0]
    return reversal


def reverse(work: UnitOfWork, transfer_id: str, amount: int | None, metadata: dict[str, str]) -> Object:
    """Take a transfer back, in whole or in part.

    Raises:
        StripeError: less is left of it, or there is none.
    """
    transfer = work.get("transfer", transfer_id)
    left = transfer["amount"] - transfer["amount_reversed"]
    wanted = left if amount is None else amount
    if not 0 < wanted <= left:
        message = (
            f"The transfer {transfer_id} has {as_text(left, transfer['currency'])} left to reverse, and not "
            f"{as_text(wanted, transfer['currency'])}."
        )
        raise StripeError(message, param="amount")
    reversal_id = new_id("trr_")
    transaction = balance.record(work, "transfer_refund", wanted, transfer["currency"], source=reversal_id)
    reversal: Object = {
        "id": reversal_id,
        "object": "transfer_reversal",
        "amount": wanted,
        "balance_transaction": transaction["id"],
        "created": work.now,
        "currency": transfer["currency"],
        "destination_payment_refund": new_id("pyr_"),
        "metadata": metadata,
        "source_refund": None,
        "transfer": transfer_id,
    }
    work.insert(reversal)
    reversals = {**transfer["reversals"], "data": [reversal, *transfer["reversals"]["data"]]}
    previous = work.update(
        transfer,
        amount_reversed=transfer["amount_reversed"] + wanted,
        reversed=wanted == left,
        reversals=reversals,
    )
    work.emit("transfer.reversed", transfer, previous)
    return transfer


def retrieve(work: UnitOfWork, _params: Params, transfer_id: str) -> Object:
    """GET /v1/transfers/{id}."""
    return work.get("transfer", transfer_id)


def list_all(work: UnitOfWork, params: Params) -> Object:
    """GET /v1/transfers."""
    return work.page(params, "transfer", "/v1/transfers", transfer_group=params.text("transfer_group"))
