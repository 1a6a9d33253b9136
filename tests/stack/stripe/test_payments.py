"""Paying a session, refunds and disputes."""

import time
from collections import Counter
from typing import Any

import httpx
import pytest
import stripe

from tests.stack.stripe.support import (
    CANCEL_URL,
    as_dict,
    assert_refused,
    available,
    intent_of,
    open_session,
    paid_charge,
    press,
    transaction,
    transactions,
)
from tests.stripe_double import OwnDouble, Receiver


def test_a_buyer_pays_on_the_page(double: OwnDouble, receiver: Receiver, customer: Any) -> None:
    product = {"name": '<script>alert("x")</script> & co'}
    session = open_session(
        double,
        customer=customer.id,
        client_reference_id="order-7",
        metadata={"order": "7"},
        line_items=[{"price_data": {"currency": "usd", "unit_amount": 123456, "product_data": product}, "quantity": 2}],
    )
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    page = httpx.get(session.url)
    assert page.status_code == 200
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert "$2,469.12" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' https://shop.example" in policy
    assert f'href="/pay/{session.id}"' in httpx.get(double.url).text
    assert httpx.get(f"{double.url}/style.css").headers["content-type"].startswith("text/css")

    cancelled = press(page, "cancel")
    assert (cancelled.status_code, cancelled.headers["location"]) == (303, CANCEL_URL)
    declined = press(page, "decline")
    assert declined.status_code == 402
    assert "declined" in declined.text
    failed = intent_of(double, session.id).latest_charge
    assert (failed.status, failed.failure_code, failed.balance_transaction) == ("failed", "card_declined", None)
    paid = press(declined, "pay")
    assert paid.status_code == 303
    assert paid.headers["location"] == f"https://shop.example/thanks?session={session.id}"
    assert press(page, "pay").status_code == 409
    assert "Nothing more is due" in httpx.get(session.url).text

    session = double.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["payment_intent.latest_charge.balance_transaction"]}
    )
    intent = session.payment_intent
    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    assert (session.client_reference_id, as_dict(session.metadata)) == ("order-7", {"order": "7"})
    assert (session.amount_total, session.customer_details.email) == (246_912, "ann@example.com")
    [item] = double.v1.checkout.sessions.line_items.list(session.id).data
    assert (item.quantity, item.description) == (2, product["name"])
    charge = intent.latest_charge
    assert (intent.status, intent.amount_received, charge.customer) == ("succeeded", 246_912, customer.id)
    movement = charge.balance_transaction
    assert (movement.amount, movement.fee, movement.net) == (246_912, 7190, 239_722)
    assert (movement.type, movement.source, movement.currency) == ("charge", charge.id, "usd")

    double.wait_for_deliveries(customer.id)
    assert Counter(receiver.types(customer.id)) == Counter(
        [
            *("customer.created", "payment_intent.created", "charge.failed", "payment_intent.payment_failed"),
            *("charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"),
        ]
    )


def test_the_bank_decides_an_async_payment(double: OwnDouble, receiver: Receiver, customer: Any) -> None:
    good, bad = (open_session(double, customer=customer.id) for _ in range(2))
    assert press(httpx.get(good.url), "async").status_code == 303
    pending = double.pay(bad.id, "async")
    assert (pending["status"], pending["payment_status"]) == ("complete", "unpaid")
    intent = intent_of(double, bad.id)
    assert (intent.status, intent.latest_charge.status) == ("processing", "pending")
    assert double.post(f"sessions/{good.id}/settle", outcome="succeeded")["payment_status"] == "paid"
    assert double.post(f"sessions/{bad.id}/settle", outcome="failed")["payment_status"] == "unpaid"
    assert intent_of(double, bad.id).status == "requires_payment_method"
    assert double.http.post(f"/_double/sessions/{bad.id}/settle", json={"outcome": "succeeded"}).status_code == 400
    double.wait_for_deliveries(customer.id)
    assert {"checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed"} <= set(
        receiver.types(customer.id)
    )


