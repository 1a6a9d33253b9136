"""Dates and amounts as templates of documents take them."""

from datetime import UTC, datetime


def day_of(moment: datetime) -> list[int]:
    """Year, month and day in UTC."""
    day = moment.astimezone(UTC)
    return [day.year, day.month, day.day]


def money(amount: int, decimals: int, currency: str) -> str:
    """An amount in the smallest unit as people read it: 123456 of two decimals is 1,234.56 EUR."""
    whole, part = divmod(abs(amount), 10**decimals)
    sign = "\N{MINUS SIGN}" if amount < 0 else ""
    # A no-break space, so that an amount stays with its currency.
    return f"{sign}{whole:,}" + (f".{part:0{decimals}}" if decimals else "") + f"\N{NO-BREAK SPACE}{currency}"
