"""The control: makes happen what no caller of Stripe can. The package's docstring lists it."""

import random
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import msgspec
from litestar import Request, Response
from litestar.datastructures import State

from stack.doubles.stripe import (
    accounts,
    api,
    balance,
    billing,
    catalog,
    checkout,
    checkout_payment,
    customers,
    disputes,
    foreign,
    payouts,
    plan_switches,
    refunds,
    rules,
    transfers,
)
from stack.doubles.stripe.control_requests import (
    AccountPayout,
    CapabilityChange,
    CardState,
    CustomerBalance,
    DisputeDecision,
    DisputeOpening,
    Duplication,
    EventMatch,
    Fault,
    ForeignObject,
    NextOutcome,
    Onboarding,
    PlanSwitch,
    Release,
    RequestBody,
    SessionPayment,
    Settlement,
    SettlementCurrency,
    Tax,
    TopUp,
    TransferReversal,
    Wait,
)
from stack.doubles.stripe.errors import Object, StripeError
from stack.doubles.stripe.money import read_currency
from stack.doubles.stripe.params import Params
from stack.doubles.stripe.routing import Router
from stack.doubles.stripe.simulator import Simulator
from stack.doubles.stripe.unit_of_work import UnitOfWork, visible

LONGEST_WAIT = 60.0

T = TypeVar("T", bound=RequestBody)
Handler = Callable[..., Awaitable[Any]]


async def answer(simulator: Simulator, request: Request[None, None, State]) -> Response[bytes]:
    """Answer one call of the control."""
    try:
        api.authenticate(simulator.settings.api_key, request.headers.get("authorization", ""))
        handler, ids = ROUTES.find(request.method, request.url.path) or (_unknown, (request.url.path,))
        status, result = 200, await handler(simulator, await request.body() or b"{}", *ids)
    except StripeError as error:
        status, result = error.status, error.body()
    except msgspec.DecodeError as error:
        status, result = 400, StripeError(str(error)).body()
    return Response(msgspec.json.encode(visible(result)), status_code=status, media_type="application/json")


def _in_work(kind: type[T], act: Callable[..., Object]) -> Handler:
    """A handler that acts in a unit of work: `act` gets the work, the decoded body, and the ids of the path."""

    async def handler(simulator: Simulator, body: bytes, *ids: str) -> Object:
        decoded = msgspec.json.decode(body, type=kind)
        with simulator.work() as work:
            return act(work, decoded, *ids)

    return handler


async def _unknown(_simulator: Simulator, _body: bytes, path: str) -> Object:
    raise StripeError(f"The control has no such path: {path}", status=404)


def _pay_session(work: UnitOfWork, body: SessionPayment, session_id: str) -> Object:
    return checkout_payment.pay(work, session_id, body.outcome)


def _settle_session(work: UnitOfWork, body: Settlement, session_id: str) -> Object:
    return checkout_payment.settle(work, session_id, succeeded=body.outcome == "succeeded")


def _tax_session(work: UnitOfWork, body: Tax, session_id: str) -> Object:
    return checkout.set_tax(work, session_id, body.percent)


def _pay_invoice(work: UnitOfWork, body: SessionPayment, invoice_id: str) -> Object:
    return billing.pay(work, invoice_id, body.outcome)


def _settle_invoice(work: UnitOfWork, body: Settlement, invoice_id: str) -> Object:
    return billing.settle(work, invoice_id, succeeded=body.outcome == "succeeded")


def _switch_plan(work: UnitOfWork, body: PlanSwitch, subscription_id: str) -> Object:
    subscription = work.get("subscription", subscription_id)
    work.follow(subscription["test_clock"])
    if (body.price is None) == (body.amount is None):
        raise StripeError("A switch needs a price or an amount")
    if body.price is not None:
        price = work.get("price", body.price, "price")
    else:
        price = plan_switches.new_plan(work, subscription_id, body.amount or 0, body.interval, body.product)
    return plan_switches.switch(work, subscription, price, quantity=body.quantity, proration=body.proration)


def _set_balance(work: UnitOfWork, body: CustomerBalance, customer_id: str) -> Object:
    return customers.set_balance(work, customer_id, body.amount)


def _delete_customer(work: UnitOfWork, _body: RequestBody, customer_id: str) -> Object:
    return customers.delete(work, Params({}), customer_id)


def _remove_from_catalog(work: UnitOfWork, _body: RequestBody, kind: str, object_id: str) -> Object:
    return catalog.remove(work, _catalog_kind(kind), object_id)


