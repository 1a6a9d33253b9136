"""The ends of billing periods, in UTC."""

import calendar
from datetime import UTC, datetime, timedelta

from stack.doubles.stripe.errors import Object

DAY = 24 * 3600


def end_of_period(anchor: int, recurring: Object, number: int) -> int:
    """The end of the n-th period after an anchor. In a month without the anchor's day it is the month's last day.

    Args:
        anchor: seconds since 1970.
        recurring: of a price: its interval and interval_count.
        number: how many periods.
    """
    start = datetime.fromtimestamp(anchor, UTC)
    count = recurring["interval_count"] * number
    match recurring["interval"]:
        case "day":
            end = start + timedelta(days=count)
        case "week":
            end = start + timedelta(weeks=count)
        case interval:
            months = start.year * 12 + start.month - 1 + count * (12 if interval == "year" else 1)
            year, month = divmod(months, 12)
            last = calendar.monthrange(year, month + 1)[1]
            end = start.replace(year=year, month=month + 1, day=min(start.day, last))
    return int(end.timestamp())