def test_a_session_expires(double: OwnDouble, receiver: Receiver) -> None:
    session = open_session(double)
    expired = double.v1.checkout.sessions.expire(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    page = httpx.get(f"{double.url}/pay/{session.id}")
    assert "expired" in page.text
    assert "<form" not in page.text
    assert double.http.post(f"/_double/sessions/{session.id}/pay").status_code == 400
    assert_refused(lambda: double.v1.checkout.sessions.expire(session.id), 400, None)
    double.wait_for_deliveries(session.id)
    assert receiver.types(session.id) == ["checkout.session.expired"]
    too_soon = int(time.time()) + 60
    assert_refused(lambda: open_session(double, expires_at=too_soon), 400, None, "expires_at")
    assert httpx.get(f"{double.url}/pay/cs_test_none").status_code == 404


@pytest.mark.parametrize(
    ("amount", "currency", "shown", "fee"),
    [
        (500, "jpy", "¥500", 45),
        (12_340, "kwd", "KWD 12.340", 388),
        (100, "krw", "₩100", 33),
        (9950, "gbp", "£99.50", 319),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(
    double: OwnDouble, amount: int, currency: str, shown: str, fee: int
) -> None:
    assert shown in httpx.get(open_session(double, amount, currency).url).text
    charge = paid_charge(double, amount, currency)
    movement = transaction(double, charge.balance_transaction)
    assert (charge.currency, movement.currency, movement.fee, movement.net) == (currency, currency, fee, amount - fee)


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (49, "usd", "amount_too_small"),
        (29, "gbp", "amount_too_small"),
        (49, "jpy", "amount_too_small"),
        (10**8, "usd", "amount_too_large"),
        (12_345, "kwd", "invalid_charge_amount"),
        (550, "isk", "invalid_charge_amount"),
    ],
)
def test_an_amount_that_cannot_be_charged_is_refused(double: OwnDouble, amount: int, currency: str, code: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as failure:
        open_session(double, amount, currency)
    assert failure.value.code == code


def test_a_free_session_needs_no_payment(double: OwnDouble) -> None:
    session = open_session(double, 0)
    page = httpx.get(session.url)
    assert 'value="decline"' not in page.text
    assert press(page, "pay").status_code == 303
    done = double.v1.checkout.sessions.retrieve(session.id)
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)


def test_a_payment_is_refunded_in_parts(double: OwnDouble, receiver: Receiver) -> None:
    refunds = double.v1.refunds
    charge = paid_charge(double, 3000)
    params: Any = {"payment_intent": charge.payment_intent}
    part = refunds.create(params | {"amount": 1000, "metadata": {"why": "late"}})
    assert (part.status, part.charge, part.payment_intent) == ("succeeded", charge.id, charge.payment_intent)
    movement = transaction(double, part.balance_transaction)
    assert (movement.type, movement.amount, movement.fee, movement.source) == ("refund", -1000, 0, part.id)
    message = assert_refused(lambda: refunds.create(params | {"amount": 2001}), 400, "amount_too_large", "amount")
    assert "€20.00" in message
    assert_refused(lambda: refunds.create(params | {"amount": 0}), 400, "parameter_invalid_integer", "amount")
    assert_refused(lambda: refunds.create({}), 400, "parameter_missing", "payment_intent")
    assert refunds.create(params).amount == 2000
    assert_refused(lambda: refunds.create(params), 400, "charge_already_refunded", "charge")
    intent = double.v1.payment_intents.retrieve(charge.payment_intent, {"expand": ["latest_charge"]})
    assert (intent.latest_charge.amount_refunded, intent.latest_charge.refunded) == (3000, True)
    assert len(refunds.list(params).data) == 2
    double.wait_for_deliveries(charge.id)
    types = Counter(receiver.types(charge.id))
    assert (types["refund.created"], types["charge.refunded"]) == (2, 2)


def test_a_refund_waits_fails_or_is_refused(double: OwnDouble, receiver: Receiver) -> None:
    refunds = double.v1.refunds
    charge = paid_charge(double, 3000)
    params: Any = {"payment_intent": charge.payment_intent}
    for _ in range(2):
        double.post("next", on="refund", outcome="pending", contains=charge.id)
    good, bad = (refunds.create(params | {"amount": 1000}) for _ in range(2))
    assert {good.status, bad.status} == {"pending"}
    assert double.post(f"refunds/{good.id}/settle", outcome="succeeded")["status"] == "succeeded"
    failed = double.post(f"refunds/{bad.id}/settle", outcome="failed")
    assert (failed["status"], failed["failure_reason"]) == ("failed", "expired_or_canceled_card")
    movement = transaction(double, failed["failure_balance_transaction"])
    assert (movement.type, movement.amount) == ("refund_failure", 1000)
    double.post("next", on="refund", outcome="error", code="insufficient_funds", contains=charge.id)
    options: Any = {"idempotency_key": "refund-refused"}
    for _ in range(2):  # the key remembers the refusal
        assert_refused(lambda: refunds.create(params, options), 400, "insufficient_funds")
    assert refunds.create(params).amount == 2000, "the failed refund can be made again"
    double.wait_for_deliveries(charge.id)
    assert Counter(receiver.types(bad.id))["refund.failed"] == 1


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_the_bank_decides_a_dispute(double: OwnDouble, receiver: Receiver, outcome: str) -> None:
    charge = paid_charge(double, 3000, "usd")
    params: Any = {"payment_intent": charge.payment_intent}
    double.v1.refunds.create(params | {"amount": 500})
    before = available(double, "usd")
    dispute = double.post(f"charges/{charge.id}/dispute", reason="product_not_received")
    assert (dispute["amount"], dispute["status"]) == (2500, "needs_response")
    assert dispute["payment_intent"] == charge.payment_intent
    assert available(double, "usd") == before - 2500 - 1500
    assert_refused(lambda: double.v1.refunds.create(params), 400, "charge_disputed", "charge")
    assert double.http.post(f"/_double/charges/{charge.id}/dispute", json={}).status_code == 400
    closed = double.post(f"disputes/{dispute['id']}/close", outcome=outcome)
    assert (closed["status"], len(closed["balance_transactions"])) == (outcome, 2 if outcome == "won" else 1)
    assert available(double, "usd") == before - 1500 - (2500 if outcome == "lost" else 0)
    double.wait_for_deliveries(dispute["id"])
    types = set(receiver.types(dispute["id"]))
    assert {"charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"} <= types
    assert ("charge.dispute.funds_reinstated" in types) == (outcome == "won")


def test_an_account_is_onboarded_and_paid(double: OwnDouble, receiver: Receiver) -> None:
    v1 = double.v1
    account = v1.accounts.create(
        {
            "type": "express",
            "country": "DE",
            "email": "teacher@example.com",
            "capabilities": {"transfers": {"requested": True}, "card_payments": {"requested": True}},
            "metadata": {"user": "u1"},
        }
    )
    assert (account.charges_enabled, account.payouts_enabled, account.details_submitted) == (False, False, False)
    assert (account.default_currency, bool(account.requirements.currently_due)) == ("eur", True)
    double.post("balance", amount=10_000, currency="eur")
    send: Any = {"amount": 6000, "currency": "eur", "destination": account.id, "transfer_group": account.id}
    assert_refused(lambda: v1.transfers.create(send), 400, "insufficient_capabilities_for_transfer")

    def link() -> str:
        params = {"account": account.id, "type": "account_onboarding"}
        urls = {"return_url": CANCEL_URL, "refresh_url": "https://shop.example/r"}
        url: str = v1.account_links.create(params | urls).url
        return url

    later = press(httpx.get(link()), "later")
    assert (later.status_code, later.headers["location"]) == (303, CANCEL_URL)
    assert not v1.accounts.retrieve(account.id).details_submitted
    page = link()
    assert press(httpx.get(page), "complete").headers["location"] == CANCEL_URL
    assert httpx.get(page).headers["location"] == "https://shop.example/r", "a link works once"
    ready = v1.accounts.retrieve(account.id)
    assert (ready.charges_enabled, ready.payouts_enabled, ready.details_submitted) == (True, True, True)
    assert (ready.capabilities.transfers, ready.requirements.currently_due) == ("active", [])

    transfer = v1.transfers.create(send | {"metadata": {"payout": "p1"}})
    movement = transaction(double, transfer.balance_transaction)
    assert (movement.type, movement.amount, movement.source) == ("transfer", -6000, transfer.id)
    assert [each.id for each in v1.transfers.list({"transfer_group": account.id}).data] == [transfer.id]
    double.post("next", on="transfer", outcome="error", contains=account.id, code="account_invalid")
    options: Any = {"idempotency_key": "payout-1"}
    for _ in range(2):  # the key remembers the refusal
        assert_refused(lambda: v1.transfers.create(send, options), 400, "account_invalid")
    poor: Any = {"amount": 100_000, "currency": "chf", "destination": account.id}
    assert_refused(lambda: v1.transfers.create(poor), 400, "balance_insufficient")
    double.post("balance", amount=100_000, currency="chf")
    assert v1.transfers.create(poor).currency == "chf"

    assert double.post(f"accounts/{account.id}/complete", outcome="restricted")["charges_enabled"] is False
    double.wait_for_deliveries(account.id)
    types = Counter(receiver.types(account.id))
    assert (types["account.updated"], types["transfer.created"]) == (2, 2)
    assert account.id in {event.account for event in receiver.taken if event.type == "account.updated"}
    assert_refused(lambda: v1.accounts.retrieve("acct_of_another"), 403, None)


def test_balance_transactions_are_listed_from_an_instant(double: OwnDouble) -> None:
    charge = paid_charge(double)
    newest = transactions(double)[0]
    listed = double.v1.balance_transactions.list({"created": {"gte": newest.created}, "expand": ["data.source"]}).data
    assert charge.id in {each.source.id for each in listed if each.source}
    assert double.v1.balance_transactions.list({"created": {"gte": newest.created + 9}}).data == []
