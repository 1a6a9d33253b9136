"""Stripe's webhooks: what is not signed writes nothing, and what is told has one effect, however it is told."""

import json
import time
import uuid
from typing import Any

import httpx
import pytest
import stripe

from edge.app import create_app
from edge.settings import SettingsError
from tests.commerce.told import imbalance, offer
from tests.edge.shop import WEBHOOK, Object, Shop, eventually
from tests.edge.support import NOWHERE, Refused, Upstream, serving, settings_for
from tests.people import Academy, Person, together

CALL = "POST /functions/v1/webhooks/stripe"
SECRET, OTHER_SECRET = "whsec_of_a_test", "whsec_another"


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """Somebody who buys."""
    return academy.member()


@pytest.fixture(scope="module")
def beat(academy: Academy, teacher: Person) -> Object:
    """An offer that can be bought again and again."""
    return offer(academy, teacher, "playlist_submission")


def paid_in_silence(shop: Shop, buyer: Person, offer_id: str, outcome: str = "paid") -> Object:
    """A checkout that was paid, and no webhook told of it."""
    begun = shop.begin(buyer, offer_id=offer_id)
    shop.double.post("webhooks/drop", contains=begun["order_id"])
    shop.double.pay(begun["session_id"], outcome)
    return begun


def completed(shop: Shop, order_id: str) -> Object:
    """The event that a session is complete."""
    (found,) = [each for each in shop.events(order_id) if each["type"] == "checkout.session.completed"]
    return found


def kept(academy: Academy, event_id: str) -> list[tuple[Any, ...]]:
    """What the inbox keeps of an event."""
    return academy.sql("select status::text, attempts from private.webhook_inbox where event_id = %s", event_id)


@pytest.mark.route("CM-075", "WC-121", "WC-122", call=CALL)
def test_a_signed_event_pays_an_order_once(
    academy: Academy, shop: Shop, buyer: Person, beat: Object, refused: Refused
) -> None:
    begun = paid_in_silence(shop, buyer, beat["id"])
    told = completed(shop, begun["order_id"])
    refused(shop.deliver(told, secret=OTHER_SECRET), 400, "signature_invalid")
    assert shop.order(buyer, begun["order_id"])["status"] == "pending"
    assert kept(academy, told["id"]) == []
    for _ in range(3):
        answer = shop.deliver(told)
        assert (answer.status_code, answer.json()) == (200, {"status": "applied"}), answer.text
    assert shop.order(buyer, begun["order_id"])["status"] == "paid"
    assert kept(academy, told["id"]) == [("applied", 1)]
    assert shop.balance(begun["order_id"]) == [("payment", 1000)]


def test_fifty_at_once_are_one_payment(academy: Academy, shop: Shop, buyer: Person, beat: Object) -> None:
    begun = paid_in_silence(shop, buyer, beat["id"])
    told = [each for each in shop.events(begun["order_id"]) if each["type"] != "checkout.session.created"]
    assert len(told) >= 2

    def act(number: int) -> int:
        if number % 3 == 0:
            return academy.call(
                buyer, "POST", "/functions/v1/checkout/verify", {"session_id": begun["session_id"]}
            ).status_code
        return shop.deliver(told[number % len(told)]).status_code

    assert set(together(50, act)) == {200}
    order_id = begun["order_id"]
    assert shop.order(buyer, order_id)["status"] == "paid"
    assert len(academy.sql("select from private.payments where order_id = %s", order_id)) == 1
    assert len(shop.entitlements(buyer)) == 1
    assert shop.balance(order_id) == [("payment", 1000)]
    assert len(academy.sql("select from private.mail_outbox where idempotency_key = %s", f"order_paid:{order_id}")) == 1
    assert imbalance(academy) == []


def test_held_doubled_and_out_of_order(academy: Academy, shop: Shop, buyer: Person, beat: Object) -> None:
    begun = shop.begin(buyer, offer_id=beat["id"])
    order_id = begun["order_id"]
    shop.double.post("webhooks/hold", contains=order_id)
    shop.double.post("webhooks/duplicate", contains=order_id, copies=3)
    shop.double.pay(begun["session_id"])
    intent = shop.intent(begun["session_id"])
    shop.double.client.v1.refunds.create({"payment_intent": intent, "amount": 400, "metadata": {"note": order_id}})
    # The refund is told before the payment, fails, and is told again.
    shop.double.post("webhooks/release", contains=order_id, order="newest")
    shop.delivered(order_id)
    order = shop.order(buyer, order_id)
    assert (order["status"], order["refunded_amount"]) == ("paid", 400)
    assert shop.balance(order_id) == [("payment", 1000), ("refund", -400)]
    assert len(shop.entitlements(buyer)) == 1
    assert imbalance(academy) == []


def test_a_refund_of_what_is_not_known_is_told_again(
    academy: Academy, shop: Shop, buyer: Person, beat: Object, refused: Refused
) -> None:
    begun = paid_in_silence(shop, buyer, beat["id"])
    made = shop.double.client.v1.refunds.create(
        {"payment_intent": shop.intent(begun["session_id"]), "metadata": {"note": begun["order_id"]}}
    )
    (told,) = [each for each in shop.events(made.id) if each["type"] == "refund.created"]
    refused(shop.deliver(told), 503, "webhook_failed")
    assert kept(academy, told["id"]) == [("failed", 1)]
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    assert shop.deliver(told).json() == {"status": "applied"}
    assert shop.order(buyer, begun["order_id"])["refunded_amount"] == 1000
    (entitlement,) = shop.entitlements(buyer)
    assert entitlement["ends_at"] is not None


