"""Connected accounts, of people who are paid: made by the platform, completed by them on the onboarding page."""

from typing import Literal

from stack.doubles.stripe.book import Book, listed, new_id
from stack.doubles.stripe.errors import Object, StripeError, invalid, missing_param
from stack.doubles.stripe.money import read_currency
from stack.doubles.stripe.params import Params

KIND = "account"
LINK_SECONDS = 300
CURRENCIES = {
    **dict.fromkeys(("at", "be", "de", "es", "fi", "fr", "ie", "it", "nl", "pt"), "eur"),
    "au": "aud",
    "ca": "cad",
    "ch": "chf",
    "gb": "gbp",
    "jp": "jpy",
    "se": "sek",
    "us": "usd",
}
"""The usual currency of a country; elsewhere usd."""
CAPABILITIES = ("card_payments", "transfers")
NEEDED = ("external_account", "individual.first_name", "individual.last_name", "tos_acceptance.date")
PROFILE = ("mcc", "name", "product_description", "support_email", "support_phone", "support_url", "url")
TYPES = ("individual", "company", "non_profit", "government_entity")
INTERVALS = ("daily", "manual", "monthly", "weekly")


def create(book: Book, params: Params) -> Object:
    """POST /v1/accounts: of type express, be it by that word or by controller properties."""
    country = (params.text("country") or "US").upper()
    currency = params.text("default_currency")
    kind = params.choice("type", "express")
    controller = params.nested("controller")
    if controller is not None:
        _read_controller(controller)
    account: Object = {
        "id": new_id("acct_", 16),
        "object": KIND,
        "business_profile": dict.fromkeys(PROFILE),
        "business_type": params.choice("business_type", *TYPES),
        "capabilities": {},
        "charges_enabled": False,
        "controller": {
            "fees": {"payer": "application_express" if kind else "application"},
            "is_controller": True,
            "losses": {"payments": "application"},
            "requirement_collection": "stripe",
            "stripe_dashboard": {"type": "express"},
            "type": "application",
        },
        "country": country,
        "created": book.now,
        "default_currency": read_currency(currency, "default_currency")
        if currency
        else CURRENCIES.get(country.lower(), "usd"),
        "details_submitted": False,
        "email": None,
        "external_accounts": listed([], ""),
        "future_requirements": _requirements([]),
        "metadata": {},
        "payouts_enabled": False,
        "requirements": _requirements(list(NEEDED)),
        "settings": {
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "card_payments": {"statement_descriptor_prefix": None},
            "dashboard": {"display_name": None, "timezone": "Etc/UTC"},
            "payments": {"statement_descriptor": None},
            "payouts": {
                "debit_negative_balances": True,
                "schedule": {"delay_days": 2, "interval": "daily"},
                "statement_descriptor": None,
            },
        },
        "tos_acceptance": {"date": None},
        "type": kind or "none",
    }
    account["external_accounts"]["url"] = f"/v1/accounts/{account['id']}/external_accounts"
    account.update(_read(params, account))
    return book.insert(account)


def retrieve(book: Book, _params: Params, name: str) -> Object:
    """GET /v1/accounts/{id}."""
    return _get(book, name)


def update(book: Book, params: Params, name: str) -> Object:
    """POST /v1/accounts/{id}."""
    account = _get(book, name)
    if params.has("business_type"):
        account["business_type"] = params.choice("business_type", *TYPES)
    previous = book.update(account, **_read(params, account))
    if previous:
        book.emit("account.updated", account, previous, account=name)
    return account


def delete(book: Book, _params: Params, name: str) -> Object:
    """DELETE /v1/accounts/{id}."""
    account = _get(book, name)
    book.emit("account.application.deauthorized", {"id": "ca_guildhall", "object": "application"}, account=name)
    book.remove(account["id"])
    return {"id": name, "object": KIND, "deleted": True}


def list_all(book: Book, params: Params) -> Object:
    """GET /v1/accounts."""
    return book.page(params, KIND, "/v1/accounts")


def create_link(book: Book, params: Params) -> Object:
    """POST /v1/account_links: the way to the onboarding page, good for one use within five minutes."""
    account = _get(book, params.require("account"), "account")
    refresh_url, return_url = params.url("refresh_url"), params.url("return_url")
    kind = params.choice("type", "account_onboarding", "account_update")
    if kind is None:
        raise missing_param("type")
    options = params.nested("collection_options")
    if options is not None:
        options.choice("fields", "currently_due", "eventually_due")
        options.choice("future_requirements", "include", "omit")
    for field, url in (("refresh_url", refresh_url), ("return_url", return_url)):
        if url is None:
            raise missing_param(field)
    link: Object = {
        "id": new_id("alink_", 40),
        "object": "account_link",
        "created": book.now,
        "expires_at": book.now + LINK_SECONDS,
        "_account": account["id"],
        "_refresh_url": refresh_url,
        "_return_url": return_url,
        "_is_used": False,
    }
    link["url"] = f"{book.settings.public_url}/onboarding/{link['id']}"
    book.insert(link)
    return {name: value for name, value in link.items() if name != "id"}


