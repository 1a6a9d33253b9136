"""Subscriptions: begun by a checkout session, changed and ended by the seller or, on the portal, by the customer."""

from stack.doubles.stripe import billing, invoices, payments
from stack.doubles.stripe.billing import ENDED
from stack.doubles.stripe.book import Book, listed, new_id
from stack.doubles.stripe.errors import Object, StripeError, invalid
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.payments import Outcome
from stack.doubles.stripe.periods import DAY

KIND = "subscription"
STATUSES = ("active", "canceled", "incomplete", "incomplete_expired", "past_due", "paused", "trialing", "unpaid")
FEEDBACK = (
    *("customer_service", "low_quality", "missing_features", "other"),
    *("switched_service", "too_complex", "too_expensive", "unused"),
)
PRORATION = ("create_prorations", "always_invoice", "none")


def begin(book: Book, session: Object, outcome: Outcome) -> Object | None:
    """Begin what a checkout session sells; returns the first charge, or None where nothing is due yet.

    A card that is declined makes no subscription: the session stays open.
    """
    due_now = session["amount_total"] > 0
    if due_now and outcome == "declined":
        return _decline(book, session)
    data = session["_subscription_data"]
    subscription = _blank(book, session, has_card=due_now or session["payment_method_collection"] == "always")
    name = subscription["id"]
    recurring = [item for item in session["_items"] if item["price"]["recurring"]]
    subscription["items"] = listed([_item(book, name, each) for each in recurring], f"/v1/subscription_items?{name}")
    book.insert(subscription)
    trial_end = data["trial_end"]
    if data["trial_period_days"]:
        trial_end = book.now + data["trial_period_days"] * DAY
    if trial_end:
        billing.begin_trial(book, subscription, trial_end)
    else:
        billing.begin_period(book, subscription, 0)
    book.emit("customer.subscription.created", subscription)
    lines = billing.items_for(subscription)
    if trial_end:
        lines = [line | {"amount": 0, "subtotal": 0} for line in lines]
    for item in session["_items"]:
        if not item["price"]["recurring"]:
            once = {**item, "_product": item["description"]}
            lines.append(invoices.line(subscription, once, book.now, book.now))
    charge = billing.bill(book, subscription, lines, "subscription_create", outcome)
    if charge is not None and charge["status"] == "pending":
        _tell(book, subscription, book.update(subscription, status="active"))
    book.update(
        session,
        subscription=name,
        invoice=subscription["latest_invoice"],
        _awaited=None if charge is None else charge["payment_intent"],
    )
    return charge


