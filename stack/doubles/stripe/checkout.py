"""Checkout sessions, as the seller makes them. An open one expires by the seller's call or by time."""

from stack.doubles.stripe import catalog, discounts, taxes
from stack.doubles.stripe.errors import Object, StripeError, invalid, missing_param
from stack.doubles.stripe.money import check_charge
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, as_list, new_id

KIND = "checkout.session"
SHORTEST, LONGEST = 30 * 60, 24 * 3600
"""Seconds that a session may be open."""
TOLERANCE = 60
"""Seconds by which the caller's clock may differ."""
EXPIRE = "expire_session"
"""The task."""


def create(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/checkout/sessions: with one line item."""
    mode = params.choice("mode", "payment", "subscription")
    if mode is None:
        raise missing_param("mode")
    customer = params.text("customer")
    if customer is not None:
        work.follow(work.get("customer", customer, "customer")["test_clock"])
    elif mode == "subscription":
        raise missing_param("customer")
    expires_at = params.integer("expires_at")
    if expires_at is None:
        expires_at = work.now + LONGEST
    elif not work.now + SHORTEST - TOLERANCE <= expires_at <= work.now + LONGEST + TOLERANCE:
        raise invalid("expires_at", "The `expires_at` timestamp must be from 30 minutes to 24 hours from now.")
    session = _session(work, params, mode, _item(work, params, mode))
    session.update(customer=customer, expires_at=expires_at)
    work.insert(session)
    work.schedule(expires_at, EXPIRE, session["id"])
    return session


def retrieve(work: UnitOfWork, _params: Params, session_id: str) -> Object:
    """GET /v1/checkout/sessions/{id}."""
    return work.get(KIND, session_id)


def list_items(work: UnitOfWork, _params: Params, session_id: str) -> Object:
    """GET /v1/checkout/sessions/{id}/line_items."""
    session = work.get(KIND, session_id)
    return as_list([session["_item"]], f"/v1/checkout/sessions/{session_id}/line_items")


def set_tax(work: UnitOfWork, session_id: str, percent: float) -> Object:
    """Put tax on top of an open session, and of what its subscription will cost.

    Raises:
        StripeError: it is not open, or there is none.
    """
    session = work.get(KIND, session_id)
    if session["status"] != "open":
        raise StripeError(f"This Checkout Session is {session['status']}.", code="checkout_session_not_open")
    before = session["amount_total"] - session["total_details"]["amount_tax"]
    tax = taxes.on(before, percent)
    session["_item"].update(amount_tax=tax, amount_total=before + tax)
    work.update(
        session,
        amount_total=before + tax,
        automatic_tax=_automatic_tax(is_taxed=True),
        total_details=session["total_details"] | {"amount_tax": tax},
        _tax_percent=percent,
    )
    return session


def _automatic_tax(*, is_taxed: bool) -> Object:
    fields = taxes.automatic(is_enabled=is_taxed)
    return {name: fields[name] for name in ("enabled", "liability", "provider", "status")}


def expire(work: UnitOfWork, _params: Params, session_id: str) -> Object:
    """POST /v1/checkout/sessions/{id}/expire."""
    session = work.get(KIND, session_id)
    if session["status"] != "open":
        raise StripeError(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
            f"{session['status']}."
        )
    return expire_session(work, session)


def expire_session(work: UnitOfWork, session: Object) -> Object:
    """End a session, if it is open."""
    if session["status"] == "open":
        work.update(session, status="expired", url=None)
        work.unschedule(EXPIRE, session["id"])
        work.emit("checkout.session.expired", session)
    return session


def success_url(session: Object) -> str:
    """The address to which the buyer returns after paying."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _item(work: UnitOfWork, params: Params, mode: str) -> Object:
    items = params.each("line_items")
    if not items:
        raise missing_param("line_items")
    if len(items) > 1:
        raise invalid("line_items", "This double supports one line item.")
    [item] = items
    data = item.nested("price_data")
    if data is None:
        raise missing_param(item.name("price_data"))
    price = _price(work, data)
    if mode == "payment" and price["recurring"]:
        message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or "
        raise invalid("line_items", f"{message}use only one-time prices.")
    if mode == "subscription" and not price["recurring"]:
        message = "You must provide at least one recurring price in `subscription` mode when using prices."
        raise invalid("line_items", message)
    quantity = item.integer("quantity", low=1, high=999_999)
    if quantity is None:
        message = "Quantity is required. Add `quantity` to the line item."
        raise StripeError(message, code="parameter_missing", param=item.name("quantity"))
    amount = price["unit_amount"] * quantity
    return {
        "id": new_id("li_"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": work.get("product", price["product"])["name"],
        "metadata": {},
        "price": price,
        "quantity": quantity,
    }


def _price(work: UnitOfWork, data: Params) -> Object:
    """The price of a line item, which is made for it."""
    product_id = data.text("product")
    if product_id is None:
        product_data = data.nested("product_data")
        if product_data is None:
            raise missing_param(data.name("product"))
        product_id = catalog.create_product(work, product_data)["id"]
    elif not work.get("product", product_id, data.name("product"))["active"]:
        message = "The product specified is inactive. This field only accepts active products."
        raise invalid(data.name("product"), message)
    return catalog.add_price(work, data, product_id, is_active=False)


def _session(work: UnitOfWork, params: Params, mode: str, item: Object) -> Object:
    session_id, currency = new_id("cs_test_", 58), item["currency"]
    intent_data, subscription_data = _intent_data(params, mode), _subscription_data(params, mode)
    coupon = discounts.of_session(work, params, currency)
    is_trial = bool(subscription_data.get("trial_period_days"))
    if is_trial:
        item.update(amount_subtotal=0, amount_total=0)
    tax = params.nested("automatic_tax")
    is_taxed = bool(tax and tax.boolean("enabled"))
    off = discounts.amount_off(coupon, item["amount_subtotal"])
    item.update(amount_discount=off, amount_total=item["amount_subtotal"] - off)
    due_now = item["amount_total"]
    if due_now:
        check_charge(due_now, currency, "line_items")
    success = params.url("success_url")
    if success is None:
        raise missing_param("success_url")
    return {
        "id": session_id,
        "object": KIND,
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": None,
        "allowed_payment_method_types": None,
        "amount_subtotal": item["amount_subtotal"],
        "amount_total": due_now,
        "automatic_tax": _automatic_tax(is_taxed=is_taxed),
        "billing_address_collection": None,
        "cancel_url": params.url("cancel_url"),
        "client_reference_id": params.text("client_reference_id", longest=200),
        "client_secret": None,
        "collected_information": {"business_name": None, "individual_name": None, "shipping_details": None},
        "consent": None,
        "consent_collection": None,
        "created": work.now,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": None,
        "customer_account": None,
        "customer_creation": "always" if mode == "subscription" else "if_required",
        "customer_details": None,
        "customer_email": None,
        "discounts": [] if coupon is None else [{"coupon": coupon["id"], "promotion_code": None}],
        "expires_at": 0,
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": None,
        "managed_payments": None,
        "metadata": params.metadata(),
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "always" if mode == "subscription" else "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card", "sepa_debit"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": success,
        "total_details": {"amount_discount": off, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{work.settings.public_url}/pay/{session_id}",
        "wallet_options": None,
        "_coupon": None if coupon is None else coupon["id"],
        "_pending_intent": None,
        "_tax_percent": 0,
        "_item": item,
        "_intent_data": intent_data,
        "_subscription_data": subscription_data,
    }


def _intent_data(params: Params, mode: str) -> Object:
    data = params.nested("payment_intent_data")
    if data is None:
        return {}
    if mode != "payment":
        raise invalid("payment_intent_data", "You can not pass `payment_intent_data` in `subscription` mode.")
    return {"metadata": data.metadata(), "transfer_group": data.text("transfer_group")}


def _subscription_data(params: Params, mode: str) -> Object:
    data = params.nested("subscription_data")
    if data is None:
        return {"metadata": {}, "trial_period_days": None}
    if mode != "subscription":
        raise invalid("subscription_data", "You can not pass `subscription_data` in `payment` mode.")
    return {
        "metadata": data.metadata(),
        "trial_period_days": data.integer("trial_period_days", low=1, high=730),
    }
