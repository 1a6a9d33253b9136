"""The end of an account or of the role teacher, and its undoing: what is sold, what was sold, and what is owed."""

import json
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from tests.commerce.goods import beat, mark_paid
from tests.commerce.stripe_events import (
    acting_as,
    deliver,
    dispute,
    event,
    imbalance,
    invoice,
    offer,
    pay,
    placed,
    session,
    subscription,
    this_second,
)
from tests.identity.test_external_identities import Clerk
from tests.people import Academy, Course, Person, concurrently, refused, rows
from tests.waiting import wait_until

ENDS = ("suspended", "banned", "deleted", "role lost")
UNDONE = ("suspended", "banned", "role lost")
KINDS: dict[str, dict[str, Any]] = {
    "tip": {"maximum_amount": 5000},
    "service": {},
    "coaching": {},
    "mixing_service": {},
    "playlist_submission": {},
    "creator_subscription": {"billing_interval": "month"},
    "membership": {"billing_interval": "month"},
}
"""The kinds that a seller sells without a course or a product, with the columns that they need."""


@pytest.fixture
def seller(academy: Academy) -> Person:
    """A teacher whom the test stops."""
    return academy.member("teacher", name="Odile")


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A new buyer."""
    return academy.member()


def stop(academy: Academy, admin: Person, person: Person, how: str, **obligations: str) -> None:
    """Suspend, ban or delete a person, or take the role teacher away."""
    if how == "deleted":
        answer = academy.rpc(admin, "delete_user", user_id=person.id, obligations=obligations)
    elif how == "role lost":
        answer = academy.rpc(admin, "revoke_role", user_id=person.id, role="teacher")
    else:
        answer = academy.rpc(admin, "set_account_status", user_id=person.id, status=how)
    assert answer.status_code == 204, answer.text


def undo(academy: Academy, admin: Person, person: Person, how: str) -> None:
    """Reinstate a person, or give the role back."""
    if how == "role lost":
        answer = academy.rpc(admin, "grant_role", user_id=person.id, role="teacher")
    else:
        answer = academy.rpc(admin, "set_account_status", user_id=person.id, status="active")
    assert answer.status_code == 204, answer.text


def status_of(academy: Academy, table: str, row_id: str) -> str:
    """The status of a row."""
    ((status,),) = academy.sql(f"select status::text from public.{table} where id = %s", row_id)  # noqa: S608
    return str(status)


def on_sale(academy: Academy, seller: Person) -> set[str]:
    """What a stranger finds of a seller."""
    found = rows(academy.call(None, "GET", f"/rest/v1/offers?seller_id=eq.{seller.id}&select=id"))
    found += rows(academy.call(None, "GET", f"/rest/v1/products?creator_id=eq.{seller.id}&select=id"))
    found += rows(academy.call(None, "GET", f"/rest/v1/courses?creator_id=eq.{seller.id}&select=id"))
    return {each["id"] for each in found}


class Stall:
    """Offers of every kind that a seller sells."""

    def __init__(self, academy: Academy, seller: Person) -> None:
        self.offers = {kind: offer(academy, seller, kind, **columns)["id"] for kind, columns in KINDS.items()}
        self.course = academy.course(seller, price_amount=4000)
        bundle = academy.insert(seller, "offers", kind="bundle", title="Both", price_amount=3000)
        academy.insert(seller, "offer_courses", offer_id=bundle["id"], course_id=self.course.id)
        assert academy.rpc(seller, "publish_offer", offer_id=bundle["id"]).status_code == 200
        self.offers["bundle"] = bundle["id"]
        self.beat = beat(academy, seller)
        self.offers["beat_licence"] = self.beat.offers["premium"]
        ((self.offers["course"],),) = academy.sql(
            "select id::text from public.offers where course_id = %s", self.course.id
        )

    def order(self, academy: Academy, who: Person, kind: str) -> httpx.Response:
        """Order an offer."""
        more = {"amount": 2000} if kind == "tip" else {}
        return academy.rpc(who, "place_order", offer_id=self.offers[kind], **more)


@pytest.mark.parametrize("how", ENDS)
def test_what_a_stopped_seller_sells_leaves_the_market(
    academy: Academy, admin: Person, seller: Person, buyer: Person, how: str
) -> None:
    """Seen: banned, deleted and de-roled sellers kept selling, and earned."""
    stall = Stall(academy, seller)
    before = on_sale(academy, seller)
    pending = {kind: stall.order(academy, buyer, kind).json()["id"] for kind in stall.offers}
    stop(academy, admin, seller, how)
    assert on_sale(academy, seller) == set()
    assert {status_of(academy, "orders", order_id) for order_id in pending.values()} == {"cancelled"}
    for kind in stall.offers:
        answer = stall.order(academy, buyer, kind)
        assert (kind, answer.status_code) == (kind, 404), answer.text
    refused(academy.rpc(buyer, "place_order", course_id=stall.course.id), 404, "course_not_found")
    # Neither the seller nor an admin puts it back.
    for who in (seller, admin):
        assert academy.rpc(who, "publish_offer", offer_id=stall.offers["tip"]).status_code in {403, 404, 409}
        assert academy.rpc(who, "publish_product", product_id=stall.beat.id).status_code in {403, 404, 409}
        assert academy.rpc(who, "publish_course", course_id=stall.course.id).status_code in {403, 404, 422}
    refused(academy.rpc(admin, "publish_offer", offer_id=stall.offers["tip"]), 409, "seller_unavailable")
    refused(academy.rpc(admin, "publish_product", product_id=stall.beat.id), 409, "seller_unavailable")
    refused(academy.rpc(admin, "publish_course", course_id=stall.course.id), 422, "teacher_required")
    assert on_sale(academy, seller) == set()
    if how in UNDONE:
        undo(academy, admin, seller, how)
        assert on_sale(academy, seller) == before
        for kind in stall.offers:
            assert stall.order(academy, buyer, kind).status_code == 200, kind


@pytest.mark.parametrize("how", ["suspended", "role lost"])
def test_what_was_decided_meanwhile_stays(academy: Academy, admin: Person, seller: Person, how: str) -> None:
    stall = Stall(academy, seller)
    other, draft, archived = (academy.course(seller, published=n != 1) for n in range(3))
    assert academy.rpc(seller, "archive_course", course_id=archived.id).status_code == 200
    stop(academy, admin, seller, how)
    assert status_of(academy, "courses", stall.course.id) == status_of(academy, "courses", other.id) == "paused"
    assert academy.rpc(admin, "archive_course", course_id=other.id).status_code == 200
    assert academy.rpc(admin, "archive_offer", offer_id=stall.offers["tip"]).status_code == 200
    assert academy.rpc(admin, "archive_product", product_id=stall.beat.id).status_code == 200
    undo(academy, admin, seller, how)
    assert status_of(academy, "courses", stall.course.id) == "published"
    for course, status in ((other, "archived"), (draft, "draft"), (archived, "archived")):
        assert status_of(academy, "courses", course.id) == status
    assert status_of(academy, "offers", stall.offers["tip"]) == "archived"
    assert status_of(academy, "products", stall.beat.id) == "archived"
    assert status_of(academy, "offers", stall.offers["beat_licence"]) == "archived"
    assert status_of(academy, "offers", stall.offers["service"]) == "active"


def test_selling_resumes_only_when_nothing_stops_it(academy: Academy, admin: Person, seller: Person) -> None:
    tip = offer(academy, seller, "tip", maximum_amount=5000)["id"]
    stop(academy, admin, seller, "suspended")
    stop(academy, admin, seller, "role lost")
    undo(academy, admin, seller, "suspended")
    assert status_of(academy, "offers", tip) == "paused"
    stop(academy, admin, seller, "suspended")
    undo(academy, admin, seller, "role lost")
    assert status_of(academy, "offers", tip) == "paused"
    undo(academy, admin, seller, "suspended")
    assert status_of(academy, "offers", tip) == "active"


def test_a_suspension_that_passes_puts_everything_back(academy: Academy, admin: Person, seller: Person) -> None:
    stall = Stall(academy, seller)
    before = on_sale(academy, seller)
    soon = academy.sql("select (now() + interval '1 second')::text")[0][0]
    answer = academy.rpc(admin, "set_account_status", user_id=seller.id, status="suspended", until=soon)
    assert answer.status_code == 204, answer.text
    assert on_sale(academy, seller) == set()
    wait_until(lambda: academy.sql("select private.end_suspension(%s)", seller.id) == [(True,)])
    assert on_sale(academy, seller) == before
    assert stall.offers
    assert academy.sql("select private.end_suspension(%s)", seller.id) == [(False,)]
    found = rows(academy.call(admin, "GET", f"/rest/v1/audit_log?target_id=eq.{seller.id}&action=eq.account.active"))
    assert [entry["actor_id"] for entry in found] == [None]


def test_the_worker_ends_a_suspension_that_passes(academy: Academy, admin: Person, seller: Person) -> None:
    tip = offer(academy, seller, "tip", maximum_amount=5000)["id"]
    soon = academy.sql("select (now() + interval '1 second')::text")[0][0]
    academy.rpc(admin, "set_account_status", user_id=seller.id, status="suspended", until=soon)
    wait_until(lambda: status_of(academy, "offers", tip) == "active", seconds=90)
    mails = academy.sql("select template from private.mail_outbox where user_id = %s order by id", seller.id)
    assert mails == [("account_suspended",), ("account_reinstated",)]


# Courses


@pytest.mark.parametrize("how", ENDS)
def test_courses_leave_the_catalogue_and_stay_readable_for_those_who_have_them(
    academy: Academy, admin: Person, seller: Person, how: str
) -> None:
    """Seen: a deleted teacher's courses stayed published with `creator: null`."""
    paid, free = academy.course(seller, price_amount=4000), academy.course(seller)
    student, late = academy.member(), academy.member()
    mark_paid(academy, admin, placed(academy, student, course_id=paid.id))
    academy.enrol(student, free)
    stop(academy, admin, seller, how, balance="keep")
    for course in (paid, free):
        mine = rows(academy.call(student, "GET", f"/rest/v1/lesson_contents?course_id=eq.{course.id}"))
        assert len(mine) == 2
        assert len(rows(academy.call(student, "GET", f"/rest/v1/courses?id=eq.{course.id}"))) == 1
        assert academy.rpc(student, "record_progress", lesson_id=course.lesson_ids[0]).status_code == 200
        for who in (late, None):
            assert rows(academy.call(who, "GET", f"/rest/v1/courses?id=eq.{course.id}")) == []
    refused(academy.rpc(late, "enrol", course_id=free.id), 404, "course_not_found")
    query = "/rest/v1/courses?status=eq.published&creator_id=eq." + seller.id + "&select=id,creator:profiles(id)"
    assert rows(academy.call(admin, "GET", query)) == []
    assert academy.sql("select from private.course_search where course_id = any(%s)", [paid.id, free.id]) == []
    found = rows(academy.rpc(late, "search_courses", q=free.slug))
    assert [each["id"] for each in found if each["id"] in {paid.id, free.id}] == []


