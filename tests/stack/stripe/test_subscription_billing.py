"""What changes the amounts of invoices: plan switches, tax, balances and coupons; and payments that take their time."""

from typing import Any

import httpx
import pytest

from tests.stack.stripe.subscriber import Subscriber
from tests.stack.stripe.support import CANCEL_URL, as_dict, assert_refused, day, noon, open_session, press
from tests.stripe_double import OwnDouble, Receiver


def test_an_upgrade_is_invoiced_at_once_with_prorations_first(double: OwnDouble, receiver: Receiver) -> None:
    subscriber = Subscriber(double, noon(2027, 4, 1))
    subscriber.subscribe()
    subscriber.advance(noon(2027, 4, 16))
    switched = double.post(f"subscriptions/{subscriber.subscription_id}/switch", amount=3000)
    assert switched["items"]["data"][0]["price"]["unit_amount"] == 3000
    assert subscriber.period() == ("2027-04-01", "2027-05-01")
    invoice = subscriber.invoice()
    assert (invoice.billing_reason, invoice.amount_paid, invoice.status) == ("subscription_update", 1000, "paid")
    credit, charge = invoice.lines.data
    assert (credit.amount, charge.amount) == (-500, 1500)
    details = credit.parent.invoice_item_details
    assert (credit.parent.type, details.proration, details.subscription) == (
        "invoice_item_details",
        True,
        subscriber.subscription_id,
    )
    assert (day(charge.period.start), day(charge.period.end)) == ("2027-04-16", "2027-05-01")
    subscriber.advance(noon(2027, 5, 2))
    assert subscriber.invoices(receiver)[-1] == ("2027-05-01", 3000, "subscription_cycle")
    assert "customer.subscription.updated" in subscriber.types(receiver)
    updates = [
        as_dict(event.data)["previous_attributes"]
        for event in receiver.taken
        if event.type == "customer.subscription.updated" and subscriber.id in str(event)
    ]
    [before] = [each["items"]["data"][0] for each in updates if "items" in each]
    assert before["price"]["unit_amount"] == 1000


def test_prorations_wait_for_the_next_invoice(double: OwnDouble, receiver: Receiver) -> None:
    subscriber = Subscriber(double, noon(2027, 4, 1))
    subscriber.subscribe()
    subscriber.advance(noon(2027, 4, 16))
    path = f"subscriptions/{subscriber.subscription_id}/switch"
    double.post(path, amount=3000, proration="create_prorations")
    assert len(subscriber.invoices(receiver)) == 1
    subscriber.advance(noon(2027, 5, 2))
    lines = subscriber.invoice().lines.data
    assert [line.amount for line in lines] == [-500, 1500, 3000]
    assert [day(line.period.end) for line in lines] == ["2027-05-01", "2027-05-01", "2027-06-01"]
    assert subscriber.invoices(receiver)[-1] == ("2027-05-01", 4000, "subscription_cycle")


def test_a_downgrade_leaves_a_credit_and_another_interval_begins_a_period(double: OwnDouble) -> None:
    subscriber = Subscriber(double, noon(2027, 4, 1), amount=3000)
    subscriber.subscribe()
    subscriber.advance(noon(2027, 4, 16))
    path = f"subscriptions/{subscriber.subscription_id}/switch"
    double.post(path, amount=1000)
    invoice = subscriber.invoice()
    assert (invoice.total, invoice.amount_due, invoice.status, invoice.ending_balance) == (-1000, 0, "paid", -1000)
    assert double.v1.customers.retrieve(subscriber.id).balance == -1000
    subscriber.advance(noon(2027, 5, 2))
    assert (subscriber.invoice().total, subscriber.invoice().amount_paid) == (1000, 0)
    subscriber.advance(noon(2027, 5, 16))
    double.post(path, amount=20_000, interval="year")
    assert subscriber.period() == ("2027-05-16", "2028-05-16")
    invoice = subscriber.invoice()
    assert [line.amount < 0 for line in invoice.lines.data] == [True, False]
    assert invoice.lines.data[1].amount == 20_000
    double.post(path, amount=500, interval="month", proration="none")
    assert subscriber.subscription()["items"].data[0].price.unit_amount == 500


