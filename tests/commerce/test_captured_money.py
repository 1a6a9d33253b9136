"""Money that was captured always lands: it becomes what was bought, or surplus that is refunded by itself."""

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.commerce.additions import extended
from tests.commerce.stripe_events import (
    Event,
    Object,
    acting_as,
    bind_product,
    charge,
    deliver,
    dispute,
    event,
    imbalance,
    invoice,
    invoice_line,
    invoice_payment,
    offer,
    pay,
    placed,
    refund,
    session,
    stripe_id,
    subscription,
    this_second,
)
from tests.databases import Databases
from tests.people import Academy, Course, Person, refused, rows

DAY = 86_400
COMPLETED = "checkout.session.completed"


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A new buyer."""
    return academy.member()


@pytest.fixture
def course(academy: Academy, teacher: Person) -> Course:
    """A published course that costs something."""
    return academy.course(teacher, price_amount=4999)


def order_of(academy: Academy, order: Object) -> Object:
    """An order as it is now."""
    ((row,),) = academy.sql("select to_jsonb(o) from public.orders as o where id = %s", order["id"])
    found: Object = row
    return found


def exceptions(academy: Academy, order: Object) -> list[tuple[Any, ...]]:
    """The exceptions of an order: kind, reason, and whether it is resolved."""
    return academy.sql(
        "select kind::text, reason, resolved_at is not null from public.payment_exceptions where order_id = %s"
        " order by kind, reason",
        order["id"],
    )


def accounts(academy: Academy, order: Object) -> dict[str, int]:
    """The sum of an order's entries on each account, without empty ones; a credit is positive."""
    found = academy.sql(
        "select account_kind::text, -sum(amount)::bigint from public.ledger_entries where order_id = %s"
        " group by 1 having sum(amount) <> 0",
        order["id"],
    )
    return dict(found)


def mails(academy: Academy, who: Person) -> list[str]:
    """The templates of the mails to a person."""
    found = academy.sql("select template from private.mail_outbox where user_id = %s order by id", who.id)
    return [template for (template,) in found]


def deferred(academy: Academy, sent: Event) -> set[tuple[str, str]]:
    """Deliver an event; returns the tasks that it defers for Stripe, each with its argument.

    They are read before the commit: the worker does and deletes them at once.
    """
    payload = {"id": sent.id, "type": sent.type, "created": sent.created, "data": {"object": sent.object}}
    with psycopg.connect(academy.admin_db_url) as connection:
        connection.execute(
            "select private.receive_webhook('stripe', %s, %s, %s)", [sent.id, sent.type, json.dumps(payload)]
        )
        found = connection.execute(
            "select task_name, coalesce(args ->> 'stripe_id', args ->> 'reference')"
            " from procrastinate.procrastinate_jobs where task_name in ('end_subscription', 'refund_surplus')"
        ).fetchall()
    return {(task, argument) for task, argument in found}


def student_teacher(academy: Academy, teacher: Person, course: Course) -> tuple[Person, str]:
    """An approved student-teacher of a course: the person and the id."""
    person = academy.member()
    pay(academy, placed(academy, person, course_id=course.id))
    for lesson in course.lesson_ids:
        academy.rpc(person, "record_progress", lesson_id=lesson, position_seconds=1, is_completed=True)
    answers = {"quiz_id": course.quiz_id, "answers": course.correct_answers, "submission_key": str(uuid.uuid4())}
    academy.rpc(person, "submit_quiz", **answers)
    applied = academy.rpc(person, "apply_as_student_teacher", course_id=course.id, statement="I can")
    assert applied.status_code == 200, applied.text
    decided = academy.rpc(teacher, "decide_student_teacher", student_teacher_id=applied.json()["id"], is_approved=True)
    assert decided.status_code == 200, decided.text
    return person, applied.json()["id"]


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (
            "update public.student_teachers set max_students = 1, student_count = 1 where id = %s",
            "student_teacher_full",
        ),
        ("update public.student_teachers set is_available = false where id = %s", "student_teacher_unavailable"),
        ("update public.student_teachers set status = 'revoked' where id = %s", "student_teacher_not_found"),
        (
            "update public.accounts set status = 'banned' where user_id ="
            " (select user_id from public.student_teachers where id = %s)",
            "student_teacher_unavailable",
        ),
    ],
)
def test_a_student_teacher_who_can_take_nobody_does_not_stop_the_course(
    academy: Academy, teacher: Person, course: Course, buyer: Person, *, loss: str, reason: str
) -> None:
    helper, helper_id = student_teacher(academy, teacher, course)
    order = placed(academy, buyer, course_id=course.id, student_teacher_id=helper_id)
    academy.sql(loss, helper_id)
    pay(academy, order)
    paid = order_of(academy, order)
    assert (paid["status"], paid["student_teacher_id"], paid["seller_bps"]) == ("paid", None, 8500)
    ((status, taught_by),) = academy.sql(
        "select status::text, student_teacher_id from public.enrolments where student_id = %s", buyer.id
    )
    assert (status, taught_by) == ("active", None)
    splits = academy.sql("select role::text, amount from public.payment_splits where order_id = %s", order["id"])
    assert splits == [("seller", 4249)]
    assert exceptions(academy, order) == [("effect_failed", reason, False)]
    assert "student_teacher_unassigned" in mails(academy, buyer)
    assert rows(academy.call(helper, "GET", f"/rest/v1/orders?id=eq.{order['id']}")) == []


BROKEN_MAILS = """
    create function private.tg_mail_outbox__break() returns trigger language plpgsql set search_path = ''
    as $$ begin raise exception 'no mail today'; end $$;
    create trigger _999_break before insert on private.mail_outbox
    for each row when (new.template = 'order_paid') execute function private.tg_mail_outbox__break();
"""
BROKEN_STATS = """
    create function private.tg_entitlements__break() returns trigger language plpgsql set search_path = ''
    as $$ begin raise exception 'the statistics are away'; end $$;
    create trigger _999_break after insert on public.entitlements
    for each row execute function private.tg_entitlements__break();
"""
REFUSING_KIND = """
    insert into public.offer_kinds (kind, label, description, fulfilment) values ('tour', 'Tour', 'A walk.', 'tour');
    create function private.fulfil_tour(p_order public.orders, p_is_in_force boolean) returns void
    language plpgsql set search_path = ''
    as $$ begin if p_is_in_force then perform private.refuse('own_course'); end if; end $$;
"""


def bought(database: Any, kind: str) -> Object:
    """An order of an offer of a kind, paid by Stripe."""
    seller, buyer = database.member("teacher"), database.member()
    offer_id = database.act(
        seller, "insert into public.offers (kind, title, price_amount) values (%s, 'X', 2000) returning id::text", kind
    )
    database.act(seller, "select public.publish_offer(%s)", offer_id)
    order: Object = database.act(buyer, "select to_jsonb(public.place_order(offer_id => %s))", offer_id)
    done = session(order)
    assert database.webhook("stripe", COMPLETED, {"created": 1, "data": {"object": done}}) == "applied"
    return order | {"payment": done["payment_intent"]}


def test_a_mail_that_fails_undoes_no_payment(academy: Academy, databases: Databases) -> None:
    with extended(academy, databases, BROKEN_MAILS) as database:
        order = bought(database, "service")
        state = "select status::text, paid_amount::int from public.orders where id = %s"
        assert database.sql(state, order["id"]) == [("paid", 2000)]
        assert database.sql("select count(*) from public.entitlements") == [(1,)]
        assert database.sql("select kind::text, subject, reason, resolved_at from public.payment_exceptions") == [
            ("effect_failed", "mail_receipt", "P0001 no mail today", None)
        ]


def test_what_could_not_be_given_is_given_later(academy: Academy, databases: Databases) -> None:
    with extended(academy, databases, BROKEN_STATS) as database:
        order = bought(database, "service")
        state = "select status::text, paid_amount::int, refunded_amount::int from public.orders where id = %s"
        assert database.sql(state, order["id"]) == [("paid", 2000, 0)]
        assert database.sql("select sum(amount) from public.ledger_entries") == [(0,)]
        assert database.sql("select count(*) from public.entitlements") == [(0,)]
        open_ones = "select kind::text, reason from public.payment_exceptions where resolved_at is null"
        assert database.sql(open_ones) == [("unfulfilled", "P0001 the statistics are away")]
        job = "select args ->> 'order_id' from procrastinate.procrastinate_jobs where task_name = 'fulfil_order'"
        assert database.sql(job) == [(order["id"],)]
        assert database.sql("select private.try_fulfilment(%s)", order["id"]) == [(False,)]
        database.execute("drop trigger _999_break on public.entitlements")
        assert database.sql("select private.try_fulfilment(%s)", order["id"]) == [(True,)]
        assert database.sql("select count(*) from public.entitlements") == [(1,)]
        assert database.sql(open_ones) == []


def test_an_order_that_a_rule_refuses_is_refunded_by_itself(academy: Academy, databases: Databases) -> None:
    with extended(academy, databases, REFUSING_KIND) as database:
        order = bought(database, "tour")
        ((refund_id, amount, reason),) = database.sql("select id::text, amount::int, reason from public.refunds")
        assert (amount, reason) == (2000, "own_course")
        job = "select args ->> 'refund_id' from procrastinate.procrastinate_jobs where task_name = 'refund'"
        assert database.sql(job) == [(refund_id,)]
        about = {"created": 2, "data": {"object": refund(order["payment"], 2000, refund_id=refund_id)}}
        assert database.webhook("stripe", "refund.created", about) == "applied"
        assert database.sql("select kind::text, resolved_at is not null from public.payment_exceptions") == [
            ("unfulfilled", True)
        ]
        assert database.sql("select distinct sum(amount) from public.ledger_entries group by account_kind") == [(0,)]


def test_tax_on_top_belongs_to_nobody(academy: Academy, course: Course, buyer: Person) -> None:
    order = placed(academy, buyer, course_id=course.id)
    taxed = session(order, amount_subtotal=4999, amount_total=6049, total_details={"amount_tax": 1050})
    assert deliver(academy, event(COMPLETED, taxed)) == "applied"
    paid = order_of(academy, order)
    assert (paid["status"], paid["paid_amount"], paid["tax_amount"]) == ("paid", 6049, 1050)
    assert accounts(academy, order) == {"provider": -6049, "payable": 4249, "platform": 750, "tax": 1050}
    part = refund(taxed["payment_intent"], 3000)
    assert deliver(academy, event("refund.created", part)) == "applied"
    # 1050 * 3000 / 6049 is 520.7, and 4249 * 3000 / 6049 is 2107.2: each is rounded down.
    assert accounts(academy, order) == {"provider": -3049, "payable": 2142, "platform": 377, "tax": 530}
    assert deliver(academy, event("refund.created", refund(taxed["payment_intent"], 3049))) == "applied"
    assert accounts(academy, order) == {}


def test_tax_within_the_price(academy: Academy, course: Course, buyer: Person) -> None:
    order = placed(academy, buyer, course_id=course.id)
    taxed = session(order, amount_subtotal=4999, amount_total=4999, total_details={"amount_tax": 868})
    assert deliver(academy, event(COMPLETED, taxed)) == "applied"
    assert accounts(academy, order) == {"provider": -4999, "payable": 3511, "platform": 620, "tax": 868}


def test_a_discount_at_the_provider_is_another_price(academy: Academy, course: Course, buyer: Person) -> None:
    order = placed(academy, buyer, course_id=course.id)
    cheap = session(order, amount_subtotal=4999, amount_total=50, total_details={"amount_discount": 4949})
    assert deliver(academy, event(COMPLETED, cheap)) == "applied"
    assert order_of(academy, order)["status"] == "failed"
    assert exceptions(academy, order)[-1][:2] == ("surplus", "amount_mismatch")


def test_a_subscription_with_tax_within_the_price(academy: Academy, teacher: Person, buyer: Person) -> None:
    plan = Plan(academy, teacher, buyer)
    tax = {"amount": 174, "tax_behavior": "inclusive"}
    taxed = plan.invoice(1000, subtotal=1000, total_excluding_tax=826, total_taxes=[tax])
    assert deliver(academy, event("invoice.paid", taxed)) == "applied"
    assert accounts(academy, plan.order) == {"provider": -1000, "payable": 702, "platform": 124, "tax": 174}


@pytest.mark.parametrize("more", [{"amount_total": 1}, {"currency": "jpy"}, {"amount_subtotal": 4998}])
def test_a_payment_of_another_price_is_returned(
    academy: Academy, course: Course, buyer: Person, admin: Person, more: Object
) -> None:
    order = placed(academy, buyer, course_id=course.id)
    wrong = session(order, **more)
    assert ("refund_surplus", wrong["payment_intent"]) in deferred(academy, event(COMPLETED, wrong))
    assert deliver(academy, event(COMPLETED, wrong)) == "applied"
    assert order_of(academy, order)["status"] == "failed"
    assert exceptions(academy, order) == [("surplus", "amount_mismatch", False)]
    assert mails(academy, buyer).count("payment_returned") == 1
    query = f"/rest/v1/payment_exceptions?order_id=eq.{order['id']}&resolved_at=is.null"
    (shown,) = rows(academy.call(admin, "GET", query))
    assert (shown["amount"], shown["currency"]) == (wrong["amount_total"], wrong["currency"].upper())
    for who in (buyer, course.teacher, academy.member("moderator")):
        assert rows(academy.call(who, "GET", query)) == []
    assert (
        deliver(academy, event("refund.created", refund(wrong["payment_intent"], wrong["amount_total"]))) == "applied"
    )
    assert exceptions(academy, order) == [("surplus", "amount_mismatch", True)]
    assert accounts(academy, order) == {}
    # The buyer can try again.
    pay(academy, again := placed(academy, buyer, course_id=course.id))
    assert order_of(academy, again)["status"] == "paid"