def test_no_course_offer_or_product_of_a_stopped_person_is_in_the_market(academy: Academy) -> None:
    """Whatever the other tests have left."""
    for table, person, status in (
        ("courses", "creator_id", "published"),
        ("offers", "seller_id", "active"),
        ("products", "creator_id", "published"),
    ):
        stopped = f"select t.id from public.{table} as t join public.accounts as a on a.user_id = t.{person}"  # noqa: S608
        assert academy.sql(f"{stopped} where t.status::text = %s and a.status <> 'active'", status) == [], table


def test_a_paused_course_that_is_transferred_is_published_again(
    academy: Academy, admin: Person, seller: Person, stranger: Person
) -> None:
    course = academy.course(seller, price_amount=4000)
    stop(academy, admin, seller, "banned")
    moved = academy.rpc(admin, "transfer_course", course_id=course.id, creator_id=stranger.id)
    assert (moved.status_code, moved.json()["status"]) == (200, "published"), moved.text
    undo(academy, admin, seller, "banned")
    assert on_sale(academy, seller) == set()


def test_a_transfer_cancels_orders_that_would_pay_the_former_creator(
    academy: Academy, admin: Person, seller: Person, stranger: Person, buyer: Person
) -> None:
    course = academy.course(seller, price_amount=4000)
    pending = placed(academy, buyer, course_id=course.id)
    assert academy.rpc(admin, "transfer_course", course_id=course.id, creator_id=stranger.id).status_code == 200
    assert status_of(academy, "orders", pending["id"]) == "cancelled"
    assert placed(academy, buyer, course_id=course.id)["seller_id"] == stranger.id


def test_the_account_of_a_course_s_creator_is_not_stopped_by_another_role(
    academy: Academy, admin: Person, seller: Person
) -> None:
    course = academy.course(seller)
    superadmin = academy.member("superadmin")
    for word in ("grant_role", "revoke_role"):
        assert academy.rpc(superadmin, word, user_id=seller.id, role="moderator").status_code == 204
        assert status_of(academy, "courses", course.id) == "published"
    assert admin.id


# Sales in progress


def buy_work(academy: Academy, admin: Person, seller: Person, buyer: Person, amount: int = 1000) -> str:
    """A paid order of a service of the seller."""
    service = offer(academy, seller, "service", price_amount=amount)
    order = placed(academy, buyer, offer_id=service["id"])
    mark_paid(academy, admin, order)
    return str(order["id"])


def work(academy: Academy, order_id: str) -> tuple[str, int]:
    """The status of the work of an order, and what was refunded."""
    ((status, refunded),) = academy.sql(
        "select f.status::text, o.refunded_amount from public.fulfilments as f"
        " join public.orders as o on o.id = f.order_id where o.id = %s",
        order_id,
    )
    return status, refunded


@pytest.mark.parametrize(("how", "outcome"), [("banned", ("cancelled", 1000)), ("suspended", ("open", 0))])
def test_open_work_waits_in_a_suspension_and_is_refunded_at_a_ban(
    academy: Academy, admin: Person, seller: Person, buyer: Person, *, how: str, outcome: tuple[str, int]
) -> None:
    order_id = buy_work(academy, admin, seller, buyer)
    stop(academy, admin, seller, how)
    refused(academy.rpc(seller, "deliver_order", order_id=order_id), 403, "account_inactive")
    assert work(academy, order_id) == outcome
    undo(academy, admin, seller, how)
    assert work(academy, order_id) == outcome
    if how == "suspended":
        assert academy.rpc(seller, "deliver_order", order_id=order_id).status_code == 200
    assert imbalance(academy) == []


