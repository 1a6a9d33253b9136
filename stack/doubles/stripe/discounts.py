"""Coupons, and the discounts that they give to sessions and subscriptions."""

from stack.doubles.stripe.errors import Object, StripeError, invalid, missing_param
from stack.doubles.stripe.money import read_currency
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.periods import end_of_period
from stack.doubles.stripe.unit_of_work import UnitOfWork, new_id

KIND = "discount"
DURATIONS = ("once", "repeating", "forever")
MONTH = {"interval": "month", "interval_count": 1}


def create_coupon(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/coupons: a percentage or an amount off."""
    percent, amount = params.integer("percent_off", low=1, high=100), params.integer("amount_off", low=1)
    if (percent is None) == (amount is None):
        message = "You must pass either `percent_off` or `amount_off`."
        raise StripeError(message, code="parameter_missing", param="percent_off")
    currency = params.text("currency")
    if amount is not None and currency is None:
        raise missing_param("currency")
    duration = params.choice("duration", *DURATIONS) or "once"
    months = params.integer("duration_in_months", low=1)
    if (duration == "repeating") != (months is not None):
        raise invalid("duration_in_months", "`duration_in_months` is for coupons of the duration `repeating`.")
    coupon_id = params.text("id", longest=500) or new_id("", 8)
    if work.find(coupon_id) is not None:
        raise StripeError("Coupon already exists.", code="resource_already_exists", param="id")
    coupon: Object = {
        "id": coupon_id,
        "object": "coupon",
        "amount_off": amount,
        "created": work.now,
        "currency": currency and read_currency(currency, "currency"),
        "duration": duration,
        "duration_in_months": months,
        "livemode": False,
        "max_redemptions": params.integer("max_redemptions", low=1),
        "metadata": params.metadata(),
        "name": params.text("name", longest=40),
        "percent_off": percent,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    }
    work.insert(coupon)
    work.emit("coupon.created", coupon)
    return coupon


def retrieve_coupon(work: UnitOfWork, _params: Params, coupon_id: str) -> Object:
    """GET /v1/coupons/{id}."""
    return work.get("coupon", coupon_id)


def of_session(work: UnitOfWork, params: Params, currency: str) -> Object | None:
    """The coupon of a new session, if there is one."""
    each = params.each("discounts")
    if not each:
        return None
    if len(each) > 1:
        raise invalid("discounts", "This double supports one discount.")
    name = each[0].name("coupon")
    coupon = work.get("coupon", each[0].require("coupon"), name)
    limit = coupon["max_redemptions"]
    if not coupon["valid"] or (limit is not None and coupon["times_redeemed"] >= limit):
        raise StripeError(f"Coupon {coupon['id']} is used up or expired.", code="coupon_expired", param=name)
    if coupon["currency"] not in {None, currency}:
        message = f"The coupon is in {coupon['currency']}, and the session in {currency}."
        raise invalid(name, message)
    return coupon


def amount_off(coupon: Object | None, amount: int) -> int:
    """What a coupon takes off an amount, which may be zero."""
    if coupon is None or amount <= 0:
        return 0
    if coupon["percent_off"] is not None:
        return int((amount * coupon["percent_off"] + 50) // 100)
    return min(int(coupon["amount_off"]), amount)


def begin(work: UnitOfWork, coupon: Object, session: Object, subscription: Object) -> str:
    """Give a coupon's discount to a subscription; returns its id."""
    months = coupon["duration_in_months"]
    discount: Object = {
        "id": new_id("di_"),
        "object": KIND,
        "checkout_session": session["id"],
        "customer": subscription["customer"],
        "customer_account": None,
        "end": end_of_period(work.now, MONTH, months) if months else None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": work.now,
        "subscription": subscription["id"],
        "subscription_item": None,
    }
    work.insert(discount)
    redeem(work, coupon)
    return str(discount["id"])


def redeem(work: UnitOfWork, coupon: Object) -> None:
    """Count one use of a coupon."""
    times = coupon["times_redeemed"] + 1
    work.update(coupon, times_redeemed=times, valid=times != coupon["max_redemptions"])


def of_subscription(work: UnitOfWork, subscription: Object) -> tuple[Object, Object] | None:
    """The discount that a subscription has now, with its coupon; removes the one that has ended."""
    for discount_id in subscription["discounts"]:
        discount = work.get(KIND, discount_id)
        if discount["end"] is None or work.now < discount["end"]:
            return discount, work.get("coupon", discount["source"]["coupon"])
        work.update(subscription, discounts=[])
    return None


def apply(work: UnitOfWork, subscription: Object, lines: list[Object]) -> None:
    """Take a subscription's discount off the lines of a new invoice. One of the duration `once` is used up by that."""
    found = of_subscription(work, subscription)
    if found is None:
        return
    discount, coupon = found
    left = amount_off(coupon, sum(line["amount"] for line in lines if line["discountable"]))
    if left and coupon["duration"] == "once":
        work.update(subscription, discounts=[])
    for line in lines:
        if line["discountable"] and line["amount"] > 0:
            off = min(left, line["amount"])
            left -= off
            line["discounts"] = [discount["id"]]
            line["discount_amounts"] = [{"amount": off, "discount": discount["id"]}]
            line["pretax_credit_amounts"] = [{"amount": off, "discount": discount["id"], "type": "discount"}]
