"""Stripe's webhooks: only signed deliveries write anything, and each event has one effect in every order of arrival."""

import json
import re
import time
import uuid
from typing import Any

import httpx
import psycopg
import pytest
import stripe

from edge.app import create_app
from edge.payments.webhooks import HANDLED_EVENTS, StripeEvent, is_of_other_mode
from stack.doubles.stripe.declaration import EVENTS
from stack.paths import ROOT
from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import WEBHOOK, Object, Shop
from tests.edge.support import Refused, Upstream, serving, settings_for
from tests.people import Academy, Person, concurrently, rows
from tests.waiting import wait_until

CALL = "POST /functions/v1/webhooks/stripe"
MONTHLY: dict[str, Any] = {"billing_interval": "month"}
SECRET, OTHER_SECRET = "whsec_of_a_test", "whsec_another"


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A buyer."""
    return academy.member()


@pytest.fixture(scope="module")
def beat(academy: Academy, teacher: Person) -> Object:
    """An offer that can be bought repeatedly."""
    return offer(academy, teacher, "playlist_submission")


def paid_without_webhooks(shop: Shop, buyer: Person, offer_id: str, outcome: str = "paid") -> Object:
    """A paid checkout without any webhook."""
    begun = shop.begin(buyer, offer_id=offer_id)
    shop.double.post("webhooks/drop", contains=begun["order_id"])
    shop.double.pay(begun["session_id"], outcome)
    return begun


def completed(shop: Shop, order_id: str) -> Object:
    """The event that a session is complete."""
    (found,) = [each for each in shop.events(order_id) if each["type"] == "checkout.session.completed"]
    return found


def in_inbox(academy: Academy, event_id: str) -> list[tuple[Any, ...]]:
    """What the inbox has of an event."""
    return academy.sql("select status::text, attempts from private.webhook_inbox where event_id = %s", event_id)


@pytest.mark.route("CM-075", "WC-121", "WC-122", call=CALL)
def test_a_signed_event_pays_an_order_once(
    academy: Academy, shop: Shop, buyer: Person, beat: Object, refused: Refused
) -> None:
    begun = paid_without_webhooks(shop, buyer, beat["id"])
    completion = completed(shop, begun["order_id"])
    refused(shop.deliver(completion, secret=OTHER_SECRET), 400, "signature_invalid")
    assert shop.order(buyer, begun["order_id"])["status"] == "pending"
    assert in_inbox(academy, completion["id"]) == []
    for _ in range(3):
        answer = shop.deliver(completion)
        assert (answer.status_code, answer.json()) == (200, {"status": "applied"}), answer.text
    assert shop.order(buyer, begun["order_id"])["status"] == "paid"
    assert in_inbox(academy, completion["id"]) == [("applied", 1)]
    assert shop.balance(begun["order_id"]) == [("payment", 1000)]


@pytest.mark.route("CM-075", "WC-121", "WC-122", call=CALL)
def test_signed_events_enrol_subscribe_and_report_accounts(
    academy: Academy, shop: Shop, buyer: Person, teacher: Person, *, refused: Refused
) -> None:
    """The effects that follow a payment, the end of a subscription and the onboarding of a seller."""
    course, plan = academy.course(teacher, price_amount=2000), offer(academy, teacher, "membership", **MONTHLY)
    bought = shop.begin(buyer, course_id=course.id)
    shop.double.post("webhooks/drop", contains=bought["order_id"])
    shop.double.pay(bought["session_id"])
    refused(shop.deliver(completed(shop, bought["order_id"]), secret=OTHER_SECRET), 400, "signature_invalid")
    assert shop.deliver(completed(shop, bought["order_id"])).json() == {"status": "applied"}
    order = shop.order(buyer, bought["order_id"])
    assert (order["status"], order["paid_amount"], order["payment_status"]) == ("paid", 2000, "paid")
    payment = "select provider, amount, currency from private.payments where order_id = %s"
    assert academy.sql(payment, order["id"]) == [("stripe", 2000, "EUR")]
    (enrolment,) = rows(academy.call(buyer, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}"))
    assert (enrolment["source"], enrolment["access"]) == ("purchase", "open")
    (entitlement,) = shop.entitlements(buyer)
    assert (entitlement["order_id"], entitlement["course_id"]) == (order["id"], course.id)

    subscribed = shop.buy(buyer, offer_id=plan["id"])
    [(name,)] = academy.sql(
        "select private.stripe_id_of('subscription', s.id) from public.subscriptions as s where s.order_id = %s",
        subscribed["id"],
    )
    shop.delivered(name)
    shop.double.client.v1.subscriptions.cancel(name)
    shop.delivered(name)
    (row,) = rows(academy.call(buyer, "GET", "/rest/v1/subscriptions"))
    assert (row["status"], row["ended_at"] is None) == ("ended", False)

    earner = academy.member("teacher")
    academy.call(earner, "POST", "/functions/v1/payout-account", {})
    [(account,)] = academy.sql("select private.stripe_id_of('account', %s)", earner.id)
    shop.double.post(f"accounts/{account}/complete")
    shop.delivered(account)
    (told,) = rows(academy.call(earner, "GET", "/rest/v1/payout_accounts"))
    assert (told["is_submitted"], told["can_receive"]) == (True, True)


def test_fifty_concurrent_deliveries_are_one_payment(academy: Academy, shop: Shop, buyer: Person, beat: Object) -> None:
    begun = paid_without_webhooks(shop, buyer, beat["id"])
    events = [each for each in shop.events(begun["order_id"]) if each["type"] != "checkout.session.created"]
    assert len(events) >= 2

    def act(number: int) -> int:
        if number % 3 == 0:
            return academy.call(
                buyer, "POST", "/functions/v1/checkout/verify", {"session_id": begun["session_id"]}
            ).status_code
        return shop.deliver(events[number % len(events)]).status_code

    assert set(concurrently(50, act)) == {200}
    order_id = begun["order_id"]
    assert shop.order(buyer, order_id)["status"] == "paid"
    assert len(academy.sql("select from private.payments where order_id = %s", order_id)) == 1
    assert len(shop.entitlements(buyer)) == 1
    assert shop.balance(order_id) == [("payment", 1000)]
    assert len(academy.sql("select from private.mail_outbox where idempotency_key = %s", f"order_paid:{order_id}")) == 1
    assert imbalance(academy) == []


def test_delayed_duplicated_and_reordered_events_have_one_effect(
    academy: Academy, shop: Shop, buyer: Person, beat: Object
) -> None:
    begun = shop.begin(buyer, offer_id=beat["id"])
    order_id = begun["order_id"]
    shop.double.post("webhooks/hold", contains=order_id)
    shop.double.post("webhooks/duplicate", contains=order_id, copies=3)
    shop.double.pay(begun["session_id"])
    intent = shop.intent(begun["session_id"])
    shop.double.client.v1.refunds.create({"payment_intent": intent, "amount": 400, "metadata": {"note": order_id}})
    # The event of the refund arrives before that of the payment, and waits for it.
    shop.double.post("webhooks/release", contains=order_id, order="newest")
    shop.delivered(order_id)
    order = shop.order(buyer, order_id)
    assert (order["status"], order["refunded_amount"]) == ("paid", 400)
    assert shop.balance(order_id) == [("payment", 1000), ("refund", -400)]
    assert len(shop.entitlements(buyer)) == 1
    assert imbalance(academy) == []


def test_a_refund_before_its_payment_waits_for_it(academy: Academy, shop: Shop, buyer: Person, beat: Object) -> None:
    begun = paid_without_webhooks(shop, buyer, beat["id"])
    made = shop.double.client.v1.refunds.create(
        {"payment_intent": shop.intent(begun["session_id"]), "metadata": {"note": begun["order_id"]}}
    )
    (refund_event,) = [each for each in shop.events(made.id) if each["type"] == "refund.created"]
    answer = shop.deliver(refund_event)
    assert (answer.status_code, answer.json()) == (200, {"status": "waiting"}), answer.text
    assert in_inbox(academy, refund_event["id"]) == [("waiting", 1)]
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    assert in_inbox(academy, refund_event["id"]) == [("applied", 2)]
    assert shop.order(buyer, begun["order_id"])["refunded_amount"] == 1000
    (entitlement,) = shop.entitlements(buyer)
    assert entitlement["ends_at"] is not None


def test_a_declined_card_leaves_the_session_open(shop: Shop, buyer: Person, beat: Object) -> None:
    begun = shop.begin(buyer, offer_id=beat["id"])
    shop.double.pay(begun["session_id"], "declined")
    shop.delivered(begun["order_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "pending"
    assert shop.begin(buyer, offer_id=beat["id"]) == begun
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "paid"), ("failed", "failed")])
def test_a_delayed_payment_is_processing_until_it_settles(
    shop: Shop, buyer: Person, beat: Object, outcome: str, status: str
) -> None:
    begun = shop.begin(buyer, offer_id=beat["id"])
    shop.double.pay(begun["session_id"], "async")
    assert shop.verify(buyer, begun["session_id"])["status"] == "processing"
    assert shop.entitlements(buyer) == []
    shop.double.post(f"sessions/{begun['session_id']}/settle", outcome=outcome)
    shop.delivered(begun["order_id"])
    assert shop.order(buyer, begun["order_id"])["status"] == status
    assert len(shop.entitlements(buyer)) == (status == "paid")


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_a_dispute_ends_the_entitlement_and_a_won_one_restores_it(
    academy: Academy, shop: Shop, buyer: Person, beat: Object, outcome: str
) -> None:
    begun = shop.begin(buyer, offer_id=beat["id"])
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    opened = shop.double.post(f"charges/{shop.charge(begun['session_id'])}/dispute")
    shop.delivered(opened["id"])
    assert shop.order(buyer, begun["order_id"])["disputed_amount"] == 1000
    assert shop.entitlements(buyer)[0]["ends_at"] is not None
    shop.double.post(f"disputes/{opened['id']}/close", outcome=outcome)
    shop.delivered(opened["id"])
    assert shop.order(buyer, begun["order_id"])["disputed_amount"] == (0 if outcome == "won" else 1000)
    assert (shop.entitlements(buyer)[0]["ends_at"] is None) == (outcome == "won")
    assert imbalance(academy) == []


def test_a_surplus_payment_is_refunded(academy: Academy, shop: Shop, buyer: Person, admin: Person) -> None:
    """A buyer pays a session while an admin marks the order as paid."""
    seller = academy.member("teacher")
    beat = offer(academy, seller, "playlist_submission")
    begun = paid_without_webhooks(shop, buyer, beat["id"])
    settled = academy.rpc(admin, "mark_order_paid", order_id=begun["order_id"], reference="RF18")
    assert settled.status_code == 200, settled.text
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    intent = shop.intent(begun["session_id"])
    wait_until(lambda: shop.double.client.v1.refunds.list({"payment_intent": intent}).data)
    returned = "select returned_amount from private.payments where order_id = %s and is_surplus"
    wait_until(lambda: academy.sql(returned, begun["order_id"]) == [(1000,)])
    assert shop.order(buyer, begun["order_id"])["refunded_amount"] == 0
    assert shop.entitlements(buyer)[0]["ends_at"] is None
    assert imbalance(academy) == []


def event(**changes: Any) -> Object:
    """An event of a type that has no effect here."""
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": "tax_rate.created",
        "created": int(time.time()),
        "data": {"object": {"id": "txr_1", "object": "tax_rate"}},
        "what_nobody_knows": True,
    } | changes


def test_a_type_that_has_no_effect_is_acknowledged_and_writes_nothing(academy: Academy, shop: Shop) -> None:
    sent = event()
    assert shop.deliver(sent).json() == {"status": "ignored"}
    assert in_inbox(academy, sent["id"]) == []


@pytest.mark.parametrize(
    ("key", "livemode", "is_foreign"),
    [
        ("sk_test_x", True, True),
        ("sk_test_x", False, False),
        ("rk_live_x", False, True),
        ("rk_live_x", True, False),
        ("sk_live_x", None, False),
        ("sk_x_live_", False, False),
        (None, True, False),
    ],
)
def test_an_event_of_the_other_mode_is_recognised(key: str | None, livemode: bool | None, is_foreign: bool) -> None:
    sent = StripeEvent(id="evt_1", type="invoice.paid", data={}, livemode=livemode)
    assert is_of_other_mode(sent, key) is is_foreign


def test_an_event_of_the_other_mode_is_acknowledged_and_not_applied(
    academy: Academy, shop: Shop, buyer: Person, beat: Object
) -> None:
    begun = paid_without_webhooks(shop, buyer, beat["id"])
    completion = completed(shop, begun["order_id"])
    foreign = completion | {"id": f"evt_{uuid.uuid4().hex}", "livemode": True}
    answer = shop.deliver(foreign)
    assert (answer.status_code, answer.json()) == (200, {"status": "foreign"})
    assert in_inbox(academy, foreign["id"]) == [("foreign", 0)]
    assert shop.order(buyer, begun["order_id"])["status"] == "pending"
    assert shop.deliver(completion).json() == {"status": "applied"}


def test_the_handled_types_are_those_of_sql_of_the_documentation_and_of_the_double(live: psycopg.Connection) -> None:
    source = live.execute("select prosrc from pg_catalog.pg_proc where proname = 'apply_stripe_event'").fetchone()
    assert source is not None
    assert set(re.findall(r"'([a-z_]+(?:\.[a-z_]+)+)'", source[0])) == HANDLED_EVENTS
    document = (ROOT / "docs" / "deploy.md").read_text()
    listed = document.partition("Add a webhook endpoint")[2].partition("Put both signing secrets")[0]
    assert set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", listed)) == HANDLED_EVENTS
    assert set(EVENTS) == HANDLED_EVENTS


WORDS = {"retrieve": "read", "list": "read"}
"""The level of the calls that only read."""
EXPANDED = {"invoices", "payment_intents", "charges", "balance_transaction_sources"}
"""What calls read inside of other objects, by their parameter `expand`."""


def test_the_documented_permissions_are_those_of_the_calls() -> None:
    source = (ROOT / "edge" / "payments" / "client.py").read_text()
    calls = re.findall(r"self\._v1\.([a-z_.]+)\.([a-z]+)_async", source)
    assert len(calls) > 20
    needed: dict[str, str] = {}
    for resource, word in calls:
        level = WORDS.get(word, "write")
        needed[resource] = "write" if "write" in (level, needed.get(resource)) else "read"
    document = (ROOT / "docs" / "deploy.md").read_text()
    table = document.partition("| permission | level |")[2].partition("Add a webhook endpoint")[0]
    listed = {
        resource: level
        for level, called in re.findall(r"^ *\| [^|`]+ \| (read|write) \| ([^|]+) \|$", table, re.MULTILINE)
        for resource in re.findall(r"`([a-z_.]+)`", called)
    }
    assert listed == needed | dict.fromkeys(EXPANDED - needed.keys(), "read")


def with_faults(body: bytes, header: str) -> dict[str, tuple[bytes, str | None]]:
    """Deliveries with one fault each, by the fault."""
    at, _, signature = header.partition(",v1=")
    return {
        "another body": (body.replace(b"txr_1", b"txr_2"), header),
        "the same body written otherwise": (json.dumps(json.loads(body), indent=1).encode(), header),
        "a space more": (body + b" ", header),
        "no body": (b"", header),
        "bytes that are no text": (b"\xff" + body, header),
        "another time": (body, f"t={int(at[2:]) - 1},v1={signature}"),
        "a time that is none": (body, f"t=nan,v1={signature}"),
        "a time beyond all": (body, f"t={'9' * 400},v1={signature}"),
        "no header": (body, None),
        "an empty header": (body, ""),
        "no time": (body, f"v1={signature}"),
        "no signature": (body, at),
        "an empty signature": (body, f"{at},v1="),
        "a signature of another version": (body, f"{at},v0={signature}"),
        "a signature cut short": (body, f"{at},v1={signature[:-2]}"),
        "a signature that is no hexadecimal": (body, f"{at},v1=%%"),
        "two times": (body, f"t={int(time.time())},{at},v1={signature}x"),
    }


FAULTS = sorted(with_faults(b"{}", "t=1,v1=x"))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_delivery_without_a_valid_signature_writes_nothing(
    academy: Academy, shop: Shop, refused: Refused, fault: str
) -> None:
    sent = event()
    body = json.dumps(sent).encode()
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), shop.secret, int(time.time()))
    refused(shop.post(*with_faults(body, header)[fault]), 400, "signature_invalid")
    assert in_inbox(academy, sent["id"]) == []


@pytest.mark.parametrize(("minutes", "is_accepted"), [(-6, False), (-4, True)])
def test_a_delivery_is_valid_for_five_minutes(shop: Shop, refused: Refused, minutes: int, is_accepted: bool) -> None:
    answer = shop.deliver(event(), at=time.time() + minutes * 60)
    if is_accepted:
        assert answer.status_code == 200, answer.text
    else:
        refused(answer, 400, "signature_invalid")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"{",
        b'""',
        b"[" * 5000,
        b'{"id": "evt_1", "type": "x"}',
        b'{"id": "", "type": "x", "data": {}}',
        b'{"id": "evt_1", "type": 1, "data": {}}',
        b'{"id": "evt_1", "type": "x", "data": []}',
        b'{"id": "evt_1", "type": "invoice.paid", "data": {"object": {"name": "\\u0000"}}}',
        json.dumps(event(id="e" * 256)).encode(),
        json.dumps(event(type="t" * 256)).encode(),
    ],
)
def test_a_signed_body_that_is_not_an_event_is_400(shop: Shop, refused: Refused, body: bytes) -> None:
    refused(shop.deliver_bytes(body), 400, "invalid_request")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "checkout.session.completed", "data": {}},
        {"type": "checkout.session.completed", "data": {"object": []}},
        {"type": "invoice.paid", "created": "yesterday"},
        {"type": "charge.succeeded", "data": {"object": {"object": "charge", "metadata": {"order_id": "x"}}}},
        {"type": "transfer.created", "data": {"object": {"object": "transfer", "metadata": None}}},
        {"type": "account.updated", "data": {"object": {"object": "account", "id": None}}},
    ],
)
def test_an_unusual_event_is_not_a_server_error(shop: Shop, changes: Object) -> None:
    answer = shop.deliver(event(**changes))
    assert answer.status_code in {200, 503}, answer.text
    assert answer.json().get("message", "webhook_failed") == "webhook_failed"


def test_a_body_too_large_is_413(shop: Shop, refused: Refused) -> None:
    refused(shop.deliver(event(more="x" * (512 << 10))), 413, "payload_too_large")


def test_a_missing_secret_is_503_and_named(edge: httpx.Client, refused: Refused) -> None:
    error = refused(edge.post("/webhooks/stripe", content=b"{}"), 503, "provider_not_configured")
    assert "EDGE_STRIPE_WEBHOOK_SECRET" in error["details"]


def test_each_of_several_secrets_is_accepted(upstream: Upstream, refused: Refused) -> None:
    """The database of this edge is away, so a signed delivery ends there."""
    app = create_app(settings_for(upstream.url, EDGE_STRIPE_WEBHOOK_SECRET=f"{SECRET}, {OTHER_SECRET}"))
    body = json.dumps(event(type="invoice.paid"))
    with serving(app) as url:
        for secret, status, token in (
            (SECRET, 503, "database_unavailable"),
            (OTHER_SECRET, 503, "database_unavailable"),
            ("whsec_third", 400, "signature_invalid"),
        ):
            header = stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time()))
            answer = httpx.post(
                f"{url}{WEBHOOK.removeprefix('/functions/v1')}",
                content=body,
                headers={"stripe-signature": header},
                trust_env=False,
            )
            refused(answer, status, token)
