"""Money under Hypothesis: whatever is bought, paid, told twice, given back, disputed and paid out, with crashes."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.commerce.told import Event, Object, dispute, event, refund, session, stripe_id
from tests.databases import Databases
from tests.people import Academy, Person

PRICE = 3333


class Money(RuleBasedStateMachine):
    """A seller, three buyers, courses, and Stripe, which tells what happened in any order and as often as it likes."""

    academy: Academy
    seller: Person
    admin: Person

    orders = Bundle("orders")
    """Pending orders."""
    payments = Bundle("payments")
    """(order, payment intent)."""
    told = Bundle("told")
    """Events that were told once."""
    disputes = Bundle("disputes")
    payouts = Bundle("payouts")

    def __init__(self) -> None:
        super().__init__()
        self.connection = psycopg.connect(self.academy.admin_db_url, autocommit=True)
        self.paid: dict[str, int] = {}
        """Of each order, what came."""
        self.back: dict[str, int] = {}
        """Of each order, what went back and stayed away."""
        self.transferred = 0

    def teardown(self) -> None:
        """Disconnect."""
        self.connection.close()

    # How things are asked

    def act(self, who: Person, statement: str, *parameters: Any) -> Any:
        """One statement as somebody; the first value."""
        with self.connection.transaction():
            claims = json.dumps({"sub": who.id, "role": "authenticated"})
            self.connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
            self.connection.execute("set local role authenticated")
            row = self.connection.execute(statement.encode(), parameters).fetchone()
        return row and row[0]

    def refused(self, call: Callable[[], Any]) -> bool:
        """Whether a call is refused, with a token."""
        try:
            call()
        except psycopg.Error as error:
            if not (error.sqlstate or "").startswith("PT4"):
                raise
            return True
        return False

    def tell(self, told: Event, *, crashes: bool = False) -> str:
        """Have Stripe tell; where it crashes, before it is acknowledged, Stripe tells it again."""
        payload = json.dumps({"id": told.id, "created": told.created, "data": {"object": told.object}})
        statement = "select private.receive_webhook('stripe', %s, %s, %s)::text"
        if crashes:
            with self.connection.transaction(force_rollback=True):
                self.connection.execute(statement, [told.id, told.type, payload])
        row = self.connection.execute(statement, [told.id, told.type, payload]).fetchone()
        assert row is not None
        status: str = row[0]
        return status

    def order(self, order_id: str) -> dict[str, Any]:
        """An order as it is."""
        row = self.connection.execute(
            "select to_jsonb(o) from public.orders as o where o.id = %s", [order_id]
        ).fetchone()
        assert row is not None
        found: dict[str, Any] = row[0]
        return found

    # What happens

    @initialize()
    def meet(self) -> None:
        """Buyers of this run."""
        self.buyers = [self.academy.member() for _ in range(2)]
        self.seller = self.academy.member("teacher")
        account = stripe_id("acct")
        self.connection.execute("select private.bind_payout_account(%s, %s)", [self.seller.id, account])
        self.tell(event("account.updated", {"id": account, "object": "account", "payouts_enabled": True}))
        self.offers = [
            self.act(
                self.seller,
                "insert into public.offers (kind, title, price_amount) values (%s, 'X', %s) returning id::text",
                kind, price,
            )
            for kind, price in (("service", PRICE), ("coaching", 101))
        ]  # fmt: skip
        for offer in self.offers:
            self.act(self.seller, "select public.publish_offer(%s)", offer)

    @rule(target=orders, buyer=st.integers(0, 1), offer=st.integers(0, 1))
    def buy(self, buyer: int, offer: int) -> str:
        """Order."""
        order: str = self.act(
            self.buyers[buyer], "select (public.place_order(offer_id => %s)).id::text", self.offers[offer]
        )
        return order

    @rule(target=payments, order_id=orders, crashes=st.booleans(), is_late=st.booleans())
    def pay(self, order_id: str, crashes: bool, is_late: bool) -> Any:
        """Pay by card; an order that is paid already is paid twice."""
        order = self.order(order_id)
        if is_late and order["status"] == "pending":
            buyer = next(one for one in self.buyers if one.id == order["buyer_id"])
            self.act(buyer, "select public.cancel_order(%s)", order_id)
        done = session(order)
        assert self.tell(event("checkout.session.completed", done), crashes=crashes) == "applied"
        if order["status"] == "paid":
            return multiple()
        self.paid[order_id] = order["amount"]
        self.back[order_id] = 0
        self.connection.execute("update public.payment_splits set available_at = now() where order_id = %s", [order_id])
        return (order_id, done["payment_intent"])

    @rule(target=told, payment=payments, part=st.integers(1, PRICE), crashes=st.booleans())
    def refund(self, payment: tuple[str, str], part: int, crashes: bool) -> Any:
        """An admin gives something back, and Stripe does it; more than is left is refused."""
        order_id, intent = payment
        left = self.paid[order_id] - self.back[order_id]
        made: list[str] = []

        def ask() -> None:
            made.append(self.act(self.admin, "select (public.refund_order(%s, %s)).id::text", order_id, part))

        assert self.refused(ask) == (part > left)
        if not made:
            return multiple()
        about = event("refund.updated", refund(intent, part, refund_id=made[0]))
        assert self.tell(about, crashes=crashes) == "applied"
        self.back[order_id] += part
        return about

    @rule(about=told, crashes=st.booleans())
    def tell_again(self, about: Event, crashes: bool) -> None:
        """The same event, and the same news in another."""
        assert self.tell(about, crashes=crashes) in {"applied", "ignored"}
        assert self.tell(event(about.type, about.object)) == "ignored"

    @rule(target=disputes, payment=payments, crashes=st.booleans())
    def lose_sight(self, payment: tuple[str, str], crashes: bool) -> Any:
        """The buyer's bank takes all that is left."""
        order_id, intent = payment
        left = self.paid[order_id] - self.back[order_id]
        if left == 0:
            return multiple()
        about = dispute(intent, self.paid[order_id])
        assert self.tell(event("charge.dispute.created", about), crashes=crashes) == "applied"
        self.back[order_id] += left
        return (order_id, left, about)

    @rule(about=consumes(disputes), is_won=st.booleans(), crashes=st.booleans())
    def close(self, about: tuple[str, int, Object], is_won: bool, crashes: bool) -> None:
        """The dispute is won or lost."""
        order_id, amount, object_ = about
        closed = event("charge.dispute.closed", {**object_, "status": "won" if is_won else "lost"})
        assert self.tell(closed, crashes=crashes) == "applied"
        self.tell(event("charge.dispute.updated", object_))  # old news
        if is_won:
            self.back[order_id] -= amount

    @rule(target=payouts, amount=st.integers(1000, 4000))
    def ask_for_payout(self, amount: int) -> Any:
        """The seller asks for something."""
        asked: list[str] = []

        def ask() -> None:
            asked.append(self.act(self.seller, "select (public.request_payout('EUR', %s)).id::text", amount))

        owed = self.owed()
        assert self.refused(ask) == (amount > owed)
        return asked[0] if asked else multiple()

    @rule(payout=consumes(payouts), does=st.sampled_from(["cancel", "pay", "fail and pay", "fail and cancel"]))
    def pay_out(self, payout: str, does: str) -> None:
        """An admin pays or does not; the transfer may fail first, and is told twice."""
        if does != "cancel":
            for step in ("approve_payouts", "process_payouts"):
                self.act(self.admin, f"select public.{step}(array[%s::uuid])", payout)
        if does.startswith("fail"):
            self.connection.execute("select private.settle_payout(%s, null, 'no')", [payout])
        if does.endswith("pay"):
            if does.startswith("fail"):
                self.act(self.admin, "select public.process_payouts(array[%s::uuid])", payout)
            object_ = {"id": stripe_id("tr"), "object": "transfer", "metadata": {"payout_id": payout}}
            for status in ("applied", "ignored"):
                assert self.tell(event("transfer.created", object_)) == status
            row = self.connection.execute("select amount from public.payouts where id = %s", [payout]).fetchone()
            assert row is not None
            self.transferred += row[0]
        else:
            self.act(self.admin, "select public.cancel_payout(%s)", payout)

    # What holds

    def owed(self) -> int:
        """What the ledger says that the seller is owed."""
        row = self.connection.execute(
            "select balance from public.ledger_accounts where user_id = %s and kind = 'payable'", [self.seller.id]
        ).fetchone()
        return int(row[0]) if row else 0

    @invariant()
    def the_ledger_is_what_happened(self) -> None:
        """It sums to zero, and to what came, went back and was paid out."""
        if not hasattr(self, "buyers"):
            return
        unbalanced = "select journal_id from public.ledger_lines group by journal_id, currency having sum(amount) <> 0"
        assert self.connection.execute(unbalanced).fetchall() == []
        earned = sum(
            paid * 8500 // 10000 - paid * 8500 // 10000 * self.back[order_id] // paid
            for order_id, paid in self.paid.items()
        )
        leaving = self.connection.execute(
            "select coalesce(sum(amount), 0) from public.payouts where user_id = %s and status not in"
            " ('paid', 'cancelled')", [self.seller.id]
        ).fetchone()  # fmt: skip
        assert leaving is not None
        assert self.owed() == earned - self.transferred - leaving[0]

    @invariant()
    def each_order_is_what_happened(self) -> None:
        """Paid once, given back at most once, and held as long as something is left."""
        for order_id, paid in self.paid.items():
            order = self.order(order_id)
            assert (order["status"], order["paid_amount"]) == ("paid", paid)
            assert order["refunded_amount"] + order["disputed_amount"] == self.back[order_id] <= paid
            held = self.connection.execute(
                "select count(*) from public.entitlements where order_id = %s and (ends_at is null or ends_at > now())",
                [order_id],
            ).fetchone()
            assert held == (int(self.back[order_id] < paid),)
            provider = self.connection.execute(
                "select sum(amount)::bigint from public.ledger_lines where order_id = %s and account_kind = 'provider'"
                " and kind <> 'surplus'", [order_id]
            ).fetchone()  # fmt: skip
            assert provider == (paid - self.back[order_id],)


def test_money_is_neither_made_nor_lost(academy: Academy, databases: Databases) -> None:
    """In a database without a worker, which would ask Stripe about what is only told here."""
    with databases.cloned() as name:
        Money.academy = Academy(academy.keys, databases.url(name), academy.http)
        Money.admin = Money.academy.member("admin")
        run_state_machine_as_test(
            Money,
            settings=settings(
                max_examples=12,
                stateful_step_count=25,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
