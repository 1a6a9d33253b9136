"""What the state machines of money and of standing share: people, what they sell, changes of standing, and rules."""

import json
import os
from collections.abc import Callable
from typing import Any

import psycopg
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.commerce.stripe_events import Event
from tests.databases import Databases
from tests.people import Academy, Course, Person

STOPS = ("suspended", "banned", "active", "revoke", "grant")
LONGER = int(os.environ.get("MACHINE_EXAMPLES", "0"))
"""How many examples a machine without a planted fault runs, by chance instead of always the same; 0: a few."""
NOTHING = "create or replace function private.{0} language sql set search_path = '' as 'select'"
"""Plants a fault: a function that does nothing."""


def edited(function: str, old: str, new: str) -> str:
    """Plants a fault: a function in which a text is replaced by another."""
    return (
        f"do $do$ declare v_text text := pg_get_functiondef('private.{function}'::regprocedure);"
        f" begin assert position($old${old}$old$ in v_text) > 0;"
        f" execute replace(v_text, $old${old}$old$, $new${new}$new$); end $do$"
    )


class Machine(RuleBasedStateMachine):
    """Sellers with offers and a course each, and buyers, whose standing changes."""

    academy: Academy
    admin: Person

    def __init__(self) -> None:
        super().__init__()
        self.sellers: list[Person] = []
        self.buyers: list[Person] = []
        self.everybody: list[str] = []
        self.courses: list[Course] = []
        self.connection = psycopg.connect(self.academy.admin_db_url, autocommit=True)

    def teardown(self) -> None:
        """Disconnect."""
        self.connection.close()

    # Calls

    def act(self, who: Person, statement: str, *parameters: Any) -> Any:
        """Run a statement as a person; returns the first value."""
        with self.connection.transaction():
            claims = json.dumps({"sub": who.id, "role": "authenticated"})
            self.connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
            self.connection.execute("set local role authenticated")
            row = self.connection.execute(statement.encode(), parameters).fetchone()
        return row and row[0]

    def tried(self, call: Callable[[], Any]) -> Any:
        """The result of a call; None where it is refused with a token."""
        try:
            return call()
        except psycopg.Error as error:
            if not (error.sqlstate or "").startswith("PT4"):
                raise
            return None

    def all(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        return self.connection.execute(statement.encode(), parameters).fetchall()

    def receive(self, sent: Event, *, crashes: bool = False) -> str:
        """Deliver an event; if the database crashes before its commit, deliver it again. Returns its status."""
        payload = json.dumps(
            {"id": sent.id, "created": sent.created, "type": sent.type, "data": {"object": sent.object}}
        )
        statement = "select private.receive_webhook('stripe', %s, %s, %s)::text"
        if crashes:
            with self.connection.transaction(force_rollback=True):
                self.connection.execute(statement, [sent.id, sent.type, payload])
        ((status,),) = self.all(statement, sent.id, sent.type, payload)
        return str(status)

    def order(self, order_id: str) -> dict[str, Any]:
        """An order as it is now."""
        ((found,),) = self.all("select to_jsonb(o) from public.orders as o where o.id = %s", order_id)
        return dict(found)

    def meet_people(self) -> None:
        """Create two sellers and two buyers."""
        self.sellers = [self.academy.member("teacher") for _ in range(2)]
        self.buyers = [self.academy.member() for _ in range(2)]
        self.everybody = [one.id for one in self.sellers + self.buyers]

    def offer(self, seller: Person, kind: str, price: int, interval: str | None = None) -> str:
        """An offer on sale; its id."""
        made: str = self.act(
            seller,
            "insert into public.offers (kind, title, price_amount, billing_interval)"
            " values (%s, 'X', %s, %s::public.billing_interval) returning id::text",
            kind, price, interval,
        )  # fmt: skip
        self.act(seller, "select public.publish_offer(%s)", made)
        return made

    def course(self, seller: Person, price: int) -> str:
        """A course on sale; the id of its offer."""
        course = self.academy.course(seller, price_amount=price)
        self.courses.append(course)
        return str(self.all("select id::text from public.offers where course_id = %s", course.id)[0][0])

    # Rules

    @rule(who=st.integers(0, 3), what=st.sampled_from(STOPS))
    @precondition(lambda self: self.sellers)
    def change(self, who: int, what: str) -> None:
        """An admin changes the standing of a buyer or seller."""
        person = (self.sellers + self.buyers)[who]
        if what in {"revoke", "grant"}:
            if who < 2:
                call = f"select public.{what}_role(%s, 'teacher')"
                self.tried(lambda: self.act(self.admin, call, person.id))
            return
        self.tried(lambda: self.act(self.admin, "select public.set_account_status(%s, %s)", person.id, what))

    @rule(seller=st.integers(0, 1))
    @precondition(lambda self: self.sellers)
    def resume(self, seller: int) -> None:
        """A seller may sell again, unless deleted."""
        self.change(seller, "grant")
        self.change(seller, "active")

    @rule(
        who=st.integers(0, 3),
        ways=st.sampled_from([{}, {"open_work": "refund", "balance": "forfeit", "subscriber": "end"}]),
    )
    @precondition(lambda self: self.sellers)
    def delete(self, who: int, ways: dict[str, str]) -> None:
        """An admin deletes a person; another takes a buyer's place, so that the story goes on."""
        people, place = (self.sellers, who) if who < 2 else (self.buyers, who - 2)
        person = people[place]
        is_there = self.all("select from public.accounts where user_id = %s and status <> 'deleted'", person.id) != []
        owes = {
            kind
            for (kind,) in self.all("select o.kind from private.obligations_of(%s) as o where o.is_blocking", person.id)
        }
        deleted = self.tried(
            lambda: self.act(self.admin, "select true from public.delete_user(%s, %s)", person.id, json.dumps(ways))
        )
        assert (deleted is True) == (is_there and owes <= set(ways))
        if deleted and who >= 2:
            self.buyers[place] = self.academy.member()
            self.everybody.append(self.buyers[place].id)

    @rule(course=st.integers(0, 1), to=st.integers(0, 1))
    @precondition(lambda self: self.courses)
    def transfer(self, course: int, to: int) -> None:
        """An admin transfers a course to another seller; nothing of it is on sale for the former one."""
        moved, taker = self.courses[course % len(self.courses)].id, self.sellers[to].id
        self.tried(lambda: self.act(self.admin, "select public.transfer_course(%s, %s)", moved, taker))

    # Invariants, of the people of this run

    @invariant()
    def nothing_of_a_stopped_person_is_sold(self) -> None:
        """No offer, course or pending order; and what is only paused is on sale where its seller can sell."""
        for table, person, on in (("offers", "seller_id", "active"), ("courses", "creator_id", "published")):
            wrong = (
                f"select t.id from public.{table} as t where t.{person}::text = any(%s) and"  # noqa: S608
                f" (t.status::text = %s and not private.may_sell(t.{person})"
                f" or t.status = 'paused' and private.may_sell(t.{person}))"
            )
            assert self.all(wrong, self.everybody, on) == [], table
        pending = (
            "select o.id from public.orders as o where o.status = 'pending' and o.buyer_id::text = any(%s)"
            " and (not private.may_sell(o.seller_id) or not private.is_account_active(o.buyer_id))"
        )
        assert self.all(pending, self.everybody) == []

    @invariant()
    def a_course_is_sold_for_its_creator(self) -> None:
        """A pending order of a course names the creator that the course has now."""
        of_another = (
            "select o.id from public.orders as o join public.courses as c on c.id = o.course_id"
            " where o.status = 'pending' and o.buyer_id::text = any(%s) and o.seller_id <> c.creator_id"
        )
        assert self.all(of_another, self.everybody) == []

    @invariant()
    def each_journal_sums_to_zero(self) -> None:
        """And each balance is the sum of its entries."""
        unbalanced = (
            "select journal_id from public.ledger_entries group by journal_id, currency having sum(amount) <> 0"
        )
        assert self.all(unbalanced) == []

    @invariant()
    def work_of_those_who_left_is_refunded(self) -> None:
        """Open work of a banned or deleted seller has a refund, unless the provider could not make it."""
        waiting = (
            "select f.order_id from public.fulfilments as f join public.orders as o on o.id = f.order_id"
            " where f.seller_id::text = any(%s) and f.status = 'open' and private.has_left(f.seller_id)"
            " and private.refundable_amount(o) > 0"
            " and not exists (select from public.refunds as r where r.order_id = o.id and r.status = 'failed')"
        )
        assert self.all(waiting, self.everybody) == []

    @invariant()
    def nobody_who_left_is_a_customer(self) -> None:
        """The provider's customer of a banned or deleted person is ended."""
        customers = (
            "select r.reference from private.provider_references as r where r.row_id::text = any(%s)"
            " and r.object = 'customer' and r.ended_at is null and private.has_left(r.row_id)"
        )
        assert self.all(customers, self.everybody) == []


def play(
    machine: type[Machine], academy: Academy, databases: Databases, fault: str = "", *, examples: int, steps: int
) -> None:
    """Run a machine in a database without a worker, which would ask Stripe, with a fault that is planted in it."""
    is_long = LONGER > 0 and not fault
    with databases.cloned() as name, Academy(academy.keys, databases.url(name), academy.http) as machine.academy:
        machine.admin = machine.academy.member("admin")
        if fault:
            machine.academy.sql(fault)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=LONGER if is_long else examples,
                stateful_step_count=2 * steps if is_long else steps,
                deadline=None,
                derandomize=not is_long,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                report_multiple_bugs=False,
            ),
        )
