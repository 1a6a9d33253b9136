"""Disputes, settlement in another currency, and what goes wrong at connected accounts and with stored ids."""

from collections import Counter
from typing import Any

import pytest
import stripe

from tests.stack.stripe.support import (
    as_dict,
    assert_refused,
    available,
    open_session,
    paid_charge,
    transaction,
)
from tests.stripe_double import OwnDouble, Receiver, receiving


def types_of(double: OwnDouble, receiver: Receiver, contains: str) -> list[str]:
    """The types of the events in which a text occurs."""
    double.wait_for_deliveries(contains)
    return receiver.types(contains)


@pytest.mark.parametrize("end", ["closed", "escalated", "refunded"])
def test_an_inquiry_takes_no_money(double: OwnDouble, receiver: Receiver, end: str) -> None:
    charge = paid_charge(double, 3000, "usd")
    before = available(double, "usd")
    inquiry = double.post(f"charges/{charge.id}/dispute", beginning="inquiry")
    assert (inquiry["status"], inquiry["is_charge_refundable"]) == ("warning_needs_response", True)
    assert inquiry["payment_method_details"]["card"]["case_type"] == "inquiry"
    assert (available(double, "usd"), inquiry["balance_transactions"]) == (before, [])
    path = f"disputes/{inquiry['id']}"
    assert double.http.post(f"/_double/{path}/close", json={"outcome": "lost"}).status_code == 400
    if end == "escalated":
        assert double.post(f"{path}/respond")["status"] == "warning_under_review"
        escalated = double.post(f"{path}/escalate")
        assert (escalated["status"], escalated["is_charge_refundable"]) == ("needs_response", False)
        assert available(double, "usd") == before - 3000 - 1500
        assert double.post(f"{path}/close", outcome="lost")["status"] == "lost"
    elif end == "closed":
        assert double.post(f"{path}/close", outcome="warning_closed")["status"] == "warning_closed"
    else:
        refund: Any = {"payment_intent": charge.payment_intent}
        assert double.v1.refunds.create(refund).amount == 3000
        assert double.http.post(f"/_double/{path}/escalate").status_code == 400
        double.post(f"{path}/close", outcome="warning_closed")
    types = types_of(double, receiver, inquiry["id"])
    assert ("charge.dispute.funds_withdrawn" in types) == (end == "escalated")
    assert types.count("charge.dispute.closed") == 1


@pytest.mark.parametrize(("beginning", "moved"), [("resolution", -3000), ("block", 0)])
def test_a_prevented_dispute_is_no_chargeback(
    double: OwnDouble, receiver: Receiver, beginning: str, moved: int
) -> None:
    charge = paid_charge(double, 3000, "usd")
    before = available(double, "usd")
    dispute = double.post(f"charges/{charge.id}/dispute", beginning=beginning)
    assert (dispute["status"], dispute["payment_method_details"]["card"]["case_type"]) == ("prevented", beginning)
    assert available(double, "usd") == before + moved
    assert double.http.post(f"/_double/disputes/{dispute['id']}/close", json={"outcome": "won"}).status_code == 400
    types = types_of(double, receiver, dispute["id"])
    assert ("charge.dispute.funds_withdrawn" in types) == (moved != 0)
    refund: Any = {"payment_intent": charge.payment_intent}
    if moved:
        assert_refused(lambda: double.v1.refunds.create(refund), 400, "charge_disputed", "charge")
    else:
        assert double.v1.refunds.create(refund).amount == 3000