def retrieve(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/subscriptions/{id}."""
    return book.get(KIND, name)


def list_all(book: Book, params: Params) -> Object:
    """GET /v1/subscriptions: those that are not canceled, where no status is asked for."""
    status = params.choice("status", *STATUSES, "all", "ended")
    customer, clock, price = params.text("customer"), params.text("test_clock"), params.text("price")
    also, values = "", list[str]()
    if status is None:
        also += " and json_extract(body, '$.status') <> 'canceled'"
    elif status == "ended":
        also += " and json_extract(body, '$.status') in ('canceled', 'incomplete_expired')"
    if customer is None and clock is None:
        also += " and json_extract(body, '$.test_clock') is null"
    if price is not None:
        also += (
            " and exists (select 1 from json_each(body, '$.items.data')"
            " where json_extract(json_each.value, '$.price.id') = ?)"
        )
        values.append(price)
    exact = status if status in STATUSES else None
    return book.page(
        params,
        KIND,
        "/v1/subscriptions",
        also=also,
        values=tuple(values),
        customer=customer,
        status=exact,
        test_clock=clock,
    )


def update(book: Book, params: Params, name: str) -> Object:
    """POST /v1/subscriptions/{id}."""
    subscription = book.get(KIND, name)
    book.follow(subscription["test_clock"])
    params.ignore("payment_behavior", "off_session", "proration_date")
    before = {field: subscription[field] for field in ("status", "items", "latest_invoice", "trial_end")}
    before["items"] = listed([dict(item) for item in subscription["items"]["data"]], subscription["items"]["url"])
    previous = book.update(subscription, **_details(params, subscription))
    if subscription["status"] in ENDED:
        params.ignore("cancel_at_period_end")
        if params.unread():
            message = "A canceled subscription can only update its cancellation_details and metadata."
            raise StripeError(message, param=params.unread())
    else:
        previous |= _schedule_end(book, params, subscription)
        previous |= _pause(book, params, subscription)
        _change_items(book, params, subscription)
        _change_trial(book, params, subscription)
    previous |= {field: value for field, value in before.items() if subscription[field] != value}
    _tell(book, subscription, previous)
    return subscription


def cancel(book: Book, params: Params, name: str) -> Object:
    """DELETE /v1/subscriptions/{id}: now, and nothing is paid back."""
    subscription = book.get(KIND, name)
    if subscription["status"] in ENDED:
        raise StripeError(f"No such subscription: '{name}'", status=404, code="resource_missing", param="id")
    book.follow(subscription["test_clock"])
    for field in ("invoice_now", "prorate"):
        if params.boolean(field):
            raise invalid(field, f"This double does not play {field}.")
    book.update(subscription, **_details(params, subscription))
    billing.end(book, subscription, reason="cancellation_requested")
    return subscription


def resume(book: Book, params: Params, name: str) -> Object:
    """POST /v1/subscriptions/{id}/resume: of a paused one, with a new period that begins now."""
    subscription = book.get(KIND, name)
    book.follow(subscription["test_clock"])
    params.choice("billing_cycle_anchor", "now")
    params.choice("proration_behavior", *PRORATION)
    if subscription["status"] != "paused":
        raise StripeError(f"Only paused subscriptions can be resumed; this one is {subscription['status']}.")
    previous = book.update(subscription, status="active", billing_cycle_anchor=book.now)
    if subscription["default_payment_method"] is None:
        book.update(subscription, default_payment_method=new_id("pm_"))
    billing.begin_period(book, subscription, 0)
    outcome = billing.card(book, subscription["customer"])
    billing.bill(book, subscription, billing.items_for(subscription), "subscription_update", outcome)
    book.emit("customer.subscription.resumed", subscription)
    _tell(book, subscription, previous)
    return subscription


def keep(book: Book, subscription: Object, *, is_kept: bool) -> None:
    """Have a subscription end with its period, or not end after all: what a customer does on the portal."""
    _tell(book, subscription, _set_end(book, subscription, at_period_end=not is_kept))


def _details(params: Params, subscription: Object) -> Object:
    changes: Object = {"metadata": params.metadata(subscription["metadata"])}
    if params.has("description"):
        changes["description"] = params.text("description")
    if params.has("default_payment_method"):
        changes["default_payment_method"] = params.text("default_payment_method")
    details = params.nested("cancellation_details")
    if details is not None:
        given = {"comment": details.text("comment"), "feedback": details.choice("feedback", *FEEDBACK)}
        changes["cancellation_details"] = subscription["cancellation_details"] | given
    return changes


def _schedule_end(book: Book, params: Params, subscription: Object) -> Object:
    at_period_end = params.boolean("cancel_at_period_end")
    if params.has("cancel_at"):
        if at_period_end:
            raise invalid("cancel_at", "You may only specify one of these parameters: cancel_at, cancel_at_period_end.")
        return _set_cancel_at(book, params, subscription)
    if at_period_end is None:
        return {}
    return _set_end(book, subscription, at_period_end=at_period_end)


def _set_end(book: Book, subscription: Object, *, at_period_end: bool) -> Object:
    book.unschedule(billing.CANCEL, subscription["id"])
    details = subscription["cancellation_details"] | {"reason": "cancellation_requested" if at_period_end else None}
    return book.update(
        subscription,
        cancel_at_period_end=at_period_end,
        cancel_at=subscription["items"]["data"][0]["current_period_end"] if at_period_end else None,
        canceled_at=book.now if at_period_end else None,
        cancellation_details=details,
    )


def _set_cancel_at(book: Book, params: Params, subscription: Object) -> Object:
    instant = params.integer("cancel_at")
    book.unschedule(billing.CANCEL, subscription["id"])
    if instant is not None:
        if instant <= book.now:
            raise invalid("cancel_at", "The `cancel_at` timestamp must be in the future.")
        book.schedule(instant, billing.CANCEL, subscription["id"])
    canceled_at = None if instant is None else book.now
    return book.update(subscription, cancel_at=instant, canceled_at=canceled_at, cancel_at_period_end=False)


def _pause(book: Book, params: Params, subscription: Object) -> Object:
    if not params.has("pause_collection"):
        return {}
    pause = params.nested("pause_collection")
    if pause is None:
        return book.update(subscription, pause_collection=None)
    behavior = pause.choice("behavior", "keep_as_draft", "mark_uncollectible", "void")
    if behavior is None:
        raise invalid("pause_collection[behavior]", "Missing required param: pause_collection[behavior].")
    return book.update(subscription, pause_collection={"behavior": behavior, "resumes_at": None})


def _change_items(book: Book, params: Params, subscription: Object) -> None:
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
        made = _item(book, subscription["id"], {"price": price, "quantity": 1 if quantity is None else quantity})
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


def _change_trial(book: Book, params: Params, subscription: Object) -> None:
    text = params.text("trial_end")
    if text is None:
        return
    if text != "now":
        finish = params.integer("trial_end") or 0
        if finish <= book.now:
            raise invalid("trial_end", "Invalid timestamp: must be an integer Unix timestamp in the future.")
        billing.begin_trial(book, subscription, finish)
    elif subscription["status"] == "trialing":
        book.update(subscription, trial_end=book.now, billing_cycle_anchor=book.now)
        book.unschedule(billing.WARN, subscription["id"])
        billing.renew(book, subscription)


def _decline(book: Book, session: Object) -> Object:
    intent = book.find(session["_awaited"]) if session["_awaited"] else None
    if intent is None:
        intent = payments.add_intent(
            book,
            amount=session["amount_total"],
            currency=session["currency"],
            customer=session["customer"],
            email=session["customer_email"],
            description="Subscription creation",
        )
        book.update(session, _awaited=intent["id"])
    return payments.attempt(book, intent, "declined")


def _blank(book: Book, session: Object, *, has_card: bool) -> Object:
    data = session["_subscription_data"]
    customer = book.get("customer", session["customer"])
    return {
        "id": new_id("sub_"),
        "object": KIND,
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": book.now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": book.now,
        "currency": session["currency"],
        "customer": customer["id"],
        "days_until_due": None,
        "default_payment_method": new_id("pm_") if has_card else None,
        "default_source": None,
        "default_tax_rates": [],
        "description": data["description"],
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "latest_invoice": None,
        "livemode": False,
        "metadata": data["metadata"],
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": book.now,
        "status": "incomplete",
        "test_clock": customer["test_clock"],
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": data["missing_payment_method"]}},
        "trial_start": None,
        "_cycle": 0,
        "_pending": [],
    }


def _item(book: Book, subscription: str, sold: Object) -> Object:
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


def _tell(book: Book, subscription: Object, previous: Object) -> None:
    if previous:
        book.emit("customer.subscription.updated", subscription, previous)