def test_a_switch_that_stripe_refuses(double: OwnDouble) -> None:
    subscriber = Subscriber(double, noon(2027, 4, 1))
    subscription = subscriber.subscribe()
    update = double.v1.subscriptions.update
    item = subscription["items"].data[0].id
    product = double.v1.products.create({"name": "Other"}).id
    base = {"product": product, "unit_amount": 2000, "recurring": {"interval": "month"}}
    dollars = double.v1.prices.create(base | {"currency": "usd"}).id
    other = double.v1.prices.create(base | {"currency": "eur"}).id
    wrong: Any = {"items": [{"id": item, "price": dollars}]}
    assert_refused(lambda: update(subscription.id, wrong), 400, None, "items[0][price]")
    right: Any = {"items": [{"id": item, "price": other}], "proration_behavior": "none"}
    assert update(subscription.id, right)["items"].data[0].price.id == other
    double.post(f"prices/{other}/archive")
    assert_refused(lambda: update(subscription.id, right), 400, None, "items[0][price]")


def test_the_portal_offers_the_plans_of_its_configuration(double: OwnDouble) -> None:
    subscriber = Subscriber(double, noon(2027, 4, 1))
    subscription = subscriber.subscribe()
    product = subscription["items"].data[0].price.product
    base = {"product": product, "currency": "eur", "recurring": {"interval": "month"}}
    larger = double.v1.prices.create(base | {"unit_amount": 2500}).id
    update = {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "products": [{"product": product, "prices": [larger]}],
        "proration_behavior": "always_invoice",
    }
    configurations = double.v1.billing_portal.configurations
    offering = configurations.create({"features": {"subscription_update": update}})
    session = {"customer": subscriber.id, "return_url": CANCEL_URL}
    portal = double.v1.billing_portal.sessions.create(session | {"configuration": offering.id})
    page = httpx.get(portal.url)
    assert "Switch to €25.00 every month" in page.text
    assert press(page, f"switch:{subscription.id}:{larger}").status_code == 303
    assert subscriber.subscription()["items"].data[0].price.id == larger

    closed = configurations.create({"features": {"subscription_update": {"enabled": False}}})
    portal = double.v1.billing_portal.sessions.create(session | {"configuration": closed.id})
    assert "Switch to" not in httpx.get(portal.url).text
    assert httpx.post(portal.url, data={"action": f"switch:{subscription.id}:{larger}"}).status_code == 409
    plain = double.v1.billing_portal.sessions.create(session)
    assert configurations.retrieve(plain.configuration).is_default
    assert plain.configuration in {each.id for each in configurations.list({"is_default": True}).data}


def test_tax_comes_on_top(double: OwnDouble, receiver: Receiver) -> None:
    session = open_session(double, 1000)
    taxed = double.post(f"sessions/{session.id}/tax", percent=25)
    assert (taxed["amount_subtotal"], taxed["amount_total"], taxed["total_details"]["amount_tax"]) == (1000, 1250, 250)
    assert taxed["automatic_tax"]["enabled"]
    page = httpx.get(session.url).text
    assert [text in page for text in ("€10.00", "€2.50", "€12.50")] == [True] * 3
    assert double.pay(session.id)["amount_total"] == 1250
    intent = double.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]}).payment_intent
    assert intent.amount_received == 1250

    subscriber = Subscriber(double, noon(2027, 4, 1))
    double.post(f"sessions/{subscriber.session.id}/tax", percent=8.1)
    subscriber.subscribe()
    subscriber.advance(noon(2027, 5, 2))
    invoice = subscriber.invoice()
    assert (invoice.subtotal, invoice.total_excluding_tax, invoice.total) == (1000, 1000, 1081)
    assert [tax.amount for tax in invoice.total_taxes] == [81]
    assert [paid for _, paid, _ in subscriber.invoices(receiver)] == [1081, 1081]
    assert double.http.post(f"/_double/sessions/{session.id}/tax", json={"percent": 25}).status_code == 400


