"""What was refunded or has lapsed says so in a column, and no count or place holds it any more."""

from typing import Any

import pytest

from tests.commerce.goods import mark_paid
from tests.commerce.stripe_events import (
    deliver,
    dispute,
    event,
    offer,
    pay,
    placed,
    refund,
    this_second,
)
from tests.commerce.test_subscriptions import Started
from tests.people import Academy, Course, Person, refused, rows


@pytest.fixture
def creator(academy: Academy) -> Person:
    """A teacher without other courses."""
    return academy.member("teacher", name="Ines")


@pytest.fixture
def course(academy: Academy, creator: Person) -> Course:
    """A course with a price."""
    return academy.course(creator, price_amount=4900)


def bought(academy: Academy, course: Course, **arguments: Any) -> tuple[Person, dict[str, Any], str]:
    """A new student who has paid for the course: the student, the order, the payment."""
    buyer = academy.member()
    order = placed(academy, buyer, course_id=course.id, **arguments)
    return buyer, order, pay(academy, order)


def give_back(academy: Academy, payment: str, amount: int) -> None:
    assert deliver(academy, event("refund.created", refund(payment, amount))) == "applied"


def accesses(academy: Academy, who: Person, table: str, query: str) -> list[str]:
    """The column `access` of rows that a person reads."""
    return [row["access"] for row in rows(academy.call(who, "GET", f"/rest/v1/{table}?select=access&{query}"))]


def lapse(academy: Academy) -> None:
    """End what is over, as the worker does each minute."""
    for (function,) in academy.sql("select private.lapses()"):
        while academy.sql("select private.lapse(%s)", function) != [(0,)]:
            pass


def counts(academy: Academy, course: Course) -> dict[str, int]:
    """Every count of the students of a course, as the public and the creator read them."""
    about = f"/rest/v1/courses?id=eq.{course.id}&select=course_stats(student_count)"
    stats = f"/rest/v1/user_stats?user_id=eq.{course.teacher.id}&select=student_count"
    listed = f"/rest/v1/creators?id=eq.{course.teacher.id}&select=student_count"
    dashboard = academy.rpc(course.teacher, "creator_dashboard").json()
    counted = academy.call(
        course.teacher, "GET", f"/rest/v1/course_students?course_id=eq.{course.id}&access=eq.open&limit=1",
        prefer="count=exact",
    )  # fmt: skip
    return {
        "course": rows(academy.call(None, "GET", about))[0]["course_stats"]["student_count"],
        "creator": rows(academy.call(None, "GET", stats))[0]["student_count"],
        "landing": rows(academy.call(None, "GET", listed))[0]["student_count"],
        "dashboard": dashboard["student_count"],
        "active": dashboard["active_count"],
        "recent": len(dashboard["recent_enrolments"]),
        "list": int(counted.headers["content-range"].split("/")[1]),
    }


