"""Customers."""

from stack.doubles.stripe import billing
from stack.doubles.stripe.book import Book, new_id
from stack.doubles.stripe.errors import Object, unknown_id
from stack.doubles.stripe.params import Params

TEXTS = ("description", "email", "name", "phone")
ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def create(book: Book, params: Params) -> Object:
    """POST /v1/customers."""
    clock = params.text("test_clock")
    if clock is not None:
        book.get("test_helpers.test_clock", clock, "test_clock")
        book.follow(clock)
    customer = blank(book)
    customer["test_clock"] = clock
    customer.update(_read(params, customer))
    return add(book, customer)


def retrieve(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/customers/{id}: also a deleted one, of which little is left."""
    return book.get("customer", name)


def update(book: Book, params: Params, name: str) -> Object:
    """POST /v1/customers/{id}."""
    customer = living(book, name, "id")
    book.follow(customer["test_clock"])
    previous = book.update(customer, **_read(params, customer))
    if previous:
        book.emit("customer.updated", customer, previous)
    return customer


def delete(book: Book, _params: Params, name: str) -> Object:
    """DELETE /v1/customers/{id}: his subscriptions end with him."""
    customer = living(book, name, "id")
    book.follow(customer["test_clock"])
    for subscription in book.all("subscription", customer=name):
        if subscription["status"] not in billing.ENDED:
            billing.end(book, subscription, reason="cancellation_requested")
    book.emit("customer.deleted", customer)
    return book.save({"id": name, "object": "customer", "deleted": True})


def list_all(book: Book, params: Params) -> Object:
    """GET /v1/customers: those on a test clock only where it is named."""
    clock = params.text("test_clock")
    also = "and json_extract(body, '$.deleted') is null"
    if clock is None:
        also += " and json_extract(body, '$.test_clock') is null"
    email = params.text("email")
    return book.page(params, "customer", "/v1/customers", also=also, email=email, test_clock=clock)


def living(book: Book, name: str, param: str = "customer") -> Object:
    """A customer who is not deleted.

    Raises:
        StripeError: there is none of that id.
    """
    customer = book.get("customer", name, param)
    if customer.get("deleted"):
        raise unknown_id("customer", name, param)
    return customer


def blank(book: Book) -> Object:
    """A new customer of whom nothing is known, not kept yet."""
    return {
        "id": new_id("cus_", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": book.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": new_id("", 8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def add(book: Book, customer: Object) -> Object:
    """Keep a new customer, and tell of him."""
    book.insert(customer)
    book.emit("customer.created", customer)
    return customer


def _read(params: Params, before: Object) -> Object:
    changes: Object = {field: params.text(field) for field in TEXTS if params.has(field)}
    if params.has("address"):
        address = params.nested("address")
        changes["address"] = address and {field: address.text(field) for field in ADDRESS}
    if params.has("preferred_locales"):
        changes["preferred_locales"] = params.texts("preferred_locales")
    changes["metadata"] = params.metadata(before["metadata"])
    return changes
