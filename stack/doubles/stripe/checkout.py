"""Checkout sessions: made by the seller, paid on the page or by the control, expired by either or by time."""

from stack.doubles.stripe import billing, catalog, customers, payments, subscriptions
from stack.doubles.stripe.book import Book, listed, new_id
from stack.doubles.stripe.errors import Object, StripeError, invalid, missing_param
from stack.doubles.stripe.money import check_charge, read_currency
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.payments import Outcome

KIND = "checkout.session"
MOST_ITEMS = 100
SHORTEST, LONGEST = 30 * 60, 24 * 3600
"""Seconds that a session may be open."""
EXPIRE = "expire_session"
"""The task in the agenda."""
GUEST = "guest@example.com"
"""Who pays where nobody said who it is: the page does not ask."""
MOST_METHODS = 10


def create(book: Book, params: Params) -> Object:
    """POST /v1/checkout/sessions."""
    mode = params.choice("mode", "payment", "subscription")
    if mode is None:
        raise missing_param("mode")
    customer = params.text("customer")
    if customer is not None:
        book.follow(customers.living(book, customer)["test_clock"])
    email = params.text("customer_email")
    if customer is not None and email is not None:
        raise invalid("customer_email", "You may only specify one of these parameters: customer, customer_email.")
    expires_at = params.integer("expires_at")
    if expires_at is None:
        expires_at = book.now + LONGEST
    elif not book.now + SHORTEST - 60 <= expires_at <= book.now + LONGEST + 60:
        raise invalid("expires_at", "The `expires_at` timestamp must be from 30 minutes to 24 hours from now.")
    name = new_id("cs_test_", 58)
    items = _items(book, params, mode)
    session = _session(book, params, name, mode, items)
    session.update(customer=customer, customer_email=email, expires_at=expires_at)
    params.ignore("customer_update", "payment_method_options")
    book.insert(session)
    book.schedule(expires_at, EXPIRE, name)
    return session


