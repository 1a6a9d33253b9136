"""What becomes due: sessions expire, trials end, subscriptions renew, failed invoices are tried again."""

from collections.abc import Callable
from sqlite3 import Row

from stack.doubles.stripe import billing, checkout
from stack.doubles.stripe.errors import Object
from stack.doubles.stripe.unit_of_work import UnitOfWork

TASKS: dict[str, Callable[[UnitOfWork, Object], object]] = {
    billing.CANCEL: billing.cancel_now,
    billing.RENEW: billing.renew,
    billing.RETRY: billing.retry,
    billing.WARN: billing.warn,
    checkout.EXPIRE: checkout.expire_session,
}


def run(work: UnitOfWork, *, clock: str, until: int) -> None:
    """Do what a test clock makes due, in order, each task at its own time.

    Args:
        work: its time is `until` in the end.
        clock: the test clock.
        until: seconds since 1970.
    """
    while (task := next_due(work, clock=clock, until=until)) is not None:
        do(work, task)
    set_time(work, clock, until)


def next_due(work: UnitOfWork, *, clock: str | None, until: int) -> Row | None:
    """The first task that a clock makes due, or None. None as clock is the real one."""
    row: Row | None = work.connection.execute(
        "select * from tasks where clock is ? and due <= ? order by due, seq limit 1", (clock, until)
    ).fetchone()
    return row


def do(work: UnitOfWork, task: Row) -> None:
    """Do a task at its own time, and remove it."""
    work.connection.execute("delete from tasks where seq = ?", (task["seq"],))
    set_time(work, task["clock"], task["due"])
    subject = work.find(task["subject"])
    if subject is not None:
        TASKS[task["name"]](work, subject)


def set_time(work: UnitOfWork, clock: str | None, now: int) -> None:
    """Set the time of the work, and of the test clock that it follows."""
    work.clock, work.now = clock, now
    if clock is not None:
        work.update(work.get("test_helpers.test_clock", clock), frozen_time=now)
