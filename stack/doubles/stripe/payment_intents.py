"""Payment intents and their charges: how a payment is tried, succeeds, fails, or waits for a bank."""

from typing import Literal

from stack.doubles.stripe import balance
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.money import fee
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, new_id

Outcome = Literal["paid", "declined", "async", "requires_action"]
"""Of an attempt to pay. An async payment is pending until the bank decides; with `requires_action` the bank asks for
3-D Secure, and nothing is paid until the customer has authenticated."""

DECLINED = "Your card was declined."
REFUSED_BY_BANK = "The customer's bank account could not be debited."


def add(
    work: UnitOfWork,
    *,
    amount: int,
    currency: str,
    customer: str | None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
    transfer_group: str | None = None,
) -> Object:
    """Create a payment intent without a payment attempt."""
    intent_id = new_id("pi_")
    intent: Object = {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
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
        "client_secret": f"{intent_id}_secret_{new_id('')}",
        "confirmation_method": "automatic",
        "created": work.now,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": description,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": metadata or {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "payment_record": None,
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": transfer_group,
    }
    work.insert(intent)
    work.emit("payment_intent.created", intent)
    return intent


def retrieve(work: UnitOfWork, _params: Params, intent_id: str) -> Object:
    """GET /v1/payment_intents/{id}."""
    return work.get("payment_intent", intent_id)


def retrieve_charge(work: UnitOfWork, _params: Params, charge_id: str) -> Object:
    """GET /v1/charges/{id}."""
    return work.get("charge", charge_id)


def attempt(work: UnitOfWork, intent: Object, outcome: Outcome) -> Object | None:
    """Try to pay an intent.

    Returns:
        The charge, which is pending after an async attempt until `decide`; None where the customer must act first.
    """
    if outcome == "requires_action":
        action = {"type": "redirect_to_url", "redirect_to_url": {"return_url": None, "url": _page(work, intent)}}
        work.update(intent, status="requires_action", payment_method=new_id("pm_"), next_action=action)
        work.emit("payment_intent.requires_action", intent)
        return None
    charge = _add_charge(work, intent, outcome)
    work.update(intent, payment_method=charge["payment_method"], latest_charge=charge["id"], next_action=None)
    if outcome == "paid":
        settle(work, intent, charge)
    elif outcome == "async":
        work.update(intent, status="processing", payment_method_types=["sepa_debit"], last_payment_error=None)
        work.emit("charge.pending", charge)
        work.emit("payment_intent.processing", intent)
    else:
        fail(work, intent, charge, code="card_declined", decline_code="generic_decline", message=DECLINED)
    return charge


def decide(work: UnitOfWork, intent: Object, *, succeeded: bool) -> None:
    """Let the bank decide the pending charge of an intent."""
    charge = work.get("charge", intent["latest_charge"])
    if succeeded:
        settle(work, intent, charge)
    else:
        fail(work, intent, charge)


def settle(work: UnitOfWork, intent: Object, charge: Object) -> None:
    """Record that a charge has succeeded."""
    kind = "charge" if charge["id"].startswith("ch_") else "payment"
    tried = f"{charge['id']} {intent['id']} {charge['customer']} {charge['metadata']}"
    transaction = balance.settle_charge(work, kind, charge, fee(charge["amount"]), tried)
    work.update(
        charge,
        balance_transaction=transaction["id"],
        status="succeeded",
        paid=True,
        captured=True,
        amount_captured=charge["amount"],
        outcome=_outcome("approved_by_network", "authorized", "Payment complete."),
    )
    work.emit("charge.succeeded", charge)
    work.update(intent, status="succeeded", amount_received=charge["amount"], last_payment_error=None)
    work.emit("payment_intent.succeeded", intent)


def fail(
    work: UnitOfWork,
    intent: Object,
    charge: Object,
    *,
    code: str = "payment_intent_payment_attempt_failed",
    decline_code: str | None = None,
    message: str = REFUSED_BY_BANK,
) -> None:
    """Record that a charge has failed. The intent may be tried again."""
    outcome = _outcome("declined_by_network", "issuer_declined", message, reason=decline_code)
    work.update(charge, status="failed", failure_code=code, failure_message=message, outcome=outcome)
    work.emit("charge.failed", charge)
    error: Object = {
        "charge": charge["id"],
        "code": code,
        "message": message,
        "payment_method": _payment_method(charge),
        "type": "card_error" if decline_code else "invalid_request_error",
    }
    if decline_code is not None:
        error["decline_code"] = decline_code
    work.update(intent, status="requires_payment_method", payment_method=None, last_payment_error=error)
    work.emit("payment_intent.payment_failed", intent)


def _add_charge(work: UnitOfWork, intent: Object, outcome: Outcome) -> Object:
    details = _bank_account() if outcome == "async" else _card(work, is_declined=outcome == "declined")
    customer = work.find(intent["customer"]) if intent["customer"] else None
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
            "email": customer and customer["email"],
            "name": customer and customer["name"],
            "phone": None,
            "tax_id": None,
        },
        "calculated_statement_descriptor": "GUILDHALL",
        "captured": False,
        "created": work.now,
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
        "radar_options": {},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "pending",
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }
    return work.insert(charge)


def _page(work: UnitOfWork, intent: Object) -> str:
    """The address where the customer authenticates."""
    return f"{work.settings.public_url}/authenticate/{intent['id']}"


def _payment_method(charge: Object) -> Object:
    """The payment method of a charge that failed."""
    details = charge["payment_method_details"]
    method: Object = {
        "id": charge["payment_method"],
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": charge["billing_details"],
        "created": charge["created"],
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": details["type"],
    }
    if details["type"] == "card":
        card = details["card"]
        method["card"] = {
            "brand": card["brand"],
            "checks": card["checks"],
            "country": card["country"],
            "display_brand": card["brand"],
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "generated_from": None,
            "last4": card["last4"],
            "networks": {"available": [card["network"]], "preferred": None},
            "regulated_status": card["regulated_status"],
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        }
    else:
        debit = details["sepa_debit"]
        fields = ("bank_code", "branch_code", "country", "fingerprint", "last4")
        method["sepa_debit"] = {field: debit[field] for field in fields} | {"generated_from": None}
    return method


def _card(work: UnitOfWork, *, is_declined: bool) -> Object:
    year = 1970 + work.now // 31_556_952
    return {
        "type": "card",
        "card": {
            "amount_authorized": None,
            "authorization_code": None if is_declined else "123456",
            "brand": "visa",
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "electronic_commerce_indicator": None,
            "exp_month": 12,
            "exp_year": year + 4,
            "fingerprint": "guildhallDouble1",
            "funding": "credit",
            "installments": None,
            "last4": "0002" if is_declined else "4242",
            "mandate": None,
            "network": "visa",
            "network_transaction_id": None if is_declined else "976910110049114",
            "regulated_status": "unregulated",
            "three_d_secure": None,
            "transaction_link_id": None,
            "wallet": None,
        },
    }


def _bank_account() -> Object:
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
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": network,
        "reason": reason,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": message,
        "type": kind,
    }