def test_a_balance_is_applied_to_invoices(double: OwnDouble, receiver: Receiver) -> None:
    subscriber = Subscriber(double, noon(2027, 4, 1))
    subscriber.subscribe()
    double.post(f"customers/{subscriber.id}/balance", amount=-1300)
    subscriber.advance(noon(2027, 5, 2))
    invoice = subscriber.invoice()
    assert (invoice.total, invoice.amount_due, invoice.starting_balance, invoice.ending_balance) == (
        *(1000, 0),
        *(-1300, -300),
    )
    subscriber.advance(noon(2027, 6, 2))
    assert (subscriber.invoice().total, subscriber.invoice().amount_paid) == (1000, 700)
    double.post(f"customers/{subscriber.id}/balance", amount=250)
    subscriber.advance(noon(2027, 7, 2))
    assert subscriber.invoice().amount_paid == 1250
    assert [paid for _, paid, _ in subscriber.invoices(receiver)] == [1000, 0, 700, 1250]


@pytest.mark.parametrize(
    ("duration", "paid"),
    [
        ({"duration": "once"}, [700, 1000, 1000, 1000]),
        ({"duration": "repeating", "duration_in_months": 2}, [700, 700, 1000, 1000]),
        ({"duration": "forever"}, [700, 700, 700, 700]),
    ],
)
def test_a_coupon_discounts_for_its_duration(
    double: OwnDouble, receiver: Receiver, duration: dict[str, Any], paid: list[int]
) -> None:
    coupon = double.v1.coupons.create({"amount_off": 300, "currency": "eur", **duration})
    subscriber = Subscriber(double, noon(2027, 1, 31), session={"discounts": [{"coupon": coupon.id}]})
    assert (subscriber.session.amount_subtotal, subscriber.session.amount_total) == (1000, 700)
    assert subscriber.session.total_details.amount_discount == 300
    page = httpx.get(subscriber.session.url).text
    assert [text in page for text in ("€10.00 every month", "-€3.00", "€7.00")] == [True] * 3
    subscriber.subscribe()
    subscriber.advance(noon(2027, 5, 1))
    assert [amount for _, amount, _ in subscriber.invoices(receiver)] == paid
    assert double.v1.coupons.retrieve(coupon.id).times_redeemed == 1


def test_a_coupon_survives_a_trial_and_bad_ones_are_refused(double: OwnDouble, receiver: Receiver) -> None:
    coupons = double.v1.coupons
    half = coupons.create({"percent_off": 50, "duration": "once", "id": "half-of-a-test", "max_redemptions": 1})
    session: dict[str, Any] = {"discounts": [{"coupon": half.id}]}
    subscriber = Subscriber(double, noon(2027, 1, 1), session=session, trial_period_days=14)
    assert subscriber.session.amount_total == 0
    subscriber.subscribe()
    subscriber.advance(noon(2027, 2, 20))
    assert [amount for _, amount, _ in subscriber.invoices(receiver)] == [0, 500, 1000]
    assert_refused(lambda: open_session(double, **session), 400, "coupon_expired", "discounts[0][coupon]")
    again: Any = {"percent_off": 50, "duration": "once", "id": half.id}
    assert_refused(lambda: coupons.create(again), 400, "resource_already_exists", "id")
    unknown: Any = {"discounts": [{"coupon": "none"}]}
    assert_refused(lambda: open_session(double, **unknown), 400, "resource_missing", "discounts[0][coupon]")
    dollars = coupons.create({"amount_off": 100, "currency": "usd", "duration": "once"}).id
    assert_refused(lambda: open_session(double, discounts=[{"coupon": dollars}]), 400, None, "discounts[0][coupon]")
    assert_refused(lambda: coupons.create({"duration": "once"}), 400, "parameter_missing", "percent_off")
    repeating: Any = {"percent_off": 5, "duration": "repeating"}
    assert_refused(lambda: coupons.create(repeating), 400, None, "duration_in_months")