def test_a_late_payment_for_what_was_bought_meanwhile_is_returned(
    academy: Academy, course: Course, buyer: Person
) -> None:
    first = placed(academy, buyer, course_id=course.id)
    academy.rpc(buyer, "cancel_order", order_id=first["id"])
    second = placed(academy, buyer, course_id=course.id)
    pay(academy, second)
    pay(academy, first)
    assert order_of(academy, first)["status"] == "cancelled"
    assert exceptions(academy, first) == [("surplus", "already_enrolled", False)]
    assert order_of(academy, second)["status"] == "paid"


@pytest.mark.parametrize("status", ["banned", "deleted"])
def test_a_payment_of_somebody_who_is_gone_is_returned(
    academy: Academy, course: Course, buyer: Person, status: str
) -> None:
    order = placed(academy, buyer, course_id=course.id)
    academy.sql("update public.accounts set status = %s where user_id = %s", status, buyer.id)
    pay(academy, order)
    assert order_of(academy, order)["status"] == "cancelled"
    assert exceptions(academy, order) == [("surplus", "account_inactive", False)]
    assert academy.sql("select from public.enrolments where student_id = %s", buyer.id) == []


@pytest.mark.parametrize("is_slow", [True, False])
def test_a_payment_for_a_course_that_was_suspended_is_returned(
    academy: Academy, course: Course, buyer: Person, *, is_slow: bool
) -> None:
    """Its students cannot read it."""
    order = placed(academy, buyer, course_id=course.id)
    paid = session(order)
    if is_slow:
        assert deliver(academy, event(COMPLETED, paid | {"payment_status": "unpaid"})) == "applied"
    moderator = academy.member("moderator")
    answer = academy.rpc(moderator, "suspend_course", course_id=course.id, reason="Copied")
    assert answer.status_code == 200, answer.text
    type_ = "checkout.session.async_payment_succeeded" if is_slow else COMPLETED
    assert deliver(academy, event(type_, paid)) == "applied"
    assert order_of(academy, order)["status"] == ("failed" if is_slow else "cancelled")
    assert exceptions(academy, order) == [("surplus", "courses_unavailable", False)]
    assert academy.sql("select from public.enrolments where student_id = %s", buyer.id) == []


def test_a_surplus_that_is_returned_in_parts_disputed_or_not_at_all(
    academy: Academy, course: Course, buyer: Person
) -> None:
    order = placed(academy, buyer, course_id=course.id)
    pay(academy, order)
    second = pay(academy, order)
    part = refund(second, 2000)
    assert deliver(academy, event("refund.created", part)) == "applied"
    assert exceptions(academy, order) == [("surplus", "order_paid", False)]
    assert deliver(academy, event("refund.created", refund(second, 2999))) == "applied"
    assert exceptions(academy, order) == [("surplus", "order_paid", True)]
    assert deliver(academy, event("refund.failed", {**part, "status": "failed"})) == "applied"
    assert deliver(academy, event("refund.updated", part)) == "ignored"
    assert exceptions(academy, order) == [("surplus", "order_paid", False)]
    taken = dispute(second, 2000)
    assert deliver(academy, event("charge.dispute.created", taken)) == "applied"
    assert deliver(academy, event("charge.dispute.updated", taken)) == "ignored"
    assert exceptions(academy, order) == [("surplus", "order_paid", True)]
    assert order_of(academy, order)["disputed_amount"] == 0
    assert imbalance(academy) == []


class Plan:
    """A membership, its subscriber, and the events of a subscription that an order of it starts."""

    def __init__(self, academy: Academy, seller: Person, buyer: Person, **columns: Any) -> None:
        self.academy, self.seller, self.buyer = academy, seller, buyer
        self.offer = offer(academy, seller, "membership", billing_interval="month", **columns)
        self.product = bind_product(academy, self.offer)
        self.now = this_second()
        self.ends_at = self.now + 30 * DAY
        self.start()

    def start(self) -> None:
        """Place another order of it."""
        self.order = placed(self.academy, self.buyer, offer_id=self.offer["id"])
        self.subscription = subscription(self.order, self.ends_at)
        self.session = session(self.order, mode="subscription", payment_intent=None)

    def invoice(self, amount: int = 1000, **more: Any) -> Object:
        """The first invoice."""
        return invoice(self.subscription, amount, self.now, self.ends_at, **more)

    def ids(self) -> Object:
        """What another state of the subscription has in common with the first."""
        return {"id": self.subscription["id"]}

    def state(self) -> str:
        """The status of the subscription."""
        ((status,),) = self.academy.sql(
            "select status::text from public.subscriptions where order_id = %s", self.order["id"]
        )
        return str(status)


