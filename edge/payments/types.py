"""What clients ask and are answered, and what the database and Stripe tell."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

Address = Annotated[
    str, msgspec.Meta(max_length=2000, description="A page of this installation's own site, as an absolute address")
]


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what clients send."""


class CheckoutRequest(Asked, frozen=True, kw_only=True):
    """What is to be bought: the arguments of `place_order`, and where the browser goes afterwards."""

    offer_id: UUID | None = None
    course_id: UUID | None = None
    """Instead of the offer that sells it."""
    quantity: int | None = None
    amount: int | None = None
    """Of a tip, in minor units."""
    coupon: str | None = None
    student_teacher_id: UUID | None = None
    details: dict[str, Any] | None = None
    """What the seller must know."""
    success_url: Address | None = None
    """`{CHECKOUT_SESSION_ID}` in it becomes the session's id; where it is missing, `session_id=` is added."""
    cancel_url: Address | None = None


class VerifyRequest(Asked, frozen=True, kw_only=True):
    """What the browser came back with."""

    session_id: Annotated[str, msgspec.Meta(pattern=r"^cs_[A-Za-z0-9_]{1,250}$")]


class PortalRequest(Asked, frozen=True, kw_only=True):
    """Where the browser goes from the portal."""

    return_url: Address | None = None


class PayoutAccountRequest(Asked, frozen=True, kw_only=True):
    """Where one lives: that cannot be changed later."""

    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$", description="ISO 3166-1, such as SE")] | None = None
    """Left out, it is the installation's own."""


class OnboardingRequest(Asked, frozen=True, kw_only=True):
    """Where the browser goes from the onboarding."""

    return_url: Address | None = None
    refresh_url: Address | None = None
    """Where the link had run out: a page that asks for a new one."""


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """An order, and the page on which it is paid; null where nothing is to pay any more."""

    order_id: UUID
    status: str
    session_id: str | None
    url: str | None


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order."""

    order_id: UUID
    status: str
    kind: str
    course_id: UUID | None
    paid_at: datetime | None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A page at the payment provider; it works for a short time."""

    url: str


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `subscriptions`."""

    id: UUID
    offer_id: UUID
    kind: str
    status: str
    period_ends_at: datetime
    is_ending: bool
    trial_ends_at: datetime | None
    ended_at: datetime | None


class PayoutAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `payout_accounts`: whether one can be paid out."""

    is_submitted: bool
    can_receive: bool
    missing: list[str]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What every event of Stripe has. What the rest means is known in SQL: private.apply_stripe_event."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    type: Annotated[str, msgspec.Meta(max_length=255)]
    data: dict[str, Any]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `orders`, as far as it matters here."""

    id: UUID
    status: str
    kind: str
    course_id: UUID | None
    paid_at: datetime | None

    def state(self) -> OrderState:
        """As the answer tells it."""
        return OrderState(
            order_id=self.id, status=self.status, kind=self.kind, course_id=self.course_id, paid_at=self.paid_at
        )


class OrderBrief(msgspec.Struct, frozen=True, kw_only=True):
    """What private.checkout_brief tells."""

    order_id: str
    buyer_id: str
    email: str | None
    name: str | None
    customer: str | None
    session: str | None
    product: str | None
    title: str
    unit_amount: int
    quantity: int
    currency: str
    billing_interval: str | None
    trial_days: int
    expires_at: int


class PersonBrief(msgspec.Struct, frozen=True, kw_only=True):
    """What private.payout_account_brief tells."""

    user_id: str
    email: str | None
    account: str | None


class OfferBrief(msgspec.Struct, frozen=True, kw_only=True):
    """What private.offer_brief tells."""

    offer_id: str
    title: str
    description: str | None
    amount: int
    currency: str
    billing_interval: str | None
    is_active: bool
    product: str | None
    price: str | None


class RefundBrief(msgspec.Struct, frozen=True, kw_only=True):
    """What private.refund_brief tells."""

    refund_id: str
    order_id: str
    amount: int
    payment: str | None
    invoice: str | None


class PayoutBrief(msgspec.Struct, frozen=True, kw_only=True):
    """What private.payout_brief tells."""

    payout_id: str
    amount: int
    currency: str
    attempts: int
    account: str | None
