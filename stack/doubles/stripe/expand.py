"""`expand[]`: ids replaced by the objects that they name, and lists that are shown only on request."""

from collections.abc import Callable
from typing import Any

from stack.doubles.stripe import checkout
from stack.doubles.stripe.book import Book, listed
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.params import Params

DEEPEST = 4


def _refunds(book: Book, charge: Object) -> Object:
    return listed(book.all("refund", charge=charge["id"])[::-1], f"/v1/charges/{charge['id']}/refunds")


def _subscriptions(book: Book, customer: Object) -> Object:
    found = book.all("subscription", customer=customer["id"])[::-1]
    living = [each for each in found if each["status"] not in {"canceled", "incomplete_expired"}]
    return listed(living, f"/v1/customers/{customer['id']}/subscriptions")


def _payments(book: Book, invoice: Object) -> Object:
    return listed(book.all("invoice_payment", invoice=invoice["id"])[::-1], "/v1/invoice_payments")


HIDDEN: dict[tuple[str, str], Callable[[Book, Object], Object]] = {
    (checkout.KIND, "line_items"): lambda _book, session: checkout.line_items(session),
    ("charge", "refunds"): _refunds,
    ("customer", "subscriptions"): _subscriptions,
    ("invoice", "payments"): _payments,
}
"""What stands in an object only where it is asked for."""


def expand(book: Book, params: Params, answer: Object) -> Object:
    """The answer with everything expanded that the parameters ask for.

    Raises:
        StripeError: 400, something cannot be expanded.
    """
    for path in params.texts("expand"):
        steps = path.split(".")
        if len(steps) > DEEPEST:
            raise StripeError(f"You cannot expand more than {DEEPEST} levels of a property ({path}).", param="expand")
        if (steps[0] == "data") != (answer.get("object") == "list"):
            raise _impossible(path)
        answer = _expanded(book, answer, steps, path)
    return answer


def _expanded(book: Book, place: Any, steps: list[str], path: str) -> Any:
    if isinstance(place, list):
        return [_expanded(book, each, steps, path) for each in place]
    if isinstance(place, str):
        found = book.find(place)
        if found is None:
            raise _impossible(path)
        place = found
    if not steps or place is None:
        return place
    if not isinstance(place, dict):
        raise _impossible(path)
    step, *rest = steps
    hidden = HIDDEN.get((place.get("object", ""), step))
    if hidden is not None and step not in place:
        place = place | {step: hidden(book, place)}
    if step not in place:
        # A list of both what has the field and what has not, such as the sources of balance transactions.
        if place.get("deleted"):
            return place
        raise _impossible(path)
    return place | {step: _expanded(book, place[step], rest, path)}


def _impossible(path: str) -> StripeError:
    return StripeError(f"This property cannot be expanded ({path}).", param="expand")
