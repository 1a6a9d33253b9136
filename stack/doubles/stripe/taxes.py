"""Tax on top of prices: the control sets its rate for a session, whose subscription keeps it."""

from fractions import Fraction

from stack.doubles.stripe.errors import Object

RATE = "txr_guildhall"


def on(amount: int, percent: float) -> int:
    """The tax on an amount, rounded half up."""
    return int(amount * Fraction(str(percent)) / 100 + Fraction(1, 2)) if amount > 0 else 0


def apply(lines: list[Object], percent: float) -> None:
    """Put tax on the lines of a new invoice, after their discounts."""
    for line in lines if percent else []:
        taxable = line["amount"] - sum(each["amount"] for each in line["discount_amounts"])
        amount = on(taxable, percent) if taxable >= 0 else -on(-taxable, percent)
        line["taxes"] = [_tax(amount, taxable)]


def total(lines: list[Object]) -> list[Object]:
    """The tax of all lines, as an invoice shows it."""
    taxes = [each for line in lines for each in line["taxes"]]
    if not taxes:
        return []
    return [_tax(sum(each["amount"] for each in taxes), sum(each["taxable_amount"] for each in taxes))]


def automatic(*, is_enabled: bool) -> Object:
    """The field `automatic_tax` of an invoice."""
    return {
        "disabled_reason": None,
        "enabled": is_enabled,
        "liability": {"type": "self"} if is_enabled else None,
        "provider": "stripe" if is_enabled else None,
        "status": "complete" if is_enabled else None,
    }


def _tax(amount: int, taxable: int) -> Object:
    return {
        "amount": amount,
        "tax_behavior": "exclusive",
        "tax_rate_details": {"tax_rate": RATE},
        "taxability_reason": "standard_rated",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }
