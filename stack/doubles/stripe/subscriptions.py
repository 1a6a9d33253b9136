"""Subscriptions: still to come."""

from stack.doubles.stripe.book import Book
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.payments import Outcome

ENDED = frozenset({"canceled", "incomplete_expired"})


def begin(_book: Book, _session: Object, _outcome: Outcome) -> Object | None:
    """Begin a subscription."""
    raise StripeError("Subscriptions are still to come.")


def end(_book: Book, _subscription: Object, *, reason: str) -> None:
    """End a subscription."""
    raise StripeError(f"Subscriptions are still to come ({reason}).")