def _archive_in_catalog(work: UnitOfWork, _body: RequestBody, kind: str, object_id: str) -> Object:
    return catalog.archive(work, _catalog_kind(kind), object_id)


def _catalog_kind(plural: str) -> Literal["product", "price"]:
    match plural:
        case "products":
            return "product"
        case "prices":
            return "price"
    raise StripeError(f"The catalog has products and prices, and no {plural}", status=404)


def _make_foreign(work: UnitOfWork, body: ForeignObject) -> Object:
    return foreign.make(work, body.kind, body.metadata)


def _settle_refund(work: UnitOfWork, body: Settlement, refund_id: str) -> Object:
    return refunds.succeed(work, refund_id) if body.outcome == "succeeded" else refunds.fail(work, refund_id)


def _set_card(work: UnitOfWork, body: CardState, customer_id: str) -> Object:
    billing.set_card(work, customer_id, body.outcome)
    return {"customer": customer_id, "outcome": body.outcome}


def _open_dispute(work: UnitOfWork, body: DisputeOpening, charge_id: str) -> Object:
    return disputes.open_on(work, charge_id, reason=body.reason, beginning=body.beginning, amount=body.amount)


def _escalate_dispute(work: UnitOfWork, _body: RequestBody, dispute_id: str) -> Object:
    return disputes.escalate(work, dispute_id)


def _respond_to_dispute(work: UnitOfWork, _body: RequestBody, dispute_id: str) -> Object:
    return disputes.respond(work, dispute_id)


def _appeal_dispute(work: UnitOfWork, _body: RequestBody, dispute_id: str) -> Object:
    return disputes.appeal(work, dispute_id)


def _decide_dispute(work: UnitOfWork, body: DisputeDecision, dispute_id: str) -> Object:
    return disputes.decide(work, dispute_id, body.outcome)


def _complete_onboarding(work: UnitOfWork, body: Onboarding, account_id: str) -> Object:
    return accounts.complete(work, account_id, body.outcome)


def _set_capability(work: UnitOfWork, body: CapabilityChange, account_id: str) -> Object:
    return accounts.set_capability(work, account_id, body.capability, body.status)


def _pay_account_out(work: UnitOfWork, body: AccountPayout, account_id: str) -> Object:
    currency = read_currency(body.currency, "currency")
    return payouts.pay_out(work, account_id, body.amount, currency, body.outcome)


def _deauthorize(work: UnitOfWork, _body: RequestBody, account_id: str) -> Object:
    return accounts.deauthorize(work, account_id)


def _reverse_transfer(work: UnitOfWork, body: TransferReversal, transfer_id: str) -> Object:
    return transfers.reverse(work, transfer_id, body.amount, {})


def _set_settlement(work: UnitOfWork, body: SettlementCurrency) -> Object:
    for currency in (body.charged, body.currency):
        read_currency(currency, "currency")
    return _add_rule(work, rules.SETTLEMENT, body)


def _add_to_balance(work: UnitOfWork, body: TopUp) -> Object:
    return balance.record(work, "topup", body.amount, read_currency(body.currency, "currency"), source=None)


def _set_next(work: UnitOfWork, body: NextOutcome) -> Object:
    if body.on == "transfer" and body.outcome != "error":
        raise StripeError("The outcome of a transfer can only be error")
    return _add_rule(work, rules.OUTCOME, body, 1)


def _set_fault(work: UnitOfWork, body: Fault) -> Object:
    return _add_rule(work, rules.FAULT, body, body.times)


def _hold(work: UnitOfWork, body: EventMatch) -> Object:
    return _add_rule(work, rules.HOLD, body)


def _drop(work: UnitOfWork, body: EventMatch) -> Object:
    return _add_rule(work, rules.DROP, body)


def _duplicate(work: UnitOfWork, body: Duplication) -> Object:
    return _add_rule(work, rules.DUPLICATE, body)


def _add_rule(work: UnitOfWork, kind: str, body: RequestBody, times: int | None = None) -> Object:
    return {"rule": rules.add(work.connection, kind, msgspec.to_builtins(body), times)}


