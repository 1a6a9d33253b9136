"""Stripe's double over real sockets: the official client, people's browsers, and a receiver of webhooks."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import httpx
import pytest
import stripe

from tests.stack.own_stack import wait_until
from tests.stripe_double import KEY, OwnDouble, Receiver, receiving

BACK = "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}"
AWAY = "https://shop.example/cart"
DAY = 24 * 3600


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture(scope="module")
def double(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnDouble]:
    running = OwnDouble(tmp_path_factory.mktemp("double") / "stripe", receiver.url)
    yield running
    assert running.stop() == 0
    assert '"level": "error"' not in running.log.read_text()


@pytest.fixture
def customer(double: OwnDouble) -> Any:
    """A customer of the test's own, in whose id all that is his can be found."""
    return double.v1.customers.create({"email": "ann@example.com", "name": "Ann"})


def session_for(double: OwnDouble, amount: int = 1500, currency: str = "eur", **changes: Any) -> Any:
    """An open session for one thing at a price."""
    price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "A course"}}
    params: Any = {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 1}],
        "success_url": BACK,
        "cancel_url": AWAY,
    }
    return double.v1.checkout.sessions.create(params | changes)


def paid(double: OwnDouble, amount: int = 1500, currency: str = "eur", **changes: Any) -> Any:
    """The charge of a session that was paid."""
    session = session_for(double, amount, currency, **changes)
    intent = double.pay(session.id)["payment_intent"]
    return double.v1.payment_intents.retrieve(intent, {"expand": ["latest_charge"]}).latest_charge


def monthly(double: OwnDouble, amount: int = 1000, interval: str = "month") -> Any:
    """A price that recurs."""
    return double.v1.prices.create(
        {
            "currency": "eur",
            "unit_amount": amount,
            "recurring": {"interval": interval},
            "product_data": {"name": "Membership"},
        }
    )


def refused(call: Callable[[], object], status: int, code: str | None, param: str | None = None) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as failure:
        call()
    error = failure.value
    assert (error.http_status, error.code, getattr(error, "param", None)) == (status, code, param), str(error)
    return error


def plain(thing: Any) -> dict[str, Any]:
    """An object of the client as a dict."""
    found: dict[str, Any] = thing.to_dict()
    return found


def press(page: httpx.Response, action: str) -> httpx.Response:
    """Send the form of a page by one of its buttons."""
    form = re.search(rf'<form method="post" action="([^"]+)">(?:(?!</form>).)*value="{action}"', page.text)
    assert form is not None, page.text
    return httpx.post(page.url.join(form[1]), data={"action": action})


# The shapes


def check_shape(thing: Any, kind: type, path: str) -> None:
    """See that an object has the fields of its class in the stripe package: all that are never null, and no others."""
    known = {name: each for name, each in kind.__annotations__.items() if name != "OBJECT_NAME"}
    data = thing if isinstance(thing, dict) else plain(thing)
    assert set(data) <= set(known), f"{path}: {set(data) - set(known)}"
    needed = {name for name, each in known.items() if NoneType not in get_args(each)}
    assert needed <= set(data), f"{path}: {needed - set(data)}"
    assert {name for name in needed if data[name] is None} == set(), path
    inner: dict[str, type] = getattr(kind, "_inner_class_types", {})
    for name, below in inner.items():
        values = data.get(name)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, dict):
                check_shape(value, below, f"{path}.{name}")


def test_objects_have_the_fields_of_their_classes(double: OwnDouble) -> None:
    v1 = double.v1
    clock = v1.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000, "name": "shapes"})
    customer = v1.customers.create({"email": "shape@example.com", "test_clock": clock.id})
    price = monthly(double)
    session = session_for(
        double, customer=customer.id, mode="subscription", line_items=[{"price": price.id, "quantity": 1}]
    )
    done = double.pay(session.id)
    account = v1.accounts.create({"type": "express", "capabilities": {"transfers": {"requested": True}}})
    double.post(f"accounts/{account.id}/complete")
    charge = paid(double, 5000, "eur", customer=customer.id)
    transfer = v1.transfers.create({"amount": 500, "currency": "eur", "destination": account.id})
    reversal = v1.transfers.reversals.create(transfer.id, {"amount": 100})
    refund = v1.refunds.create({"charge": charge.id, "amount": 100})
    double.post("next", on="refund", outcome="failed", contains=charge.id)
    failed = v1.refunds.create({"charge": charge.id, "amount": 100})
    dispute = double.post(f"charges/{charge.id}/dispute")
    declined = session_for(double, customer=customer.id)
    double.pay(declined.id, "declined")
    double.post("balance", amount=5000, currency="eur")
    invoice = v1.invoices.retrieve(done["invoice"], {"expand": ["payments"]})
    seen: list[tuple[Any, type]] = [
        (clock, stripe.test_helpers.TestClock),
        (customer, stripe.Customer),
        (price, stripe.Price),
        (v1.products.retrieve(str(price.product)), stripe.Product),
        (session, stripe.checkout.Session),
        (v1.checkout.sessions.retrieve(session.id), stripe.checkout.Session),
        (v1.checkout.sessions.line_items.list(session.id).data[0], stripe.LineItem),
        (v1.subscriptions.retrieve(done["subscription"]), stripe.Subscription),
        (v1.subscriptions.retrieve(done["subscription"])["items"].data[0], stripe.SubscriptionItem),
        (invoice, stripe.Invoice),
        (invoice.lines.data[0], stripe.InvoiceLineItem),
        (v1.invoice_payments.list({"invoice": invoice.id}).data[0], stripe.InvoicePayment),
        (v1.accounts.retrieve(account.id), stripe.Account),
        (charge, stripe.Charge),
        (v1.payment_intents.retrieve(charge.payment_intent), stripe.PaymentIntent),
        (v1.charges.list({"limit": 1}).data[0], stripe.Charge),
        (v1.payment_intents.list({"limit": 1}).data[0], stripe.PaymentIntent),
        (v1.balance_transactions.list({"limit": 1}).data[0], stripe.BalanceTransaction),
        (transfer, stripe.Transfer),
        (reversal, stripe.TransferReversal),
        (refund, stripe.Refund),
        (v1.refunds.retrieve(failed.id), stripe.Refund),
        (v1.disputes.retrieve(dispute["id"]), stripe.Dispute),
        (v1.balance.retrieve(), stripe.Balance),
        (v1.events.list({"limit": 1}).data[0], stripe.Event),
        (v1.billing_portal.sessions.create({"customer": customer.id}), stripe.billing_portal.Session),
        (
            v1.account_links.create(
                {"account": account.id, "type": "account_onboarding", "return_url": AWAY, "refresh_url": AWAY}
            ),
            stripe.AccountLink,
        ),
        (v1.payouts.retrieve(double.post("payouts", currency="eur", amount=100)["id"]), stripe.Payout),
    ]
    for thing, kind in seen:
        assert isinstance(thing, kind)
        check_shape(thing, kind, kind.__name__)
    prefixes = [
        "clock_",
        "cus_",
        "price_",
        "prod_",
        "cs_test_",
        "cs_test_",
        "li_",
        "sub_",
        "si_",
        "in_",
        "il_",
        "inpay_",
    ]
    assert [thing.id[: len(prefix)] for (thing, _), prefix in zip(seen, prefixes, strict=False)] == prefixes
    event = v1.events.list({"limit": 1}).data[0]
    assert event.api_version == stripe.api_version


