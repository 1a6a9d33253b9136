"""Subscriptions on test clocks: renewals, trials, failing cards, and their ends."""

from collections import Counter
from typing import Any

import httpx

from tests.stack.stripe.subscriber import Subscriber
from tests.stack.stripe.support import CANCEL_URL, as_dict, assert_refused, day, noon, press
from tests.stripe_double import OwnDouble, Receiver


def test_a_subscription_renews(double: OwnDouble, receiver: Receiver) -> None:
    subscriber = Subscriber(double, noon(2027, 1, 31))
    subscription = subscriber.subscribe()
    assert (subscription.status, subscription.customer) == ("active", subscriber.id)
    assert as_dict(subscription.metadata) == {"plan": "p"}
    assert subscriber.period() == ("2027-01-31", "2027-02-28")
    session = double.v1.checkout.sessions.retrieve(subscriber.session.id, {"expand": ["invoice.payments"]})
    assert (session.payment_status, session.payment_intent) == ("paid", None)
    assert session.invoice.id == subscription.latest_invoice
    details = session.invoice.parent.subscription_details
    assert (details.subscription, as_dict(details.metadata)) == (subscriber.subscription_id, {"plan": "p"})
    [line] = session.invoice.lines.data
    assert (day(line.period.start), day(line.period.end), line.amount) == ("2027-01-31", "2027-02-28", 1000)
    [payment] = double.v1.invoice_payments.list({"invoice": session.invoice.id}).data
    assert payment.payment.payment_intent == session.invoice.payments.data[0].payment.payment_intent
    intent = double.v1.payment_intents.retrieve(payment.payment.payment_intent)
    assert (intent.status, intent.amount, day(intent.created)) == ("succeeded", 1000, "2027-01-31")
    subscriber.advance(noon(2027, 4, 1))
    assert subscriber.period() == ("2027-03-31", "2027-04-30"), "the anchor's day comes back"
    assert subscriber.invoices(receiver) == [
        ("2027-01-31", 1000, "subscription_create"),
        ("2027-02-28", 1000, "subscription_cycle"),
        ("2027-03-31", 1000, "subscription_cycle"),
    ]
    assert Counter(receiver.types(subscriber.id))["customer.subscription.created"] == 1
    clock: Any = {"frozen_time": int(noon(2027, 4, 1).timestamp())}
    clocks = double.v1.test_helpers.test_clocks
    assert_refused(lambda: clocks.advance(subscriber.clock, clock), 400, None, "frozen_time")


def test_a_trial_is_free_until_it_ends(double: OwnDouble, receiver: Receiver) -> None:
    subscriber = Subscriber(double, noon(2027, 3, 1), trial_period_days=14)
    assert subscriber.session.amount_total == 0
    assert press(httpx.get(subscriber.session.url), "pay").status_code == 303
    session = double.v1.checkout.sessions.retrieve(subscriber.session.id)
    subscriber.subscription_id = str(session.subscription)
    trialing = subscriber.subscription()
    assert (session.payment_status, trialing.status) == ("no_payment_required", "trialing")
    assert (subscriber.period(), day(trialing.trial_end)) == (("2027-03-01", "2027-03-15"), "2027-03-15")
    subscriber.advance(noon(2027, 3, 16))
    assert subscriber.subscription().status == "active"
    assert subscriber.period() == ("2027-03-15", "2027-04-15")
    assert subscriber.invoices(receiver) == [
        ("2027-03-01", 0, "subscription_create"),
        ("2027-03-15", 1000, "subscription_cycle"),
    ]
    assert "customer.subscription.trial_will_end" in receiver.types(subscriber.id)


def test_a_subscription_ends_when_its_card_keeps_failing(double: OwnDouble, receiver: Receiver) -> None:
    subscriber = Subscriber(double, noon(2027, 1, 1))
    subscriber.subscribe()
    double.post(f"customers/{subscriber.id}/card", outcome="declined")
    subscriber.advance(noon(2027, 2, 2))
    assert subscriber.subscription().status == "past_due"
    subscriber.advance(noon(2027, 2, 25))
    ended = subscriber.subscription()
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert double.v1.subscriptions.list({"customer": subscriber.id}).data == []
    assert len(double.v1.subscriptions.list({"customer": subscriber.id, "status": "all"}).data) == 1
    double.wait_for_deliveries(subscriber.id)
    types = Counter(receiver.types(subscriber.id))
    assert (types["invoice.payment_failed"], types["customer.subscription.deleted"]) == (4, 1)


