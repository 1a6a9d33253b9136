"""What time brings: sessions run out, trials end, subscriptions renew, failed invoices are tried again."""

from collections.abc import Callable
from sqlite3 import Row

from stack.doubles.stripe import billing, checkout
from stack.doubles.stripe.book import Book
from stack.doubles.stripe.errors import Object

TASKS: dict[str, Callable[[Book, Object], object]] = {
    billing.CANCEL: billing.cancel_now,
    billing.RENEW: billing.renew,
    billing.RETRY: billing.retry,
    billing.WARN: billing.warn,
    checkout.EXPIRE: checkout.run_out,
}


def run(book: Book, *, clock: str | None, until: int) -> None:
    """Do what a clock makes due, in order, each at its own time.

    Args:
        book: in whose transaction; its time is `until` in the end.
        clock: a test clock, or None for the global one.
        until: seconds since 1970.
    """
    while (due := next_due(book, clock=clock, until=until)) is not None:
        do(book, due)
    set_time(book, clock, until)


def next_due(book: Book, *, clock: str | None, until: int) -> Row | None:
    """The first entry of the agenda that a clock makes due, or None."""
    row: Row | None = book.connection.execute(
        "select * from agenda where clock is ? and due <= ? order by due, seq limit 1", (clock, until)
    ).fetchone()
    return row


def do(book: Book, due: Row) -> None:
    """Do what an entry of the agenda says, at its own time, and strike it out."""
    book.connection.execute("delete from agenda where seq = ?", (due["seq"],))
    set_time(book, due["clock"], due["due"])
    subject = book.find(due["subject"])
    if subject is not None:
        TASKS[due["task"]](book, subject)


def set_time(book: Book, clock: str | None, now: int) -> None:
    """Let a book be at an instant of a clock; a test clock stays there."""
    book.clock, book.now = clock, now
    if clock is not None:
        book.update(book.get("test_helpers.test_clock", clock), frozen_time=now)
