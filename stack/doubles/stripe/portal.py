"""The billing portal: a page on which customers cancel, keep and pay their subscriptions."""

from typing import Any, get_args

from stack.doubles.stripe import billing, plan_switches, subscriptions
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.payment_intents import Outcome
from stack.doubles.stripe.unit_of_work import UnitOfWork, new_id

KIND = "billing_portal.session"
CONFIGURATION = "billing_portal.configuration"
PRORATIONS = ("always_invoice", "create_prorations", "none")
DEFAULT_FEATURES: Object = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "feedback_options": None, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "products": [],
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}
"""What a new configuration allows, unless the parameters say otherwise."""


def create(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/billing_portal/sessions."""
    customer = work.get("customer", params.require("customer"), "customer")
    session_id = new_id("bps_")
    session: Object = {
        "id": session_id,
        "object": KIND,
        "configuration": _configuration(work, params)["id"],
        "created": work.now,
        "customer": customer["id"],
        "customer_account": None,
        "flow": None,
        "livemode": False,
        "locale": None,
        "on_behalf_of": None,
        "return_url": params.url("return_url"),
        "url": f"{work.settings.public_url}/portal/{session_id}",
    }
    return work.insert(session)


def act(work: UnitOfWork, session: Object, action: str) -> None:
    """Execute the action of a button: `cancel:<id>`, `keep:<id>`, `pay:<id>`, `switch:<id>:<price>`, `card:<outcome>`.

    Raises:
        StripeError: the action is unknown, no longer possible, or concerns an object of another customer.
    """
    verb, _, rest = action.partition(":")
    subject = rest.partition(":")[0]
    customer = session["customer"]
    work.follow_customer(customer)
    if verb == "card" and subject in get_args(Outcome):
        billing.set_card(work, customer, subject)
        return
    found = work.find(subject)
    if found is None or found.get("customer") != customer:
        raise StripeError("You have no such subscription or invoice.", status=404)
    if verb in {"cancel", "keep"} and found["object"] == "subscription" and found["status"] != billing.ENDED:
        subscriptions.end_with_period(work, found, at_period_end=verb == "cancel")
    elif verb == "pay" and found["object"] == "invoice" and found["status"] == "open":
        billing.collect(work, found, billing.card_outcome(work, customer))
    elif verb == "switch" and found["object"] == "subscription":
        _switch(work, session, found, action)
    else:
        raise StripeError("This is no longer possible.", status=409)


def offered_prices(work: UnitOfWork, session: Object, subscription: Object) -> list[Object]:
    """The prices to which the configuration of a portal lets customers switch a subscription."""
    update = work.get(CONFIGURATION, session["configuration"])["features"]["subscription_update"]
    if not update["enabled"] or subscription["status"] == billing.ENDED:
        return []
    allowed = [price for product in update["products"] or [] for price in product["prices"]]
    present = subscription["items"]["data"][0]["price"]["id"]
    return [work.get("price", each) for each in allowed if each != present]


def create_configuration(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/billing_portal/configurations: what customers may do on the portal."""
    return _add_configuration(work, params, is_default=False)


def update_configuration(work: UnitOfWork, params: Params, configuration_id: str) -> Object:
    """POST /v1/billing_portal/configurations/{id}."""
    found = work.get(CONFIGURATION, configuration_id)
    changes: Object = {"features": _features(work, params, found["features"]), "updated": work.now}
    if params.has("active"):
        changes["active"] = params.boolean("active")
    if params.has("metadata"):
        changes["metadata"] = found["metadata"] | params.metadata()
    work.emit("billing_portal.configuration.updated", found, work.update(found, **changes))
    return found


def retrieve_configuration(work: UnitOfWork, _params: Params, configuration_id: str) -> Object:
    """GET /v1/billing_portal/configurations/{id}."""
    return work.get(CONFIGURATION, configuration_id)


def list_configurations(work: UnitOfWork, params: Params) -> Object:
    """GET /v1/billing_portal/configurations."""
    fields = {"active": params.boolean("active"), "is_default": params.boolean("is_default")}
    # sqlite has numbers for the truth of JSON.
    known: dict[str, Any] = {name: int(value) for name, value in fields.items() if value is not None}
    return work.page(params, CONFIGURATION, "/v1/billing_portal/configurations", **known)


def _configuration(work: UnitOfWork, params: Params) -> Object:
    """The configuration of a new session: the one that is named, or the account's default, which the dashboard made."""
    named = params.text("configuration")
    if named is not None:
        found = work.get(CONFIGURATION, named, "configuration")
        if not found["active"]:
            raise StripeError(f"The configuration {named} is not active.", param="configuration")
        return found
    default = work.all(CONFIGURATION, is_default=1)
    return default[0] if default else _add_configuration(work, Params({}), is_default=True)


def _add_configuration(work: UnitOfWork, params: Params, *, is_default: bool) -> Object:
    profile = params.nested("business_profile")
    configuration: Object = {
        "id": new_id("bpc_"),
        "object": CONFIGURATION,
        "active": True,
        "application": None,
        "business_profile": {
            "headline": profile and profile.text("headline"),
            "privacy_policy_url": profile and profile.url("privacy_policy_url"),
            "terms_of_service_url": profile and profile.url("terms_of_service_url"),
        },
        "created": work.now,
        "default_return_url": params.url("default_return_url"),
        "features": _features(work, params, DEFAULT_FEATURES),
        "is_default": is_default,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": params.metadata(),
        "name": params.text("name"),
        "updated": work.now,
    }
    work.insert(configuration)
    work.emit("billing_portal.configuration.created", configuration)
    return configuration


def _features(work: UnitOfWork, params: Params, known: Object) -> Object:
    """Features with what the parameters change."""
    wanted = params.nested("features")
    features = {name: dict(feature) for name, feature in known.items()}
    for name, feature in features.items():
        each = wanted and wanted.nested(name)
        if not each:
            continue
        if each.has("enabled"):
            feature["enabled"] = bool(each.boolean("enabled"))
        match name:
            case "customer_update":
                if each.has("allowed_updates"):
                    feature["allowed_updates"] = each.texts("allowed_updates")
            case "subscription_cancel":
                feature["mode"] = each.choice("mode", "at_period_end", "immediately") or feature["mode"]
                proration = each.choice("proration_behavior", *PRORATIONS)
                feature["proration_behavior"] = proration or feature["proration_behavior"]
                reason = each.nested("cancellation_reason")
                if reason:
                    is_asked, options = bool(reason.boolean("enabled")), reason.texts("options")
                    feature["cancellation_reason"] = {"enabled": is_asked, "feedback_options": None, "options": options}
            case "subscription_update":
                if each.has("default_allowed_updates"):
                    feature["default_allowed_updates"] = each.texts("default_allowed_updates")
                proration = each.choice("proration_behavior", *PRORATIONS)
                feature["proration_behavior"] = proration or feature["proration_behavior"]
                if each.has("products"):
                    feature["products"] = [_product(work, product) for product in each.each("products")]
    return features


def _product(work: UnitOfWork, params: Params) -> Object:
    product = work.get("product", params.require("product"), params.name("product"))
    prices = [work.get("price", price, params.name("prices"))["id"] for price in params.texts("prices")]
    return {
        "product": product["id"],
        "prices": prices,
        "adjustable_quantity": {"enabled": False, "maximum": None, "minimum": 1},
    }


def _switch(work: UnitOfWork, session: Object, subscription: Object, action: str) -> None:
    """Switch a subscription to one of the offered prices, by `switch:<subscription>:<price>`."""
    offered = {each["id"]: each for each in offered_prices(work, session, subscription)}
    price = offered.get(action.rpartition(":")[2])
    if price is None:
        raise StripeError("This plan is not offered.", status=409)
    update = work.get(CONFIGURATION, session["configuration"])["features"]["subscription_update"]
    plan_switches.switch(work, subscription, price, proration=update["proration_behavior"])