# Customers, products, prices: what every object can do


def test_customers_are_kept_changed_and_deleted(double: OwnDouble) -> None:
    v1 = double.v1
    made = v1.customers.create({"email": "bo@example.com", "metadata": {"user": "1", "plan": "a", "_own": "x"}})
    assert made.id.startswith("cus_")
    assert abs(made.created - time.time()) < 60
    changed = v1.customers.update(made.id, {"name": "Bo", "email": "", "metadata": {"plan": "", "team": "2"}})
    assert (changed.name, changed.email) == ("Bo", None)
    assert plain(changed.metadata) == {"user": "1", "team": "2", "_own": "x"}
    assert plain(v1.customers.update(made.id, {"metadata": ""}).metadata) == {}
    assert v1.customers.delete(made.id).deleted
    assert v1.customers.retrieve(made.id).deleted
    refused(lambda: v1.customers.update(made.id, {"name": "x"}), 404, "resource_missing", "id")
    refused(lambda: v1.customers.retrieve("cus_nobody"), 404, "resource_missing", "id")


def test_lists_have_pages_and_filters(double: OwnDouble) -> None:
    v1 = double.v1
    made = [v1.customers.create({"email": "page@example.com"}).id for _ in range(5)][::-1]
    first = v1.customers.list({"email": "page@example.com", "limit": 2})
    assert ([each.id for each in first.data], first.has_more) == (made[:2], True)
    second = v1.customers.list({"email": "page@example.com", "limit": 3, "starting_after": made[1]})
    assert ([each.id for each in second.data], second.has_more) == (made[2:], False)
    back = v1.customers.list({"email": "page@example.com", "limit": 2, "ending_before": made[3]})
    assert ([each.id for each in back.data], back.has_more) == (made[1:3], True)
    assert [each.id for each in first.auto_paging_iter()] == made
    created = v1.customers.retrieve(made[0]).created
    assert len(v1.customers.list({"email": "page@example.com", "created": {"gt": created}}).data) == 0
    assert len(v1.customers.list({"email": "page@example.com", "created": {"gte": created - 9}}).data) == 5
    refused(lambda: v1.customers.list({"limit": 101}), 400, "parameter_invalid_integer", "limit")
    refused(lambda: v1.customers.list({"starting_after": "cus_no"}), 400, "resource_missing", "starting_after")


def test_products_and_prices(double: OwnDouble) -> None:
    v1 = double.v1
    product = v1.products.create(
        {"name": "Beats", "default_price_data": {"currency": "usd", "unit_amount": 900}, "metadata": {"course": "c1"}}
    )
    assert v1.prices.retrieve(str(product.default_price)).unit_amount == 900
    yearly = v1.prices.create(
        {
            "product": product.id,
            "currency": "USD",
            "unit_amount": 9900,
            "recurring": {"interval": "year"},
            "lookup_key": "beats_yearly",
        }
    )
    assert (yearly.currency, yearly.type, yearly.recurring and yearly.recurring.interval) == (
        "usd",
        "recurring",
        "year",
    )
    assert [each.id for each in v1.prices.list({"lookup_keys": ["beats_yearly", "other"]}).data] == [yearly.id]
    assert [each.id for each in v1.prices.list({"product": product.id, "type": "recurring"}).data] == [yearly.id]
    assert not v1.prices.update(yearly.id, {"active": False}).active
    assert v1.prices.list({"product": product.id, "active": True}).data[0].id == product.default_price
    assert v1.products.update(product.id, {"name": "Better beats", "active": False}).name == "Better beats"
    refused(lambda: v1.products.delete(product.id), 400, None)
    refused(lambda: v1.products.create({"description": "x"}), 400, "parameter_missing", "name")
    refused(
        lambda: v1.prices.create({"currency": "usd", "product": product.id}), 400, "parameter_missing", "unit_amount"
    )
    refused(
        lambda: v1.prices.create({"currency": "xyz", "unit_amount": 1, "product": product.id}), 400, None, "currency"
    )
    expanded = v1.prices.retrieve(yearly.id, {"expand": ["product.default_price"]})
    assert not isinstance(expanded.product, str)
    assert not isinstance(expanded.product.default_price, str | None)


# The wire


def test_only_the_key_opens(double: OwnDouble) -> None:
    wrong = stripe.StripeClient("sk_test_wrong", base_addresses={"api": double.url}, max_network_retries=0)
    refused(wrong.v1.balance.retrieve, 401, None)
    for path in ("/v1/balance", "/_double/clock"):
        assert httpx.get(double.url + path).status_code == 401
        assert httpx.get(double.url + path, auth=(KEY, "")).status_code == 200, "Basic is a way, too"
    answer = double.http.get("/v1/nothing")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")
    assert answer.headers["request-id"].startswith("req_")


