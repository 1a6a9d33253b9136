"""What the edge reads from the database to print a document."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `certificates` and the score of its attempt, as the caller may read them."""

    id: UUID
    code: str
    status: str
    holder_name: str
    course_title: str
    creator_name: str | None = None
    score_percent: float | None = None
    issued_at: datetime | None = None


class Licence(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a beat licence when it was ordered. None is any number, and for `term_years` for ever."""

    product_title: str
    tier: str
    file_types: list[str]
    copies: int | None
    streams: int | None
    videos: int | None
    performances: int | None
    is_credit_required: bool
    term_years: int | None


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of an order."""

    amount: int
    completed_at: datetime


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What `order_document` answers. Amounts are in the smallest unit of the currency."""

    id: UUID
    number: int
    kind_label: str
    title: str
    is_order_in_force: bool
    buyer_name: str
    seller_name: str | None
    quantity: int
    unit_amount: int
    discount_amount: int
    coupon: str | None
    amount: int
    trial_days: int
    paid_amount: int
    tax_amount: int
    currency: str
    decimals: int
    paid_at: datetime
    period_starts_at: datetime | None
    period_ends_at: datetime | None
    ended_at: datetime | None
    licence: Licence | None
    licence_code: str | None
    refunds: list[Refund]


Content = dict[str, Any]
"""The values that a template prints, by the template's names."""
