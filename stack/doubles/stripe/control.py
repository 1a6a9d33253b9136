"""The control: what tests and people make happen that a caller of Stripe cannot. The package's docstring lists it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeVar

import msgspec
from litestar import Request, Response
from litestar.datastructures import State

from stack.doubles.stripe import (
    accounts,
    api,
    balance,
    billing,
    checkout,
    disputes,
    refunds,
    rules,
    timeline,
    transfers,
    webhooks,
)
from stack.doubles.stripe.book import SHIFT, Book, visible
from stack.doubles.stripe.double import Double
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.money import read_currency
from stack.doubles.stripe.payments import Outcome
from stack.doubles.stripe.routing import Table

MOST_COPIES = 100
LONGEST_WAIT = 60.0


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request without a body, and the base of the others."""


T = TypeVar("T", bound=Asked)


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


async def answer(double: Double, request: Request[None, None, State]) -> Response[bytes]:
    """One call of the control."""
    try:
        api.authenticate(double.settings.api_key, request.headers.get("authorization", ""))
        handler, ids = ROUTES.find(request.method, request.url.path) or (_unknown, (request.url.path,))
        body = await request.body()
        status, said = 200, await handler(double, body, dict(request.query_params), *ids)
    except StripeError as refused:
        status, said = refused.status, refused.body()
    except msgspec.ValidationError as wrong:
        status, said = 400, StripeError(str(wrong)).body()
    except msgspec.DecodeError as wrong:
        status, said = 400, StripeError(f"The body is no JSON: {wrong}").body()
    return Response(msgspec.json.encode(visible(said)), status_code=status, media_type="application/json")


Handler = Callable[..., Awaitable[Any]]


def _booked(kind: type[T], act: Callable[..., Object]) -> Handler:
    """A handler that does something in a book; `act` is given the book, what was asked, and the ids of the path."""

    async def handler(double: Double, body: bytes, _query: dict[str, str], *ids: str) -> Object:
        asked = msgspec.json.decode(body or b"{}", type=kind)
        with double.book() as book:
            return act(book, asked, *ids)

    return handler


async def _unknown(_double: Double, _body: bytes, _query: dict[str, str], path: str) -> Object:
    raise StripeError(f"The control has no such way: {path}", status=404)


def _pay(book: Book, asked: Paying, name: str) -> Object:
    return checkout.pay(book, name, asked.outcome)


def _settle_session(book: Book, asked: Settling, name: str) -> Object:
    return checkout.settle(book, name, succeeded=asked.outcome == "succeeded")


def _settle_refund(book: Book, asked: Settling, name: str) -> Object:
    return refunds.succeed(book, name) if asked.outcome == "succeeded" else refunds.fail(book, name, asked.reason)


def _set_card(book: Book, asked: Card, name: str) -> Object:
    billing.set_card(book, name, asked.outcome, asked.after_retries)
    return {"customer": name, "outcome": asked.outcome}


def _dispute(book: Book, asked: Disputing, name: str) -> Object:
    return disputes.open_on(book, name, reason=asked.reason, amount=asked.amount)


def _decide(book: Book, asked: Deciding, name: str) -> Object:
    return disputes.decide(book, name, asked.outcome)


def _onboard(book: Book, asked: Onboarding, name: str) -> Object:
    return accounts.complete(book, name, asked.outcome)


def _pay_out(book: Book, asked: PayingOut) -> Object:
    return transfers.pay_out(book, read_currency(asked.currency, "currency"), asked.amount)


def _set_next(book: Book, asked: Next) -> Object:
    return _rule(book, rules.OUTCOME, asked, asked.times)


def _set_fault(book: Book, asked: Fault) -> Object:
    return _rule(book, rules.FAULT, asked, asked.times)


def _hold(book: Book, asked: Holding) -> Object:
    return _rule(book, rules.HOLD, asked, asked.times)


def _drop(book: Book, asked: Holding) -> Object:
    return _rule(book, rules.DROP, asked, asked.times)


def _duplicate(book: Book, asked: Duplicating) -> Object:
    if not 1 <= asked.copies <= MOST_COPIES:
        raise StripeError(f"copies must be from 1 to {MOST_COPIES}")
    return _rule(book, rules.DUPLICATE, asked, asked.times)


def _rule(book: Book, kind: str, asked: Asked, times: int | None) -> Object:
    if times is not None and times < 1:
        raise StripeError("times must be at least 1, or null for always")
    body: Object = msgspec.to_builtins(asked)
    return {"rule": rules.add(book.connection, kind, body, times)}


def _list_rules(book: Book, _asked: Asked) -> Object:
    found = rules.listed(book.connection)
    return {"rules": [{"rule": seq, "kind": kind, "remaining": left, **body} for seq, kind, body, left in found]}