def create_login_link(book: Book, _params: Params, name: str) -> Object:
    """POST /v1/accounts/{id}/login_links: the way to the page on which people see what they are paid."""
    account = _get(book, name)
    if not account["details_submitted"]:
        raise StripeError("Cannot create a login link for an account that has not completed onboarding.")
    return {"object": "login_link", "created": book.now, "url": f"{book.settings.public_url}/express/{name}"}


def complete(book: Book, name: str, outcome: Literal["completed", "pending", "restricted"]) -> Object:
    """What comes of onboarding.

    Args:
        book: in whose transaction.
        name: of the account.
        outcome: completed; pending: all is submitted, and Stripe still looks at it; restricted: it lacks something.
    """
    account = _get(book, name)
    requirements = {
        "completed": _requirements([]),
        "pending": _requirements([], pending=["individual.verification.document"]),
        "restricted": _requirements(["individual.verification.document"], past_due=True),
    }[outcome]
    enabled = outcome == "completed"
    status = {"completed": "active", "pending": "pending", "restricted": "inactive"}[outcome]
    previous = book.update(
        account,
        business_type=account["business_type"] or "individual",
        capabilities=dict.fromkeys(account["capabilities"] or CAPABILITIES, status),
        charges_enabled=enabled,
        details_submitted=True,
        payouts_enabled=enabled,
        requirements=requirements,
        tos_acceptance={"date": book.now},
    )
    book.emit("account.updated", account, previous, account=name)
    return account


def _get(book: Book, name: str, param: str = "id") -> Object:
    found = book.find(name)
    if found is None or found["object"] != KIND:
        # As with Stripe, who does not say whether somebody else has it.
        message = f"The provided key does not have access to account '{name}' (or that account does not exist)."
        raise StripeError(message, status=403 if param == "id" else 400, code="account_invalid", param=param)
    return found


def _read(params: Params, before: Object) -> Object:
    changes: Object = {"metadata": params.metadata(before["metadata"])}
    if params.has("email"):
        changes["email"] = params.text("email")
    profile = params.nested("business_profile")
    if profile is not None:
        given = {field: profile.text(field) for field in PROFILE if profile.has(field)}
        changes["business_profile"] = before["business_profile"] | given
    wanted = params.nested("capabilities")
    if wanted is not None:
        capabilities = dict(before["capabilities"])
        for capability in CAPABILITIES:
            asked = wanted.nested(capability)
            if asked is not None and asked.boolean("requested"):
                capabilities.setdefault(capability, "active" if before["charges_enabled"] else "inactive")
        changes["capabilities"] = capabilities
    settings = params.nested("settings")
    if settings is not None:
        changes["settings"] = before["settings"] | {"payouts": _payouts(settings, before["settings"]["payouts"])}
    return changes


def _payouts(settings: Params, before: Object) -> Object:
    payouts = settings.nested("payouts")
    schedule = payouts and payouts.nested("schedule")
    interval = schedule and schedule.choice("interval", *INTERVALS)
    return before | ({"schedule": before["schedule"] | {"interval": interval}} if interval else {})


def _read_controller(controller: Params) -> None:
    """Take note of controller properties; only what amounts to an express account is played."""
    fees, losses, dashboard = (controller.nested(field) for field in ("fees", "losses", "stripe_dashboard"))
    controller.choice("requirement_collection", "stripe")
    if fees is not None:
        fees.choice("payer", "application")
    if losses is not None:
        losses.choice("payments", "application")
    if dashboard is not None and dashboard.choice("type", "express") is None:
        raise invalid(dashboard.name("type"), "This double plays the express dashboard only.")


def _requirements(due: list[str], *, past_due: bool = False, pending: list[str] | None = None) -> Object:
    return {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": due,
        "disabled_reason": "requirements.past_due" if due else "requirements.pending_verification" if pending else None,
        "errors": [],
        "eventually_due": due,
        "past_due": due if past_due or due == list(NEEDED) else [],
        "pending_verification": pending or [],
    }
