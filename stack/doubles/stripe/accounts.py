"""Connected accounts, to which people are paid out: the platform makes them, and they complete the onboarding page."""

from typing import Literal

from stack.doubles.stripe.errors import Object, StripeError, invalid, missing_param
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.unit_of_work import UnitOfWork, as_list, new_id

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
EUROPE = frozenset(
    {
        *("AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GI", "GR", "HR", "HU"),
        *("IE", "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"),
    }
)
"""The countries among which money is transferred as within one."""
FULL = EUROPE | {"AE", "AU", "BR", "CA", "HK", "JP", "MX", "MY", "NZ", "SG", "TH", "US"}
"""The countries whose accounts can accept the full service agreement. Others are recipients of transfers only."""
CAPABILITIES = ("card_payments", "transfers")
REQUIRED = ["external_account", "individual.first_name", "individual.last_name", "tos_acceptance.date"]
"""What a new account has yet to submit."""
PROFILE = (
    *("mcc", "minority_owned_business_designation", "name", "product_description"),
    *("specified_commercial_transactions_act_url", "support_address", "support_email", "support_phone", "support_url"),
    "url",
)
BANK_ACCOUNT = "external_account"


def create(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/accounts: an express account, to which money can be transferred.

    Raises:
        StripeError: the country of the account needs other capabilities or another agreement.
    """
    country = (params.text("country") or work.settings.country).upper()
    if not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise invalid("country", f"Country '{country}' is unknown.", "country_unsupported")
    acceptance = params.nested("tos_acceptance")
    agreement = (acceptance and acceptance.choice("service_agreement", "full", "recipient")) or "full"
    capabilities = _capabilities(params)
    _check_agreement(work, country, agreement, capabilities)
    account_id = new_id("acct_", 16)
    account: Object = {
        "id": account_id,
        "object": KIND,
        "business_profile": dict.fromkeys(PROFILE),
        "business_type": None,
        "capabilities": capabilities,
        "charges_enabled": False,
        "controller": {
            "fees": {"payer": "application_express"},
            "is_controller": True,
            "losses": {"payments": "application"},
            "requirement_collection": "stripe",
            "stripe_dashboard": {"type": "express"},
            "type": "application",
        },
        "country": country,
        "created": work.now,
        "default_currency": CURRENCIES.get(country.lower(), "usd"),
        "details_submitted": False,
        "email": params.text("email"),
        "external_accounts": as_list([], f"/v1/accounts/{account_id}/external_accounts"),
        "future_requirements": _requirements([]),
        "metadata": params.metadata(),
        "payouts_enabled": False,
        "requirements": _requirements(REQUIRED, is_past_due=True),
        "settings": {
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "card_payments": {
                "statement_descriptor_prefix": None,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "dashboard": {"display_name": None, "timezone": "Etc/UTC"},
            "payments": {
                "statement_descriptor": None,
                "statement_descriptor_kana": None,
                "statement_descriptor_kanji": None,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "payouts": {
                "debit_negative_balances": True,
                "schedule": {"delay_days": 2, "interval": "daily"},
                "statement_descriptor": None,
            },
        },
        "tos_acceptance": {"date": None} | ({} if agreement == "full" else {"service_agreement": agreement}),
        "type": params.choice("type", "express") or "express",
        "_bank_account": new_id("ba_"),
    }
    return work.insert(account)


def retrieve(work: UnitOfWork, _params: Params, account_id: str) -> Object:
    """GET /v1/accounts/{id}."""
    return get(work, account_id)


def update(work: UnitOfWork, params: Params, account_id: str) -> Object:
    """POST /v1/accounts/{id}: request capabilities."""
    account = get(work, account_id)
    wanted = _capabilities(params)
    agreement = account["tos_acceptance"].get("service_agreement", "full")
    _check_agreement(work, account["country"], agreement, account["capabilities"] | wanted)
    previous = work.update(account, capabilities=wanted | account["capabilities"])
    if previous:
        work.emit("account.updated", account, previous, account=account_id)
    return account


def delete(work: UnitOfWork, _params: Params, account_id: str) -> Object:
    """DELETE /v1/accounts/{id}."""
    account = get(work, account_id)
    work.update(account, _is_deleted=True)
    return {"id": account_id, "object": KIND, "deleted": True}


def create_link(work: UnitOfWork, params: Params) -> Object:
    """POST /v1/account_links: the address of the onboarding page, valid for one use within five minutes."""
    account = get(work, params.require("account"), "account")
    refresh_url, return_url = params.url("refresh_url"), params.url("return_url")
    if params.choice("type", "account_onboarding") is None:
        raise missing_param("type")
    for field, url in (("refresh_url", refresh_url), ("return_url", return_url)):
        if url is None:
            raise missing_param(field)
    link: Object = {
        "id": new_id("alink_", 40),
        "object": "account_link",
        "created": work.now,
        "expires_at": work.now + LINK_SECONDS,
        "_account": account["id"],
        "_refresh_url": refresh_url,
        "_return_url": return_url,
        "_is_used": False,
    }
    link["url"] = f"{work.settings.public_url}/onboarding/{link['id']}"
    work.insert(link)
    return {name: value for name, value in link.items() if name != "id"}


def complete(work: UnitOfWork, account_id: str, outcome: Literal["completed", "pending", "restricted"]) -> Object:
    """Finish onboarding.

    Args:
        work: in which it happens.
        account_id: the account.
        outcome: completed; pending: everything is submitted, and Stripe still reviews it; restricted: something is
            missing.
    """
    account = get(work, account_id)
    document = ["individual.verification.document"]
    requirements, status = {
        "completed": (_requirements([]), "active"),
        "pending": (_requirements([], pending=document), "pending"),
        "restricted": (_requirements(document, is_past_due=True), "inactive"),
    }[outcome]
    is_enabled = outcome == "completed"
    previous = work.update(
        account,
        business_type="individual",
        capabilities=dict.fromkeys(account["capabilities"], status),
        charges_enabled=is_enabled and account["tos_acceptance"].get("service_agreement") != "recipient",
        details_submitted=True,
        payouts_enabled=is_enabled,
        requirements=requirements,
        tos_acceptance=account["tos_acceptance"] | {"date": work.now},
    )
    work.emit("account.updated", account, previous, account=account_id)
    return account


def set_capability(work: UnitOfWork, account_id: str, name: str, status: str) -> Object:
    """Let Stripe change the state of a capability, as after a review. The account's payouts are not touched by it.

    Raises:
        StripeError: the account has no such capability, or there is no such account.
    """
    account = get(work, account_id)
    if name not in account["capabilities"]:
        raise StripeError(f"The account {account_id} has no capability {name}.")
    previous = work.update(account, capabilities=account["capabilities"] | {name: status})
    capability: Object = {
        "id": name,
        "object": "capability",
        "account": account_id,
        "future_requirements": account["future_requirements"],
        "requested": True,
        "requested_at": account["created"],
        "requirements": account["requirements"],
        "status": status,
    }
    work.emit("capability.updated", capability, account=account_id)
    work.emit("account.updated", account, previous, account=account_id)
    return account


def lose_bank_account(work: UnitOfWork, account: Object) -> None:
    """After a payout has failed: nothing is paid out until the account has another bank account."""
    due = [BANK_ACCOUNT]
    requirements = account["requirements"] | {"currently_due": due, "eventually_due": due, "past_due": due}
    previous = work.update(account, payouts_enabled=False, requirements=requirements)
    work.emit("account.updated", account, previous, account=account["id"])


def deauthorize(work: UnitOfWork, account_id: str) -> Object:
    """Let the holder of an account disconnect it from the platform, which cannot see it any more."""
    account = get(work, account_id)
    application: Object = {"id": "ca_guildhall", "object": "application", "name": "Guildhall"}
    work.emit("account.application.deauthorized", application, account=account_id)
    work.update(account, _is_deleted=True)
    return application


def get(work: UnitOfWork, account_id: str, param: str = "id") -> Object:
    """The account of this id.

    Raises:
        StripeError: there is none, or none any more.
    """
    found = work.find(account_id)
    if found is None or found["object"] != KIND or found.get("_is_deleted"):
        # Stripe does not reveal whether the account exists.
        message = f"The provided key does not have access to account '{account_id}' (or that account does not exist)."
        raise StripeError(message, status=403 if param == "id" else 400, code="account_invalid", param=param)
    return found


def _capabilities(params: Params) -> Object:
    """The capabilities that are requested."""
    requested = params.nested("capabilities")
    found: Object = {}
    for name in CAPABILITIES if requested else ():
        wanted = requested and requested.nested(name)
        if wanted and wanted.boolean("requested"):
            found[name] = "inactive"
    return found


def _check_agreement(work: UnitOfWork, country: str, agreement: str, capabilities: Object) -> None:
    """Refuse what Stripe refuses of accounts in a country."""
    platform = work.settings.country
    is_near = country == platform or {country, platform} <= EUROPE
    if agreement == "recipient":
        if is_near:
            message = (
                f"The recipient ToS agreement is not supported for platforms in {platform} creating accounts in "
                f"{country}. See https://stripe.com/docs/connect/cross-border-payouts for more details."
            )
            raise invalid("tos_acceptance[service_agreement]", message)
        if set(capabilities) != {"transfers"}:
            message = "Accounts under the recipient service agreement can only request the `transfers` capability."
            raise invalid("capabilities", message)
        return
    if country not in FULL:
        message = (
            f"Accounts in {country} cannot be created by platforms in {platform} under the full service agreement: "
            "specify `tos_acceptance[service_agreement]=recipient`."
        )
        raise invalid("country", message, "country_unsupported")
    if "transfers" in capabilities and "card_payments" not in capabilities:
        if not is_near:
            message = (
                "You cannot request the `transfers` capability without the `card_payments` capability for accounts in "
                f"{country}."
            )
            raise invalid("capabilities", message)
        if not work.settings.is_transfers_only_approved:
            message = (
                "Your platform needs approval for accounts to have requested the `transfers` capability without the "
                "`card_payments` capability. If you would like to request transfers without card_payments, please "
                "contact us via https://support.stripe.com/contact."
            )
            raise StripeError(message)


def _requirements(due: list[str], *, is_past_due: bool = False, pending: list[str] | None = None) -> Object:
    return {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": due,
        "disabled_reason": "requirements.past_due" if due else "requirements.pending_verification" if pending else None,
        "errors": [],
        "eventually_due": due,
        "past_due": due if is_past_due else [],
        "pending_verification": pending or [],
    }
