"""Subscriptions: a checkout session begins them; the seller, or on the portal the customer, ends them."""

from typing import cast, get_args

from stack.doubles.stripe import billing, discounts, invoices, plan_switches
from stack.doubles.stripe.errors import Object, StripeError, invalid, missing_param, unknown_id
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.payment_intents import Outcome
from stack.doubles.stripe.periods import DAY
from stack.doubles.stripe.plan_switches import Proration
from stack.doubles.stripe.unit_of_work import UnitOfWork, as_list, new_id

KIND = "subscription"


def begin(work: UnitOfWork, session: Object, outcome: Outcome) -> Object | None:
    """Begin what a checkout session sells; returns the first charge, or None where nothing is due yet."""
    subscription = _new_subscription(work, session)
    subscription_id = subscription["id"]
    item = _new_item(work, subscription_id, session["_item"])
    subscription["items"] = as_list([item], f"/v1/subscription_items?subscription={subscription_id}")
    work.insert(subscription)
    if session["_coupon"] is not None:
        coupon = work.get("coupon", session["_coupon"])
        work.update(subscription, discounts=[discounts.begin(work, coupon, session, subscription)])
    trial_days = session["_subscription_data"]["trial_period_days"]
    if trial_days:
        billing.begin_trial(work, subscription, work.now + trial_days * DAY)
    else:
        billing.begin_period(work, subscription, 0)
    work.emit("customer.subscription.created", subscription)
    line = invoices.line(subscription, item)
    if trial_days:
        line |= {"amount": 0, "subtotal": 0}
    charge = billing.bill(work, subscription, [line], "subscription_create", outcome)
    if charge is not None and charge["status"] == "pending":
        billing.emit_update(work, subscription, work.update(subscription, status="active"))
    work.update(
        session,
        subscription=subscription_id,
        invoice=subscription["latest_invoice"],
        _pending_intent=None if charge is None else charge["payment_intent"],
    )
    return charge


def retrieve(work: UnitOfWork, _params: Params, subscription_id: str) -> Object:
    """GET /v1/subscriptions/{id}."""
    return work.get(KIND, subscription_id)


def list_all(work: UnitOfWork, params: Params) -> Object:
    """GET /v1/subscriptions: without the canceled ones, unless `status` is `all`."""
    status = params.choice("status", "all")
    also = "" if status else " and json_extract(body, '$.status') <> 'canceled'"
    return work.page(params, KIND, "/v1/subscriptions", also=also, customer=params.require("customer"))


def update(work: UnitOfWork, params: Params, subscription_id: str) -> Object:
    """POST /v1/subscriptions/{id}: when it ends, whether it collects, another price, and metadata."""
    subscription = work.get(KIND, subscription_id)
    work.follow(subscription["test_clock"])
    proration = params.choice("proration_behavior", *get_args(Proration)) or "create_prorations"
    for wanted in params.each("items"):
        item_id = wanted.require("id")
        if item_id != subscription["items"]["data"][0]["id"]:
            raise unknown_id("subscription_item", item_id, wanted.name("id"))
        price = work.get("price", wanted.require("price"), wanted.name("price"))
        quantity = wanted.integer("quantity", low=1)
        plan_switches.switch(work, subscription, price, quantity=quantity, proration=cast("Proration", proration))
    at_period_end = params.boolean("cancel_at_period_end")
    if subscription["status"] == billing.ENDED:
        message = "A canceled subscription can only update its cancellation_details and metadata."
        raise StripeError(message, param="cancel_at_period_end")
    changes: Object = {}
    if params.has("metadata"):
        changes["metadata"] = params.merged_metadata(subscription["metadata"])
    if params.has("pause_collection"):
        changes["pause_collection"] = _pause_collection(params)
    if changes:
        billing.emit_update(work, subscription, work.update(subscription, **changes))
    if params.has("cancel_at"):
        if at_period_end:
            raise invalid("cancel_at", "You may only specify one of these parameters: cancel_at, cancel_at_period_end.")
        billing.emit_update(work, subscription, _set_cancel_at(work, params, subscription))
    elif at_period_end is not None:
        end_with_period(work, subscription, at_period_end=at_period_end)
    return subscription


def cancel(work: UnitOfWork, _params: Params, subscription_id: str) -> Object:
    """DELETE /v1/subscriptions/{id}: at once, without a refund."""
    subscription = work.get(KIND, subscription_id)
    if subscription["status"] == billing.ENDED:
        message = f"No such subscription: '{subscription_id}'"
        raise StripeError(message, status=404, code="resource_missing", param="id")
    work.follow(subscription["test_clock"])
    billing.end(work, subscription, reason="cancellation_requested")
    return subscription


def end_with_period(work: UnitOfWork, subscription: Object, *, at_period_end: bool) -> None:
    """Let a subscription end with its period, or revoke that."""
    work.unschedule(billing.CANCEL, subscription["id"])
    details = subscription["cancellation_details"] | {"reason": "cancellation_requested" if at_period_end else None}
    previous = work.update(
        subscription,
        cancel_at_period_end=at_period_end,
        cancel_at=subscription["items"]["data"][0]["current_period_end"] if at_period_end else None,
        canceled_at=work.now if at_period_end else None,
        cancellation_details=details,
    )
    billing.emit_update(work, subscription, previous)


def _pause_collection(params: Params) -> Object | None:
    paused = params.nested("pause_collection")
    if paused is None:
        return None
    behavior = paused.choice("behavior", "keep_as_draft", "mark_uncollectible", "void")
    if behavior is None:
        raise missing_param("pause_collection[behavior]")
    return {"behavior": behavior, "resumes_at": None}


def _set_cancel_at(work: UnitOfWork, params: Params, subscription: Object) -> Object:
    instant = params.integer("cancel_at")
    work.unschedule(billing.CANCEL, subscription["id"])
    if instant is not None:
        if instant <= work.now:
            raise invalid("cancel_at", "The `cancel_at` timestamp must be in the future.")
        work.schedule(instant, billing.CANCEL, subscription["id"])
    canceled_at = None if instant is None else work.now
    return work.update(subscription, cancel_at=instant, canceled_at=canceled_at, cancel_at_period_end=False)


def _new_subscription(work: UnitOfWork, session: Object) -> Object:
    customer = work.get("customer", session["customer"])
    return {
        "id": new_id("sub_"),
        "object": KIND,
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": session["automatic_tax"]["enabled"],
            "liability": session["automatic_tax"]["liability"],
        },
        "billing_cycle_anchor": work.now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": work.now,
        "currency": session["currency"],
        "customer": customer["id"],
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": new_id("pm_"),
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": session["_subscription_data"]["metadata"],
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
        "start_date": work.now,
        "status": "incomplete",
        "test_clock": customer["test_clock"],
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": {"billing_cycle_anchor": None, "missing_payment_method": "create_invoice"}},
        "trial_start": None,
        "_cycle": 0,
        "_pending_lines": [],
        "_tax_percent": session["_tax_percent"],
    }


def _new_item(work: UnitOfWork, subscription_id: str, sold: Object) -> Object:
    price = sold["price"]
    return {
        "id": new_id("si_", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": work.now,
        "current_period_end": work.now,
        "current_period_start": work.now,
        "current_trial": None,
        "discounts": [],
        "metadata": {},
        "plan": billing.plan(price),
        "price": price,
        "quantity": sold["quantity"],
        "subscription": subscription_id,
        "tax_rates": [],
        "_product": sold["description"],
    }