def _remove_rule(book: Book, _asked: Asked, number: str) -> Object:
    if not number.isdecimal() or not rules.remove(book.connection, int(number)):
        raise StripeError(f"There is no rule {number}", status=404)
    return {"removed": int(number)}


def _clock(book: Book, _asked: Asked) -> Object:
    return {"now": book.now}


def _advance(book: Book, asked: Advance) -> Object:
    target = asked.to if asked.to is not None else book.now + asked.seconds
    if target < book.now:
        raise StripeError("The clock goes forward only")
    book.write_note(SHIFT, book.note(SHIFT, 0) + target - book.now)
    timeline.run(book, clock=None, until=target)
    return {"now": target}


def _move(book: Book, asked: Movement) -> Object:
    kind = "topup" if asked.amount > 0 else "payout"
    return balance.record(book, kind, asked.amount, read_currency(asked.currency, "currency"), source=None)


async def _deliveries(double: Double, _body: bytes, query: dict[str, str]) -> Object:
    state = query.get("state")
    found = double.deliverer.listed(
        contains=query.get("contains", ""),
        event=query.get("event"),
        kind=query.get("type"),
        states=(state,) if state else (),
    )
    return {"deliveries": found}


async def _release(double: Double, body: bytes, _query: dict[str, str]) -> Object:
    asked = msgspec.json.decode(body or b"{}", type=Releasing)
    if not asked.goes_on:
        with double.book() as book:
            for number, _, rule, _ in list(rules.listed(book.connection, rules.HOLD)):
                if not asked.contains or asked.contains == rule["contains"]:
                    rules.remove(book.connection, number)
    held = double.deliverer.listed(contains=asked.contains, states=("held",))
    order = asked.order if isinstance(asked.order, str) else list(asked.order)
    return {"deliveries": await double.deliverer.release(webhooks.in_order(held, order))}


async def _redeliver(double: Double, body: bytes, _query: dict[str, str]) -> Object:
    asked = msgspec.json.decode(body, type=Redelivering)
    if not 1 <= asked.times <= MOST_COPIES:
        raise StripeError(f"times must be from 1 to {MOST_COPIES}")
    numbers = double.deliverer.redeliver(asked.event, asked.times)
    return {"deliveries": numbers}


async def _retry(double: Double, body: bytes, _query: dict[str, str]) -> Object:
    asked = msgspec.json.decode(body or b"{}", type=Match)
    found: Iterable[Object] = double.deliverer.listed(contains=asked.contains, states=("pending", "failed", "dropped"))
    numbers = [each["seq"] for each in found]
    double.deliverer.hand_over(numbers)
    return {"deliveries": numbers}


async def _wait(double: Double, body: bytes, _query: dict[str, str]) -> Object:
    asked = msgspec.json.decode(body or b"{}", type=Waiting)
    left = await double.deliverer.quiet(min(asked.seconds, LONGEST_WAIT), asked.contains)
    return {"undelivered": left}


async def _reset(double: Double, _body: bytes, _query: dict[str, str]) -> Object:
    double.store.clear()
    return {"reset": True}


ROUTES: Table[Handler] = Table(
    [
        ("POST /_double/sessions/{}/pay", _booked(Paying, _pay)),
        ("POST /_double/sessions/{}/settle", _booked(Settling, _settle_session)),
        ("POST /_double/refunds/{}/settle", _booked(Settling, _settle_refund)),
        ("POST /_double/customers/{}/card", _booked(Card, _set_card)),
        ("POST /_double/charges/{}/dispute", _booked(Disputing, _dispute)),
        ("POST /_double/disputes/{}/close", _booked(Deciding, _decide)),
        ("POST /_double/accounts/{}/complete", _booked(Onboarding, _onboard)),
        ("POST /_double/payouts", _booked(PayingOut, _pay_out)),
        ("POST /_double/next", _booked(Next, _set_next)),
        ("POST /_double/balance", _booked(Movement, _move)),
        ("GET /_double/clock", _booked(Asked, _clock)),
        ("POST /_double/clock/advance", _booked(Advance, _advance)),
        ("POST /_double/faults", _booked(Fault, _set_fault)),
        ("GET /_double/rules", _booked(Asked, _list_rules)),
        ("DELETE /_double/rules/{}", _booked(Asked, _remove_rule)),
        ("POST /_double/webhooks/hold", _booked(Holding, _hold)),
        ("POST /_double/webhooks/drop", _booked(Holding, _drop)),
        ("POST /_double/webhooks/duplicate", _booked(Duplicating, _duplicate)),
        ("POST /_double/webhooks/release", _release),
        ("POST /_double/webhooks/redeliver", _redeliver),
        ("POST /_double/webhooks/retry", _retry),
        ("POST /_double/webhooks/wait", _wait),
        ("GET /_double/webhooks/deliveries", _deliveries),
        ("POST /_double/reset", _reset),
    ]
)
