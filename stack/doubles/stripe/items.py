"""The items of subscriptions: what is paid for, how it changes, and what a change in the middle of a period costs."""

from stack.doubles.stripe import billing, invoices
from stack.doubles.stripe.book import Book, new_id
from stack.doubles.stripe.errors import Object, invalid
from stack.doubles.stripe.params import Params

PRORATION = ("create_prorations", "always_invoice", "none")


def item_for(book: Book, subscription: str, sold: Object) -> Object:
    """A new item of a subscription, of what has a price and a quantity."""
    return {
        "id": new_id("si_", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": book.now,
        "current_period_end": book.now,
        "current_period_start": book.now,
        "discounts": [],
        "metadata": {},
        "quantity": sold["quantity"],
        "subscription": subscription,
        "tax_rates": [],
        **_priced(book, sold["price"]),
    }


def change_items(book: Book, params: Params, subscription: Object) -> None:
    """Change prices and quantities; what is left of the running period is credited and charged anew."""
    behavior = params.choice("proration_behavior", *PRORATION) or "create_prorations"
    anchor = params.choice("billing_cycle_anchor", "now", "unchanged")
    given = params.each("items")
    if not given and anchor != "now":
        return
    items: list[Object] = subscription["items"]["data"]
    old = [dict(item) for item in items]
    for change in given:
        _change_item(book, change, subscription)
    if not items:
        raise invalid("items", "A subscription must have at least one item.")
    if (
        len({(item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"]) for item in items})
        > 1
    ):
        raise invalid("items", "All prices of a subscription must have the same billing interval.")
    is_new_period = anchor == "now" or old[0]["price"]["recurring"] != items[0]["price"]["recurring"]
    if subscription["status"] == "trialing":
        book.save(subscription)
        return
    if behavior != "none":
        credits_for = [each for each in old if is_new_period or each not in items]
        debits_for = [] if is_new_period else [each for each in items if each not in old]
        pending = [_proration(book, subscription, item, -1) for item in credits_for]
        pending += [_proration(book, subscription, item, 1) for item in debits_for]
        subscription["_pending"] += [line for line in pending if line["amount"]]
    book.save(subscription)
    lines = []
    if is_new_period:
        book.update(subscription, billing_cycle_anchor=book.now)
        billing.begin_period(book, subscription, 0)
        lines = billing.items_for(subscription)
    if is_new_period or (behavior == "always_invoice" and subscription["_pending"]):
        outcome = billing.card(book, subscription["customer"])
        billing.bill(book, subscription, lines, "subscription_update", outcome)


def _change_item(book: Book, change: Params, subscription: Object) -> None:
    items: list[Object] = subscription["items"]["data"]
    name = change.text("id")
    price_name, quantity = change.text("price"), change.integer("quantity", low=0)
    price = None if price_name is None else book.get("price", price_name, change.name("price"))
    if price is not None and (price["recurring"] is None or price["currency"] != subscription["currency"]):
        raise invalid(change.name("price"), "The price must be recurring, and of the subscription's currency.")
    if name is None:
        if price is None:
            raise invalid(change.name("price"), "You must give the price of a new item.")
        made = item_for(book, subscription["id"], {"price": price, "quantity": 1 if quantity is None else quantity})
        made.update({field: items[0][field] for field in ("current_period_start", "current_period_end")})
        made["metadata"] = change.metadata()
        items.append(made)
        return
    item = next((each for each in items if each["id"] == name), None)
    if item is None:
        raise invalid(change.name("id"), f"No such subscription item: '{name}'", "resource_missing")
    if change.boolean("deleted"):
        items.remove(item)
        return
    if price is not None:
        item.update(_priced(book, price))
    if quantity is not None:
        item["quantity"] = quantity
    item["metadata"] = change.metadata(item["metadata"])


def _proration(book: Book, subscription: Object, item: Object, sign: int) -> Object:
    start, end = item["current_period_start"], item["current_period_end"]
    left = max(end - book.now, 0)
    # Rounded half up, on the size of the amount: what is credited for a price equals what is charged for it.
    size = (item["price"]["unit_amount"] * item["quantity"] * left * 2 + (end - start)) // (2 * (end - start))
    return invoices.line(subscription, item, book.now, end, sign * size)


def _priced(book: Book, price: Object) -> Object:
    """What an item has of its price; `plan` is the same in Stripe's older words."""
    plan = {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": price["recurring"]["usage_type"],
    }
    return {"plan": plan, "price": price, "_product": book.get("product", price["product"])["name"]}