def test_a_lost_dispute_is_won_on_appeal(double: OwnDouble, receiver: Receiver) -> None:
    charge = paid_charge(double, 3000, "usd")
    before = available(double, "usd")
    dispute = double.post(f"charges/{charge.id}/dispute", amount=1000)
    path = f"disputes/{dispute['id']}"
    assert double.http.post(f"/_double/{path}/appeal").status_code == 400, "nothing is decided yet"
    assert double.post(f"{path}/respond")["status"] == "under_review"
    double.post(f"{path}/close", outcome="lost")
    assert double.post(f"{path}/appeal")["status"] == "appeal_needs_response"
    assert double.post(f"{path}/respond")["status"] == "appeal_under_review"
    assert double.post(f"{path}/close", outcome="won")["status"] == "won"
    assert available(double, "usd") == before - 1500
    # The buyer's bank appeals too.
    assert double.post(f"{path}/appeal")["status"] == "appeal_needs_response"
    assert available(double, "usd") == before - 1500 - 1000
    double.post(f"{path}/close", outcome="lost")
    assert double.v1.disputes.retrieve(dispute["id"]).status == "lost"
    types = Counter(types_of(double, receiver, dispute["id"]))
    assert types == {
        "charge.dispute.created": 1,
        "charge.dispute.funds_withdrawn": 2,
        "charge.dispute.updated": 4,
        "charge.dispute.closed": 3,
        "charge.dispute.funds_reinstated": 1,
    }


def test_a_charge_settles_in_another_currency(double: OwnDouble, customer: Any) -> None:
    double.post("settlement", charged="jpy", currency="usd", exchange_rate=0.0068, contains=customer.id)
    charge = paid_charge(double, 10_000, "jpy", customer=customer.id)
    movement = transaction(double, charge.balance_transaction)
    assert (movement.currency, movement.amount, movement.fee, movement.net) == ("usd", 6800, 218, 6582)
    assert (movement.exchange_rate, charge.currency, charge.amount) == (0.0068, "jpy", 10_000)
    refund: Any = {"payment_intent": charge.payment_intent, "amount": 5000}
    refunded = double.v1.refunds.create(refund)
    back = transaction(double, refunded.balance_transaction)
    assert (refunded.currency, back.currency, back.amount) == ("jpy", "usd", -3400)
    dispute = double.post(f"charges/{charge.id}/dispute")
    [taken] = dispute["balance_transactions"]
    assert (dispute["currency"], dispute["amount"], taken["currency"], taken["amount"]) == ("jpy", 5000, "usd", -3400)
    other = paid_charge(double, 10_000, "jpy")
    assert transaction(double, other.balance_transaction).currency == "jpy"
    found = {each.currency: each.amount for each in double.v1.balance.retrieve().available}
    assert found["usd"] == available(double, "usd")


def account(double: OwnDouble, country: str = "US", **changes: Any) -> Any:
    """A new account, which can receive transfers."""
    both = {"transfers": {"requested": True}, "card_payments": {"requested": True}}
    return double.v1.accounts.create({"type": "express", "country": country, "capabilities": both} | changes)


ONLY_TRANSFERS: Any = {"transfers": {"requested": True}}
RECIPIENT: Any = {"service_agreement": "recipient"}


def test_the_country_of_an_account_decides_what_it_needs(double: OwnDouble) -> None:
    assert account(double, "US", capabilities=ONLY_TRANSFERS).capabilities.transfers == "inactive"
    message = assert_refused(lambda: account(double, "DE", capabilities=ONLY_TRANSFERS), 400, None, "capabilities")
    assert "without the `card_payments` capability for accounts in DE" in message
    assert account(double, "DE").country == "DE"
    assert_refused(lambda: account(double, "PH"), 400, "country_unsupported", "country")
    assert_refused(lambda: account(double, "PH", tos_acceptance=RECIPIENT), 400, None, "capabilities")
    abroad = account(double, "PH", capabilities=ONLY_TRANSFERS, tos_acceptance=RECIPIENT)
    assert abroad.tos_acceptance.service_agreement == "recipient"
    done = double.post(f"accounts/{abroad.id}/complete")
    assert (done["charges_enabled"], done["payouts_enabled"]) == (False, True)
    assert done["capabilities"] == {"transfers": "active"}
    near = "tos_acceptance[service_agreement]"
    assert_refused(
        lambda: account(double, "US", capabilities=ONLY_TRANSFERS, tos_acceptance=RECIPIENT), 400, None, near
    )
    assert_refused(lambda: account(double, "Sweden"), 400, "country_unsupported", "country")