def test_an_invoice_with_tax_and_one_that_a_balance_pays(academy: Academy, teacher: Person, buyer: Person) -> None:
    plan = Plan(academy, teacher, buyer)
    taxed = plan.invoice(1210, subtotal=1000, total_taxes=[{"amount": 210}])
    assert deliver(academy, event("invoice.paid", taxed)) == "applied"
    assert accounts(academy, plan.order) == {"provider": -1210, "payable": 850, "platform": 150, "tax": 210}

    other = Plan(academy, teacher, academy.member())
    assert deliver(academy, event("invoice.paid", other.invoice(300, subtotal=1000))) == "applied"
    paid = order_of(academy, other.order)
    assert (paid["status"], paid["paid_amount"], paid["amount"]) == ("paid", 300, 1000)
    assert other.state() == "active"

    covered = Plan(academy, teacher, academy.member())
    assert deliver(academy, event("invoice.paid", covered.invoice(0, subtotal=1000))) == "applied"
    assert order_of(academy, covered.order)["status"] == "paid"
    assert covered.state() == "active"


def test_a_slow_debit_blocks_a_second_checkout(academy: Academy, teacher: Person, buyer: Person) -> None:
    plan = Plan(academy, teacher, buyer)
    slow = plan.session | {"payment_status": "unpaid"}
    assert deliver(academy, event(COMPLETED, slow)) == "applied"
    assert order_of(academy, plan.order)["status"] == "processing"
    academy.sql("update public.orders set expires_at = now() - interval '2 days' where id = %s", plan.order["id"])
    academy.sql("select private.purge('purge__expired_orders')")
    assert order_of(academy, plan.order)["status"] == "processing"
    refused(academy.rpc(buyer, "place_order", offer_id=plan.offer["id"]), 409, "payment_processing")
    assert deliver(academy, event("invoice.paid", plan.invoice())) == "applied"
    assert order_of(academy, plan.order)["status"] == "paid"


def test_a_slow_debit_that_fails_frees_the_offer(academy: Academy, teacher: Person, buyer: Person) -> None:
    plan = Plan(academy, teacher, buyer)
    deliver(academy, event(COMPLETED, plan.session | {"payment_status": "unpaid"}))
    over = plan.subscription | {"status": "incomplete_expired"}
    assert deliver(academy, event("customer.subscription.deleted", over)) == "applied"
    assert order_of(academy, plan.order)["status"] == "failed"
    assert placed(academy, buyer, offer_id=plan.offer["id"])["status"] == "pending"


def test_of_two_subscriptions_that_were_both_paid_one_ends_and_is_returned(
    academy: Academy, teacher: Person, buyer: Person
) -> None:
    plan = Plan(academy, teacher, buyer)
    first = plan.order
    academy.sql("update public.orders set status = 'expired' where id = %s", first["id"])
    one = plan.invoice()
    plan.start()
    assert deliver(academy, event("invoice.paid", plan.invoice())) == "applied"
    ended = one["parent"]["subscription_details"]["subscription"]
    tasks = deferred(academy, event("invoice.paid", one))
    assert {("end_subscription", ended), ("refund_surplus", one["id"])} <= tasks
    assert order_of(academy, plan.order)["status"] == "paid"
    assert exceptions(academy, first) == [("surplus", "already_subscribed", False)]
    # The refund names the payment, whose invoice is known by now or later.
    intent = stripe_id("pi")
    assert deliver(academy, event("refund.created", refund(intent, 1000))) == "waiting"
    assert deliver(academy, event("invoice_payment.paid", invoice_payment(one, intent))) == "applied"
    assert exceptions(academy, first) == [("surplus", "already_subscribed", True)]
    assert order_of(academy, plan.order)["refunded_amount"] == 0


