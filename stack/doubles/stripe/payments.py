"""Payment intents and their charges: how a payment is tried, succeeds, fails, or waits for a bank."""

from typing import Literal

from stack.doubles.stripe import balance
from stack.doubles.stripe.book import Book, new_id
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.money import fee
from stack.doubles.stripe.params import Params

Outcome = Literal["paid", "declined", "async"]

DECLINED = "Your card was declined."
REFUSED_BY_BANK = "The customer's bank account could not be debited."


def add_intent(
    book: Book,
    *,
    amount: int,
    currency: str,
    customer: str | None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
    transfer_group: str | None = None,
    email: str | None = None,
    receipt_email: str | None = None,
    statement_descriptor: str | None = None,
    statement_descriptor_suffix: str | None = None,
) -> Object:
    """Make a payment intent that nobody has tried to pay yet."""
    name = new_id("pi_")
    intent: Object = {
        "id": name,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{name}_secret_{new_id('')}",
        "confirmation_method": "automatic",
        "created": book.now,
        "currency": currency,
        "customer": customer,
        "description": description,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": metadata or {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": receipt_email,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": statement_descriptor,
        "statement_descriptor_suffix": statement_descriptor_suffix,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": transfer_group,
        "_email": email,
    }
    book.insert(intent)
    book.emit("payment_intent.created", intent)
    return intent


def attempt(book: Book, intent: Object, outcome: Outcome) -> Object:
    """Try to pay an intent, and return the charge: succeeded, failed, or pending until `settle` or `fail`."""
    charge = _add_charge(book, intent, outcome)
    intent["payment_method"] = charge["payment_method"]
    book.update(intent, latest_charge=charge["id"])
    if outcome == "paid":
        settle(book, intent, charge)
    elif outcome == "async":
        book.update(intent, status="processing", payment_method_types=["sepa_debit"], last_payment_error=None)
        book.emit("charge.pending", charge)
        book.emit("payment_intent.processing", intent)
    else:
        fail(book, intent, charge, code="card_declined", decline_code="generic_decline", message=DECLINED)
    return charge


def settle(book: Book, intent: Object, charge: Object) -> None:
    """The money of a charge has come."""
    kind = "charge" if charge["id"].startswith("ch_") else "payment"
    transaction = balance.record(
        book,
        kind,
        charge["amount"],
        charge["currency"],
        source=charge["id"],
        fee=fee(charge["amount"]),
        description=charge["description"],
    )
    book.update(
        charge,
        balance_transaction=transaction["id"],
        status="succeeded",
        paid=True,
        captured=True,
        amount_captured=charge["amount"],
        outcome=_outcome("approved_by_network", "authorized", "Payment complete."),
        receipt_url=f"{book.settings.public_url}/receipts/{charge['id']}",
    )
    book.emit("charge.succeeded", charge)
    book.update(intent, status="succeeded", amount_received=charge["amount"], last_payment_error=None)
    book.emit("payment_intent.succeeded", intent)


def fail(
    book: Book,
    intent: Object,
    charge: Object,
    *,
    code: str = "payment_intent_payment_attempt_failed",
    decline_code: str | None = None,
    message: str = REFUSED_BY_BANK,
) -> None:
    """No money comes of a charge; the intent may be tried again."""
    outcome = _outcome("declined_by_network", "issuer_declined", message, reason=decline_code)
    book.update(charge, status="failed", failure_code=code, failure_message=message, outcome=outcome)
    book.emit("charge.failed", charge)
    error: Object = {
        "charge": charge["id"],
        "code": code,
        "message": message,
        "payment_method": {
            "id": charge["payment_method"],
            "object": "payment_method",
            "type": charge["payment_method_details"]["type"],
        },
        "type": "card_error" if decline_code else "invalid_request_error",
    }
    if decline_code is not None:
        error["decline_code"] = decline_code
    book.update(intent, status="requires_payment_method", payment_method=None, last_payment_error=error)
    book.emit("payment_intent.payment_failed", intent)


def retrieve_intent(book: Book, params: Params, name: str) -> Object:
    """GET /v1/payment_intents/{id}."""
    params.ignore("client_secret")
    return book.get("payment_intent", name)


def update_intent(book: Book, params: Params, name: str) -> Object:
    """POST /v1/payment_intents/{id}: metadata, description and transfer group."""
    return _annotate(book, params, book.get("payment_intent", name))


def list_intents(book: Book, params: Params) -> Object:
    """GET /v1/payment_intents."""
    return book.page(params, "payment_intent", "/v1/payment_intents", customer=params.text("customer"))


def retrieve_charge(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/charges/{id}."""
    return book.get("charge", name)


def update_charge(book: Book, params: Params, name: str) -> Object:
    """POST /v1/charges/{id}: metadata, description and transfer group."""
    return _annotate(book, params, book.get("charge", name))


def list_charges(book: Book, params: Params) -> Object:
    """GET /v1/charges."""
    return book.page(
        params,
        "charge",
        "/v1/charges",
        customer=params.text("customer"),
        payment_intent=params.text("payment_intent"),
        transfer_group=params.text("transfer_group"),
    )


def _annotate(book: Book, params: Params, thing: Object) -> Object:
    changes: Object = {field: params.text(field) for field in ("description", "transfer_group") if params.has(field)}
    book.update(thing, metadata=params.metadata(thing["metadata"]), **changes)
    return thing


def _add_charge(book: Book, intent: Object, outcome: Outcome) -> Object:
    details = _debit() if outcome == "async" else _card(book, declined=outcome == "declined")
    customer = book.find(intent["customer"]) if intent["customer"] else None
    charge: Object = {
        "id": new_id("py_" if outcome == "async" else "ch_"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {
            "address": {
                "city": None,
                "country": None,
                "line1": None,
                "line2": None,
                "postal_code": None,
                "state": None,
            },
            "email": intent["_email"] or (customer and customer["email"]),
            "name": customer and customer["name"],
            "phone": None,
            "tax_id": None,
        },
        "calculated_statement_descriptor": intent["statement_descriptor"] or "GUILDHALL",
        "captured": False,
        "created": book.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": new_id("pm_"),
        "payment_method_details": details,
        "presentment_details": None,
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "pending",
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }
    return book.insert(charge)


def _card(book: Book, *, declined: bool) -> Object:
    year = 1970 + book.now // 31_556_952
    return {
        "type": "card",
        "card": {
            "amount_authorized": None,
            "brand": "visa",
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "exp_month": 12,
            "exp_year": year + 4,
            "fingerprint": "guildhallDouble1",
            "funding": "credit",
            "installments": None,
            "last4": "0002" if declined else "4242",
            "mandate": None,
            "network": "visa",
            "three_d_secure": None,
            "wallet": None,
        },
    }


def _debit() -> Object:
    return {
        "type": "sepa_debit",
        "sepa_debit": {
            "bank_code": "37040044",
            "branch_code": "",
            "country": "DE",
            "fingerprint": "guildhallDouble2",
            "last4": "3000",
            "mandate": None,
        },
    }


def _outcome(network: str, kind: str, message: str, *, reason: str | None = None) -> Object:
    return {
        "network_status": network,
        "reason": reason,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": message,
        "type": kind,
    }
