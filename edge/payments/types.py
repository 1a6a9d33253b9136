"""What clients send and get, and what the database and Stripe answer."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

ReturnUrl = Annotated[str, msgspec.Meta(max_length=2000, description="The absolute URL of a page of this installation")]


class RequestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what clients send."""


class CheckoutRequest(RequestBody, frozen=True, kw_only=True):
    """The arguments of `place_order`, and the pages to which the browser returns."""

    offer_id: UUID | None = None
    course_id: UUID | None = None
    """Instead of the offer that sells the course."""
    quantity: int | None = None
    amount: int | None = None
    """Of a tip, in minor units."""
    coupon: str | None = None
    student_teacher_id: UUID | None = None
    details: dict[str, Any] | None = None
    """What the seller must know."""
    success_url: ReturnUrl | None = None
    """`{CHECKOUT_SESSION_ID}` in it becomes the id of the session; without it, `session_id=` is added."""
    cancel_url: ReturnUrl | None = None


StripeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,255}$")]


class PriceRequest(RequestBody, frozen=True, kw_only=True):
    """A price that was made by hand at the payment provider."""

    price_id: StripeId | None
    """None binds none."""
    product_id: StripeId | None = None
    """The product that the price must be of."""


class VerifyRequest(RequestBody, frozen=True, kw_only=True):
    """The session with which the browser returned."""

    session_id: Annotated[str, msgspec.Meta(pattern=r"^cs_[A-Za-z0-9_]{1,250}$")]


class PortalRequest(RequestBody, frozen=True, kw_only=True):
    """The page to which the browser returns from the portal."""

    return_url: ReturnUrl | None = None


class PayoutAccountRequest(RequestBody, frozen=True, kw_only=True):
    """The country of the account, which can be changed until its holder has completed it."""

    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$", description="ISO 3166-1, such as SE")] | None = None
    """By default that of the account that exists, else that of the installation's own account."""


class OnboardingRequest(RequestBody, frozen=True, kw_only=True):
    """The pages to which the browser returns from the onboarding."""

    return_url: ReturnUrl | None = None
    refresh_url: ReturnUrl | None = None
    """After the link has expired: a page that requests a new one."""


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """An order, and the page on which it is paid; null where nothing is left to pay."""

    order_id: UUID
    status: str
    session_id: str | None
    url: str | None


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an order."""

    order_id: UUID
    status: str
    kind: str
    course_id: UUID | None
    paid_at: datetime | None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the payment provider; it works for a short time."""

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
    """A row of `payout_accounts`: whether payouts to the caller are possible."""

    is_submitted: bool
    can_receive: bool
    missing: list[str]
    country: str | None
    bank_failure: str | None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `orders`, as far as it matters here."""

    id: UUID
    status: str
    kind: str
    course_id: UUID | None
    paid_at: datetime | None

    def state(self) -> OrderState:
        """The order as the answer has it."""
        return OrderState(
            order_id=self.id, status=self.status, kind=self.kind, course_id=self.course_id, paid_at=self.paid_at
        )


class DiscountPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The discount of a subscription."""

    code: str
    """Of the coupon."""
    amount: int
    """In minor units, off each payment that it discounts."""
    duration: Literal["once", "repeating", "forever"]
    months: int | None


class OrderPayload(msgspec.Struct, frozen=True, kw_only=True):
    """What private.checkout_payload answers."""

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
    discount: DiscountPayload | None
    currency: str
    billing_interval: str | None
    trial_days: int
    expires_at: int


class RenewalPayload(msgspec.Struct, frozen=True, kw_only=True):
    """What private.renewal_payload answers."""

    subscription: str
    is_paused: bool
    must_end: bool


class PayoutAccountPayload(msgspec.Struct, frozen=True, kw_only=True):
    """What private.payout_account_payload answers."""

    user_id: str
    email: str | None
    country: str | None
    is_submitted: bool
    account: str | None


class OfferPayload(msgspec.Struct, frozen=True, kw_only=True):
    """What private.offer_payload answers."""

    offer_id: str
    title: str
    description: str | None
    amount: int
    currency: str
    billing_interval: str | None
    is_active: bool
    product: str | None
    price: str | None


class RefundPayload(msgspec.Struct, frozen=True, kw_only=True):
    """What private.refund_payload answers."""

    refund_id: str
    order_id: str
    amount: int
    payment: str | None
    invoice: str | None


class PayoutPayload(msgspec.Struct, frozen=True, kw_only=True):
    """What private.payout_payload answers."""

    payout_id: str
    amount: int
    currency: str
    attempts: int
    account: str | None
