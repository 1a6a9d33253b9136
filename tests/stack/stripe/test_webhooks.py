"""Deliveries of events: which are sent, retries, rules of the control, and a kill."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.stack.stripe.support import open_session, paid_charge
from tests.stripe_double import OwnDouble, Receiver, receiving
from tests.waiting import wait_until


def test_a_refused_delivery_is_tried_again(double: OwnDouble, receiver: Receiver) -> None:
    receiver.refusals["retry@example.com"] = [500, 404]
    made = double.v1.customers.create({"email": "retry@example.com"}).id
    double.wait_for_deliveries(made)
    assert receiver.types(made) == ["customer.created"]
    assert receiver.refusals["retry@example.com"] == []
    event = next(each for each in receiver.taken if made in str(each))
    assert event.request is not None
    assert (event.request.id or "").startswith("req_")

    receiver.refusals["never@example.com"] = [500] * 3
    made = double.v1.customers.create({"email": "never@example.com"}).id
    wait_until(lambda: receiver.refusals["never@example.com"] == [])
    [pending] = double.post("webhooks/wait", contains=made, seconds=0.1)["undelivered"]
    assert pending["due"] > time.time() + 20, "the third pause is longer"
    assert receiver.types(made) == []


def test_deliveries_are_held_duplicated_and_dropped(double: OwnDouble, receiver: Receiver, customer: Any) -> None:
    double.wait_for_deliveries(customer.id)
    double.post("webhooks/hold", contains=customer.id)
    double.post("webhooks/duplicate", contains=customer.id, types=["charge.*"], copies=3)
    double.post("webhooks/drop", contains=customer.id, types=["payment_intent.created"])
    paid_charge(double, customer=customer.id)
    double.wait_for_deliveries(customer.id)
    assert receiver.types(customer.id) == ["customer.created"], "the others are held"
    assert double.post("webhooks/release", contains=customer.id, order="newest")["released"] == 5
    assert receiver.types(customer.id)[1:] == [
        "checkout.session.completed",
        "payment_intent.succeeded",
        *["charge.succeeded"] * 3,
    ]
    duplicates = [each for each in receiver.taken if each.type == "charge.succeeded" and customer.id in str(each)]
    assert len({each.id for each in duplicates}) == 1
    paid_charge(double, customer=customer.id)
    double.wait_for_deliveries(customer.id)
    assert receiver.types(customer.id).count("checkout.session.completed") == 2, "the release has ended the holding"


def test_only_subscribed_types_are_delivered(tmp_path: Path) -> None:
    with receiving() as receiver:
        double = OwnDouble(tmp_path / "stripe", receiver.url, WEBHOOK_EVENTS="charge.succeeded,checkout.session.*")
        paid_charge(double)
        double.wait_for_deliveries()
        assert sorted(receiver.types()) == ["charge.succeeded", "checkout.session.completed"]
        assert "payment_intent.succeeded" in {each.type for each in double.v1.events.list({"limit": 100}).data}
        assert double.stop() == 0


def test_a_slow_receiver_delays_no_request_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    with receiving() as receiver:
        gate = threading.Event()
        take = receiver.finish_request
        receiver.finish_request = lambda *args: (gate.wait(10), take(*args))[1]  # type: ignore[method-assign]
        double = OwnDouble(tmp_path / "stripe", receiver.url)
        started = time.monotonic()
        for _ in range(10):
            double.v1.customers.create({"email": "slow@example.com"})
        assert time.monotonic() - started < 2
        assert receiver.taken == []
        # Killed with deliveries in progress: each comes after the restart, and every answered call has its effect.
        key: Any = {"idempotency_key": "before-the-kill"}
        session = open_session(double)
        first = double.v1.customers.create({"email": "last@example.com"}, key)
        double.kill()
        gate.set()
        receiver.taken.clear()
        double.start()
        assert double.v1.customers.create({"email": "last@example.com"}, key).id == first.id
        assert len(double.v1.customers.list({"email": "slow@example.com"}).data) == 10
        double.wait_for_deliveries()
        events = double.v1.events.list({"limit": 100}).data
        assert {event.id for event in receiver.taken} == {event.id for event in events}
        assert len(events) == 13
        assert double.pay(session.id)["payment_status"] == "paid"
        double.wait_for_deliveries()
        double.post("reset")
        assert double.v1.customers.list().data == []
        assert double.stop() == 0
        assert (double.folder / "stripe.sqlite3").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("order", ["newest", "random"])
def test_a_release_names_its_holding(double: OwnDouble, receiver: Receiver, customer: Any, order: str) -> None:
    other = double.v1.customers.create({"email": "other@example.com"}).id
    for held in (customer.id, other):
        double.post("webhooks/hold", contains=held)
        paid_charge(double, customer=held)
    double.post("webhooks/release", contains=customer.id, order=order)
    double.wait_for_deliveries(other)
    assert "checkout.session.completed" in receiver.types(customer.id)
    assert "checkout.session.completed" not in receiver.types(other)