def test_the_payment_of_an_invoice_may_come_first(academy: Academy, teacher: Person, buyer: Person) -> None:
    plan = Plan(academy, teacher, buyer)
    paid, intent = plan.invoice(), stripe_id("pi")
    customer = stripe_id("cus")
    deliver(academy, event(COMPLETED, plan.session | {"customer": customer}))
    waiting = [
        event("charge.dispute.created", dispute(intent, 600)),
        event("refund.created", refund(intent, 400)),
        event("charge.succeeded", charge(intent, customer=customer)),
        event("invoice_payment.paid", invoice_payment(paid, intent)),
    ]
    assert [deliver(academy, each) for each in waiting] == ["waiting"] * 4
    assert deliver(academy, event("invoice.paid", paid)) == "applied"
    order = order_of(academy, plan.order)
    assert (order["paid_amount"], order["refunded_amount"], order["disputed_amount"]) == (1000, 400, 600)
    assert [deliver(academy, each) for each in waiting] == ["applied"] * 4
    assert imbalance(academy) == []


def test_an_upgrade_is_followed_and_keeps_its_period(academy: Academy, teacher: Person, buyer: Person) -> None:
    plan = Plan(academy, teacher, buyer)
    better = offer(academy, teacher, "membership", billing_interval="month", title="Better", price_amount=3000)
    product = bind_product(academy, better)
    deliver(academy, event("invoice.paid", plan.invoice()))
    switched_at = plan.now + 5 * DAY
    item = {"current_period_end": plan.ends_at, "price": {"id": stripe_id("price"), "product": product}}
    switched = plan.subscription | {"items": {"data": [item]}}
    changed = event("customer.subscription.updated", switched, created=switched_at)
    lines = [
        # The first line credits what is left of the former plan, and ends before the next period.
        invoice_line(switched_at, plan.ends_at, -800, product=plan.product, proration=True),
        invoice_line(switched_at, plan.ends_at, 2400, product=product, proration=True),
        invoice_line(plan.ends_at, plan.ends_at + 30 * DAY, 3000, product=product),
    ]
    renewed = invoice(plan.subscription, 4600, 0, 0, reason="subscription_cycle", lines=lines)
    assert deliver(academy, changed) == "applied"
    member = rows(academy.call(buyer, "GET", f"/rest/v1/subscriptions?user_id=eq.{buyer.id}"))
    assert [(row["offer_id"], row["status"]) for row in member] == [(better["id"], "active")]
    assert deliver(academy, event("invoice.paid", renewed)) == "applied"
    found = academy.sql(
        "select title, paid_amount::int, extract(epoch from period_ends_at)::bigint from public.orders"
        " where buyer_id = %s order by period_ends_at, paid_amount",
        buyer.id,
    )
    assert found == [
        ("Better", 0, plan.ends_at),
        ("A membership", 1000, plan.ends_at),
        ("Better", 4600, plan.ends_at + 30 * DAY),
    ]
    # What the former plan gave has an end at the switch, and the new plan lasts.
    ends = dict(
        academy.sql(
            "select o.paid_amount::int, extract(epoch from e.ends_at)::bigint from public.entitlements as e"
            " join public.orders as o on o.id = e.order_id where e.user_id = %s",
            buyer.id,
        )
    )
    assert ends[1000] == switched_at
    assert ends[4600] == plan.ends_at + 31 * DAY
    # A renewal by an older event changes nothing.
    assert (
        deliver(academy, event("customer.subscription.updated", plan.subscription, created=plan.now + 1)) == "ignored"
    )


def test_access_lasts_while_a_debit_renews(academy: Academy, teacher: Person, buyer: Person) -> None:
    """The next period has begun at Stripe, and its payment takes longer than a day."""
    plan = Plan(academy, teacher, buyer)
    plan.ends_at = plan.now - 2 * DAY
    first = invoice(plan.subscription, 1000, plan.now - 32 * DAY, plan.ends_at)
    deliver(academy, event("customer.subscription.created", subscription(plan.order, plan.ends_at) | plan.ids()))
    deliver(academy, event("invoice.paid", first))

    def is_entitled() -> bool:
        current = "select from public.entitlements where user_id = %s and ends_at > now()"
        return bool(academy.sql(current, buyer.id))

    assert not is_entitled()
    begun = subscription(plan.order, plan.ends_at + 30 * DAY) | plan.ids()
    deliver(academy, event("customer.subscription.updated", begun, created=plan.now + 1))
    assert is_entitled()
    overdue = begun | {"status": "past_due"}
    deliver(academy, event("customer.subscription.updated", overdue, created=plan.now + 2))
    assert is_entitled()
    academy.sql("update public.orders set period_ends_at = now() - interval '5 days' where id = %s", plan.order["id"])
    deliver(academy, event("customer.subscription.updated", overdue, created=plan.now + 3))
    assert not is_entitled()


