"""What the control can be asked: the bodies of its requests."""

from typing import Literal

import msgspec

from stack.doubles.stripe.payments import Outcome


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request without a body, and the base of the others."""


class Paying(Asked, frozen=True, kw_only=True):
    """How a session is paid."""

    outcome: Outcome = "paid"


class Settling(Asked, frozen=True, kw_only=True):
    """What came of something that was awaited."""

    outcome: Literal["succeeded", "failed"] = "succeeded"
    reason: str = "expired_or_canceled_card"
    """Of a refund's failure."""


class Next(Asked, frozen=True, kw_only=True):
    """What comes of the next ones of a kind."""

    on: Literal["refund", "transfer", "payment"]
    outcome: Literal["succeeded", "pending", "failed", "error", "declined"]
    """Refunds: succeeded, pending, failed or error. Transfers: error. Payments of renewals: declined."""
    times: int | None = 1
    contains: str = ""
    """An id or a value of metadata that must occur: the charge's, the destination's, the customer's."""
    status: int = 400
    code: str | None = None
    message: str = "The double was told to refuse this."


class Card(Asked, frozen=True, kw_only=True):
    """What a customer's card says from now on."""

    outcome: Literal["paid", "declined"] = "declined"
    after_retries: str | None = None
    """What becomes of his subscriptions after the last try: canceled, unpaid or past_due; null for the setting."""


class Disputing(Asked, frozen=True, kw_only=True):
    """A dispute to open."""

    reason: str = "fraudulent"
    amount: int | None = None
    """In minor units; null for all that is not refunded."""


class Deciding(Asked, frozen=True, kw_only=True):
    """How a dispute ends."""

    outcome: Literal["won", "lost"]


class Onboarding(Asked, frozen=True, kw_only=True):
    """What comes of a connected account's onboarding."""

    outcome: Literal["completed", "pending", "restricted"] = "completed"


class PayingOut(Asked, frozen=True, kw_only=True):
    """A payout of the platform's balance."""

    currency: str = "usd"
    amount: int | None = None
    """In minor units; null for all of it."""


class Advance(Asked, frozen=True, kw_only=True):
    """How far the global clock goes: by seconds, or to an instant."""

    seconds: int = 0
    to: int | None = None


class Movement(Asked, frozen=True, kw_only=True):
    """Money that comes to the platform, or leaves it where the amount is negative, in minor units."""

    amount: int
    currency: str = "usd"


class Match(Asked, frozen=True, kw_only=True):
    """Which events are meant: all, or those of some types, or in whose JSON a text occurs."""

    types: tuple[str, ...] = ()
    contains: str = ""


class Holding(Match, frozen=True, kw_only=True):
    """Deliveries to hold or to drop."""

    times: int | None = None


class Duplicating(Match, frozen=True, kw_only=True):
    """Events to deliver several times each."""

    copies: int = 2
    times: int | None = None


class Releasing(Asked, frozen=True, kw_only=True):
    """Which held deliveries go out, and in which order."""

    contains: str = ""
    order: Literal["oldest", "newest", "random"] | tuple[str, ...] = "oldest"
    """Also event ids or types, as they are to be delivered; those not named stay held."""
    goes_on: bool = False
    """Whether later events are held as before."""


class Redelivering(Asked, frozen=True, kw_only=True):
    """An event to deliver again."""

    event: str
    times: int = 1


class Waiting(Asked, frozen=True, kw_only=True):
    """How long to wait until nothing is on its way."""

    seconds: float = 5
    contains: str = ""


class Fault(Asked, frozen=True, kw_only=True):
    """What goes wrong with the next calls of the API."""

    method: str = ""
    path: str = "/v1/"
    """What the path begins with."""
    contains: str = ""
    """A text that must occur in the path or the parameters."""
    times: int | None = 1
    when: Literal["before", "after"] = "before"
    """Before: nothing is done. After: it is done, and remembered by its idempotency key, but the answer is lost."""
    seconds: float = 0
    """How long the answer is kept back; longer than the caller waits, it is a timeout."""
    status: int = 0
    """Of HTTP; 0 where the answer is only late."""
    type: str = "api_error"
    code: str | None = None
    message: str = "The double was told to fail."
