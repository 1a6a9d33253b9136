"""A kill -9 of the edge or the worker during purchases and refunds loses nothing and repeats nothing."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from stack.keys import Keys
from stack.state import Folder
from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import CHECKOUT, VERIFY, Object, Shop
from tests.people import Academy, Person, concurrently
from tests.run_stack import lift_limits
from tests.stack.own_stack import OwnStack, kill, seeded_stack
from tests.stripe_double import StripeDouble
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
BUYERS = 12
AT_ONCE = 4
KILLS = 3


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    """A stack whose parts are killed, with a slow Stripe and short heartbeats of the worker."""
    with pytest.MonkeyPatch.context() as patch, seeded_stack() as stack:
        for name, value in {
            "WORKER_HEARTBEAT": "1",
            "WORKER_FIRST_PAUSE_MS": "100",
            "DOUBLE_STRIPE_LATENCY": "0.1",
        }.items():
            patch.setenv(name, value)
        stack.up()
        yield stack


@pytest.fixture(scope="module")
def own_shop(own: OwnStack) -> Iterator[Shop]:
    """The edge and Stripe's double of that stack."""
    state = Folder(own.data).state()
    keys = Keys.load(own.data / "keys.json")
    with httpx.Client(base_url=f"http://127.0.0.1:{own.ports.api}", timeout=30) as http, own.database() as connection:
        lift_limits(connection)
        double = StripeDouble(own.url("stripe"), state.double_keys["stripe_api_key"])
        with Academy(keys, state.database_url("supabase_admin"), http) as academy:
            yield Shop(academy, double, state.double_keys["stripe_webhook_secret"])
        double.close()


@contextmanager
def killing(own: OwnStack, part: str) -> Iterator[None]:
    """Kill a part a few times during the block, each time soon after it began to serve; it serves again at the end."""
    stop, killed = threading.Event(), list[int]()

    def work() -> None:
        while len(killed) < KILLS and not stop.wait(0.5):
            with contextlib.suppress(KeyError):
                pid = own.part_pid(part)
                if pid not in killed and answers(own, part):
                    stop.wait(0.4)
                    kill(pid)
                    killed.append(pid)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert len(killed) > 1
    wait_until(lambda: serves_again(own, part, killed), seconds=60)


def answers(own: OwnStack, part: str) -> bool:
    """Whether a part serves."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{own.url(part)}/ready", trust_env=False).status_code == 200
    return False


def serves_again(own: OwnStack, part: str, killed: list[int]) -> bool:
    """Whether a process that was not killed serves as the part."""
    with contextlib.suppress(KeyError):
        return own.part_pid(part) not in killed and answers(own, part)
    return False


def until_it_succeeds(ask: Callable[[], httpx.Response]) -> Object:
    """Repeat a request until it succeeds, as a person does who sees an error page."""
    until = time.monotonic() + 60
    while True:
        try:
            answer = ask()
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code == 200:
            found: Object = answer.json()
            return found
        assert answer is None or answer.status_code >= 500, answer.text
        assert time.monotonic() < until, "it was never answered"
        time.sleep(0.1)


def test_buying_while_the_edge_is_killed(own: OwnStack, own_shop: Shop) -> None:
    academy, double = own_shop.academy, own_shop.double
    seller = academy.member("teacher")
    on_sale = [
        offer(academy, seller, "playlist_submission")["id"],
        offer(academy, seller, "membership", billing_interval="month")["id"],
    ]
    buyers = [academy.member() for _ in range(BUYERS)]

    def buy(number: int) -> tuple[Person, Object]:
        buyer, wanted = buyers[number], {"offer_id": on_sale[number % 2]}
        begun = until_it_succeeds(lambda: academy.call(buyer, "POST", CHECKOUT, wanted))
        double.pay(begun["session_id"])
        if number % 4 < 2:  # the others never come back
            state = until_it_succeeds(lambda: academy.call(buyer, "POST", VERIFY, {"session_id": begun["session_id"]}))
            assert state["status"] == "paid"
        return buyer, begun

    def later(first: int, number: int) -> tuple[Person, Object]:
        return buy(first + number)

    with killing(own, "edge"):
        bought = [each for first in range(0, BUYERS, AT_ONCE) for each in concurrently(AT_ONCE, partial(later, first))]
    wait_until(lambda: not double.post("webhooks/wait", contains="", seconds=1)["undelivered"], seconds=60)
    for buyer, begun in bought:
        order = own_shop.order(buyer, begun["order_id"])
        assert (order["status"], order["paid_amount"]) == ("paid", 1000)
        assert len(own_shop.entitlements(buyer)) == 1
        assert len(academy.sql("select from private.payments where order_id = %s", order["id"])) == 1
        assert own_shop.balance(order["id"]) == [("payment", 1000)]
        customers = double.v1.customers.list({"email": buyer.email}).data
        assert len(customers) == 1
    assert imbalance(academy) == []


def test_refunding_while_the_worker_is_killed(own: OwnStack, own_shop: Shop) -> None:
    academy, double = own_shop.academy, own_shop.double
    admin, seller = academy.member("admin"), academy.member("teacher")
    beat = offer(academy, seller, "playlist_submission")["id"]
    sold: list[Any] = []
    for _ in range(BUYERS):
        buyer = academy.member()
        begun = own_shop.begin(buyer, offer_id=beat)
        double.pay(begun["session_id"])
        assert own_shop.verify(buyer, begun["session_id"])["status"] == "paid"
        sold.append((buyer, begun))

    def pending() -> list[Any]:
        return academy.sql("select from public.refunds where status = 'pending'")

    with killing(own, "worker"):
        for _, begun in sold:
            for amount in (300, 200):
                answer = academy.rpc(admin, "refund_order", order_id=begun["order_id"], amount=amount)
                assert answer.status_code == 200, answer.text
            time.sleep(0.5)
    wait_until(lambda: not pending(), seconds=60)
    for buyer, begun in sold:
        made = double.v1.refunds.list({"payment_intent": own_shop.intent(begun["session_id"])}).data
        assert sorted(each.amount for each in made) == [200, 300]
        assert own_shop.order(buyer, begun["order_id"])["refunded_amount"] == 500
    assert imbalance(academy) == []