async def _release(simulator: Simulator, body: bytes) -> Object:
    release = msgspec.json.decode(body, type=Release)
    held = simulator.deliverer.find("held", release.contains)
    if release.events:
        numbers = {each["event"]: each["seq"] for each in held}
        unknown = [each for each in release.events if each not in numbers]
        if unknown:
            raise StripeError(f"Not held: {', '.join(unknown)}")
        await simulator.deliverer.release([numbers[each] for each in release.events])
        return {"released": len(release.events)}
    with simulator.work() as work:
        for number, _, rule in list(rules.find(work.connection, rules.HOLD)):
            if release.contains == rule["contains"]:
                rules.remove(work.connection, number)
    if release.order == "newest":
        held.reverse()
    elif release.order == "random":
        random.shuffle(held)
    rank = {kind: place for place, kind in enumerate(release.types)}
    held.sort(key=lambda each: rank.get(each["type"], len(rank)))
    await simulator.deliverer.release([each["seq"] for each in held])
    return {"released": len(held)}


async def _list_held(simulator: Simulator, body: bytes) -> Object:
    match = msgspec.json.decode(body, type=EventMatch)
    held = simulator.deliverer.find("held", match.contains)
    return {"held": [each for each in held if rules.names_type(match.types or ("*",), each["type"])]}


async def _wait(simulator: Simulator, body: bytes) -> Object:
    wait = msgspec.json.decode(body, type=Wait)
    return {"undelivered": await simulator.deliverer.wait(min(wait.seconds, LONGEST_WAIT), wait.contains)}


async def _reset(simulator: Simulator, _body: bytes) -> Object:
    simulator.store.clear()
    return {"reset": True}


ROUTES: Router[Handler] = Router(
    [
        ("POST /_double/sessions/{}/pay", _in_work(SessionPayment, _pay_session)),
        ("POST /_double/sessions/{}/settle", _in_work(Settlement, _settle_session)),
        ("POST /_double/sessions/{}/tax", _in_work(Tax, _tax_session)),
        ("POST /_double/invoices/{}/pay", _in_work(SessionPayment, _pay_invoice)),
        ("POST /_double/invoices/{}/settle", _in_work(Settlement, _settle_invoice)),
        ("POST /_double/subscriptions/{}/switch", _in_work(PlanSwitch, _switch_plan)),
        ("POST /_double/customers/{}/balance", _in_work(CustomerBalance, _set_balance)),
        ("POST /_double/customers/{}/delete", _in_work(RequestBody, _delete_customer)),
        ("POST /_double/{}/{}/remove", _in_work(RequestBody, _remove_from_catalog)),
        ("POST /_double/{}/{}/archive", _in_work(RequestBody, _archive_in_catalog)),
        ("POST /_double/foreign", _in_work(ForeignObject, _make_foreign)),
        ("POST /_double/settlement", _in_work(SettlementCurrency, _set_settlement)),
        ("POST /_double/refunds/{}/settle", _in_work(Settlement, _settle_refund)),
        ("POST /_double/customers/{}/card", _in_work(CardState, _set_card)),
        ("POST /_double/charges/{}/dispute", _in_work(DisputeOpening, _open_dispute)),
        ("POST /_double/disputes/{}/close", _in_work(DisputeDecision, _decide_dispute)),
        ("POST /_double/disputes/{}/escalate", _in_work(RequestBody, _escalate_dispute)),
        ("POST /_double/disputes/{}/respond", _in_work(RequestBody, _respond_to_dispute)),
        ("POST /_double/disputes/{}/appeal", _in_work(RequestBody, _appeal_dispute)),
        ("POST /_double/accounts/{}/capability", _in_work(CapabilityChange, _set_capability)),
        ("POST /_double/accounts/{}/payout", _in_work(AccountPayout, _pay_account_out)),
        ("POST /_double/accounts/{}/deauthorize", _in_work(RequestBody, _deauthorize)),
        ("POST /_double/transfers/{}/reverse", _in_work(TransferReversal, _reverse_transfer)),
        ("POST /_double/accounts/{}/complete", _in_work(Onboarding, _complete_onboarding)),
        ("POST /_double/next", _in_work(NextOutcome, _set_next)),
        ("POST /_double/balance", _in_work(TopUp, _add_to_balance)),
        ("POST /_double/faults", _in_work(Fault, _set_fault)),
        ("POST /_double/webhooks/hold", _in_work(EventMatch, _hold)),
        ("POST /_double/webhooks/drop", _in_work(EventMatch, _drop)),
        ("POST /_double/webhooks/duplicate", _in_work(Duplication, _duplicate)),
        ("POST /_double/webhooks/release", _release),
        ("POST /_double/webhooks/held", _list_held),
        ("POST /_double/webhooks/wait", _wait),
        ("POST /_double/reset", _reset),
    ]
)
