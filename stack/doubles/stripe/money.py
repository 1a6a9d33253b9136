"""Currencies: their minor units, the smallest and the largest charge, and amounts as text."""

from stack.doubles.stripe.errors import StripeError, invalid

ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
WHOLE_ONLY = frozenset({"isk", "ugx"})
"""They have two decimals, which must be zero."""
_TWO_DECIMAL = (
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc "
    "cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes kgs khr "
    "kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk "
    "php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx usd "
    "uyu uzs wst yer zar zmw"
)
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | set(_TWO_DECIMAL.split())

_SMALLEST = {
    30: "gbp",
    50: "usd aud brl cad chf eur inr jpy nzd sgd",
    100: "bgn",
    200: "aed myr pln ron",
    250: "dkk",
    300: "nok sek",
    400: "hkd",
    1000: "mxn thb",
    1500: "czk",
    17_500: "huf",
}
SMALLEST = {currency: smallest for smallest, currencies in _SMALLEST.items() for currency in currencies.split()}
"""The smallest charge in minor units, where Stripe names one. Elsewhere Stripe asks for the worth of 0.50 USD, and the
double for 1 unit."""
MAX_DIGITS = {"idr": 12, "cop": 10, "huf": 10, "jpy": 10, "lbp": 10}
DEFAULT_MAX_DIGITS = 8
SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "krw": "₩", "ils": "₪", "vnd": "₫"}


def decimals(currency: str) -> int:
    """How many digits of an amount follow the decimal point."""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def read_currency(text: str, param: str) -> str:
    """A currency in lower case.

    Raises:
        StripeError: there is no such currency.
    """
    if text.lower() not in CURRENCIES:
        raise invalid(param, f"Invalid currency: {text.lower()}. Stripe does not support it.")
    return text.lower()


def check_amount(amount: int, currency: str, param: str) -> None:
    """Check that an amount can exist in its currency.

    Raises:
        StripeError: it is too large, or too precise.
    """
    digits = MAX_DIGITS.get(currency, DEFAULT_MAX_DIGITS)
    if amount >= 10**digits:
        largest = as_text(10**digits - 1, currency)
        raise invalid(param, f"Amount must be no more than {largest}", "amount_too_large")
    if currency in THREE_DECIMAL and amount % 10:
        message = f"Invalid amount. The last digit must be 0 in three-decimal currencies such as {currency}."
        raise invalid(param, message, "invalid_charge_amount")
    if currency in WHOLE_ONLY and amount % 100:
        message = f"Invalid amount. Amounts of {currency} must be divisible by 100."
        raise invalid(param, message, "invalid_charge_amount")


def smallest_charge(currency: str) -> int:
    """The smallest amount that can be charged."""
    return SMALLEST.get(currency, 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_ONLY else 1)


def check_charge(amount: int, currency: str, param: str) -> None:
    """Check that an amount can be charged.

    Raises:
        StripeError: it is too small, or cannot exist.
    """
    check_amount(amount, currency, param)
    smallest = smallest_charge(currency)
    if amount < smallest:
        raise StripeError(
            f"Amount must be at least {as_text(smallest, currency)}", code="amount_too_small", param=param
        )


def as_text(amount: int, currency: str) -> str:
    """An amount as text: `€1,234.50`, `¥500`, `KWD 1.500`."""
    places = decimals(currency)
    whole, rest = divmod(abs(amount), 10**places)
    digits = f"{whole:,}" + (f".{rest:0{places}d}" if places else "")
    sign = SIGNS.get(currency)
    return ("-" if amount < 0 else "") + (f"{sign}{digits}" if sign else f"{currency.upper()} {digits}")


def fee(amount: int) -> int:
    """What Stripe keeps of a charge: 2.9 % and 30 minor units, rounded half up."""
    return (amount * 29 + 500) // 1000 + 30