def test_a_former_teacher_finishes_the_work_that_was_sold(
    academy: Academy, admin: Person, seller: Person, buyer: Person
) -> None:
    order_id = buy_work(academy, admin, seller, buyer)
    stop(academy, admin, seller, "role lost")
    assert academy.rpc(seller, "deliver_order", order_id=order_id).status_code == 200
    assert work(academy, order_id) == ("delivered", 0)


def test_delivered_work_and_content_stay_with_the_buyer_after_a_ban(
    academy: Academy, admin: Person, seller: Person, buyer: Person
) -> None:
    order_id = buy_work(academy, admin, seller, buyer)
    assert academy.rpc(seller, "deliver_order", order_id=order_id).status_code == 200
    licence = placed(academy, buyer, offer_id=beat(academy, seller).offers["basic"])
    mark_paid(academy, admin, licence)
    stop(academy, admin, seller, "banned")
    assert work(academy, order_id) == ("delivered", 0)
    assert len(rows(academy.rpc(buyer, "order_files", order_id=licence["id"]))) == 1


@pytest.mark.parametrize("how", ["suspended", "banned", "role lost"])
def test_money_that_arrives_after_the_end_of_the_seller_goes_back(
    academy: Academy, admin: Person, seller: Person, buyer: Person, how: str
) -> None:
    tip = offer(academy, seller, "tip", maximum_amount=5000)
    order = placed(academy, buyer, offer_id=tip["id"], amount=2000)
    stop(academy, admin, seller, how)
    paid = session(order)
    assert deliver(academy, event("checkout.session.completed", paid)) == "applied"
    assert status_of(academy, "orders", order["id"]) == "cancelled"
    found = academy.sql("select is_surplus, amount from private.payments where order_id = %s", order["id"])
    assert found == [(True, 2000)]
    assert academy.sql("select from public.balances where user_id = %s and balance_amount <> 0", seller.id) == []
    assert imbalance(academy) == []


def test_money_that_arrives_after_the_end_of_the_buyer_goes_back(
    academy: Academy, stranger: Person, buyer: Person
) -> None:
    tip = offer(academy, stranger, "tip", maximum_amount=5000)
    order = placed(academy, buyer, offer_id=tip["id"], amount=2000)
    assert academy.rpc(buyer, "delete_account").status_code == 204
    assert deliver(academy, event("checkout.session.completed", session(order))) == "applied"
    found = academy.sql("select is_surplus, amount from private.payments where order_id = %s", order["id"])
    assert found == [(True, 2000)]


# Student-teachers


def student_teacher(academy: Academy, course: Course) -> tuple[Person, str]:
    """An approved student-teacher of a course."""
    person = academy.member(name="Stella")
    ((row_id,),) = academy.sql(
        "insert into public.student_teachers (course_id, user_id, statement, status, decided_at)"
        " values (%s, %s, 'I help.', 'approved', now()) returning id::text",
        course.id,
        person.id,
    )
    return person, str(row_id)


@pytest.mark.parametrize(
    ("change", "token"),
    [
        ("max_students = 1, student_count = 1", "student_teacher_full"),
        ("is_available = false", "student_teacher_unavailable"),
        ("status = 'withdrawn'", "student_teacher_not_found"),
    ],
)
def test_a_student_teacher_who_cannot_teach_sells_nothing(
    academy: Academy, seller: Person, buyer: Person, change: str, token: str
) -> None:
    course = academy.course(seller, price_amount=4000)
    _, row_id = student_teacher(academy, course)
    pending = placed(academy, buyer, course_id=course.id, student_teacher_id=row_id)
    academy.sql(f"update public.student_teachers set {change} where id = %s", row_id)  # noqa: S608
    status = 404 if token == "student_teacher_not_found" else 409
    other = academy.member()
    refused(academy.rpc(other, "place_order", course_id=course.id, student_teacher_id=row_id), status, token)
    if status == 404:
        assert status_of(academy, "orders", pending["id"]) == "cancelled"