def test_a_renewal_of_a_subscription_that_has_ended_here_is_returned(
    academy: Academy, teacher: Person, buyer: Person
) -> None:
    plan = Plan(academy, teacher, buyer)
    deliver(academy, event("invoice.paid", plan.invoice()))
    over = plan.subscription | {"status": "canceled", "ended_at": plan.now + 9}
    deliver(academy, event("customer.subscription.deleted", over, created=plan.now + 9))
    alive = plan.subscription | {"status": "active"}
    tasks = deferred(academy, event("customer.subscription.updated", alive, created=plan.now + 20))
    assert ("end_subscription", plan.subscription["id"]) in tasks
    assert plan.state() == "ended"
    late = invoice(plan.subscription, 1000, plan.ends_at, plan.ends_at + 30 * DAY, reason="subscription_cycle")
    assert ("refund_surplus", late["id"]) in deferred(academy, event("invoice.paid", late))
    assert exceptions(academy, plan.order) == [("surplus", "subscription_ended", False)]


@pytest.mark.parametrize("status", ["banned", "deleted"])
def test_a_renewal_after_the_end_of_the_seller_is_returned(
    academy: Academy, admin: Person, buyer: Person, status: str
) -> None:
    seller = academy.member("teacher")
    plan = Plan(academy, seller, buyer)
    deliver(academy, event("invoice.paid", plan.invoice()))
    if status == "banned":
        ended = academy.rpc(admin, "set_account_status", user_id=seller.id, status="banned", reason="Fraud")
    else:
        ways = {"balance": "keep", "subscriber": "end"}
        ended = academy.rpc(admin, "delete_user", user_id=seller.id, obligations=ways)
    assert ended.status_code == 204, ended.text
    late = invoice(plan.subscription, 1000, plan.ends_at, plan.ends_at + 30 * DAY, reason="subscription_cycle")
    assert ("refund_surplus", late["id"]) in deferred(academy, event("invoice.paid", late))
    assert exceptions(academy, plan.order)[-1][:2] == ("surplus", "seller_unavailable")
    assert academy.sql("select sum(amount)::int from public.payment_splits where user_id = %s", seller.id) == [(850,)]
    assert imbalance(academy) == []


def foreign_objects() -> list[Any]:
    """Events about objects of another application on the same account."""
    theirs = {"metadata": {"order_id": "4711"}}
    stranger = {"metadata": {"order_id": str(uuid.uuid4())}}
    about = subscription({"id": "4711"}, this_second())
    order = {"id": "4711", "amount": 500, "currency": "EUR"}
    return [
        event(COMPLETED, session(order)),
        event(COMPLETED, session(order) | stranger),
        event("checkout.session.expired", session(order) | {"status": "expired"}),
        event("checkout.session.async_payment_failed", session(order)),
        event("customer.subscription.updated", about),
        event("customer.subscription.deleted", about | stranger),
        event("invoice.paid", invoice(about, 500, 0, 1)),
        event("invoice.paid", invoice(about | {"metadata": None}, 500, 0, 1)),
        event("charge.succeeded", charge(stripe_id("pi")) | theirs),
        event("charge.succeeded", charge(stripe_id("pi"), customer=stripe_id("cus"))),
        event("refund.created", refund("", 5) | theirs | {"payment_intent": None, "charge": None}),
        event("transfer.created", {"id": stripe_id("tr"), "object": "transfer", "metadata": {"payout_id": "7"}}),
        event("account.updated", {"id": stripe_id("acct"), "object": "account"}),
    ]


@pytest.mark.parametrize("number", range(len(foreign_objects())))
def test_objects_of_another_application_are_foreign(academy: Academy, admin: Person, number: int) -> None:
    sent = foreign_objects()[number]
    assert deliver(academy, sent) == "foreign"
    assert deliver(academy, sent) == "foreign"
    totals = rows(academy.rpc(admin, "webhook_totals"))
    (row,) = [each for each in totals if (each["type"], each["status"]) == (sent.type, "foreign")]
    assert row["events"] >= 1
    assert rows(academy.rpc(academy.member("moderator"), "webhook_totals")) == []