def retrieve(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/checkout/sessions/{id}."""
    return book.get(KIND, name)


def update(book: Book, params: Params, name: str) -> Object:
    """POST /v1/checkout/sessions/{id}: metadata only."""
    session = book.get(KIND, name)
    return book.save(session | {"metadata": params.metadata(session["metadata"])})


def list_all(book: Book, params: Params) -> Object:
    """GET /v1/checkout/sessions."""
    details = params.nested("customer_details")
    return book.page(
        params,
        KIND,
        "/v1/checkout/sessions",
        customer=params.text("customer"),
        payment_intent=params.text("payment_intent"),
        status=params.choice("status", "open", "complete", "expired"),
        subscription=params.text("subscription"),
        customer_details__email=details and details.text("email"),
    )


def list_items(book: Book, params: Params, name: str) -> Object:
    """GET /v1/checkout/sessions/{id}/line_items: all of them, whatever the limit."""
    params.ignore("limit", "starting_after", "ending_before")
    return line_items(book.get(KIND, name))


def line_items(session: Object) -> Object:
    """The list of a session's line items."""
    return listed(session["_items"], f"/v1/checkout/sessions/{session['id']}/line_items")


def expire(book: Book, _params: Params, name: str) -> Object:
    """POST /v1/checkout/sessions/{id}/expire."""
    session = book.get(KIND, name)
    if session["status"] != "open":
        raise StripeError(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
            f"{session['status']}."
        )
    return run_out(book, session)


def run_out(book: Book, session: Object) -> Object:
    """End an open session: by its time or by its seller."""
    if session["status"] == "open":
        book.update(session, status="expired", url=None)
        book.unschedule(EXPIRE, session["id"])
        book.emit("checkout.session.expired", session)
    return session


def pay(book: Book, name: str, outcome: Outcome) -> Object:
    """What a person does on the page: pay, have the card declined, or pay by something slow.

    A declined session stays open. One that costs nothing now is completed whatever the card would have said.

    Raises:
        StripeError: the session is not open, or there is none.
    """
    session = book.get(KIND, name)
    if session["status"] != "open":
        raise StripeError(f"This Checkout Session is {session['status']}.", code="checkout_session_not_open")
    book.follow_customer(session["customer"])
    if outcome != "declined" or session["amount_total"] == 0:
        _identify(book, session)
    if session["mode"] == "subscription":
        charge = subscriptions.begin(book, session, outcome)
    elif session["amount_total"] == 0:
        charge = None
    else:
        intent = _intent(book, session)
        book.update(session, payment_intent=intent["id"])
        charge = payments.attempt(book, intent, outcome)
    if charge is not None and charge["status"] == "failed":
        return session
    status = "no_payment_required" if charge is None else "paid" if charge["status"] == "succeeded" else "unpaid"
    book.update(session, status="complete", payment_status=status, url=None)
    book.unschedule(EXPIRE, name)
    book.emit("checkout.session.completed", session)
    return session


def settle(book: Book, name: str, *, succeeded: bool) -> Object:
    """The bank's word on a session that was paid by something slow.

    Raises:
        StripeError: nothing is awaited for it.
    """
    session = book.get(KIND, name)
    intent_name = session["payment_intent"] or session["_awaited"]
    intent = book.find(intent_name) if intent_name else None
    if intent is None or intent["status"] != "processing":
        raise StripeError(f"No payment is awaited for the Checkout Session {name}.")
    book.follow_customer(session["customer"])
    charge = book.get("charge", intent["latest_charge"])
    if succeeded:
        payments.settle(book, intent, charge)
    else:
        payments.fail(book, intent, charge)
    if session["invoice"]:
        billing.settled(book, session["invoice"], intent, succeeded=succeeded)
    if succeeded:
        book.update(session, payment_status="paid")
        book.emit("checkout.session.async_payment_succeeded", session)
    else:
        book.emit("checkout.session.async_payment_failed", session)
    return session


def success_url(session: Object) -> str:
    """Where the buyer goes after paying."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _items(book: Book, params: Params, mode: str) -> list[Object]:
    given = params.each("line_items")
    if not given:
        raise missing_param("line_items")
    if len(given) > MOST_ITEMS:
        raise invalid("line_items", f"There can be at most {MOST_ITEMS} line items.")
    currency = params.text("currency")
    items = [_item(book, item) for item in given]
    currencies = {item["currency"] for item in items} | ({read_currency(currency, "currency")} if currency else set())
    if len(currencies) > 1:
        raise invalid("line_items", "All prices of a Checkout Session must have the same currency.")
    recurring = [item["price"]["recurring"] for item in items if item["price"]["recurring"]]
    if mode == "payment" and recurring:
        message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or "
        raise invalid("line_items", f"{message}use only one-time prices.")
    if mode == "subscription" and not recurring:
        message = "You must provide at least one recurring price in `subscription` mode when using prices."
        raise invalid("line_items", message)
    if len({(each["interval"], each["interval_count"]) for each in recurring}) > 1:
        raise invalid("line_items", "Checkout does not support multiple prices with different billing intervals.")
    return items


def _item(book: Book, params: Params) -> Object:
    data = params.nested("price_data")
    if data is None:
        price = book.get("price", params.require("price"), params.name("price"))
        if not price["active"]:
            raise invalid(
                params.name("price"), "The price specified is inactive. This field only accepts active prices."
            )
    else:
        price = _inline_price(book, data)
    quantity = params.integer("quantity", low=1, high=999_999)
    if quantity is None:
        message = "Quantity is required. Add `quantity` to the line item."
        raise StripeError(message, code="parameter_missing", param=params.name("quantity"))
    params.ignore("adjustable_quantity")
    amount = price["unit_amount"] * quantity
    return {
        "id": new_id("li_"),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": book.get("product", price["product"])["name"],
        "metadata": params.metadata(),
        "price": price,
        "quantity": quantity,
    }


def _inline_price(book: Book, data: Params) -> Object:
    product = data.text("product")
    if product is None:
        product_data = data.nested("product_data")
        if product_data is None:
            raise missing_param(data.name("product"))
        product = catalog.add_product(book, product_data, new_id("prod_", 14), product_data.require("name"))["id"]
    else:
        book.get("product", product, data.name("product"))
    return catalog.add_price(book, data, product, is_active=False)


def _session(book: Book, params: Params, name: str, mode: str, items: list[Object]) -> Object:
    total = sum(item["amount_total"] for item in items)
    currency = items[0]["currency"]
    intent_data, subscription_data = _intent_data(params, mode), _subscription_data(book, params, mode)
    due_now = total
    if subscription_data and (subscription_data["trial_period_days"] or subscription_data["trial_end"]):
        due_now = sum(item["amount_total"] for item in items if not item["price"]["recurring"])
    if due_now:
        check_charge(due_now, currency, "line_items")
    ui_mode = params.choice("ui_mode", "hosted_page") or "hosted_page"
    success = params.url("success_url")
    if success is None:
        raise missing_param("success_url")
    return {
        "id": name,
        "object": KIND,
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": params.boolean("allow_promotion_codes"),
        "amount_subtotal": due_now,
        "amount_total": due_now,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": params.choice("billing_address_collection", "auto", "required"),
        "cancel_url": params.url("cancel_url"),
        "client_reference_id": params.text("client_reference_id", longest=200),
        "client_secret": None,
        "collected_information": {"shipping_details": None},
        "consent": None,
        "consent_collection": None,
        "created": book.now,
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
        "customer_creation": _customer_creation(params, mode),
        "customer_details": None,
        "customer_email": None,
        "discounts": [],
        "expires_at": 0,
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": params.text("locale"),
        "metadata": params.metadata(),
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": params.choice("payment_method_collection", "always", "if_required")
        or ("always" if mode == "subscription" else "if_required"),
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": params.texts("payment_method_types")[:MOST_METHODS] or ["card", "sepa_debit"],
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
        "submit_type": params.choice("submit_type", "auto", "book", "donate", "pay", "subscribe"),
        "subscription": None,
        "success_url": success,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": ui_mode,
        "url": f"{book.settings.public_url}/pay/{name}",
        "wallet_options": None,
        "_awaited": None,
        "_items": items,
        "_intent_data": intent_data,
        "_subscription_data": subscription_data,
    }


def _customer_creation(params: Params, mode: str) -> str | None:
    wanted = params.choice("customer_creation", "always", "if_required")
    if mode == "subscription":
        if wanted is not None:
            raise invalid("customer_creation", "`customer_creation` can only be used in `payment` and `setup` mode.")
        return "always"
    return wanted or "if_required"


def _intent_data(params: Params, mode: str) -> Object:
    data = params.nested("payment_intent_data")
    if data is None:
        return {}
    if mode != "payment":
        raise invalid("payment_intent_data", "You can not pass `payment_intent_data` in `subscription` mode.")
    data.ignore("setup_future_usage", "capture_method")
    return {
        "description": data.text("description"),
        "metadata": data.metadata(),
        "receipt_email": data.text("receipt_email"),
        "statement_descriptor": data.text("statement_descriptor", longest=22),
        "statement_descriptor_suffix": data.text("statement_descriptor_suffix", longest=22),
        "transfer_group": data.text("transfer_group"),
    }


def _subscription_data(book: Book, params: Params, mode: str) -> Object:
    data = params.nested("subscription_data")
    if data is not None and mode != "subscription":
        raise invalid("subscription_data", "You can not pass `subscription_data` in `payment` mode.")
    data = data or Params({})
    days, end = data.integer("trial_period_days", low=1, high=730), data.integer("trial_end")
    if end is not None and end < book.now + 48 * 3600:
        raise invalid(data.name("trial_end"), "The `trial_end` date has to be at least 2 days in the future.")
    settings = data.nested("trial_settings")
    behavior = settings and settings.nested("end_behavior")
    missing = behavior and behavior.choice("missing_payment_method", "cancel", "create_invoice", "pause")
    data.ignore("billing_mode", "proration_behavior")
    return {
        "description": data.text("description"),
        "metadata": data.metadata(),
        "trial_period_days": days,
        "trial_end": end,
        "missing_payment_method": missing or "create_invoice",
    }


def _identify(book: Book, session: Object) -> None:
    """Say who pays: the customer, one made for the purpose, or a guest."""
    customer = book.find(session["customer"]) if session["customer"] else None
    email = (customer and customer["email"]) or session["customer_email"] or GUEST
    if customer is None and session["customer_creation"] == "always":
        customer = customers.blank(book) | {"email": email}
        customers.add(book, customer)
    details: Object = {
        "address": {"city": None, "country": "US", "line1": None, "line2": None, "postal_code": None, "state": None},
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": customer and customer["name"],
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }
    book.update(session, customer=customer and customer["id"], customer_details=details)


def _intent(book: Book, session: Object) -> Object:
    """The payment intent of a session: the one that was declined before, or a new one."""
    if session["payment_intent"] is not None:
        intent = book.get("payment_intent", session["payment_intent"])
        book.update(intent, customer=session["customer"])
        return intent
    return payments.add_intent(
        book,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        email=session["customer_email"] or (session["customer_details"] or {}).get("email"),
        **session["_intent_data"],
    )