def test_a_retry_that_succeeds_makes_the_subscription_active(double: OwnDouble, receiver: Receiver) -> None:
    subscriber = Subscriber(double, noon(2027, 1, 1))
    subscriber.subscribe()
    double.post(f"customers/{subscriber.id}/card", outcome="declined")
    subscriber.advance(noon(2027, 2, 3))
    assert subscriber.subscription().status == "past_due"
    double.post(f"customers/{subscriber.id}/card", outcome="paid")
    subscriber.advance(noon(2027, 2, 5))
    assert subscriber.subscription().status == "active"
    assert len(subscriber.invoices(receiver)) == 2


def test_a_customer_cancels_keeps_and_pays_on_the_portal(double: OwnDouble) -> None:
    subscriber = Subscriber(double, noon(2027, 1, 1))
    subscriber.subscribe()
    portal = double.v1.billing_portal.sessions.create({"customer": subscriber.id, "return_url": CANCEL_URL})
    page = httpx.get(portal.url)
    assert "Membership" in page.text
    assert "€10.00 every month" in page.text
    assert press(page, f"cancel:{subscriber.subscription_id}").status_code == 303
    ending = subscriber.subscription()
    assert (ending.cancel_at_period_end, day(ending.cancel_at), ending.status) == (True, "2027-02-01", "active")
    page = httpx.get(portal.url)
    assert "ends on 1 February 2027" in page.text
    press(page, f"keep:{subscriber.subscription_id}")
    assert (subscriber.subscription().cancel_at_period_end, subscriber.subscription().cancel_at) == (False, None)
    other = Subscriber(double, noon(2027, 1, 1))
    other.subscribe()
    assert httpx.post(portal.url, data={"action": f"cancel:{other.subscription_id}"}).status_code == 404
    press(page, "card:declined")
    subscriber.advance(noon(2027, 2, 2))
    page = httpx.get(portal.url)
    press(page, "card:paid")
    press(page, f"pay:{subscriber.subscription().latest_invoice}")
    assert subscriber.subscription().status == "active"
    assert press(page, "back").headers["location"] == CANCEL_URL


def test_a_subscription_ends_by_the_seller(double: OwnDouble, receiver: Receiver) -> None:
    subscriptions = double.v1.subscriptions
    with_period, at_instant, at_once = (Subscriber(double, noon(2027, 1, 1)) for _ in range(3))
    for subscriber in (with_period, at_instant, at_once):
        subscriber.subscribe()
    subscriptions.update(with_period.subscription_id, {"cancel_at_period_end": True})
    with_period.advance(noon(2027, 2, 2))
    assert (with_period.subscription().status, day(with_period.subscription().ended_at)) == ("canceled", "2027-02-01")
    assert len(with_period.invoices(receiver)) == 1

    instant: Any = {"cancel_at": int(noon(2027, 1, 10).timestamp())}
    assert day(subscriptions.update(at_instant.subscription_id, instant).cancel_at) == "2027-01-10"
    assert subscriptions.update(at_instant.subscription_id, {"cancel_at": ""}).cancel_at is None
    subscriptions.update(at_instant.subscription_id, instant)
    at_instant.advance(noon(2027, 1, 11))
    assert (at_instant.subscription().status, day(at_instant.subscription().ended_at)) == ("canceled", "2027-01-10")

    assert subscriptions.cancel(at_once.subscription_id).status == "canceled"
    assert_refused(lambda: subscriptions.cancel(at_once.subscription_id), 404, "resource_missing", "id")
    late: Any = {"cancel_at_period_end": True}
    update = subscriptions.update
    assert_refused(lambda: update(at_once.subscription_id, late), 400, None, "cancel_at_period_end")
    double.wait_for_deliveries(at_once.id)
    assert Counter(receiver.types(at_once.subscription_id))["customer.subscription.deleted"] == 1


def test_the_first_payment_of_a_subscription_is_async_or_declined(double: OwnDouble) -> None:
    subscriber = Subscriber(double, noon(2027, 1, 1))
    assert subscriber.subscribe("async").status == "active"
    double.post(f"sessions/{subscriber.session.id}/settle", outcome="failed")
    assert subscriber.subscription().status == "past_due"
    declined = Subscriber(double, noon(2027, 1, 1))
    session = double.pay(declined.session.id, "declined")
    assert (session["status"], session["subscription"], session["payment_intent"]) == ("open", None, None)
    assert declined.subscribe().status == "active"
