"""What an admin or a student decided about an enrolment outranks what a payment or a subscription would give."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.commerce.goods import mark_paid
from tests.commerce.stripe_events import deliver, dispute, event, offer, pay, placed, requested_refund, session
from tests.commerce.test_order_contents import renew
from tests.commerce.test_subscriptions import Started, has
from tests.people import Academy, Course, Person, refused, rows


@pytest.fixture(scope="module")
def course(academy: Academy, teacher: Person) -> Course:
    """A course with a price; not to be changed."""
    return academy.course(teacher, price_amount=4000)


@pytest.fixture(scope="module")
def other(academy: Academy, teacher: Person) -> Course:
    """Another one; not to be changed."""
    return academy.course(teacher, price_amount=3000)


@pytest.fixture(scope="module")
def plan(academy: Academy, teacher: Person, course: Course, other: Course) -> dict[str, Any]:
    """A membership with both courses; not to be changed."""
    made = offer(academy, teacher, "membership", billing_interval="month")
    for each in (course, other):
        academy.insert(teacher, "offer_courses", offer_id=made["id"], course_id=each.id)
    return made


@pytest.fixture
def buyer(academy: Academy) -> Person:
    """A new buyer."""
    return academy.member()


def enrolment(academy: Academy, who: Person, course: Course) -> dict[str, Any]:
    (row,) = rows(academy.call(who, "GET", f"/rest/v1/enrolments?student_id=eq.{who.id}&course_id=eq.{course.id}"))
    return row


def cancel(academy: Academy, admin: Person, who: Person, course: Course) -> str:
    """Cancel an enrolment as an admin; returns its id."""
    found: str = enrolment(academy, who, course)["id"]
    assert academy.rpc(admin, "cancel_enrolment", enrolment_id=found, reason="Abuse").status_code == 200
    return found


def subscribe(academy: Academy, buyer: Person, plan: dict[str, Any]) -> Started:
    started = Started(academy, buyer, plan)
    for each in started.events:
        deliver(academy, each)
    return started


def cancel_and_resume(academy: Academy, started: Started) -> None:
    """End a subscription with its period, and take that back."""
    for number, is_ending in enumerate((True, False), 2):
        changed = started.subscription | {"cancel_at_period_end": is_ending}
        sent = event("customer.subscription.updated", changed, created=started.now + number)
        assert deliver(academy, sent) == "applied"


def test_a_cancelled_student_does_not_come_back_by_a_resumed_subscription(
    *, academy: Academy, admin: Person, buyer: Person, plan: dict[str, Any], course: Course, other: Course
) -> None:
    started = subscribe(academy, buyer, plan)
    cancel(academy, admin, buyer, course)
    cancel_and_resume(academy, started)
    renew(academy, started, 1)
    barred = enrolment(academy, buyer, course)
    assert (barred["status"], barred["cancelled_by"], barred["cancellation_reason"]) == ("cancelled", admin.id, "Abuse")
    assert [has(academy, buyer, each) for each in (course, other)] == [False, True]


def test_a_cancelled_student_is_told_before_paying(
    *, academy: Academy, admin: Person, teacher: Person, buyer: Person, plan: dict[str, Any], course: Course,
    other: Course,
) -> None:  # fmt: skip
    bundle = academy.insert(teacher, "offers", kind="bundle", title="Both", price_amount=5000)
    for each in (course, other):
        academy.insert(teacher, "offer_courses", offer_id=bundle["id"], course_id=each.id)
    academy.rpc(teacher, "publish_offer", offer_id=bundle["id"])
    pay(academy, placed(academy, buyer, course_id=course.id))
    enrolment_id = cancel(academy, admin, buyer, course)
    refused(academy.rpc(buyer, "place_order", course_id=course.id), 403, "enrolment_cancelled")
    for sold in (bundle, plan):
        refused(academy.rpc(buyer, "place_order", offer_id=sold["id"]), 403, "enrolment_cancelled")
    assert academy.rpc(buyer, "course_access", course_id=course.id).json()["can_enrol"] is False
    assert placed(academy, buyer, course_id=other.id)["status"] == "pending"
    # A student who only left is not barred.
    leaver = academy.member()
    pay(academy, placed(academy, leaver, course_id=course.id))
    assert academy.rpc(leaver, "leave_course", course_id=course.id).status_code == 200
    assert placed(academy, leaver, offer_id=bundle["id"])["status"] == "pending"

    for who in (buyer, teacher, academy.member("moderator")):
        refused(academy.rpc(who, "lift_enrolment_bar", enrolment_id=enrolment_id), 403, "role_required")
    lifted = academy.rpc(admin, "lift_enrolment_bar", enrolment_id=enrolment_id)
    assert (lifted.status_code, lifted.json()["status"]) == (200, "cancelled"), lifted.text
    # What was paid for is there again, as for a student who left.
    assert academy.rpc(buyer, "enrol", course_id=course.id).status_code == 200
    assert has(academy, buyer, course)
    refused(academy.rpc(admin, "lift_enrolment_bar", enrolment_id=enrolment_id), 409, "enrolment_not_barred")


def test_a_late_payment_of_a_cancelled_student_is_refused_by_a_token(
    academy: Academy, admin: Person, buyer: Person, course: Course
) -> None:
    late = placed(academy, buyer, course_id=course.id)
    academy.rpc(admin, "enrol_student_manually", user_id=buyer.id, course_id=course.id)
    enrolment_id = cancel(academy, admin, buyer, course)
    refused(
        academy.rpc(admin, "mark_order_paid", order_id=late["id"], reference="Transfer"), 403, "enrolment_cancelled"
    )
    assert not has(academy, buyer, course)
    assert academy.rpc(admin, "lift_enrolment_bar", enrolment_id=enrolment_id).status_code == 200
    assert mark_paid(academy, admin, late)["status"] == "paid"
    assert has(academy, buyer, course)


def test_a_refund_and_its_failure_keep_the_decision(
    academy: Academy, admin: Person, buyer: Person, course: Course
) -> None:
    order = placed(academy, buyer, course_id=course.id)
    payment = pay(academy, order)
    cancel(academy, admin, buyer, course)
    requested_refund(academy, admin, order, 1000)
    again = session(order, payment=payment)
    deliver(academy, event("checkout.session.completed", again))
    academy.sql("select private.sync_fulfilment(%s)", order["id"])
    assert (enrolment(academy, buyer, course)["status"], has(academy, buyer, course)) == ("cancelled", False)


def test_a_student_who_left_stays_away_until_they_come_back(
    academy: Academy, buyer: Person, plan: dict[str, Any], course: Course
) -> None:
    started = subscribe(academy, buyer, plan)
    assert academy.rpc(buyer, "leave_course", course_id=course.id).status_code == 200
    cancel_and_resume(academy, started)
    renew(academy, started, 1)
    assert enrolment(academy, buyer, course)["status"] == "cancelled"
    assert academy.rpc(buyer, "enrol", course_id=course.id).status_code == 200
    until = datetime.fromisoformat(enrolment(academy, buyer, course)["access_until"])
    assert until.timestamp() > started.ends_at + 86400
    assert has(academy, buyer, course)


def test_the_end_that_an_admin_set_stays(academy: Academy, admin: Person, buyer: Person, plan: dict[str, Any],
                                         course: Course) -> None:  # fmt: skip
    started = subscribe(academy, buyer, plan)
    found = enrolment(academy, buyer, course)["id"]
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    closed = academy.rpc(admin, "update_enrolment", enrolment_id=found, access_until=past)
    assert closed.json()["access_decided_by"] == admin.id
    cancel_and_resume(academy, started)
    renew(academy, started, 1)
    assert not has(academy, buyer, course)
    refused(academy.rpc(buyer, "place_order", course_id=course.id), 403, "enrolment_cancelled")
    refused(academy.rpc(buyer, "enrol", course_id=course.id), 403, "enrolment_cancelled")
    # Lifted, the course is open as long as it is paid.
    assert academy.rpc(admin, "lift_enrolment_bar", enrolment_id=found).json()["access_decided_by"] is None
    assert has(academy, buyer, course)


def test_access_that_an_admin_gave_outlives_a_refund(
    academy: Academy, admin: Person, buyer: Person, course: Course
) -> None:
    order = mark_paid(academy, admin, placed(academy, buyer, course_id=course.id))
    found = enrolment(academy, buyer, course)["id"]
    later = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    assert academy.rpc(admin, "update_enrolment", enrolment_id=found, access_until=later).status_code == 200
    assert academy.rpc(admin, "refund_order", order_id=order["id"]).status_code == 200
    assert has(academy, buyer, course)
    assert datetime.fromisoformat(enrolment(academy, buyer, course)["access_until"]) == datetime.fromisoformat(later)


def test_an_enrolment_that_is_paid_for_is_cancelled_and_not_deleted(
    academy: Academy, admin: Person, buyer: Person, course: Course
) -> None:
    order = mark_paid(academy, admin, placed(academy, buyer, course_id=course.id))
    found = enrolment(academy, buyer, course)["id"]
    refused(academy.rpc(admin, "delete_enrolment", enrolment_id=found), 409, "enrolment_in_use")
    assert academy.rpc(admin, "refund_order", order_id=order["id"]).status_code == 200
    assert academy.rpc(admin, "delete_enrolment", enrolment_id=found).status_code in {200, 204}


def test_a_student_teacher_who_was_taken_away_is_not_given_again(
    academy: Academy, admin: Person, teacher: Person, buyer: Person
) -> None:
    course = academy.course(teacher, price_amount=4000)
    helper = academy.member()
    academy.sql(
        "insert into public.student_teachers (course_id, user_id, statement, status, decided_at)"
        " values (%s, %s, 'I help.', 'approved', now())", course.id, helper.id,
    )  # fmt: skip
    ((helper_id,),) = academy.sql("select id::text from public.student_teachers where user_id = %s", helper.id)
    order = placed(academy, buyer, course_id=course.id, student_teacher_id=helper_id)
    mark_paid(academy, admin, order)
    found = enrolment(academy, buyer, course)
    assert found["student_teacher_id"] == helper_id
    academy.sql("update public.enrolments set student_teacher_id = null where id = %s", found["id"])
    assert academy.rpc(admin, "refund_order", order_id=order["id"], amount=100).status_code == 200
    academy.sql("select private.sync_fulfilment(%s)", order["id"])
    assert enrolment(academy, buyer, course)["student_teacher_id"] is None


def test_renewals_do_not_extend_the_end_that_an_admin_set(
    academy: Academy, admin: Person, buyer: Person, plan: dict[str, Any], course: Course
) -> None:
    started = subscribe(academy, buyer, plan)
    found = enrolment(academy, buyer, course)["id"]
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    assert academy.rpc(admin, "update_enrolment", enrolment_id=found, access_until=soon).status_code == 200
    renew(academy, started, 1)
    assert has(academy, buyer, course)
    assert datetime.fromisoformat(enrolment(academy, buyer, course)["access_until"]) == datetime.fromisoformat(soon)
    # Three days later.
    academy.sql(
        "update public.enrolments set access_until = now(), access_decided_at = now() - interval '3 days'"
        " where id = %s",
        found,
    )
    renew(academy, started, 2)
    assert not has(academy, buyer, course)
    # That was no bar: to buy the course opens it for good.
    mark_paid(academy, admin, placed(academy, buyer, course_id=course.id))
    assert (enrolment(academy, buyer, course)["access_until"], has(academy, buyer, course)) == (None, True)


def test_work_that_was_delivered_is_delivered_again_after_a_won_dispute(academy: Academy, teacher: Person) -> None:
    buyer = academy.member()
    order = placed(academy, buyer, offer_id=offer(academy, teacher, "service", price_amount=1000)["id"])
    payment = pay(academy, order)
    done = academy.rpc(teacher, "deliver_order", order_id=order["id"], note="Here it is.").json()
    disputed = dispute(payment, 1000)
    deliver(academy, event("charge.dispute.created", disputed))
    refused(academy.rpc(teacher, "deliver_order", order_id=order["id"]), 409, "illegal_transition")
    deliver(academy, event("charge.dispute.closed", disputed | {"status": "won"}))
    (work,) = rows(academy.call(teacher, "GET", f"/rest/v1/fulfilments?order_id=eq.{order['id']}"))
    assert (work["status"], work["delivered_at"]) == ("delivered", done["delivered_at"])


def test_a_revoked_certificate_is_not_issued_again_by_a_purchase(
    academy: Academy, admin: Person, buyer: Person, plan: dict[str, Any], course: Course
) -> None:
    started = subscribe(academy, buyer, plan)
    answers = {"quiz_id": course.quiz_id, "answers": course.correct_answers}
    certificate = academy.rpc(buyer, "submit_quiz", **answers).json()["certificate"]
    revoked = academy.rpc(admin, "revoke_certificate", certificate_id=certificate["id"], reason="Copied")
    assert revoked.status_code == 200, revoked.text
    cancel_and_resume(academy, started)
    for lesson in course.lesson_ids:
        academy.rpc(buyer, "record_progress", lesson_id=lesson, seconds=60, is_completed=True)
    assert academy.rpc(buyer, "submit_quiz", **answers).json()["certificate"]["status"] == "revoked"


def test_a_membership_starts_with_the_courses_that_are_open_to_the_student(
    *, academy: Academy, admin: Person, plan: dict[str, Any], course: Course, other: Course
) -> None:
    member = academy.member()
    started = Started(academy, member, plan)
    academy.rpc(admin, "enrol_student_manually", user_id=member.id, course_id=course.id)
    cancel(academy, admin, member, course)
    for each in started.events:
        deliver(academy, each)
    assert [has(academy, member, each) for each in (course, other)] == [False, True]