def test_a_platform_in_europe_needs_approval(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("europe") / "stripe"
    with receiving() as receiver:
        double = OwnDouble(folder, receiver.url, COUNTRY="SE", IS_TRANSFERS_ONLY_APPROVED="false")
        message = assert_refused(lambda: account(double, "DE", capabilities=ONLY_TRANSFERS), 400, None)
        assert message.startswith("Request req_")
        assert "needs approval" in message
        own = double.v1.accounts.create({"type": "express"})
        assert (own.country, own.default_currency) == ("SE", "sek")
        added = double.v1.accounts.update(
            own.id, {"capabilities": {"transfers": {"requested": True}, "card_payments": {"requested": True}}}
        )
        assert as_dict(added.capabilities) == {"card_payments": "inactive", "transfers": "inactive"}
        assert double.stop() == 0


def test_a_capability_changes_after_onboarding(double: OwnDouble, receiver: Receiver) -> None:
    person = account(double)
    double.post(f"accounts/{person.id}/complete")
    double.post("balance", amount=5000, currency="usd")
    changed = double.post(f"accounts/{person.id}/capability", status="inactive")
    assert (changed["capabilities"]["transfers"], changed["payouts_enabled"]) == ("inactive", True)
    send: Any = {"amount": 500, "currency": "usd", "destination": person.id}
    assert_refused(lambda: double.v1.transfers.create(send), 400, "insufficient_capabilities_for_transfer")
    double.post(f"accounts/{person.id}/capability", status="active")
    assert double.v1.transfers.create(send).amount == 500
    assert types_of(double, receiver, person.id).count("capability.updated") == 2


def test_a_payout_to_the_bank_fails(double: OwnDouble, receiver: Receiver) -> None:
    person = account(double)
    double.post(f"accounts/{person.id}/complete")
    assert double.post(f"accounts/{person.id}/payout", amount=700)["status"] == "paid"
    failed = double.post(f"accounts/{person.id}/payout", amount=800, outcome="failed")
    assert (failed["status"], failed["failure_code"]) == ("failed", "account_closed")
    seen = double.v1.accounts.retrieve(person.id)
    assert (seen.payouts_enabled, seen.capabilities.transfers) == (False, "active")
    assert seen.requirements.currently_due == ["external_account"]
    types = Counter(types_of(double, receiver, person.id))
    assert (types["payout.created"], types["payout.paid"], types["payout.failed"]) == (2, 1, 1)
    assert {event.account for event in receiver.taken if event.data.object.id == failed["id"]} == {person.id}


def test_a_transfer_is_reversed_in_parts(double: OwnDouble, receiver: Receiver) -> None:
    person = account(double)
    double.post(f"accounts/{person.id}/complete")
    double.post("balance", amount=5000, currency="usd")
    before = available(double, "usd")
    send: Any = {"amount": 3000, "currency": "usd", "destination": person.id}
    transfer = double.v1.transfers.create(send)
    part = double.post(f"transfers/{transfer.id}/reverse", amount=1000)
    assert (part["amount_reversed"], part["reversed"]) == (1000, False)
    reversal = double.v1.transfers.reversals.create(transfer.id, {"metadata": {"why": "mistake"}})
    assert (reversal.amount, reversal.transfer) == (2000, transfer.id)
    whole = double.v1.transfers.retrieve(transfer.id)
    assert (whole.amount_reversed, whole.reversed, len(whole.reversals.data)) == (3000, True, 2)
    assert available(double, "usd") == before
    assert_refused(lambda: double.v1.transfers.reversals.create(transfer.id), 400, None, "amount")
    assert types_of(double, receiver, transfer.id).count("transfer.reversed") == 2


def test_a_holder_disconnects_an_account(double: OwnDouble, receiver: Receiver) -> None:
    person = account(double)
    double.post(f"accounts/{person.id}/complete")
    double.post(f"accounts/{person.id}/deauthorize")
    assert_refused(lambda: double.v1.accounts.retrieve(person.id), 403, None)
    send: Any = {"amount": 1, "currency": "usd", "destination": person.id}
    assert_refused(lambda: double.v1.transfers.create(send), 400, "resource_missing", "destination")
    assert "account.application.deauthorized" in types_of(double, receiver, person.id)


def test_products_and_prices_are_archived_and_removed(double: OwnDouble, receiver: Receiver) -> None:
    product = double.v1.products.create({"name": "Short-lived"})
    price = double.v1.prices.create({"product": product.id, "currency": "eur", "unit_amount": 500})
    items = [{"price_data": {"currency": "eur", "unit_amount": 500, "product": product.id}, "quantity": 1}]
    field = "line_items[0][price_data][product]"
    assert_refused(lambda: double.v1.products.delete(product.id), 400, None, "id")
    double.post(f"products/{product.id}/archive")
    double.post(f"prices/{price.id}/archive")
    assert_refused(lambda: open_session(double, line_items=items), 400, None, field)
    double.v1.products.update(product.id, {"active": True})
    assert open_session(double, line_items=items).amount_total == 500
    double.post(f"products/{product.id}/remove")
    double.post(f"prices/{price.id}/remove")
    assert_refused(lambda: double.v1.products.retrieve(product.id), 404, "resource_missing", "id")
    assert_refused(lambda: open_session(double, line_items=items), 400, "resource_missing", field)
    assert_refused(lambda: double.v1.prices.retrieve(price.id), 404, "resource_missing", "id")
    types = types_of(double, receiver, product.id)
    assert {"product.updated", "price.updated", "product.deleted", "price.deleted"} <= set(types)
    alone = double.v1.products.create({"name": "Without prices"})
    assert double.v1.products.delete(alone.id).deleted


KINDS = {
    "customer": "customer.created",
    "session": "checkout.session.completed",
    "subscription": "customer.subscription.created",
    "invoice": "invoice.paid",
    "charge": "charge.succeeded",
    "refund": "refund.created",
    "dispute": "charge.dispute.created",
    "transfer": "transfer.created",
    "account": "account.updated",
    "product": "product.created",
}


@pytest.mark.parametrize("kind", KINDS)
def test_objects_of_another_shop(double: OwnDouble, receiver: Receiver, kind: str) -> None:
    made = double.foreign(kind, order_id="not a uuid")
    assert KINDS[kind] in types_of(double, receiver, made["id"])
    if kind not in {"invoice", "dispute"}:
        assert made["metadata"] == {"order_id": "not a uuid"}
    assert double.foreign(kind)["id"] != made["id"]


def test_a_saved_error_is_replayed(double: OwnDouble) -> None:
    customers = double.v1.customers
    double.post("faults", contains="saved-500", status=500, is_saved=True)
    params: Any = {"email": "saved-500@example.com"}
    key: Any = {"idempotency_key": "saved-500"}
    for replayed in (None, "true"):
        with pytest.raises(stripe.APIError) as failure:
            customers.create(params, key)
        assert failure.value.http_status == 500
        assert (failure.value.headers or {}).get("idempotent-replayed") == replayed
    assert customers.list(params).data == []
    assert customers.create(params, {"idempotency_key": "saved-500-again"}).id
    with pytest.raises(stripe.IdempotencyError):
        customers.create({"email": "other@example.com"}, key)


def test_held_events_are_released_in_an_order(double: OwnDouble, receiver: Receiver, customer: Any) -> None:
    double.wait_for_deliveries(customer.id)
    double.hold(customer.id)
    paid_charge(double, customer=customer.id)
    held = double.held(customer.id)
    assert [each["type"] for each in held] == [
        *("payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"),
    ]
    [charge] = [each["event"] for each in held if each["type"] == "charge.succeeded"]
    [session] = double.held(customer.id, "checkout.*")
    order = [session["event"], charge, session["event"]]
    assert double.release(customer.id, events=order) == 3
    taken = [event.id for event in receiver.taken if customer.id in str(event)]
    assert taken[-3:] == order
    unknown = {"contains": customer.id, "events": ["evt_none"]}
    assert double.http.post("/_double/webhooks/release", json=unknown).status_code == 400
    paid_charge(double, customer=customer.id)
    known = len(receiver.types(customer.id))
    double.release(customer.id, types=["payment_intent.succeeded", "charge.succeeded"])
    assert receiver.types(customer.id)[known:] == [
        *["payment_intent.succeeded"] * 2,
        *["charge.succeeded"],
        *("payment_intent.created", "payment_intent.created", "checkout.session.completed"),
    ]
