"""Products and their prices."""

from typing import Any

from stack.doubles.stripe.book import Book, new_id
from stack.doubles.stripe.errors import Object, StripeError, invalid, missing_param
from stack.doubles.stripe.money import check_amount, read_currency
from stack.doubles.stripe.params import Params

INTERVALS = ("day", "week", "month", "year")
LONGEST_YEARS = 3
TAX_BEHAVIOR = ("exclusive", "inclusive", "unspecified")
LARGEST = 10**12 - 1


def create_product(book: Book, params: Params) -> Object:
    """POST /v1/products."""
    name = params.require("name")
    made = params.text("id") or new_id("prod_", 14)
    if book.find(made) is not None:
        raise invalid("id", "Product already exists.", "resource_already_exists")
    product = add_product(book, params, made, name)
    price_data = params.nested("default_price_data")
    if price_data is not None:
        price = add_price(book, price_data, made)
        book.update(product, default_price=price["id"])
    return product


def add_product(book: Book, params: Params, made: str, name: str) -> Object:
    """Make a product of parameters, also of those within a price."""
    product: Object = {
        "id": made,
        "object": "product",
        "active": params.boolean("active") is not False,
        "created": book.now,
        "default_price": None,
        "description": params.text("description"),
        "images": params.texts("images"),
        "livemode": False,
        "marketing_features": [],
        "metadata": params.metadata(),
        "name": name,
        "package_dimensions": None,
        "shippable": params.boolean("shippable"),
        "statement_descriptor": params.text("statement_descriptor", longest=22),
        "tax_code": params.text("tax_code"),
        "type": params.choice("type", "good", "service") or "service",
        "unit_label": params.text("unit_label"),
        "updated": book.now,
        "url": params.url("url"),
    }
    book.insert(product)
    book.emit("product.created", product)
    return product