def test_what_is_not_played_is_refused(double: OwnDouble) -> None:
    refused(lambda: session_for(double, discounts=[{"coupon": "x"}]), 400, "parameter_unknown", "discounts")
    inner = {"metadata": {"a": "1"}, "on_behalf_of": "acct_1"}
    wrong = "payment_intent_data[on_behalf_of]"
    refused(lambda: session_for(double, payment_intent_data=inner), 400, "parameter_unknown", wrong)
    assert double.v1.products.list({"limit": 1}).data[0].name == "A course"
    refused(lambda: session_for(double, expand=["currency"]), 400, None, "expand")
    refused(lambda: session_for(double, success_url="javascript:alert(1)"), 400, "url_invalid", "success_url")
    for form in ("a[b=1", "metadata=x", "email[a]=1", "[a]=1", "a=1&a[b]=2"):
        answer = double.http.post("/v1/customers", content=form)
        assert answer.status_code == 400, form


def test_an_idempotency_key_works_once(double: OwnDouble) -> None:
    v1 = double.v1
    options: Any = {"idempotency_key": "order-1"}
    first = v1.customers.create({"email": "once@example.com"}, options)
    again = v1.customers.create({"email": "once@example.com"}, options)
    assert first.id == again.id
    assert first.last_response is not None
    assert again.last_response is not None
    assert "idempotent-replayed" not in first.last_response.headers
    assert again.last_response.headers["idempotent-replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        v1.customers.create({"email": "twice@example.com"}, options)
    with pytest.raises(stripe.IdempotencyError):
        v1.products.create({"name": "x"}, options)
    # What was wrong from the beginning is not remembered.
    refused(lambda: v1.products.create({"name": ""}, {"idempotency_key": "order-2"}), 400, "parameter_missing", "name")
    assert v1.products.create({"name": "Now"}, {"idempotency_key": "order-2"}).name == "Now"


def test_a_key_used_at_once_has_one_effect(double: OwnDouble) -> None:
    charge = paid(double, 4000)

    def refund(_: int) -> str:
        return (
            double.new_client()
            .v1.refunds.create({"charge": charge.id, "amount": 1000}, {"idempotency_key": "refund-of-a-race"})
            .id
        )

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(refund, range(16)))) == 1
    assert double.v1.charges.retrieve(charge.id).amount_refunded == 1000


# Paying


def test_a_person_pays_on_the_page(double: OwnDouble, receiver: Receiver, customer: Any) -> None:
    product = {"name": '<script>alert("x")</script> & co'}
    session = session_for(
        double,
        customer=customer.id,
        client_reference_id="order-7",
        metadata={"order": "7"},
        line_items=[{"price_data": {"currency": "usd", "unit_amount": 123456, "product_data": product}, "quantity": 2}],
        payment_intent_data={"metadata": {"order": "7"}, "transfer_group": "order-7", "description": "Order 7"},
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
    assert (cancelled.status_code, cancelled.headers["location"]) == (303, AWAY)
    declined = press(page, "decline")
    assert declined.status_code == 402
    assert "declined" in declined.text
    done = press(declined, "pay")
    assert done.status_code == 303
    assert done.headers["location"] == f"https://shop.example/thanks?session={session.id}"
    assert press(page, "pay").status_code == 409
    assert "Nothing more is due" in httpx.get(session.url).text

    session = double.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["payment_intent.latest_charge.balance_transaction", "line_items.data.price.product"]}
    )
    intent = session.payment_intent
    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    assert (session.client_reference_id, plain(session.metadata)) == ("order-7", {"order": "7"})
    assert (session.amount_total, session.customer_details.email) == (246_912, "ann@example.com")
    assert (session.line_items.data[0].quantity, session.line_items.data[0].price.product.name) == (2, product["name"])
    charge = intent.latest_charge
    assert (intent.status, intent.amount_received, plain(intent.metadata)) == ("succeeded", 246_912, {"order": "7"})
    assert (charge.customer, charge.transfer_group, charge.description) == (customer.id, "order-7", "Order 7")
    movement = charge.balance_transaction
    assert (movement.amount, movement.fee, movement.net) == (246_912, 7190, 239_722)
    assert (movement.type, movement.source, movement.currency) == ("charge", charge.id, "usd")
    assert "$2,469.12" in httpx.get(charge.receipt_url).text
    failed = double.v1.charges.list({"payment_intent": intent.id}).data[1]
    assert (failed.status, failed.failure_code, failed.balance_transaction) == ("failed", "card_declined", None)

    double.quiet(customer.id)
    told = receiver.types(customer.id)
    assert Counter(told) == Counter(
        [
            *("customer.created", "payment_intent.created", "charge.failed", "payment_intent.payment_failed"),
            *("charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"),
        ]
    )


def test_a_session_makes_a_customer_only_where_it_is_told_to(double: OwnDouble) -> None:
    guest = double.pay(session_for(double, customer_email="guest@example.org").id)
    assert (guest["customer"], guest["customer_details"]["email"]) == (None, "guest@example.org")
    made = double.pay(session_for(double, customer_email="new@example.org", customer_creation="always").id)
    assert double.v1.customers.retrieve(made["customer"]).email == "new@example.org"
    nobody = double.v1.customers.list({"email": "guest@example.org"})
    assert nobody.data == []


def test_a_slow_payment_is_settled_later(double: OwnDouble, receiver: Receiver, customer: Any) -> None:
    good, bad = (session_for(double, customer=customer.id) for _ in range(2))
    assert press(httpx.get(good.url), "async").status_code == 303
    waiting = double.pay(bad.id, "async")
    assert (waiting["status"], waiting["payment_status"]) == ("complete", "unpaid")
    intent = double.v1.payment_intents.retrieve(waiting["payment_intent"], {"expand": ["latest_charge"]})
    assert (intent.status, intent.latest_charge.status) == ("processing", "pending")
    assert double.post(f"sessions/{good.id}/settle", outcome="succeeded")["payment_status"] == "paid"
    assert double.post(f"sessions/{bad.id}/settle", outcome="failed")["payment_status"] == "unpaid"
    assert double.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"
    assert double.http.post(f"/_double/sessions/{bad.id}/settle", json={"outcome": "succeeded"}).status_code == 400
    double.quiet(customer.id)
    assert {"checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed"} <= set(
        receiver.types(customer.id)
    )