@pytest.mark.parametrize("how", ["suspended", "banned"])
def test_a_stopped_student_teacher_sells_nothing(
    academy: Academy, admin: Person, seller: Person, buyer: Person, how: str
) -> None:
    course = academy.course(seller, price_amount=4000)
    person, row_id = student_teacher(academy, course)
    student = academy.member()
    mark_paid(academy, admin, placed(academy, student, course_id=course.id, student_teacher_id=row_id))
    pending = placed(academy, buyer, course_id=course.id, student_teacher_id=row_id)
    stop(academy, admin, person, how)
    assert status_of(academy, "orders", pending["id"]) == "cancelled"
    refused(
        academy.rpc(buyer, "place_order", course_id=course.id, student_teacher_id=row_id),
        409,
        "student_teacher_unavailable",
    )
    ((kept,),) = academy.sql(
        "select student_teacher_id is not null from public.enrolments where student_id = %s", student.id
    )
    assert kept is (how == "suspended")


# Subscriptions in the database; tests/edge/test_account_ends.py has them at Stripe's double


def subscribed(academy: Academy, buyer: Person, plan: dict[str, Any]) -> str:
    """A subscription that is paid for a month; returns its id."""
    now = this_second()
    order = placed(academy, buyer, offer_id=plan["id"])
    begun = subscription(order, now + 30 * 86400)
    for sent in (
        event("checkout.session.completed", session(order, mode="subscription", payment_intent=None)),
        event("customer.subscription.created", begun),
        event("invoice.paid", invoice(begun, 1000, now, now + 30 * 86400)),
    ):
        assert deliver(academy, sent) in {"applied", "ignored"}
    ((row_id,),) = academy.sql("select id::text from public.subscriptions where order_id = %s", order["id"])
    return str(row_id)


def test_a_subscriber_who_cancelled_is_left_alone(
    academy: Academy, admin: Person, seller: Person, buyer: Person
) -> None:
    plan = offer(academy, seller, "creator_subscription", billing_interval="month")
    row_id = subscribed(academy, buyer, plan)
    academy.sql("update public.subscriptions set is_ending = true where id = %s", row_id)
    stop(academy, admin, seller, "suspended")
    undo(academy, admin, seller, "suspended")
    mails = academy.sql("select template from private.mail_outbox where user_id = %s and template ~ 'renew'", buyer.id)
    assert mails == []
    assert academy.sql("select is_ending, is_paused from public.subscriptions where id = %s", row_id) == [(True, False)]


# Obligations


def obligations(academy: Academy, who: Person, user: Person) -> dict[str, dict[str, Any]]:
    """The obligations of a user by kind."""
    return {each["kind"]: each for each in rows(academy.rpc(who, "account_obligations", user_id=user.id))}


class Debtor:
    """A seller with a balance, open work, a subscriber and a paying student."""

    def __init__(self, academy: Academy, admin: Person) -> None:
        self.person = academy.member("teacher", name="Odile")
        self.buyer = academy.member()
        self.course = academy.course(self.person, price_amount=4000)
        mark_paid(academy, admin, placed(academy, self.buyer, course_id=self.course.id))
        self.order_id = buy_work(academy, admin, self.person, self.buyer)
        self.plan = offer(academy, self.person, "creator_subscription", billing_interval="month")
        self.subscription_id = subscribed(academy, self.buyer, self.plan)


@pytest.fixture
def debtor(academy: Academy, admin: Person) -> Debtor:
    """A seller who owes and is owed."""
    return Debtor(academy, admin)


def test_a_seller_who_owes_is_not_deleted_and_reads_why(
    academy: Academy, admin: Person, debtor: Debtor, stranger: Person
) -> None:
    """Seen: a teacher was deleted, and the money that was owed was not mentioned to the admin."""
    person = debtor.person
    found = obligations(academy, person, person)
    assert set(found) == {"balance", "open_work", "subscriber", "paying_student"}
    assert [kind for kind, each in found.items() if not each["is_blocking"]] == ["paying_student"]
    assert found["open_work"]["item_id"] == debtor.order_id
    assert found["subscriber"]["item_id"] == debtor.plan["id"]
    assert found["paying_student"]["item_id"] == debtor.course.id
    ((balance,),) = academy.sql("select balance_amount from public.balances where user_id = %s", person.id)
    assert (found["balance"]["amount"], found["balance"]["currency"]) == (balance, "EUR")
    assert obligations(academy, admin, person) == found
    assert rows(academy.rpc(person, "account_obligations")) == list(found.values())

    refused(academy.rpc(person, "delete_account"), 409, "account_has_obligations")
    refused(academy.rpc(admin, "delete_user", user_id=person.id), 409, "account_has_obligations")
    for softly in (True, False):
        answer = academy.http.request(
            "DELETE", f"/auth/v1/admin/users/{person.id}", json={"should_soft_delete": softly},
            headers={"apikey": academy.secret_key},
        )  # fmt: skip
        assert answer.status_code >= 400, answer.text
    assert academy.sql("select status::text from public.accounts where user_id = %s", person.id) == [("active",)]
    assert work(academy, debtor.order_id) == ("open", 0)
    assert status_of(academy, "offers", debtor.plan["id"]) == "active"
    for who in (stranger, debtor.buyer):
        refused(academy.rpc(who, "account_obligations", user_id=person.id), 403, "role_required")
        refused(academy.rpc(who, "close_obligations", user_id=person.id, obligations={}), 403, "role_required")
    assert academy.rpc(None, "account_obligations", user_id=person.id).status_code == 401