def test_a_bank_debit_pays_the_first_invoice_days_later(double: OwnDouble, receiver: Receiver) -> None:
    subscriber = Subscriber(double, noon(2027, 4, 1))
    assert subscriber.subscribe("async").status == "active"
    session = double.v1.checkout.sessions.retrieve(subscriber.session.id)
    assert (session.status, session.payment_status, session.subscription) == (
        *("complete", "unpaid"),
        subscriber.subscription_id,
    )
    assert (subscriber.invoice().status, subscriber.intent().status) == ("open", "processing")
    subscriber.advance(noon(2027, 4, 8))
    assert "invoice.paid" not in subscriber.types(receiver)
    paid = double.post(f"sessions/{subscriber.session.id}/settle", outcome="succeeded")
    assert (paid["payment_status"], subscriber.invoice().status) == ("paid", "paid")
    assert {"checkout.session.async_payment_succeeded", "invoice.paid"} <= set(subscriber.types(receiver))


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_bank_debit_pays_a_renewal_days_later(double: OwnDouble, receiver: Receiver, outcome: str) -> None:
    subscriber = Subscriber(double, noon(2027, 4, 1))
    subscriber.subscribe()
    double.post(f"customers/{subscriber.id}/card", outcome="async")
    subscriber.advance(noon(2027, 5, 4))
    invoice = subscriber.invoice()
    assert (subscriber.subscription().status, invoice.status) == ("active", "open")
    assert double.http.post(f"/_double/invoices/{invoice.id}/pay", json={}).status_code == 400, "it is being paid"
    double.post(f"invoices/{invoice.id}/settle", outcome=outcome)
    assert (subscriber.subscription().status, subscriber.invoice().status) == (
        ("active", "paid") if outcome == "succeeded" else ("past_due", "open")
    )
    assert ("invoice.payment_failed" in subscriber.types(receiver)) == (outcome == "failed")
    assert double.http.post(f"/_double/invoices/{invoice.id}/settle", json={}).status_code == 400


def test_a_renewal_waits_for_3d_secure(double: OwnDouble, receiver: Receiver) -> None:
    subscriber = Subscriber(double, noon(2027, 4, 1))
    subscriber.subscribe()
    double.post(f"customers/{subscriber.id}/card", outcome="requires_action")
    subscriber.advance(noon(2027, 5, 2))
    invoice, intent = subscriber.invoice(), subscriber.intent()
    assert (subscriber.subscription().status, invoice.status) == ("past_due", "open")
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    assert {"invoice.payment_action_required", "invoice.payment_failed", "payment_intent.requires_action"} <= set(
        subscriber.types(receiver)
    )
    double.post(f"invoices/{invoice.id}/pay", outcome="declined")
    assert subscriber.intent().status == "requires_payment_method"
    assert double.post(f"invoices/{invoice.id}/pay")["status"] == "paid"
    assert (subscriber.subscription().status, subscriber.intent().next_action) == ("active", None)


def test_a_buyer_passes_3d_secure_on_the_page(double: OwnDouble) -> None:
    session = open_session(double)
    asked = press(httpx.get(session.url), "authenticate")
    assert asked.status_code == 402
    assert "asks you to confirm" in asked.text
    waiting = double.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (waiting.status, waiting.payment_status) == ("open", "unpaid")
    assert waiting.payment_intent.status == "requires_action"
    assert press(asked, "pay").status_code == 303
    paid = double.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (paid.payment_status, paid.payment_intent.status) == ("paid", "succeeded")
    subscriber = Subscriber(double, noon(2027, 4, 1))
    assert double.pay(subscriber.session.id, "requires_action")["subscription"] is None
    assert subscriber.subscribe().status == "active"


def test_a_deleted_customer_loses_the_subscriptions(double: OwnDouble, receiver: Receiver) -> None:
    subscriber = Subscriber(double, noon(2027, 4, 1))
    subscriber.subscribe()
    deleted = double.post(f"customers/{subscriber.id}/delete")
    assert (
        as_dict(double.v1.customers.retrieve(subscriber.id))
        == deleted
        == {
            "id": subscriber.id,
            "object": "customer",
            "deleted": True,
        }
    )
    assert subscriber.subscription().status == "canceled"
    assert {"customer.deleted", "customer.subscription.deleted"} <= set(subscriber.types(receiver))
    assert_refused(lambda: open_session(double, customer=subscriber.id), 400, "resource_missing", "customer")
    portal: Any = {"customer": subscriber.id}
    assert_refused(lambda: double.v1.billing_portal.sessions.create(portal), 400, "resource_missing", "customer")
