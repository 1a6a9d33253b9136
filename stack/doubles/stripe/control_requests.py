"""The bodies of requests to the control."""

from typing import Annotated, Literal

import msgspec

from stack.doubles.stripe.disputes import Beginning
from stack.doubles.stripe.foreign import Kind
from stack.doubles.stripe.payment_intents import Outcome
from stack.doubles.stripe.plan_switches import Proration


class RequestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of the others, and the body of a request without fields."""


class SessionPayment(RequestBody, frozen=True, kw_only=True):
    """How the buyer pays a session."""

    outcome: Outcome = "paid"


class Settlement(RequestBody, frozen=True, kw_only=True):
    """What the bank decides about a pending payment or refund."""

    outcome: Literal["succeeded", "failed"] = "succeeded"


class NextOutcome(RequestBody, frozen=True, kw_only=True):
    """The outcome of the next refund or transfer."""

    on: Literal["refund", "transfer"]
    outcome: Literal["pending", "error"]
    """`pending` is for refunds."""
    contains: str = ""
    """A text in the charge's or destination's id, or in the metadata."""
    code: str | None = None


class CardState(RequestBody, frozen=True, kw_only=True):
    """What a customer's card does from now on."""

    outcome: Outcome


class CustomerBalance(RequestBody, frozen=True, kw_only=True):
    """What a customer owes with the next invoice."""

    amount: int
    """In minor units; negative is a credit."""


class Tax(RequestBody, frozen=True, kw_only=True):
    """Tax on top of a session."""

    percent: Annotated[float, msgspec.Meta(ge=0, le=100)]


class PlanSwitch(RequestBody, frozen=True, kw_only=True):
    """Another price of a subscription: one that exists, or a new one of this amount."""

    price: str | None = None
    amount: int | None = None
    interval: Literal["day", "week", "month", "year"] | None = None
    product: str | None = None
    quantity: int | None = None
    proration: Proration = "always_invoice"


class DisputeOpening(RequestBody, frozen=True, kw_only=True):
    """A dispute to open."""

    reason: str = "fraudulent"
    beginning: Beginning = "dispute"
    amount: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """In minor units; by default all that is left of the charge."""


class DisputeDecision(RequestBody, frozen=True, kw_only=True):
    """How a dispute ends. Only an inquiry is `warning_closed`."""

    outcome: Literal["won", "lost", "warning_closed"]


class Onboarding(RequestBody, frozen=True, kw_only=True):
    """The result of a connected account's onboarding."""

    outcome: Literal["completed", "pending", "restricted"] = "completed"


class CapabilityChange(RequestBody, frozen=True, kw_only=True):
    """The new state of a capability."""

    capability: Literal["card_payments", "transfers"] = "transfers"
    status: Literal["active", "inactive", "pending", "unrequested"]


class AccountPayout(RequestBody, frozen=True, kw_only=True):
    """A payout of a connected account to its bank."""

    amount: Annotated[int, msgspec.Meta(ge=1)]
    currency: str = "usd"
    outcome: Literal["paid", "failed"] = "paid"


class TransferReversal(RequestBody, frozen=True, kw_only=True):
    """How much of a transfer comes back; by default all that is left."""

    amount: Annotated[int, msgspec.Meta(ge=1)] | None = None


class ForeignObject(RequestBody, frozen=True, kw_only=True):
    """An object of another shop on the same account."""

    kind: Kind
    metadata: dict[str, str] = {}


class SettlementCurrency(RequestBody, frozen=True, kw_only=True):
    """In what charges of a currency settle from now on."""

    charged: str
    currency: str = "usd"
    exchange_rate: Annotated[float, msgspec.Meta(gt=0)]
    """Whole units of the settlement currency for one of the charged one."""
    contains: str = ""
    """A text in the ids of charge, intent and customer, or in the metadata."""


class TopUp(RequestBody, frozen=True, kw_only=True):
    """Money that comes to the platform from outside."""

    amount: Annotated[int, msgspec.Meta(ge=1)]
    """In minor units."""
    currency: str = "usd"


class EventMatch(RequestBody, frozen=True, kw_only=True):
    """The events that a rule concerns: all, those of some types, or those in whose JSON a text occurs."""

    types: tuple[str, ...] = ()
    contains: str = ""


class Duplication(EventMatch, frozen=True, kw_only=True):
    """Events to deliver several times each."""

    copies: int = 2


class Release(RequestBody, frozen=True, kw_only=True):
    """The held deliveries to send."""

    contains: str = ""
    order: Literal["newest", "oldest", "random"] = "oldest"
    types: tuple[str, ...] = ()
    """Types of events that are sent before the others, in this order."""
    events: tuple[str, ...] = ()
    """Ids of events, instead of an order: those are sent, one after another, and nothing else. One that is named twice
    is sent twice."""


class Wait(RequestBody, frozen=True, kw_only=True):
    """How long to wait until nothing is pending."""

    seconds: float = 5
    contains: str = ""


class Fault(RequestBody, frozen=True, kw_only=True):
    """What goes wrong with the next calls of the API."""

    method: str = ""
    path: str = "/v1/"
    """How the path begins."""
    contains: str = ""
    """A text in the path or the parameters."""
    times: int = 1
    when: Literal["before", "after"] = "before"
    """Before: nothing is done. After: the work is done and its idempotency key remembers it, but the answer is lost."""
    seconds: float = 0
    """The delay of the answer. If the caller waits less, it is a timeout."""
    status: int = 0
    """Of HTTP; 0 where the answer is only late."""
    type: str = "api_error"
    code: str | None = None
    is_saved: bool = False
    """Whether the idempotency key remembers the error, as Stripe's does of a 500 within the work: a repeated request
    gets it again, for a day. Nothing is done."""
