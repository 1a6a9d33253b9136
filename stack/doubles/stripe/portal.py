"""The billing portal: a page on which customers see what they pay for, end it, or keep it after all."""

from stack.doubles.stripe import billing, customers, subscriptions
from stack.doubles.stripe.book import Book, new_id
from stack.doubles.stripe.errors import Object, StripeError, invalid
from stack.doubles.stripe.params import Params

KIND = "billing_portal.session"
CONFIGURATION = "bpc_guildhall"
FLOWS = ("payment_method_update", "subscription_cancel", "subscription_update")


def create(book: Book, params: Params) -> Object:
    """POST /v1/billing_portal/sessions."""
    customer = customers.living(book, params.require("customer"))
    name = new_id("bps_")
    session: Object = {
        "id": name,
        "object": KIND,
        "configuration": params.text("configuration") or CONFIGURATION,
        "created": book.now,
        "customer": customer["id"],
        "flow": _flow(params),
        "livemode": False,
        "locale": params.text("locale"),
        "on_behalf_of": None,
        "return_url": params.url("return_url"),
        "url": f"{book.settings.public_url}/portal/{name}",
    }
    return book.insert(session)


def subscriptions_of(book: Book, customer: str) -> list[Object]:
    """What a customer pays for, the newest first."""
    return book.all("subscription", customer=customer)[::-1]


def open_invoices(book: Book, customer: str) -> list[Object]:
    """What a customer owes, the oldest first."""
    return book.all("invoice", customer=customer, status="open")


def act(book: Book, session: Object, action: str) -> None:
    """Do what a button of the page says: `cancel:<id>`, `keep:<id>`, `pay:<id>`, `card:paid` or `card:declined`.

    Raises:
        StripeError: it says nothing of the kind, or of something that is another's.
    """
    verb, _, subject = action.partition(":")
    customer = session["customer"]
    book.follow_customer(customer)
    if verb == "card" and subject in {"paid", "declined"}:
        billing.set_card(book, customer, subject, book.note(f"card:{customer}", {}).get("after_retries"))
        return
    found = book.find(subject)
    if found is None or found.get("customer") != customer:
        raise StripeError("There is nothing of yours by that name.", status=404)
    if verb in {"cancel", "keep"} and found["object"] == "subscription" and found["status"] not in billing.ENDED:
        subscriptions.keep(book, found, is_kept=verb == "keep")
    elif verb == "pay" and found["object"] == "invoice" and found["status"] == "open":
        billing.collect(book, found, billing.card(book, customer))
    else:
        raise StripeError("This can no longer be done.", status=409)


def _flow(params: Params) -> Object | None:
    data = params.nested("flow_data")
    if data is None:
        return None
    kind = data.choice("type", *FLOWS)
    data.ignore("after_completion")
    flow: Object = {"after_completion": {"type": "portal_homepage"}, "type": kind}
    if kind is not None and kind.startswith("subscription_"):
        below = data.nested(kind)
        if below is None:
            raise invalid(data.name(kind), f"You must give {data.name(kind)} for this flow.")
        flow[kind] = {"subscription": below.require("subscription")}
    return flow
