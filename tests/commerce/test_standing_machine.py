"""Standing under Hypothesis: suspensions, bans, roles, deletions and transfers around orders, payments and refunds."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, invariant, rule

from tests.commerce.machines import NOTHING, Machine, play
from tests.commerce.stripe_events import Event, event, invoice, session, subscription
from tests.databases import Databases
from tests.people import Academy

PRICE = 1000
NOW, LATER = 1_800_000_000, 1_802_592_000


class Standing(Machine):
    """Two sellers with a service, a course and monthly support each, and buyers, whose standing changes."""

    orders = Bundle("orders")
    """Orders, whatever became of them."""

    def deliver(self, sent: Event) -> None:
        """Deliver an event, which is not refused."""
        assert self.receive(sent) in {"applied", "ignored"}

    # Rules

    @initialize()
    def meet(self) -> None:
        """Create the people and what they sell."""
        self.meet_people()
        self.offers = [
            [
                self.offer(seller, "service", PRICE),
                self.offer(seller, "creator_subscription", PRICE, "month"),
                self.course(seller, PRICE),
            ]
            for seller in self.sellers
        ]

    @rule(target=orders, buyer=st.integers(0, 1), seller=st.integers(0, 1), what=st.integers(0, 2))
    def buy(self, buyer: int, seller: int, what: int) -> str | None:
        """Order something; refused where buyer or seller is stopped."""
        person, offer = self.buyers[buyer], self.offers[seller][what]
        placed: str | None = self.tried(
            lambda: self.act(person, "select (public.place_order(offer_id => %s)).id::text", offer)
        )
        if placed is not None:
            ((may_sell, is_active),) = self.all(
                "select private.may_sell(o.seller_id), private.is_account_active(o.buyer_id)"
                " from public.orders as o where o.id = %s",
                placed,
            )
            assert (may_sell, is_active) == (True, True)
        return placed

    @rule(order_id=orders)
    def pay(self, order_id: str | None) -> None:
        """Stripe captured the price of an order, in time or not."""
        if order_id is None:
            return
        order = self.order(order_id)
        if order["billing_interval"] is None:
            self.deliver(event("checkout.session.completed", session(order)))
            return
        begun = subscription(order, LATER)
        self.deliver(event("checkout.session.completed", session(order, mode="subscription", payment_intent=None)))
        self.deliver(event("customer.subscription.created", begun))
        self.deliver(event("invoice.paid", invoice(begun, PRICE, NOW, LATER)))

    @rule(buyer=st.integers(0, 1), seller=st.integers(0, 1), what=st.integers(0, 1))
    def buy_and_pay(self, buyer: int, seller: int, what: int) -> None:
        """Order work or support, and pay it in time."""
        self.pay(self.buy(buyer, seller, what))

    @rule(buyer=st.integers(0, 1), seller=st.integers(0, 1), stop=st.sampled_from(["suspended", "revoke", "banned"]))
    def stop_a_supported_seller(self, buyer: int, seller: int, stop: str) -> None:
        """A seller who has just won a supporter is stopped."""
        self.pay(self.buy(buyer, seller, 1))
        self.change(seller, stop)

    # Invariants, of the people of this run

    @invariant()
    def each_captured_payment_lands(self) -> None:
        """It paid its order, or is surplus that a job returns."""
        lost = (
            "select p.reference from private.payments as p join public.orders as o on o.id = p.order_id"
            " where o.buyer_id::text = any(%s) and ("
            " not p.is_surplus and o.status <> 'paid' or p.is_surplus and p.amount > 0 and not exists ("
            " select from procrastinate.procrastinate_jobs as j"
            " where j.task_name = 'refund_surplus' and j.args ->> 'reference' = p.reference))"
        )
        assert self.all(lost, self.everybody) == []

    @invariant()
    def subscriptions_follow_both_sides(self) -> None:
        """The provider is asked to end, pause or continue a subscription as its buyer and seller stand."""
        ending = (
            "exists (select from procrastinate.procrastinate_jobs as j where j.task_name = 'end_subscription'"
            " and j.args ->> 'stripe_id' in (select r.reference from private.provider_references as r"
            " where r.row_id = s.id and r.object = 'subscription'))"
        )
        renewing = (
            "exists (select from procrastinate.procrastinate_jobs as j where j.args ->> 'subscription_id' = s.id::text)"
        )
        unasked = (
            "select s.id from public.subscriptions as s where s.user_id::text = any(%s) and s.status <> 'ended'"  # noqa: S608
            " and (s.is_paused and private.may_sell(s.seller_id)"
            f" or not {ending} and ("
            " private.has_left(s.user_id)"
            f" or private.has_left(s.seller_id) and not {renewing}"
            " or not private.has_left(s.seller_id) and not private.may_sell(s.seller_id) and not s.is_paused))"
        )
        assert self.all(unasked, self.everybody) == []


def test_standing_and_money_agree(academy: Academy, databases: Databases) -> None:
    play(Standing, academy, databases, examples=20, steps=25)


FAULTS = {
    "offers stay on sale": NOTHING.format("pause_offers(p_user_id uuid) returns void"),
    "offers stay paused": NOTHING.format("resume_offers(p_user_id uuid) returns void"),
    "courses stay published": NOTHING.format("pause_courses(p_user_id uuid) returns void"),
    "pending orders stay": NOTHING.format("cancel_pending_orders(p_user_id uuid, p_is_buyer boolean) returns void"),
    "open work is not refunded": NOTHING.format("refund_open_work(p_seller_id uuid) returns void"),
    "renewals go on": NOTHING.format("stop_sales(p_user_id uuid, p_has_left boolean) returns void"),
    "subscriptions stay paused": NOTHING.format("resume_sales(p_user_id uuid) returns void"),
    "customers stay": NOTHING.format("stop_purchases(p_user_id uuid) returns void"),
    "obligations are not asked": NOTHING.format("require_no_obligations(p_user_id uuid) returns void"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found(academy: Academy, databases: Databases, fault: str) -> None:
    with pytest.raises(AssertionError):
        play(Standing, academy, databases, fault, examples=20, steps=25)