def test_a_refunded_course_is_listed_as_refunded_and_counted_nowhere(academy: Academy, course: Course) -> None:
    buyer, order, payment = bought(academy, course)
    bought(academy, course)
    assert set(counts(academy, course).values()) == {2}
    (paid,) = rows(academy.call(buyer, "GET", f"/rest/v1/orders?id=eq.{order['id']}"))
    assert (order["payment_status"], paid["payment_status"]) == ("unpaid", "paid")

    give_back(academy, payment, 900)
    (part,) = rows(academy.call(course.teacher, "GET", "/rest/v1/orders?payment_status=eq.partially_refunded"))
    assert (part["id"], part["status"]) == (order["id"], "paid")
    assert set(counts(academy, course).values()) == {2}
    give_back(academy, payment, 4000)
    assert set(counts(academy, course).values()) == {1}
    dashboard = academy.rpc(course.teacher, "creator_dashboard").json()
    assert (dashboard["refunded_count"], dashboard["ended_count"], dashboard["cancelled_count"]) == (1, 0, 0)
    mine = f"/rest/v1/user_stats?user_id=eq.{buyer.id}&select=enrolment_count"
    assert rows(academy.call(buyer, "GET", mine)) == [{"enrolment_count": 0}]
    for who in (buyer, course.teacher):
        (found,) = rows(academy.call(who, "GET", "/rest/v1/orders?payment_status=eq.refunded"))
        assert found["id"] == order["id"]
        for table in ("enrolments", "course_students"):
            assert accesses(academy, who, table, f"access=eq.refunded&course_id=eq.{course.id}") == ["refunded"]
        assert accesses(academy, who, "entitlements", f"order_id=eq.{order['id']}") == ["refunded"]
    academy.sql("select private.recount_user_stats(%s)", course.teacher.id)
    assert set(counts(academy, course).values()) == {1}
    assert academy.rpc(buyer, "course_access", course_id=course.id).json()["reason"] == "refunded"
    # Bought again, it is open again, and the former order stays refunded.
    mark_paid(academy, academy.member("admin"), placed(academy, buyer, course_id=course.id))
    assert accesses(academy, buyer, "enrolments", f"course_id=eq.{course.id}") == ["open"]
    assert set(counts(academy, course).values()) == {2}
    assert len(rows(academy.call(buyer, "GET", "/rest/v1/orders?payment_status=eq.refunded"))) == 1


def test_a_dispute_ends_access_until_it_is_won(academy: Academy, course: Course) -> None:
    buyer, order, payment = bought(academy, course)
    about = dispute(payment, 4900)
    at = this_second()
    assert deliver(academy, event("charge.dispute.created", about, created=at)) == "applied"
    assert accesses(academy, buyer, "enrolments", f"course_id=eq.{course.id}") == ["refunded"]
    (row,) = rows(academy.call(buyer, "GET", f"/rest/v1/orders?id=eq.{order['id']}&select=payment_status"))
    assert row == {"payment_status": "disputed"}
    assert set(counts(academy, course).values()) == {0}
    won = event("charge.dispute.closed", about | {"status": "won"}, created=at + 1)
    assert deliver(academy, won) == "applied"
    assert accesses(academy, buyer, "enrolments", f"course_id=eq.{course.id}") == ["open"]
    assert accesses(academy, buyer, "entitlements", f"order_id=eq.{order['id']}") == ["open"]
    assert set(counts(academy, course).values()) == {1}


def test_a_membership_that_is_not_renewed_ends_in_time(academy: Academy, creator: Person, course: Course) -> None:
    plan = offer(academy, creator, "membership", billing_interval="month")
    academy.insert(creator, "offer_courses", offer_id=plan["id"], course_id=course.id)
    buyer = academy.member()
    started = Started(academy, buyer, plan)
    for each in started.events:
        deliver(academy, each)
    assert set(counts(academy, course).values()) == {1}
    # A month passes, and the grace in which a renewal arrives.
    academy.sql(
        "update public.entitlements set starts_at = now() - interval '31 days', ends_at = now() + interval '1 second'"
        " where user_id = %s",
        buyer.id,
    )
    academy.sql(
        "update public.enrolments set access_until = now() + interval '1 second' where student_id = %s", buyer.id
    )
    academy.sql("select pg_sleep(1.1)")
    lapse(academy)
    for who in (buyer, creator):
        assert accesses(academy, who, "enrolments", f"course_id=eq.{course.id}") == ["ended"]
    assert accesses(academy, buyer, "entitlements", f"course_id=eq.{course.id}") == ["ended"]
    assert set(counts(academy, course).values()) == {0}
    assert academy.rpc(creator, "creator_dashboard").json()["ended_count"] == 1
    # What has lapsed says so also after its payment is returned.
    payment = academy.sql("select reference from private.payments where order_id = %s", started.order["id"])[0][0]
    academy.sql(
        "select private.record_provider_refund('stripe', %s, %s, null, 1000, null, 'succeeded')",
        f"re_{payment}", started.order["id"],
    )  # fmt: skip
    assert accesses(academy, buyer, "entitlements", f"course_id=eq.{course.id}") == ["refunded"]
    assert accesses(academy, buyer, "enrolments", f"course_id=eq.{course.id}") == ["refunded"]


