"""Customers, and their balances."""

from stack.doubles.stripe import billing, invoices
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, new_id

KIND = "customer"


def create(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/customers."""
    clock = params.text("test_clock")
    if clock is not None:
        work.get("test_helpers.test_clock", clock, "test_clock")
        work.follow(clock)
    customer: Object = {
        "id": new_id("cus_", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": work.now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": params.text("email"),
        "invoice_prefix": new_id("", 8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": params.metadata(),
        "name": params.text("name"),
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": clock,
    }
    work.insert(customer)
    work.emit("customer.created", customer)
    return customer


def retrieve(work: UnitOfWork, _params: Params, customer_id: str) -> Object:
    """GET /v1/customers/{id}; of a deleted one only that it is deleted."""
    found = work.find(customer_id)
    if found is not None and found["object"] == KIND and found.get("_is_deleted"):
        return _deleted(customer_id)
    return work.get(KIND, customer_id)


def update(work: UnitOfWork, params: Params, customer_id: str) -> Object:
    """POST /v1/customers/{id}: email, name and metadata."""
    customer = work.get(KIND, customer_id)
    work.follow(customer["test_clock"])
    changes: Object = {field: params.text(field) for field in ("email", "name") if params.has(field)}
    if params.has("metadata"):
        changes["metadata"] = customer["metadata"] | params.metadata()
    previous = work.update(customer, **changes)
    if previous:
        work.emit("customer.updated", customer, previous)
    return customer


def delete(work: UnitOfWork, _params: Params, customer_id: str) -> Object:
    """DELETE /v1/customers/{id}: for good. Its subscriptions end at once."""
    customer = work.get(KIND, customer_id)
    work.follow(customer["test_clock"])
    for subscription in work.all("subscription", customer=customer_id):
        if subscription["status"] != billing.ENDED:
            billing.end(work, subscription, reason="cancellation_requested")
    work.emit("customer.deleted", customer)
    work.update(customer, _is_deleted=True)
    return _deleted(customer_id)


def set_balance(work: UnitOfWork, customer_id: str, balance: int) -> Object:
    """Set what a customer owes with the next invoice, or has as credit where it is negative."""
    customer = work.get(KIND, customer_id)
    invoices.change_balance(work, customer, balance)
    return customer


def _deleted(customer_id: str) -> Object:
    return {"id": customer_id, "object": KIND, "deleted": True}


def list_all(work: UnitOfWork, params: Params) -> Object:
    """GET /v1/customers: without those on a test clock."""
    without_clock = " and json_extract(body, '$.test_clock') is null and json_extract(body, '$._is_deleted') is null"
    return work.page(params, "customer", "/v1/customers", also=without_clock, email=params.text("email"))
