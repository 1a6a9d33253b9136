"""Invoices: still to come."""

from stack.doubles.stripe.book import Book
from stack.doubles.stripe.errors import Object


def settled(_book: Book, _invoice: Object, _intent: Object, *, succeeded: bool) -> None:
    """The bank's word on an invoice's payment."""
    del succeeded