def test_sessions_expire(double: OwnDouble, receiver: Receiver, customer: Any) -> None:
    session = session_for(double, customer=customer.id)
    expired = double.v1.checkout.sessions.expire(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    page = httpx.get(f"{double.url}/pay/{session.id}")
    assert "expired" in page.text
    assert "<form" not in page.text
    assert double.http.post(f"/_double/sessions/{session.id}/pay").status_code == 400
    refused(lambda: double.v1.checkout.sessions.expire(session.id), 400, None)
    double.quiet(customer.id)
    assert receiver.types(session.id) == ["checkout.session.expired"]
    too_soon = int(time.time()) + 60
    refused(lambda: session_for(double, expires_at=too_soon), 400, None, "expires_at")
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
def test_amounts_are_of_their_currencies(double: OwnDouble, amount: int, currency: str, shown: str, fee: int) -> None:
    session = session_for(double, amount, currency)
    assert shown in httpx.get(session.url).text
    charge = paid(double, amount, currency)
    movement = double.v1.balance_transactions.retrieve(charge.balance_transaction)
    assert (charge.currency, movement.fee, movement.net) == (currency, fee, amount - fee)
    assert currency in {each.currency for each in double.v1.balance.retrieve().available}


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
def test_amounts_that_cannot_be_charged(double: OwnDouble, amount: int, currency: str, code: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as failure:
        session_for(double, amount, currency)
    assert failure.value.code == code


def test_what_costs_nothing_needs_no_payment(double: OwnDouble) -> None:
    session = session_for(double, 0)
    page = httpx.get(session.url)
    assert 'value="decline"' not in page.text
    assert press(page, "pay").status_code == 303
    done = double.v1.checkout.sessions.retrieve(session.id)
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)


# Refunds and disputes


def test_refunds_in_parts(double: OwnDouble, receiver: Receiver, customer: Any) -> None:
    v1 = double.v1
    charge = paid(double, 3000, customer=customer.id)
    part = v1.refunds.create({"payment_intent": charge.payment_intent, "amount": 1000, "metadata": {"why": "late"}})
    assert (part.status, part.charge, part.payment_intent) == ("succeeded", charge.id, charge.payment_intent)
    movement = v1.balance_transactions.retrieve(str(part.balance_transaction))
    assert (movement.type, movement.amount, movement.fee, movement.source) == ("refund", -1000, 0, part.id)
    error = refused(lambda: v1.refunds.create({"charge": charge.id, "amount": 2001}), 400, "amount_too_large", "amount")
    assert "€20.00" in str(error)
    refused(lambda: v1.refunds.create({"charge": charge.id, "amount": 0}), 400, "parameter_invalid_integer", "amount")
    refused(lambda: v1.refunds.create({}), 400, "parameter_missing", "charge")
    v1.refunds.create({"charge": charge.id})
    refused(lambda: v1.refunds.create({"charge": charge.id}), 400, "charge_already_refunded", "charge")
    whole = v1.charges.retrieve(charge.id, {"expand": ["refunds"]})
    assert (whole.amount_refunded, whole.refunded, whole.refunds and len(whole.refunds.data)) == (3000, True, 2)
    assert len(v1.refunds.list({"payment_intent": charge.payment_intent}).data) == 2
    assert plain(v1.refunds.update(part.id, {"metadata": {"by": "me"}}).metadata) == {"why": "late", "by": "me"}
    double.quiet(charge.id)
    told = Counter(receiver.types(charge.id))
    assert (told["refund.created"], told["charge.refunded"], told["refund.updated"]) == (2, 2, 1)


def test_refunds_that_wait_or_fail(double: OwnDouble, receiver: Receiver) -> None:
    v1 = double.v1
    charge = paid(double, 3000)
    double.post("next", on="refund", outcome="pending", times=2, contains=charge.id)
    good, bad = (v1.refunds.create({"charge": charge.id, "amount": 1000}) for _ in range(2))
    assert {good.status, bad.status} == {"pending"}
    assert double.post(f"refunds/{good.id}/settle", outcome="succeeded")["status"] == "succeeded"
    failed = double.post(f"refunds/{bad.id}/settle", outcome="failed", reason="lost_or_stolen_card")
    assert (failed["status"], failed["failure_reason"]) == ("failed", "lost_or_stolen_card")
    movement = v1.balance_transactions.retrieve(failed["failure_balance_transaction"])
    assert (movement.type, movement.amount) == ("refund_failure", 1000)
    assert v1.charges.retrieve(charge.id).amount_refunded == 1000, "what failed can be refunded again"
    double.post("next", on="refund", outcome="error", status=402, code="insufficient_funds", contains=charge.id)
    options: Any = {"idempotency_key": "refund-refused"}
    for _ in range(2):  # the key remembers the refusal
        refused(lambda: v1.refunds.create({"charge": charge.id}, options), 402, "insufficient_funds")
    assert v1.refunds.create({"charge": charge.id}).amount == 2000
    double.quiet(charge.id)
    assert Counter(receiver.types(bad.id))["refund.failed"] == 1


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_disputes(double: OwnDouble, receiver: Receiver, outcome: str) -> None:
    v1 = double.v1
    charge = paid(double, 3000, "usd")
    v1.refunds.create({"charge": charge.id, "amount": 500})
    before = available(double, "usd")
    dispute = double.post(f"charges/{charge.id}/dispute", reason="product_not_received")
    assert (dispute["amount"], dispute["status"], dispute["payment_intent"]) == (
        2500,
        "needs_response",
        charge.payment_intent,
    )
    assert v1.charges.retrieve(charge.id).disputed
    assert available(double, "usd") == before - 2500 - 1500
    refused(lambda: v1.refunds.create({"charge": charge.id}), 400, "charge_disputed", "charge")
    assert v1.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": "He came"}}).status == "under_review"
    closed = double.post(f"disputes/{dispute['id']}/close", outcome=outcome)
    assert (closed["status"], len(closed["balance_transactions"])) == (outcome, 2 if outcome == "won" else 1)
    assert available(double, "usd") == before - 1500 - (2500 if outcome == "lost" else 0)
    assert v1.disputes.list({"charge": charge.id}).data[0].status == outcome
    double.quiet(dispute["id"])
    told = set(receiver.types(dispute["id"]))
    assert {"charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"} <= told
    assert ("charge.dispute.funds_reinstated" in told) == (outcome == "won")


# Connect


def test_people_are_onboarded_and_paid(double: OwnDouble, receiver: Receiver) -> None:
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
    assert (account.default_currency, account.requirements and bool(account.requirements.currently_due)) == (
        "eur",
        True,
    )
    charge = paid(double, 10_000)
    send: Any = {"amount": 6000, "currency": "eur", "destination": account.id, "transfer_group": "g1"}
    refused(lambda: v1.transfers.create(send), 400, "insufficient_capabilities_for_transfer")

    def link() -> Any:
        return v1.account_links.create(
            {
                "account": account.id,
                "type": "account_onboarding",
                "return_url": AWAY,
                "refresh_url": "https://shop.example/r",
            }
        )

    later = press(httpx.get(link().url), "later")
    assert (later.status_code, later.headers["location"]) == (303, AWAY)
    assert not v1.accounts.retrieve(account.id).details_submitted
    made = link()
    assert press(httpx.get(made.url), "complete").headers["location"] == AWAY
    assert httpx.get(made.url).headers["location"] == "https://shop.example/r", "a link is good for one use"
    ready = v1.accounts.retrieve(account.id)
    assert (ready.charges_enabled, ready.payouts_enabled, ready.details_submitted) == (True, True, True)
    assert (ready.capabilities and ready.capabilities.transfers) == "active"
    assert (ready.requirements and ready.requirements.currently_due) == []

    transfer = v1.transfers.create(send | {"metadata": {"payout": "p1"}, "description": "November"})
    movement = v1.balance_transactions.retrieve(str(transfer.balance_transaction))
    assert (movement.type, movement.amount, movement.source) == ("transfer", -6000, transfer.id)
    assert "€60.00" in httpx.get(v1.accounts.login_links.create(account.id).url).text
    part = v1.transfers.reversals.create(transfer.id, {"amount": 2000})
    assert v1.balance_transactions.retrieve(str(part.balance_transaction)).amount == 2000
    refused(lambda: v1.transfers.reversals.create(transfer.id, {"amount": 4001}), 400, "amount_too_large", "amount")
    v1.transfers.reversals.create(transfer.id)
    transfer = v1.transfers.retrieve(transfer.id)
    assert (transfer.amount_reversed, transfer.reversed, len(transfer.reversals.data)) == (6000, True, 2)
    assert [each.id for each in v1.transfers.list({"transfer_group": "g1"}).data] == [transfer.id]
    assert len(v1.transfers.reversals.list(transfer.id).data) == 2

    drawn: Any = {"amount": 9000, "currency": "eur", "destination": account.id, "source_transaction": charge.id}
    assert v1.transfers.create(drawn).transfer_group == f"group_{charge.payment_intent}"
    refused(lambda: v1.transfers.create(drawn), 400, "amount_too_large", "amount")
    double.post("next", on="transfer", outcome="error", contains=account.id)
    options: Any = {"idempotency_key": "payout-1"}
    for _ in range(2):
        refused(lambda: v1.transfers.create(send, options), 400, "balance_insufficient")
    assert v1.transfers.create({"amount": 100, "currency": "eur", "destination": account.id}).amount == 100
    poor: Any = {"amount": 100_000, "currency": "chf", "destination": account.id}
    refused(lambda: v1.transfers.create(poor), 400, "balance_insufficient")
    double.post("balance", amount=100_000, currency="chf")
    assert v1.transfers.create(poor).currency == "chf"

    assert double.post(f"accounts/{account.id}/complete", outcome="restricted")["charges_enabled"] is False
    double.quiet(account.id)
    told = Counter(receiver.types(account.id))
    assert (told["account.updated"], told["transfer.created"], told["transfer.reversed"]) == (2, 4, 2)
    assert {event.account for event in receiver.taken if event.type == "account.updated"} >= {account.id}
    assert v1.accounts.delete(account.id).deleted
    refused(lambda: v1.accounts.retrieve(account.id), 403, None)
    refused(lambda: v1.transfers.create(send), 400, "resource_missing", "destination")


def test_a_payout_names_what_is_in_it(double: OwnDouble) -> None:
    charge = paid(double, 2000, "sek")
    payout = double.post("payouts", currency="sek")
    assert payout["amount"] == 2000 - 88
    within = double.v1.balance_transactions.list({"payout": payout["id"]}).data
    assert {each.source for each in within} == {charge.id, payout["id"]}
    assert sum(each.net for each in within) == 0
    assert available(double, "sek") == 0
    assert double.v1.balance_transactions.list({"source": charge.id, "type": "charge"}).data[0].fee == 88


def available(double: OwnDouble, currency: str) -> int:
    found: int = next(each.amount for each in double.v1.balance.retrieve().available if each.currency == currency)
    return found


# Subscriptions


class Subscriber:
    """A customer on a test clock of his own, who subscribes."""

    def __init__(self, double: OwnDouble, start: datetime, **subscription_data: Any) -> None:
        self.double, self.v1 = double, double.v1
        self.clock = self.v1.test_helpers.test_clocks.create({"frozen_time": int(start.timestamp())}).id
        self.id = self.v1.customers.create({"email": "sub@example.com", "test_clock": self.clock}).id
        self.price = monthly(double)
        data: Any = {"subscription_data": {"metadata": {"plan": "p"}, **subscription_data}}
        items = [{"price": self.price.id, "quantity": 1}]
        self.session = session_for(double, customer=self.id, mode="subscription", line_items=items, **data)

    def subscribe(self, outcome: str = "paid") -> Any:
        """Pay the session; the subscription."""
        self.name = self.double.pay(self.session.id, outcome)["subscription"]
        return self.now()

    def now(self) -> Any:
        """The subscription as it is."""
        return self.v1.subscriptions.retrieve(self.name)

    def period(self) -> tuple[str, str]:
        """The running period, as days."""
        item = self.now()["items"].data[0]
        return day(item.current_period_start), day(item.current_period_end)

    def advance(self, to: datetime) -> None:
        """Let time pass."""
        self.v1.test_helpers.test_clocks.advance(self.clock, {"frozen_time": int(to.timestamp())})

    def invoices(self) -> list[tuple[str, int, str | None, str | None]]:
        """Day, amount, reason and status of each invoice, the oldest first."""
        found = self.v1.invoices.list({"subscription": self.name, "limit": 100}).data[::-1]
        return [(day(each.created), each.amount_due, each.billing_reason, each.status) for each in found]

    def card(self, outcome: str, after_retries: str | None = None) -> None:
        """What his card says from now on."""
        self.double.post(f"customers/{self.id}/card", outcome=outcome, after_retries=after_retries)


def day(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d")


def at(year: int, month: int, date: int) -> datetime:
    return datetime(year, month, date, 12, tzinfo=UTC)


def test_a_subscription_renews(double: OwnDouble, receiver: Receiver) -> None:
    him = Subscriber(double, at(2027, 1, 31))
    subscription = him.subscribe()
    assert (subscription.status, subscription.customer, plain(subscription.metadata)) == (
        "active",
        him.id,
        {"plan": "p"},
    )
    assert him.period() == ("2027-01-31", "2027-02-28")
    session = him.v1.checkout.sessions.retrieve(him.session.id)
    assert (session.payment_status, session.payment_intent, session.invoice) == (
        "paid",
        None,
        subscription.latest_invoice,
    )
    him.advance(at(2027, 4, 1))
    assert him.period() == ("2027-03-31", "2027-04-30"), "the anchor's day comes back"
    assert him.invoices() == [
        ("2027-01-31", 1000, "subscription_create", "paid"),
        ("2027-02-28", 1000, "subscription_cycle", "paid"),
        ("2027-03-31", 1000, "subscription_cycle", "paid"),
    ]
    invoice = him.v1.invoices.retrieve(him.now().latest_invoice, {"expand": ["payments.data.payment.payment_intent"]})
    details = invoice.parent and invoice.parent.subscription_details
    assert details is not None
    assert (details.subscription, plain(details.metadata)) == (him.name, {"plan": "p"})
    line = invoice.lines.data[0]
    assert (day(line.period.start), day(line.period.end)) == ("2027-03-31", "2027-04-30")
    assert line.pricing is not None
    assert line.pricing.price_details is not None
    assert line.pricing.price_details.price == him.price.id
    assert invoice.payments is not None
    intent: Any = invoice.payments.data[0].payment.payment_intent
    assert (intent.status, intent.amount, day(intent.created)) == ("succeeded", 1000, "2027-03-31")
    found = him.v1.invoice_payments.list({"payment": {"type": "payment_intent", "payment_intent": intent.id}})
    assert [each.invoice for each in found.data] == [invoice.id]
    double.quiet(him.id)
    told = Counter(receiver.types(him.id))
    assert (told["invoice.paid"], told["customer.subscription.created"]) == (3, 1)
    renewals = [event for event in receiver.taken if event.type == "invoice.paid" and him.id in str(event)]
    assert sorted(day(event.created) for event in renewals) == ["2027-01-31", "2027-02-28", "2027-03-31"]


def test_a_trial_costs_nothing_until_it_ends(double: OwnDouble, receiver: Receiver) -> None:
    him = Subscriber(double, at(2027, 3, 1), trial_period_days=14)
    assert him.session.amount_total == 0
    assert press(httpx.get(him.session.url), "pay").status_code == 303
    session = him.v1.checkout.sessions.retrieve(him.session.id)
    him.name = str(session.subscription)
    assert (session.payment_status, him.now().status) == ("no_payment_required", "trialing")
    assert (him.period(), him.now().trial_end) == (("2027-03-01", "2027-03-15"), int(at(2027, 3, 15).timestamp()))
    him.advance(at(2027, 3, 16))
    assert (him.now().status, him.period()) == ("active", ("2027-03-15", "2027-04-15"))
    assert him.invoices() == [
        ("2027-03-01", 0, "subscription_create", "paid"),
        ("2027-03-15", 1000, "subscription_cycle", "paid"),
    ]
    double.quiet(him.id)
    assert "customer.subscription.trial_will_end" in receiver.types(him.id)


@pytest.mark.parametrize(("after", "status"), [(None, "canceled"), ("unpaid", "unpaid"), ("past_due", "past_due")])
def test_a_card_that_fails(double: OwnDouble, receiver: Receiver, after: str | None, status: str) -> None:
    him = Subscriber(double, at(2027, 1, 1))
    him.subscribe()
    him.card("declined", after)
    him.advance(at(2027, 2, 2))
    assert (him.now().status, him.invoices()[-1][3]) == ("past_due", "open")
    invoice = him.v1.invoices.retrieve(str(him.now().latest_invoice))
    assert (invoice.attempt_count, day(invoice.next_payment_attempt or 0)) == (1, "2027-02-04")
    error = refused(lambda: him.v1.invoices.pay(invoice.id), 402, "card_declined")
    assert isinstance(error, stripe.CardError)
    him.advance(at(2027, 2, 25))
    assert him.now().status == status
    double.quiet(him.id)
    told = Counter(receiver.types(him.id))
    assert (told["invoice.payment_failed"], told["customer.subscription.deleted"]) == (4, int(status == "canceled"))
    if status == "canceled":
        assert him.now().cancellation_details.reason == "payment_failed"
        assert him.v1.subscriptions.list({"customer": him.id}).data == []
        assert len(him.v1.subscriptions.list({"customer": him.id, "status": "all"}).data) == 1
    else:
        him.card("paid")
        assert him.v1.invoices.pay(invoice.id).status == "paid"
        assert him.now().status == "active"
        him.advance(at(2027, 3, 2))
        assert him.period() == ("2027-03-01", "2027-04-01")


def test_a_retry_that_works_mends(double: OwnDouble) -> None:
    him = Subscriber(double, at(2027, 1, 1))
    him.subscribe()
    double.post("next", on="payment", outcome="declined", contains=him.id)
    him.advance(at(2027, 2, 3))
    assert him.now().status == "past_due"
    him.advance(at(2027, 2, 5))
    assert (him.now().status, him.invoices()[-1][3]) == ("active", "paid")


def test_cancelling_and_keeping_on_the_portal(double: OwnDouble, receiver: Receiver) -> None:
    him = Subscriber(double, at(2027, 1, 1))
    him.subscribe()
    portal = him.v1.billing_portal.sessions.create({"customer": him.id, "return_url": AWAY})
    page = httpx.get(portal.url)
    assert "Membership" in page.text
    assert "€10.00 every month" in page.text
    assert press(page, f"cancel:{him.name}").status_code == 303
    ending = him.now()
    assert (ending.cancel_at_period_end, day(ending.cancel_at), ending.status) == (True, "2027-02-01", "active")
    page = httpx.get(portal.url)
    assert "ends on 1 February 2027" in page.text
    press(page, f"keep:{him.name}")
    assert (him.now().cancel_at_period_end, him.now().cancel_at) == (False, None)
    other = Subscriber(double, at(2027, 1, 1))
    other.subscribe()
    assert httpx.post(portal.url, data={"action": f"cancel:{other.name}"}).status_code == 404
    press(page, "card:declined")
    him.advance(at(2027, 2, 2))
    page = httpx.get(portal.url)
    press(page, "card:paid")
    press(page, f"pay:{him.now().latest_invoice}")
    assert him.now().status == "active"
    assert press(page, "back").headers["location"] == AWAY
    him.v1.subscriptions.update(him.name, {"cancel_at_period_end": True, "metadata": {"a": "b"}})
    him.advance(at(2027, 3, 2))
    assert (him.now().status, day(him.now().ended_at)) == ("canceled", "2027-03-01")
    assert len(him.invoices()) == 2
    ended: Any = {"items": [{"id": him.now()["items"].data[0].id, "quantity": 2}]}
    refused(lambda: him.v1.subscriptions.update(him.name, ended), 400, None, "items")
    refused(lambda: him.v1.subscriptions.cancel(him.name), 404, "resource_missing", "id")
    double.quiet(him.id)
    assert Counter(receiver.types(him.name))["customer.subscription.deleted"] == 1


def test_a_change_of_price_is_prorated(double: OwnDouble) -> None:
    him = Subscriber(double, at(2027, 4, 1))
    item = him.subscribe()["items"].data[0].id
    dear = monthly(double, 3000)
    him.advance(at(2027, 4, 16))
    change: Any = {"items": [{"id": item, "price": dear.id}]}
    changed = him.v1.subscriptions.update(him.name, change)
    assert changed["items"].data[0].price.id == dear.id
    him.advance(at(2027, 5, 2))
    assert him.invoices()[-1] == ("2027-05-01", 4000, "subscription_cycle", "paid")  # -500 + 1500 + 3000
    lines = him.v1.invoices.retrieve(str(him.now().latest_invoice)).lines.data
    assert [line.amount for line in lines] == [-500, 1500, 3000]
    at_once: Any = {"items": [{"id": item, "quantity": 2}], "proration_behavior": "always_invoice"}
    him.advance(at(2027, 5, 16))
    him.v1.subscriptions.update(him.name, at_once)
    assert him.invoices()[-1][1:] == (1549, "subscription_update", "paid")  # of 16 days in 31: 3097 less 1548
    yearly = monthly(double, 20_000, "year")
    him.v1.subscriptions.update(him.name, {"items": [{"id": item, "price": yearly.id, "quantity": 1}]})
    assert him.period() == ("2027-05-16", "2028-05-16")
    none: Any = {"items": [{"id": item, "quantity": 5}], "proration_behavior": "none"}
    him.v1.subscriptions.update(him.name, none)
    count = len(him.invoices())
    him.advance(at(2028, 5, 17))
    assert him.invoices()[count][1] == 100_000


def test_a_paused_subscription_resumes(double: OwnDouble) -> None:
    settings = {"end_behavior": {"missing_payment_method": "pause"}}
    him = Subscriber(double, at(2027, 1, 1), trial_period_days=7, trial_settings=settings)
    him.session = session_for(
        double,
        customer=him.id,
        mode="subscription",
        line_items=[{"price": him.price.id, "quantity": 1}],
        payment_method_collection="if_required",
        subscription_data={"trial_period_days": 7, "trial_settings": settings},
    )
    him.subscribe()
    him.advance(at(2027, 1, 9))
    assert him.now().status == "paused"
    assert him.v1.subscriptions.resume(him.name).status == "active"
    assert him.period() == ("2027-01-09", "2027-02-09")
    him.v1.subscriptions.cancel(him.name, {"cancellation_details": {"feedback": "too_expensive"}})
    assert (him.now().status, him.now().cancellation_details.feedback) == ("canceled", "too_expensive")


def test_a_subscription_that_is_paid_slowly(double: OwnDouble) -> None:
    him = Subscriber(double, at(2027, 1, 1))
    assert him.subscribe("async").status == "active"
    assert him.invoices()[0][3] == "open"
    double.post(f"sessions/{him.session.id}/settle", outcome="failed")
    assert him.now().status == "past_due"
    declined = Subscriber(double, at(2027, 1, 1))
    done = double.pay(declined.session.id, "declined")
    assert (done["status"], done["subscription"]) == ("open", None)
    assert declined.subscribe().status == "active"


# Webhooks


def test_deliveries_are_tried_again(double: OwnDouble, receiver: Receiver) -> None:
    receiver.refusals["retry@example.com"] = [500, 404]
    made = double.v1.customers.create({"email": "retry@example.com"}).id
    double.quiet(made)
    assert receiver.types(made) == ["customer.created"]
    [delivery] = double.get("webhooks/deliveries", contains=made)["deliveries"]
    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 404, 200]
    event = double.v1.events.retrieve(delivery["event"])
    assert event.data.object["id"] == made
    assert event.request is not None
    assert (event.request.id or "").startswith("req_")
    recent = {"type": "customer.created", "created": {"lte": int(time.time())}, "limit": 1}
    assert [each.id for each in double.v1.events.list(recent).data] == [event.id]

    receiver.refusals["never@example.com"] = [500] * 3
    made = double.v1.customers.create({"email": "never@example.com"}).id
    wait_until(lambda: len(double.get("webhooks/deliveries", contains=made)["deliveries"][0]["attempts"]) == 3)
    assert double.get("webhooks/deliveries", contains=made)["deliveries"][0]["state"] == "pending"
    failing = [each.data.object["id"] for each in double.v1.events.list({"delivery_success": False}).data]
    assert made in failing
    double.post("webhooks/retry", contains=made)
    double.quiet(made)
    assert receiver.types(made) == ["customer.created"]


def test_deliveries_come_twice_late_or_never(double: OwnDouble, receiver: Receiver, customer: Any) -> None:
    name = customer.id
    double.quiet(name)
    held = double.post("webhooks/hold", contains=name)["rule"]
    double.post("webhooks/duplicate", contains=name, types=["charge.*"], copies=3)
    double.post("webhooks/drop", contains=name, types=["payment_intent.created"], times=1)
    assert {each["kind"] for each in double.get("rules")["rules"]} == {"hold", "duplicate", "drop"}
    paid(double, customer=name)
    double.quiet(name)
    assert receiver.types(name) == ["customer.created"]
    order = ["checkout.session.completed", "payment_intent.succeeded"]
    sent = double.post("webhooks/release", contains=name, order=order, goes_on=True)["deliveries"]
    assert [each["type"] for each in sent] == order
    assert receiver.types(name)[1:] == order
    sent = double.post("webhooks/release", contains=name, order="random")["deliveries"]
    assert [each["type"] for each in sent] == ["charge.succeeded"] * 3
    assert len({event.id for event in receiver.taken if event.type == "charge.succeeded" and name in str(event)}) == 1
    assert double.http.delete(f"/_double/rules/{held}").status_code == 404, "the release has ended it"
    dropped = double.get("webhooks/deliveries", contains=name, state="dropped")["deliveries"]
    assert [each["type"] for each in dropped] == ["payment_intent.created"]
    double.post("webhooks/redeliver", event=dropped[0]["event"], times=2)
    double.quiet(name)
    assert receiver.types(name)[-2:] == ["payment_intent.created"] * 2
    for rule in double.get("rules")["rules"]:
        assert double.http.delete(f"/_double/rules/{rule['rule']}").status_code == 200
    assert double.http.post("/_double/webhooks/redeliver", json={"event": "evt_no"}).status_code == 404


def test_a_slow_receiver_holds_up_no_request(tmp_path: Path) -> None:
    with receiving() as receiver:
        gate = threading.Event()
        take = receiver.finish_request
        receiver.finish_request = lambda *args: (gate.wait(10), take(*args))[1]  # type: ignore[method-assign]
        double = OwnDouble(tmp_path / "stripe", receiver.url)
        began = time.monotonic()
        for _ in range(10):
            double.v1.customers.create({"email": "slow@example.com"})
        assert time.monotonic() - began < 2
        assert receiver.taken == []
        # Killed with deliveries under way: each comes after the restart, and what was answered is there.
        key: Any = {"idempotency_key": "before-the-kill"}
        session = session_for(double)
        first = double.v1.customers.create({"email": "last@example.com"}, key)
        double.kill()
        gate.set()
        receiver.taken.clear()
        double.start()
        assert double.v1.customers.create({"email": "last@example.com"}, key).id == first.id
        assert len(double.v1.customers.list({"email": "slow@example.com"}).data) == 10
        double.quiet()
        told = {event.id for event in receiver.taken}
        events = double.v1.events.list({"limit": 100}).data
        assert told == {event.id for event in events}
        assert len(events) == 13
        assert double.pay(session.id)["payment_status"] == "paid"
        double.quiet()
        # The global clock moves what has no test clock.
        open_one = session_for(double)
        assert double.post("clock/advance", seconds=25 * 3600)["now"] > time.time() + DAY
        assert double.v1.checkout.sessions.retrieve(open_one.id).status == "expired"
        assert double.v1.customers.create({}).created > time.time() + DAY
        double.quiet()  # signed by the real clock: the receiver has checked it
        double.post("reset")
        assert double.v1.customers.list().data == []
        assert double.stop() == 0
        assert (double.folder / "stripe.sqlite3").stat().st_mode & 0o077 == 0


# Faults of the API


def test_the_next_calls_fail_as_they_are_told_to(double: OwnDouble) -> None:
    double.post("faults", contains="fault-1", status=503)
    made: Any = {"email": "fault-1@example.com"}
    with pytest.raises(stripe.APIError):
        double.v1.customers.create(made)
    assert double.v1.customers.list(made).data == [], "nothing was done"

    # Done, but the answer is lost: the client's own retry, with its key, finds it done.
    double.post("faults", method="POST", contains="fault-2", status=500, when="after")
    patient = double.new_client(retries=2)
    lost: Any = {"email": "fault-2@example.com"}
    assert patient.v1.customers.create(lost).email == lost["email"]
    assert len(double.v1.customers.list(lost).data) == 1

    double.post("faults", path="/v1/customers", contains="fault-3", seconds=1, when="after")
    hasty = double.new_client(timeout=0.3)
    with pytest.raises(stripe.APIConnectionError):
        hasty.v1.customers.create({"email": "fault-3@example.com"})
    assert len(double.v1.customers.list({"email": "fault-3@example.com"}).data) == 1

    double.post("faults", contains="fault-4", status=429, type="invalid_request_error", code="rate_limit", times=2)
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            double.v1.customers.list({"email": "fault-4@example.com"})
    assert double.v1.customers.list({"email": "fault-4@example.com"}).data == []
    wrong = double.http.post("/_double/faults", json={"state": 500})
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (400, "invalid_request_error")
    assert double.http.post("/_double/nothing").status_code == 404
