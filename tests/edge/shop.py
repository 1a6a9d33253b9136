"""Buying in tests: calls of the edge as a browser makes them, and of Stripe's double as its control allows."""

import json
import time
from typing import Any

import httpx
import stripe

from tests.people import Academy, Person, rows
from tests.stripe_double import StripeDouble

CHECKOUT = "/functions/v1/checkout"
VERIFY = "/functions/v1/checkout/verify"
WEBHOOK = "/functions/v1/webhooks/stripe"
DAY = 86_400

Object = dict[str, Any]


class Shop:
    """The edge and the double."""

    def __init__(self, academy: Academy, double: StripeDouble, secret: str) -> None:
        """Args: the API, Stripe's double, and the secret of its webhooks."""
        self.academy = academy
        self.double = double
        self.secret = secret

    def begin(self, buyer: Person, **wanted: Any) -> Object:
        """Check out, and return the answer."""
        answer = self.academy.call(buyer, "POST", CHECKOUT, wanted)
        assert answer.status_code == 200, answer.text
        begun: Object = answer.json()
        return begun

    def verify(self, buyer: Person, session: str) -> Object:
        """Come back from a session, and return the answer."""
        answer = self.academy.call(buyer, "POST", VERIFY, {"session_id": session})
        assert answer.status_code == 200, answer.text
        state: Object = answer.json()
        return state

    def buy(self, buyer: Person, **wanted: Any) -> Object:
        """Check out, pay, and come back; returns the order."""
        begun = self.begin(buyer, **wanted)
        self.double.pay(begun["session_id"])
        assert self.verify(buyer, begun["session_id"])["status"] == "paid"
        return self.order(buyer, begun["order_id"])

    def order(self, buyer: Person, order_id: str) -> Object:
        """An order as its buyer reads it."""
        (order,) = rows(self.academy.call(buyer, "GET", f"/rest/v1/orders?id=eq.{order_id}"))
        return order

    def entitlements(self, buyer: Person) -> list[Object]:
        """The entitlements of a buyer, the newest first."""
        return rows(
            self.academy.call(buyer, "GET", f"/rest/v1/entitlements?user_id=eq.{buyer.id}&order=starts_at.desc")
        )

    def delivered(self, contains: str) -> None:
        """Wait until every event that contains a text is delivered, retries included."""
        until = time.monotonic() + 40
        while left := self.double.post("webhooks/wait", contains=contains, seconds=1)["undelivered"]:
            assert time.monotonic() < until, left
            time.sleep(0.05)

    def session(self, name: str) -> Object:
        """A session as Stripe has it."""
        return json_of(self.double.client.v1.checkout.sessions.retrieve(name))

    def intent(self, session: str) -> str:
        """The payment intent of a session."""
        return str(self.session(session)["payment_intent"])

    def charge(self, session: str) -> str:
        """The charge of a session."""
        intent = json_of(self.double.client.v1.payment_intents.retrieve(self.intent(session)))
        return str(intent["latest_charge"])

    def events(self, contains: str) -> list[Object]:
        """The events that contain a text, delivered or not."""
        # All pages: events of test clocks in the future come first.
        found = self.double.client.v1.events.list({"limit": 100}).auto_paging_iter()
        return [event for event in map(json_of, found) if contains in json.dumps(event)]

    def deliver(self, event: Object, **signed: Any) -> httpx.Response:
        """Deliver an event as Stripe does."""
        return self.deliver_bytes(json.dumps(event).encode(), **signed)

    def deliver_bytes(self, body: bytes, *, secret: str | None = None, at: float | None = None) -> httpx.Response:
        """Deliver a body that was signed with a secret at a time."""
        header = stripe.WebhookSignature.generate_signature_header(
            body.decode(errors="replace"), secret or self.secret, int(at or time.time())
        )
        return self.post(body, header)

    def post(self, body: bytes, header: str | None) -> httpx.Response:
        """Deliver a body with a signature, or with none."""
        headers = {"content-type": "application/json"} | ({"stripe-signature": header} if header is not None else {})
        return self.academy.http.post(WEBHOOK, content=body, headers=headers)

    def balance(self, order_id: str) -> list[tuple[Any, ...]]:
        """The journals of an order in the ledger: the kind of each, and what it moved at the provider."""
        return self.academy.sql(
            "select kind, sum(amount) from public.ledger_entries where order_id = %s and account_kind = 'provider'"
            " group by journal_id, kind, occurred_at order by occurred_at, kind",
            order_id,
        )


def json_of(found: stripe.StripeObject) -> Object:
    """An object of Stripe as plain JSON."""
    plain: Object = json.loads(str(found))
    return plain