def test_an_admin_says_how_to_close_what_is_open(academy: Academy, admin: Person, debtor: Debtor) -> None:
    person = debtor.person
    partly = {"open_work": "refund", "subscriber": "end"}
    refused(academy.rpc(admin, "delete_user", user_id=person.id, obligations=partly), 409, "account_has_obligations")
    assert work(academy, debtor.order_id) == ("open", 0), "nothing was done"
    for wrong in ({"balance": "burn"}, {"beer": "keep"}, {"open_work": None}, {"subscriber": "keep"}, ["keep"], "x"):
        refused(academy.rpc(admin, "delete_user", user_id=person.id, obligations=wrong), 422, "obligation_way_unknown")
    answer = academy.rpc(admin, "delete_user", user_id=person.id, obligations={**partly, "balance": "keep"})
    assert answer.status_code == 204, answer.text
    assert work(academy, debtor.order_id) == ("cancelled", 1000)
    assert academy.sql("select status::text from public.accounts where user_id = %s", person.id) == [("deleted",)]

    # Afterwards admins still see what is owed, and that the deletion was so decided.
    left = obligations(academy, admin, person)
    assert left["balance"]["amount"] > 0
    (entry,) = rows(academy.call(admin, "GET", f"/rest/v1/audit_log?target_id=eq.{person.id}&action=eq.account.delete"))
    assert {each["kind"] for each in entry["before"]["obligations"]} == {
        "balance", "open_work", "subscriber", "paying_student",
    }  # fmt: skip
    assert entry["after"] == {"obligations": {**partly, "balance": "keep"}}
    assert person.email not in json.dumps(entry)

    refused(
        academy.rpc(admin, "close_obligations", user_id=person.id, obligations={"balance": "pay_out"}),
        409,
        "payout_account_missing",
    ) if academy.sql("select private.payable_balance(%s, 'EUR')", person.id)[0][0] > 0 else None
    closed = academy.rpc(admin, "close_obligations", user_id=person.id, obligations={"balance": "forfeit"})
    assert closed.status_code == 200, closed.text
    assert "balance" not in {each["kind"] for each in closed.json()}
    assert academy.sql("select balance_amount from public.balances where user_id = %s", person.id) == [(0,)]
    assert imbalance(academy) == []


def test_a_forfeited_balance_leaves_out_refunds_that_are_under_way(
    academy: Academy, admin: Person, seller: Person, buyer: Person
) -> None:
    service = offer(academy, seller, "service")
    order = placed(academy, buyer, offer_id=service["id"])
    tip = placed(academy, buyer, offer_id=offer(academy, seller, "tip", maximum_amount=5000)["id"], amount=2000)
    for each in (order, tip):
        assert deliver(academy, event("checkout.session.completed", session(each))) == "applied"
    ways = {"open_work": "refund", "balance": "forfeit"}
    with acting_as(academy, admin) as connection:
        connection.execute("select public.delete_user(%s, %s)", [seller.id, json.dumps(ways)])
        # Stripe's double does not know the payment.
        row = connection.execute(
            "select id::text, amount from public.refunds where order_id = %s", [order["id"]]
        ).fetchone()
        assert row is not None
        refund_id, amount = row
        connection.execute("delete from procrastinate.procrastinate_jobs where args ->> 'refund_id' = %s", [refund_id])
    assert amount == 1000
    academy.sql("select private.record_refund_result(%s, 'succeeded')", refund_id)
    assert academy.sql("select balance_amount from public.balances where user_id = %s", seller.id) == [(0,)]
    assert {each["kind"] for each in rows(academy.rpc(admin, "account_obligations", user_id=seller.id))} == set()
    assert imbalance(academy) == []


