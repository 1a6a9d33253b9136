"""The calendar of what recurs: the end of the n-th period after an anchor, in UTC."""

import calendar
from datetime import UTC, datetime, timedelta

from stack.doubles.stripe.errors import Object

DAY = 24 * 3600


def after(anchor: int, recurring: Object, periods: int) -> int:
    """The instant so many periods after an anchor; a month that lacks the anchor's day ends with its last.

    Args:
        anchor: seconds since 1970.
        recurring: of a price: its interval and interval_count.
        periods: how many.
    """
    start = datetime.fromtimestamp(anchor, UTC)
    count = recurring["interval_count"] * periods
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
