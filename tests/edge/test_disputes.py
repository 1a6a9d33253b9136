"""Disputes at Stripe's double: inquiries, prevented disputes and appeals move the money that Stripe moves."""

import time
from typing import Any

import pytest

from tests.commerce.stripe_events import imbalance, offer
from tests.edge.shop import Object, Shop
from tests.people import Academy, Person


class Purchase:
    """A paid order whose charge can be disputed."""

    def __init__(self, academy: Academy, shop: Shop, teacher: Person) -> None:
        self.academy, self.shop, self.buyer = academy, shop, academy.member()
        begun = shop.begin(self.buyer, offer_id=offer(academy, teacher, "service", price_amount=3000)["id"])
        shop.double.pay(begun["session_id"])
        shop.verify(self.buyer, begun["session_id"])
        self.order_id, self.charge = begun["order_id"], shop.charge(begun["session_id"])

    def dispute(self, **how: Any) -> str:
        """Open a dispute, and return the path of its control."""
        opened = self.shop.double.post(f"charges/{self.charge}/dispute", **how)
        self.shop.delivered(opened["id"])
        return f"disputes/{opened['id']}"

    def act(self, path: str, **how: Any) -> None:
        """Let something happen to the dispute, and wait for its events."""
        self.shop.double.post(path, **how)
        self.shop.delivered(path.split("/")[1])

    def state(self) -> tuple[int, int]:
        """What is refunded and what is disputed."""
        order: Object = self.shop.order(self.buyer, self.order_id)
        return order["refunded_amount"], order["disputed_amount"]

    def provider(self) -> int:
        """What the ledger has of the order at the provider, without fees, which the worker may fetch at any time."""
        found = self.academy.sql(
            "select coalesce(sum(amount), 0) from public.ledger_entries"
            " where order_id = %s and account_kind = 'provider' and kind <> 'fee'",
            self.order_id,
        )
        return int(found[0][0])


@pytest.fixture
def purchase(academy: Academy, shop: Shop, teacher: Person) -> Purchase:
    """A paid order of 30 euros."""
    return Purchase(academy, shop, teacher)


def test_an_inquiry_costs_nothing_until_it_is_escalated(academy: Academy, purchase: Purchase) -> None:
    path = purchase.dispute(beginning="inquiry")
    assert purchase.state() == (0, 0)
    purchase.act(f"{path}/respond")
    purchase.act(f"{path}/escalate")
    assert (purchase.state(), purchase.provider()) == ((0, 3000), 0)
    purchase.act(f"{path}/close", outcome="lost")
    assert (purchase.state(), purchase.provider()) == ((0, 3000), 0)
    assert imbalance(academy) == []


def test_an_inquiry_that_is_closed_leaves_everything(academy: Academy, purchase: Purchase) -> None:
    path = purchase.dispute(beginning="inquiry")
    purchase.act(f"{path}/close", outcome="warning_closed")
    assert (purchase.state(), purchase.provider()) == ((0, 0), 3000)
    assert imbalance(academy) == []


@pytest.mark.parametrize(("beginning", "disputed"), [("resolution", 3000), ("block", 0)])
def test_a_prevented_dispute_moves_what_stripe_moved(
    academy: Academy, purchase: Purchase, beginning: str, disputed: int
) -> None:
    purchase.dispute(beginning=beginning)
    assert (purchase.state(), purchase.provider()) == ((0, disputed), 3000 - disputed)
    assert imbalance(academy) == []


def test_a_lost_dispute_is_won_on_appeal(academy: Academy, purchase: Purchase) -> None:
    path = purchase.dispute(amount=1000)
    assert purchase.state() == (0, 1000)
    purchase.act(f"{path}/respond")
    purchase.act(f"{path}/close", outcome="lost")
    purchase.act(f"{path}/appeal")
    assert purchase.state() == (0, 1000), "it stays lost until the appeal is won"
    purchase.act(f"{path}/respond")
    time.sleep(1.1)  # a decision after a decision counts from the next second
    purchase.act(f"{path}/close", outcome="won")
    assert (purchase.state(), purchase.provider()) == ((0, 0), 3000)
    assert imbalance(academy) == []