def retrieve_product(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/products/{id}."""
    return book.get("product", name)


def update_product(book: Book, params: Params, name: str) -> Object:
    """POST /v1/products/{id}."""
    product = book.get("product", name)
    changes: Object = {
        field: params.text(field)
        for field in ("description", "tax_code", "unit_label", "url", "statement_descriptor")
        if params.has(field)
    }
    changes["name"] = params.text("name") or product["name"]
    if params.has("active"):
        changes["active"] = params.boolean("active")
    if params.has("images"):
        changes["images"] = params.texts("images")
    default = params.text("default_price")
    if default is not None:
        if book.get("price", default, "default_price")["product"] != name:
            raise invalid("default_price", f"The price {default} does not belong to the product {name}")
        changes["default_price"] = default
    changes["metadata"] = params.metadata(product["metadata"])
    previous = book.update(product, **changes)
    if previous:
        previous |= book.update(product, updated=book.now)
        book.emit("product.updated", product, previous)
    return product


def delete_product(book: Book, _params: Params, name: str) -> Object:
    """DELETE /v1/products/{id}: only where it has no price."""
    product = book.get("product", name)
    if book.all("price", product=name):
        raise StripeError("This product cannot be deleted because it has one or more user-created prices.")
    book.remove(name)
    book.emit("product.deleted", product)
    return {"id": name, "object": "product", "deleted": True}


def list_products(book: Book, params: Params) -> Object:
    """GET /v1/products."""
    also, values = _among("id", params.texts("ids"))
    return book.page(params, "product", "/v1/products", also=also, values=values, active=params.boolean("active"))


def create_price(book: Book, params: Params) -> Object:
    """POST /v1/prices."""
    product = params.text("product")
    if product is None:
        data = params.nested("product_data")
        if data is None:
            raise missing_param("product")
        product = add_product(book, data, data.text("id") or new_id("prod_", 14), data.require("name"))["id"]
    else:
        book.get("product", product, "product")
    return add_price(book, params, product)


def add_price(book: Book, params: Params, product: str, *, is_active: bool = True) -> Object:
    """Make a price of parameters, also of those within a product or a line item."""
    currency = read_currency(params.require("currency"), params.name("currency"))
    amount = params.integer("unit_amount", high=LARGEST)
    if amount is None:
        decimal = params.text("unit_amount_decimal")
        if decimal is None:
            raise missing_param(params.name("unit_amount"))
        if not decimal.isascii() or not decimal.isdecimal():
            message = "This double plays whole minor units only"
            raise invalid(params.name("unit_amount_decimal"), message, "parameter_invalid_integer")
        amount = int(decimal)
    check_amount(amount, currency, params.name("unit_amount"))
    recurring = params.nested("recurring")
    lookup_key = params.text("lookup_key", longest=200)
    if lookup_key is not None:
        _take_lookup_key(book, lookup_key, may_move=params.boolean("transfer_lookup_key") is True)
    params.ignore("transfer_lookup_key")
    active = params.boolean("active")
    price: Object = {
        "id": new_id("price_"),
        "object": "price",
        "active": is_active if active is None else active,
        "billing_scheme": params.choice("billing_scheme", "per_unit") or "per_unit",
        "created": book.now,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": lookup_key,
        "metadata": params.metadata(),
        "nickname": params.text("nickname"),
        "product": product,
        "recurring": recurring and _recurring(recurring),
        "tax_behavior": params.choice("tax_behavior", *TAX_BEHAVIOR) or "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }
    book.insert(price)
    book.emit("price.created", price)
    return price


def retrieve_price(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/prices/{id}."""
    return book.get("price", name)


def update_price(book: Book, params: Params, name: str) -> Object:
    """POST /v1/prices/{id}: amount, currency and product never change."""
    price = book.get("price", name)
    changes: Object = {}
    if params.has("active"):
        changes["active"] = params.boolean("active")
    if params.has("nickname"):
        changes["nickname"] = params.text("nickname")
    if params.has("lookup_key"):
        key = changes["lookup_key"] = params.text("lookup_key", longest=200)
        if key is not None and key != price["lookup_key"]:
            _take_lookup_key(book, key, may_move=params.boolean("transfer_lookup_key") is True)
    params.ignore("transfer_lookup_key")
    if params.has("tax_behavior"):
        changes["tax_behavior"] = params.choice("tax_behavior", *TAX_BEHAVIOR)
    changes["metadata"] = params.metadata(price["metadata"])
    previous = book.update(price, **changes)
    if previous:
        book.emit("price.updated", price, previous)
    return price


def list_prices(book: Book, params: Params) -> Object:
    """GET /v1/prices."""
    recurring = params.nested("recurring")
    also, values = _among("json_extract(body, '$.lookup_key')", params.texts("lookup_keys"))
    return book.page(
        params,
        "price",
        "/v1/prices",
        also=also,
        values=values,
        active=params.boolean("active"),
        currency=params.text("currency"),
        product=params.text("product"),
        type=params.choice("type", "one_time", "recurring"),
        recurring__interval=recurring and recurring.choice("interval", *INTERVALS),
    )


def _recurring(params: Params) -> Object:
    interval = params.choice("interval", *INTERVALS)
    if interval is None:
        raise missing_param(params.name("interval"))
    most = {"day": 366, "week": 53, "month": 12, "year": 1}[interval] * LONGEST_YEARS
    return {
        "interval": interval,
        "interval_count": params.integer("interval_count", low=1, high=most) or 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": params.choice("usage_type", "licensed") or "licensed",
    }


def _take_lookup_key(book: Book, key: str, *, may_move: bool) -> None:
    """See that no other price has the key, or take it from that one."""
    for other in book.all("price", lookup_key=key):
        if not may_move:
            message = f"A price (`{other['id']}`) already uses that lookup key."
            raise invalid("lookup_key", message, "resource_already_exists")
        book.update(other, lookup_key=None)


def _among(field: str, texts: list[str]) -> tuple[str, tuple[Any, ...]]:
    return (f"and {field} in ({', '.join('?' * len(texts))})", tuple(texts)) if texts else ("", ())