def test_payouts_are_kept_or_cancelled(academy: Academy, admin: Person, seller: Person, buyer: Person) -> None:
    tip = offer(academy, seller, "tip", maximum_amount=5000)
    mark_paid(academy, admin, placed(academy, buyer, offer_id=tip["id"], amount=5000))
    academy.sql("update public.payment_splits set available_at = now() where user_id = %s", seller.id)
    academy.sql("insert into public.payout_accounts (user_id, can_receive) values (%s, true)", seller.id)
    requested = academy.rpc(seller, "request_payout", currency="EUR", amount=2000)
    assert requested.status_code == 200, requested.text
    found = obligations(academy, seller, seller)
    assert found["payout"]["item_id"] == requested.json()["id"]
    total = found["balance"]["amount"] + 2000
    refused(
        academy.rpc(admin, "delete_user", user_id=seller.id, obligations={"balance": "keep"}),
        409,
        "account_has_obligations",
    )
    ways = {"payout": "cancel", "balance": "keep"}
    assert academy.rpc(admin, "delete_user", user_id=seller.id, obligations=ways).status_code == 204
    assert status_of(academy, "payouts", requested.json()["id"]) == "cancelled"
    left = academy.rpc(admin, "close_obligations", user_id=seller.id, obligations={"balance": "pay_out"}).json()
    assert [(each["kind"], each["amount"]) for each in left] == [("payout", total)]
    assert imbalance(academy) == []


def test_a_person_without_obligations_deletes_the_account(
    academy: Academy, admin: Person, seller: Person, buyer: Person
) -> None:
    Stall(academy, seller)
    assert rows(academy.rpc(seller, "account_obligations")) == []
    assert academy.rpc(seller, "delete_account").status_code == 204
    assert on_sale(academy, seller) == set()
    assert rows(academy.rpc(admin, "account_obligations", user_id=seller.id)) == []
    assert buyer.id


# Races


def test_a_ban_while_buying_leaves_nothing_payable(academy: Academy, admin: Person) -> None:
    for _ in range(6):
        seller, buyers = academy.member("teacher"), [academy.member() for _ in range(3)]
        course = academy.course(seller, price_amount=4000)
        tip = offer(academy, seller, "tip", maximum_amount=5000)["id"]

        def act(
            number: int, seller: Person = seller, buyers: list[Person] = buyers, tip: str = tip, course: Course = course
        ) -> int:
            if number == 0:
                stop(academy, admin, seller, "banned")
                return 204
            if number == 1:
                return academy.rpc(buyers[1], "place_order", course_id=course.id).status_code
            return academy.rpc(buyers[number - 2], "place_order", offer_id=tip, amount=1000).status_code

        answers = concurrently(5, act)
        assert set(answers[1:]) <= {200, 404}, answers
        left = academy.sql("select from public.orders where seller_id = %s and status = 'pending'", seller.id)
        assert left == []
        assert on_sale(academy, seller) == set()


def test_a_ban_of_a_buyer_while_they_order_leaves_nothing_payable(
    academy: Academy, admin: Person, stranger: Person
) -> None:
    tip = offer(academy, stranger, "tip", maximum_amount=5000)["id"]
    for _ in range(6):
        person = academy.member()

        def act(number: int, person: Person = person) -> int:
            if number == 0:
                stop(academy, admin, person, "banned")
                return 204
            return academy.rpc(person, "place_order", offer_id=tip, amount=1000 + number).status_code

        answers = concurrently(4, act)
        assert set(answers[1:]) <= {200, 403}, answers
        assert academy.sql("select from public.orders where buyer_id = %s and status = 'pending'", person.id) == []


def test_a_deletion_sees_a_payment_that_is_being_received(
    academy: Academy, admin: Person, seller: Person, buyer: Person
) -> None:
    tip = offer(academy, seller, "tip", maximum_amount=5000)
    order = placed(academy, buyer, offer_id=tip["id"], amount=2000)
    with psycopg.connect(academy.admin_db_url) as connection:
        connection.execute(
            "select private.receive_payment(%s, 'stripe', %s, 2000, 'EUR')", [order["id"], f"pi_{uuid.uuid4().hex}"]
        )

        def act(number: int) -> httpx.Response | None:
            if number == 0:
                return academy.rpc(seller, "delete_account")
            waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and query like '%%delete_account%%'"
            wait_until(lambda: academy.sql(waiting) != [])
            connection.commit()
            return None

        answer, _ = concurrently(2, act)
    assert answer is not None
    refused(answer, 409, "account_has_obligations")
    assert status_of(academy, "orders", order["id"]) == "paid"
    assert status_of(academy, "offers", tip["id"]) == "active"
    assert imbalance(academy) == []
    assert admin.id


