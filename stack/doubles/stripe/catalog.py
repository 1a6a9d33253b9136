"""Products and their prices."""

from typing import Literal

from stack.doubles.stripe.errors import Object, StripeError, missing_param
from stack.doubles.stripe.money import check_amount, read_currency
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, new_id

INTERVALS = ("day", "week", "month", "year")
LARGEST_AMOUNT = 10**12 - 1


def create_product(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/products; also for the product data within a price."""
    product: Object = {
        "id": new_id("prod_", 14),
        "object": "product",
        "active": params.boolean("active") is not False,
        "created": work.now,
        "default_price": None,
        "description": params.text("description"),
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": params.metadata(),
        "name": params.require("name"),
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "tax_details": None,
        "type": "service",
        "unit_label": None,
        "updated": work.now,
        "url": None,
    }
    work.insert(product)
    work.emit("product.created", product)
    return product


def retrieve_product(work: UnitOfWork, _params: Params, product_id: str) -> Object:
    """GET /v1/products/{id}."""
    return work.get("product", product_id)


def update_product(work: UnitOfWork, params: Params, product_id: str) -> Object:
    """POST /v1/products/{id}."""
    product = work.get("product", product_id)
    changes: Object = {"name": params.text("name") or product["name"]}
    if params.has("description"):
        changes["description"] = params.text("description")
    if params.has("active"):
        changes["active"] = params.boolean("active")
    previous = work.update(product, **changes)
    if previous:
        previous |= work.update(product, updated=work.now)
        work.emit("product.updated", product, previous)
    return product


def delete_product(work: UnitOfWork, _params: Params, product_id: str) -> Object:
    """DELETE /v1/products/{id}: only of one without prices."""
    if work.all("price", product=product_id):
        message = "This product cannot be deleted because it has one or more user-created prices."
        raise StripeError(message, param="id")
    return remove(work, "product", product_id)


def remove(work: UnitOfWork, kind: Literal["product", "price"], object_id: str) -> Object:
    """Delete a product or a price, as on the dashboard. Calls that name it are refused from now on."""
    found = work.get(kind, object_id)
    work.emit(f"{kind}.deleted", found)
    work.update(found, _is_deleted=True)
    return {"id": object_id, "object": kind, "deleted": True}


def archive(work: UnitOfWork, kind: Literal["product", "price"], object_id: str) -> Object:
    """Archive a product or a price."""
    found = work.get(kind, object_id)
    previous = work.update(found, active=False)
    if previous:
        work.emit(f"{kind}.updated", found, previous)
    return found


def create_price(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/prices."""
    product_id = params.require("product")
    work.get("product", product_id, "product")
    return add_price(work, params, product_id)


def add_price(work: UnitOfWork, params: Params, product_id: str, *, is_active: bool = True) -> Object:
    """Make a price of parameters; also of the price data within a line item."""
    currency = read_currency(params.require("currency"), params.name("currency"))
    amount = params.integer("unit_amount", high=LARGEST_AMOUNT)
    if amount is None:
        raise missing_param(params.name("unit_amount"))
    check_amount(amount, currency, params.name("unit_amount"))
    recurring = params.nested("recurring")
    return new_price(
        work,
        product_id,
        currency,
        amount,
        recurring=_recurring(recurring) if recurring else None,
        metadata=params.metadata(),
        is_active=is_active,
    )


def new_price(
    work: UnitOfWork,
    product_id: str,
    currency: str,
    amount: int,
    *,
    recurring: Object | None,
    metadata: Object,
    is_active: bool,
) -> Object:
    """Make a price."""
    price: Object = {
        "id": new_id("price_"),
        "object": "price",
        "active": is_active,
        "billing_scheme": "per_unit",
        "created": work.now,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": metadata,
        "nickname": None,
        "product": product_id,
        "recurring": recurring,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }
    work.insert(price)
    work.emit("price.created", price)
    return price


def retrieve_price(work: UnitOfWork, _params: Params, price_id: str) -> Object:
    """GET /v1/prices/{id}."""
    return work.get("price", price_id)


def update_price(work: UnitOfWork, params: Params, price_id: str) -> Object:
    """POST /v1/prices/{id}: amount, currency and product never change."""
    price = work.get("price", price_id)
    if params.has("active"):
        previous = work.update(price, active=params.boolean("active"))
        if previous:
            work.emit("price.updated", price, previous)
    return price


def list_prices(work: UnitOfWork, params: Params) -> Object:
    """GET /v1/prices."""
    return work.page(params, "price", "/v1/prices", product=params.text("product"))


def _recurring(params: Params) -> Object:
    interval = params.choice("interval", *INTERVALS)
    if interval is None:
        raise missing_param(params.name("interval"))
    return {
        "interval": interval,
        "interval_count": 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