def test_an_admin_ends_and_reopens(academy: Academy, course: Course, admin: Person) -> None:
    buyer, *_ = bought(academy, course)
    (row,) = rows(academy.call(buyer, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}"))
    for until, access, students in (("2020-01-01T00:00:00Z", "ended", 0), (None, "open", 1)):
        answer = academy.rpc(admin, "update_enrolment", enrolment_id=row["id"], access_until=until)
        assert answer.json()["access"] == access, answer.text
        assert set(counts(academy, course).values()) == {students}
    academy.rpc(admin, "cancel_enrolment", enrolment_id=row["id"], reason="Abuse")
    assert accesses(academy, buyer, "enrolments", f"course_id=eq.{course.id}") == ["ended"]
    assert set(counts(academy, course).values()) == {0}
    body = {"access": "open"}
    for who in (buyer, course.teacher):
        assert academy.call(who, "PATCH", f"/rest/v1/enrolments?id=eq.{row['id']}", body).status_code == 403


def test_a_refund_frees_the_place_of_a_student_teacher(academy: Academy, course: Course) -> None:
    """The place goes to another student; when the money comes back, the student has no place unless one is free."""
    helper = academy.member()
    pay(academy, placed(academy, helper, course_id=course.id))
    academy.sql(
        "insert into public.student_teachers"
        " (course_id, user_id, is_public, status, statement, max_students, decided_at)"
        " values (%s, %s, true, 'approved', 'I can', 1, now())",
        course.id, helper.id,
    )  # fmt: skip
    [(place,)] = academy.sql("select id::text from public.student_teachers where user_id = %s", helper.id)

    def figures() -> tuple[int, bool, int]:
        (row,) = rows(academy.call(None, "GET", f"/rest/v1/student_teachers?id=eq.{place}"))
        dashboard = academy.rpc(helper, "student_teacher_dashboard").json()
        return row["student_count"], row["is_open"], dashboard["student_count"]

    buyer, _, payment = bought(academy, course, student_teacher_id=place)
    assert figures() == (1, False, 1)
    at, about = this_second(), dispute(payment, 4900)
    assert deliver(academy, event("charge.dispute.created", about, created=at)) == "applied"
    assert figures() == (0, True, 0)
    second, *_ = bought(academy, course, student_teacher_id=place)
    assert figures() == (1, False, 1)
    won = event("charge.dispute.closed", about | {"status": "won"}, created=at + 1)
    assert deliver(academy, won) == "applied"
    assert figures() == (1, False, 1)
    held = "select student_teacher_id::text, access::text from public.enrolments where student_id = %s"
    assert academy.sql(held, buyer.id) == [(None, "open")]
    assert academy.sql(held, second.id) == [(place, "open")]
    # Nobody is assigned to a student whose course is closed.
    give_back(academy, payment, 4900)
    [(enrolment,)] = academy.sql("select id::text from public.enrolments where student_id = %s", buyer.id)
    closed = academy.rpc(course.teacher, "assign_student_teacher", enrolment_id=enrolment, student_teacher_id=place)
    refused(closed, 409, "enrolment_not_active")


def test_only_the_worker_lapses(academy: Academy) -> None:
    for role in ("anon", "authenticated", "service_role", "edge"):
        for function in ("lapses()", "lapse(name)", "lapse__enrolments()", "lapse__entitlements()"):
            may = academy.sql("select has_function_privilege(%s, %s, 'execute')", role, f"private.{function}")
            assert may == [(False,)], (role, function)
    assert academy.sql("select private.lapse('purges')") == [(0,)]