def test_payments_and_bans_at_once_do_not_deadlock(academy: Academy, admin: Person) -> None:
    for _ in range(6):
        seller = academy.member("teacher")
        course = academy.course(seller, price_amount=4000)
        orders = [placed(academy, academy.member(), course_id=course.id) for _ in range(3)]
        events = [event("checkout.session.completed", session(order)) for order in orders]

        def act(number: int, seller: Person = seller, events: list[Any] = events) -> str:
            if number == 0:
                stop(academy, admin, seller, "banned")
                return "applied"
            return deliver(academy, events[number - 1])

        assert set(concurrently(4, act)) == {"applied"}
        # Each payment landed: as the order, or as surplus that goes back.
        found = academy.sql(
            "select count(*), count(*) filter (where p.is_surplus = (o.status <> 'paid')) from private.payments as p"
            " join public.orders as o on o.id = p.order_id where o.seller_id = %s",
            seller.id,
        )
        assert found == [(3, 3)]
    assert imbalance(academy) == []


def test_reinstating_twice_at_once_is_reinstating_once(academy: Academy, admin: Person, seller: Person) -> None:
    Stall(academy, seller)
    before = on_sale(academy, seller)
    for _ in range(3):
        stop(academy, admin, seller, "suspended")
        answers = concurrently(
            3, lambda _: academy.rpc(admin, "set_account_status", user_id=seller.id, status="active").status_code
        )
        assert set(answers) == {204}
        assert on_sale(academy, seller) == before


def test_a_seller_who_publishes_while_being_banned_sells_nothing(academy: Academy, admin: Person) -> None:
    for _ in range(6):
        seller = academy.member("teacher")
        course = academy.course(seller, published=False, price_amount=4000)
        drafted = academy.insert(seller, "offers", kind="tip", title="T", price_amount=1000, maximum_amount=5000)

        def act(number: int, seller: Person = seller, course: Course = course, draft: str = drafted["id"]) -> int:
            if number == 0:
                stop(academy, admin, seller, "banned")
                return 204
            if number == 1:
                return academy.rpc(seller, "publish_course", course_id=course.id).status_code
            return academy.rpc(seller, "publish_offer", offer_id=draft).status_code

        answers = concurrently(3, act)
        assert set(answers[1:]) <= {200, 403, 404, 409, 422}, answers
        assert on_sale(academy, seller) == set()


def test_a_deletion_that_an_identity_provider_reports_waits_for_obligations(
    academy: Academy, admin: Person, buyer: Person
) -> None:
    clerk = Clerk(academy)
    assert clerk.tell(clerk.user("created", 1)) == "applied"
    user_id = clerk.linked()["id"]
    assert academy.rpc(admin, "grant_role", user_id=user_id, role="teacher").status_code == 204
    seller = Person(id=user_id, email=clerk.email, token=academy.token(user_id, clerk.email))
    mark_paid(academy, admin, placed(academy, buyer, offer_id=offer(academy, seller, "service")["id"]))
    gone = clerk.deleted(5)
    assert clerk.tell(gone, f"msg_{user_id}") == "failed"
    assert clerk.account() is not None
    failures = f"/rest/v1/webhook_failures?event_id=eq.msg_{user_id}&select=type,error"
    assert rows(academy.call(admin, "GET", failures)) == [
        {"type": "user.deleted", "error": "PT409 account_has_obligations"}
    ]
    closed = academy.rpc(
        admin, "close_obligations", user_id=user_id, obligations={"open_work": "refund", "balance": "forfeit"}
    )
    assert closed.status_code == 200, closed.text
    replayed = academy.rpc(admin, "replay_webhook", provider="clerk", event_id=f"msg_{user_id}")
    assert replayed.json() == "applied", replayed.text
    assert clerk.account() is None
    assert academy.sql("select status::text from public.accounts where user_id = %s", user_id) == [("deleted",)]


def test_work_is_refunded_whose_dispute_was_won_after_its_seller_left(
    academy: Academy, admin: Person, seller: Person, buyer: Person
) -> None:
    order = placed(academy, buyer, offer_id=offer(academy, seller, "service")["id"])
    about = dispute(pay(academy, order), 1000)
    assert deliver(academy, event("charge.dispute.created", about)) == "applied"
    stop(academy, admin, seller, "banned")
    refunds = "select amount from public.refunds where order_id = %s"
    assert academy.sql(refunds, order["id"]) == []
    won = event("charge.dispute.closed", {**about, "status": "won"}, created=this_second() + 1)
    assert deliver(academy, won) == "applied"
    assert academy.sql(refunds, order["id"]) == [(1000,)]