def test_a_declined_card_leaves_the_page_open(shop: Shop, buyer: Person, beat: Object) -> None:
    begun = shop.begin(buyer, offer_id=beat["id"])
    shop.double.pay(begun["session_id"], "declined")
    shop.delivered(begun["order_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "pending"
    assert shop.begin(buyer, offer_id=beat["id"]) == begun
    shop.double.pay(begun["session_id"])
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "paid"), ("failed", "failed")])
def test_money_that_takes_days(shop: Shop, buyer: Person, beat: Object, outcome: str, status: str) -> None:
    begun = shop.begin(buyer, offer_id=beat["id"])
    shop.double.pay(begun["session_id"], "async")
    assert shop.verify(buyer, begun["session_id"])["status"] == "processing"
    assert shop.entitlements(buyer) == []
    shop.double.post(f"sessions/{begun['session_id']}/settle", outcome=outcome)
    shop.delivered(begun["order_id"])
    assert shop.order(buyer, begun["order_id"])["status"] == status
    assert len(shop.entitlements(buyer)) == (status == "paid")


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_a_dispute(academy: Academy, shop: Shop, buyer: Person, beat: Object, outcome: str) -> None:
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


def test_money_for_what_was_paid_goes_back(academy: Academy, shop: Shop, buyer: Person, admin: Person) -> None:
    """Somebody pays on a page while an admin sees the same money elsewhere."""
    seller = academy.member("teacher")
    beat = offer(academy, seller, "playlist_submission")
    begun = paid_in_silence(shop, buyer, beat["id"])
    settled = academy.rpc(admin, "settle_order", order_id=begun["order_id"], reference="RF18")
    assert settled.status_code == 200, settled.text
    assert shop.verify(buyer, begun["session_id"])["status"] == "paid"
    intent = shop.intent(begun["session_id"])
    eventually(lambda: shop.double.client.v1.refunds.list({"payment_intent": intent}).data)
    returned = "select returned_amount from private.payments where order_id = %s and is_surplus"
    eventually(lambda: academy.sql(returned, begun["order_id"]) == [(1000,)])
    assert shop.order(buyer, begun["order_id"])["refunded_amount"] == 0
    assert shop.entitlements(buyer)[0]["ends_at"] is None
    assert imbalance(academy) == []


def event(**changes: Any) -> Object:
    """An event of a type that means nothing here."""
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": "tax_rate.created",
        "created": int(time.time()),
        "data": {"object": {"id": "txr_1", "object": "tax_rate"}},
        "what_nobody_knows": True,
    } | changes


def test_an_unknown_type_is_acknowledged_and_kept(academy: Academy, shop: Shop) -> None:
    told = event()
    assert shop.deliver(told).json() == {"status": "ignored"}
    assert kept(academy, told["id"]) == [("ignored", 1)]


def altered(body: bytes, header: str) -> dict[str, tuple[bytes, str | None]]:
    """Deliveries that are nearly right, by what is wrong with them."""
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


ATTACKS = sorted(altered(b"{}", "t=1,v1=x"))


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_not_signed_writes_nothing(academy: Academy, shop: Shop, refused: Refused, attack: str) -> None:
    told = event()
    body = json.dumps(told).encode()
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), shop.secret, int(time.time()))
    refused(shop.post(*altered(body, header)[attack]), 400, "signature_invalid")
    assert kept(academy, told["id"]) == []


@pytest.mark.parametrize(("minutes", "is_taken"), [(-6, False), (-4, True)])
def test_a_delivery_is_good_for_five_minutes(shop: Shop, refused: Refused, minutes: int, is_taken: bool) -> None:
    answer = shop.deliver(event(), at=time.time() + minutes * 60)
    if is_taken:
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
        b'{"id": "evt_1", "type": "x", "data": {"object": {"name": "\\u0000"}}}',
        json.dumps(event(id="e" * 256)).encode(),
        json.dumps(event(type="t" * 256)).encode(),
    ],
)
def test_a_signed_body_that_is_no_event_is_400(shop: Shop, refused: Refused, body: bytes) -> None:
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
def test_a_strange_event_is_no_fault(shop: Shop, changes: Object) -> None:
    answer = shop.deliver(event(**changes))
    assert answer.status_code in {200, 503}, answer.text
    assert answer.json().get("message", "webhook_failed") == "webhook_failed"


def test_a_body_too_large_is_413(shop: Shop, refused: Refused) -> None:
    refused(shop.deliver(event(more="x" * (512 << 10))), 413, "payload_too_large")


def test_without_a_secret_it_says_which_setting_is_missing(edge: httpx.Client, refused: Refused) -> None:
    error = refused(edge.post("/webhooks/stripe", content=b"{}"), 503, "provider_not_configured")
    assert "EDGE_STRIPE_WEBHOOK_SECRET" in error["details"]


def test_each_of_several_secrets_is_right(upstream: Upstream, refused: Refused) -> None:
    """The database of this edge is away: what is signed gets as far as that."""
    app = create_app(settings_for(upstream.url, EDGE_STRIPE_WEBHOOK_SECRET=f"{SECRET}, {OTHER_SECRET}"))
    body = json.dumps(event())
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


@pytest.mark.parametrize("secret", ["whsec_", ",", "whsec_x,whsec_"])
def test_a_secret_that_can_be_none_keeps_the_edge_from_starting(secret: str) -> None:
    with pytest.raises(SettingsError, match="EDGE_STRIPE_WEBHOOK_SECRET"):
        create_app(settings_for(NOWHERE, EDGE_STRIPE_WEBHOOK_SECRET=secret))