def test_refunds_and_disputes_of_another_application_wait_and_are_foreign_in_the_end(academy: Academy) -> None:
    sent = [
        event("refund.created", refund(stripe_id("pi"), 500)),
        event("charge.dispute.created", dispute(stripe_id("pi"), 500)),
        event("invoice_payment.paid", invoice_payment({"id": stripe_id("in")}, stripe_id("pi"))),
    ]
    assert [deliver(academy, each) for each in sent] == ["waiting"] * 3
    ids = [each.id for each in sent]
    academy.sql(
        "update private.webhook_inbox set received_at = now() - interval '31 days' where event_id = any(%s)", ids
    )
    academy.sql("select private.purge('purge__webhook_inbox')")
    statuses = "select status::text from private.webhook_inbox where event_id = any(%s)"
    assert academy.sql(statuses, ids) == [("foreign",)] * 3


def test_an_inquiry_takes_no_money_until_it_becomes_a_dispute(academy: Academy, course: Course, buyer: Person) -> None:
    order = placed(academy, buyer, course_id=course.id)
    about = dispute(pay(academy, order), 4999)
    now = this_second()
    for status in ("warning_needs_response", "warning_under_review", "warning_closed", "prevented"):
        assert deliver(academy, event("charge.dispute.updated", about | {"status": status})) == "ignored"
    assert academy.sql("select from public.disputes where order_id = %s", order["id"]) == []
    assert deliver(academy, event("charge.dispute.updated", about, created=now + 1)) == "applied"
    assert order_of(academy, order)["disputed_amount"] == 4999
    ended = about | {"status": "prevented"}
    assert deliver(academy, event("charge.dispute.closed", ended, created=now + 2)) == "applied"
    assert order_of(academy, order)["disputed_amount"] == 0


def test_an_appeal_wins_a_lost_dispute_and_a_bank_takes_a_won_one_back(
    academy: Academy, course: Course, buyer: Person
) -> None:
    order = placed(academy, buyer, course_id=course.id)
    about, now = dispute(pay(academy, order), 4999), this_second()
    states = [
        ("needs_response", 0, 4999), ("lost", 1, 4999), ("appeal_needs_response", 2, 4999),
        ("appeal_under_review", 3, 4999), ("won", 4, 0),
        ("appeal_under_review", 5, 4999), ("lost", 6, 4999),
    ]  # fmt: skip
    for status, seconds, disputed in states:
        deliver(academy, event("charge.dispute.updated", about | {"status": status}, created=now + seconds))
        assert order_of(academy, order)["disputed_amount"] == disputed, status
    assert deliver(academy, event("charge.dispute.updated", about | {"status": "won"}, created=now + 4)) == "ignored"
    assert order_of(academy, order)["disputed_amount"] == 4999
    assert imbalance(academy) == []


def test_an_admin_replays_an_event_that_waits(academy: Academy, admin: Person) -> None:
    sent = event("refund.created", refund(stripe_id("pi"), 500))
    deliver(academy, sent)
    answer = academy.rpc(admin, "replay_webhook", provider="stripe", event_id=sent.id)
    assert answer.json() == "waiting", json.dumps(answer.json())
    with acting_as(academy, admin) as connection:
        audit = connection.execute(
            "select after ->> 'status' from public.audit_log where target_id = %s", [f"stripe:{sent.id}"]
        ).fetchall()
    assert audit == [("waiting",)]


def test_a_failed_event_is_retried_by_itself(academy: Academy, databases: Databases) -> None:
    broken = """
        create function private.tg_payments__break() returns trigger language plpgsql set search_path = ''
        as $$ begin raise exception 'not now'; end $$;
        create trigger _999_break before insert on private.payments
        for each row execute function private.tg_payments__break();
    """
    with extended(academy, databases, broken) as database:
        seller, buyer = database.member("teacher"), database.member()
        insert = (
            "insert into public.offers (kind, title, price_amount) values ('service', 'X', 2000) returning id::text"
        )
        offer_id = database.act(seller, insert)
        database.act(seller, "select public.publish_offer(%s)", offer_id)
        order = database.act(buyer, "select to_jsonb(public.place_order(offer_id => %s))", offer_id)
        about = {"created": 1, "data": {"object": session(order)}}
        assert database.webhook("stripe", COMPLETED, about) == "failed"
        retry, state = "select private.retry_webhooks()", "select status::text, attempts from private.webhook_inbox"
        assert database.sql(retry) == [(0,)]
        database.execute("update private.webhook_inbox set last_attempt_at = now() - interval '3 minutes'")
        assert database.sql(retry) == [(1,)]
        assert database.sql(state) == [("failed", 2)]
        database.execute("drop trigger _999_break on private.payments")
        database.execute("update private.webhook_inbox set last_attempt_at = now() - interval '5 minutes'")
        assert database.sql(retry) == [(1,)]
        assert database.sql(state) == [("applied", 3)]
        assert database.sql("select status::text from public.orders") == [("paid",)]
