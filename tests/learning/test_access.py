"""Who may enrol, who may not, what one comes back to, and how the course says so."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.people import Academy, Course, Person, refused, rows, together


def access(academy: Academy, who: Person, course: Course) -> tuple[bool, str, bool]:
    """What the snapshot says: whether it is open, why, and whether one can enrol."""
    answer = academy.call(who, "GET", f"/rest/v1/rpc/course_access?course_id={course.id}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return found["has_access"], found["reason"], found["can_enrol"]


def intro(academy: Academy, teacher: Person) -> Course:
    """A published intro course."""
    course = academy.course(teacher)
    academy.sql("update public.courses set is_intro = true where id = %s", course.id)
    return course


def enrol(academy: Academy, student: Person, course: Course) -> dict[str, Any]:
    answer = academy.rpc(student, "enrol", course_id=course.id)
    assert answer.status_code == 200, answer.text
    enrolment: dict[str, Any] = answer.json()
    return enrolment


def leave(academy: Academy, student: Person, course: Course) -> None:
    answer = academy.rpc(student, "leave_course", course_id=course.id)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled"), answer.text


def set_status(academy: Academy, course: Course, status: str) -> None:
    """Change a course's status as an operator."""
    academy.sql("update public.courses set status = %s::public.course_status where id = %s", status, course.id)


def set_price(academy: Academy, course: Course, amount: int) -> None:
    """Change a course's price as an operator."""
    academy.sql("update public.courses set price_amount = %s where id = %s", amount, course.id)


def limit(academy: Academy) -> int:
    [(value,)] = academy.sql("select private.free_course_limit()")
    assert isinstance(value, int)
    return value


@pytest.mark.route("WC-090", call="POST /rest/v1/rpc/enrol")
@pytest.mark.route("WC-092", call="GET /rest/v1/rpc/free_courses_consumed")
def test_intro_courses_are_limited(academy: Academy, student: Person, teacher: Person) -> None:
    most = limit(academy)
    tasters = [intro(academy, teacher) for _ in range(most + 1)]
    for taster in tasters[:most]:
        assert enrol(academy, student, taster)["source"] == "intro"
        assert enrol(academy, student, taster)["source"] == "intro"
    last = tasters[-1]
    refused(academy.rpc(student, "enrol", course_id=last.id), 403, "free_limit_reached")
    assert access(academy, student, last) == (False, "free_limit_reached", False)
    # To leave one gives nothing back, and takes nothing away.
    leave(academy, student, tasters[0])
    refused(academy.rpc(student, "enrol", course_id=last.id), 403, "free_limit_reached")
    assert enrol(academy, student, tasters[0])["status"] == "active"
    # Other free courses are not counted.
    assert enrol(academy, student, academy.course(teacher))["source"] == "free"

    def consumed(who: Person | None) -> Any:
        return academy.call(who, "GET", "/rest/v1/rpc/free_courses_consumed")

    assert consumed(student).json() == {"consumed": most, "free_course_limit": most}
    assert consumed(teacher).json() == {"consumed": 0, "free_course_limit": most}
    assert consumed(None).status_code == 401
    assert academy.rpc(None, "enrol", course_id=last.id).status_code == 401


def test_the_limit_holds_when_all_are_taken_at_once(academy: Academy, student: Person, teacher: Person) -> None:
    most = limit(academy)
    tasters = [intro(academy, teacher) for _ in range(most + 3)]
    answers = together(
        2 * len(tasters), lambda n: academy.rpc(student, "enrol", course_id=tasters[n % len(tasters)].id)
    )
    assert {answer.status_code for answer in answers} == {200, 403}, [answer.text for answer in answers]
    assert len({answer.json()["course_id"] for answer in answers if answer.status_code == 200}) == most
    counted = "select count(*) from public.enrolments where student_id = %s and source = 'intro'"
    assert academy.sql(counted, student.id) == [(most,)]


def test_enrolling_twenty_times_at_once_is_one_row_and_one_mail(
    academy: Academy, student: Person, course: Course
) -> None:
    answers = together(20, lambda _: academy.rpc(student, "enrol", course_id=course.id))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1
    leave(academy, student, course)
    enrol(academy, student, course)
    mails = academy.sql("select template from private.mail_outbox where user_id = %s", student.id)
    assert mails == [("enrolment_confirmed",)]
    assert academy.sql("select enrolment_count from public.user_stats where user_id = %s", student.id) == [(1,)]


@pytest.mark.route("WC-096", call="GET /rest/v1/rpc/course_access?course_id={course_id}")
def test_the_snapshot_says_why(academy: Academy, student: Person, teacher: Person, stranger: Person) -> None:
    free, paid = academy.course(teacher), academy.course(teacher, price_amount=4900)
    draft = academy.course(teacher, published=False)
    assert access(academy, teacher, free) == (True, "creator", False)
    assert access(academy, teacher, draft) == (True, "creator", False)
    assert access(academy, student, free) == (False, "not_enrolled", True)
    assert access(academy, student, paid) == (False, "payment_required", False)
    assert access(academy, academy.member("moderator"), paid) == (True, "moderator", False)
    snapshot = academy.call(student, "GET", f"/rest/v1/rpc/course_access?course_id={paid.id}").json()
    assert (snapshot["price_amount"], snapshot["price_currency"], snapshot["enrolment_id"]) == (4900, "EUR", None)

    path = "/rest/v1/rpc/course_access?course_id="
    for course_id in (draft.id, str(uuid.uuid4())):
        refused(academy.call(student, "GET", path + course_id), 404, "course_not_found")
    assert academy.call(None, "GET", path + free.id).status_code == 401
    suspended = academy.member()
    academy.suspend(suspended)
    assert access(academy, suspended, free) == (False, "account_inactive", False)

    enrolment = enrol(academy, student, free)
    assert access(academy, student, free) == (True, "enrolled", False)
    for status in ("archived", "draft"):
        set_status(academy, free, status)
        assert access(academy, student, free) == (True, "enrolled", False)
        refused(academy.call(stranger, "GET", path + free.id), 404, "course_not_found")
        refused(academy.rpc(stranger, "enrol", course_id=free.id), 404, "course_not_found")
        set_status(academy, free, "published")
    academy.sql("update public.enrolments set access_until = now() where id = %s", enrolment["id"])
    assert access(academy, student, free) == (False, "expired", True)
    set_price(academy, free, 100)
    assert access(academy, student, free) == (False, "expired", False)
    academy.sql("update public.enrolments set access_until = null, status = 'completed' where id = %s", enrolment["id"])
    assert access(academy, student, free) == (True, "completed", False)
    set_status(academy, free, "suspended")
    assert access(academy, student, free) == (False, "course_suspended", False)
    assert access(academy, teacher, free) == (True, "creator", False)
    refused(academy.rpc(student, "record_progress", lesson_id=free.lesson_ids[0]), 403, "not_enrolled")


def test_whoever_leaves_comes_back_to_what_he_had(academy: Academy, student: Person, teacher: Person) -> None:
    course = academy.course(teacher)
    first = enrol(academy, student, course)
    until = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    academy.sql("update public.enrolments set source = 'purchase', access_until = %s where id = %s", until, first["id"])
    lesson = course.lesson_ids[0]
    assert academy.rpc(student, "record_progress", lesson_id=lesson, is_completed=True).status_code == 200
    leave(academy, student, course)
    refused(academy.rpc(student, "leave_course", course_id=course.id), 403, "not_enrolled")
    refused(academy.rpc(student, "leave_course", course_id=str(uuid.uuid4())), 403, "not_enrolled")
    set_price(academy, course, 4900)
    assert access(academy, student, course) == (False, "cancelled", True)
    again = enrol(academy, student, course)
    assert (again["id"], again["source"], again["completed_lesson_count"]) == (first["id"], "purchase", 1)
    assert datetime.fromisoformat(again["access_until"]) == datetime.fromisoformat(until)
    assert again["enrolled_at"] == first["enrolled_at"]
    assert (again["cancelled_at"], again["cancelled_by"]) == (None, None)

    # Once the window is over there is nothing to come back to.
    leave(academy, student, course)
    academy.sql("update public.enrolments set access_until = now() where id = %s", first["id"])
    refused(academy.rpc(student, "enrol", course_id=course.id), 402, "payment_required")


def test_what_is_completed_is_not_left(academy: Academy, student: Person, teacher: Person) -> None:
    course = academy.course(teacher)
    enrol(academy, student, course)
    for lesson in course.lesson_ids:
        academy.rpc(student, "record_progress", lesson_id=lesson, is_completed=True)
    academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.right_answers)
    refused(academy.rpc(student, "leave_course", course_id=course.id), 409, "enrolment_completed")
    academy.suspend(student)
    refused(academy.rpc(student, "leave_course", course_id=course.id), 403, "account_inactive")
    assert academy.rpc(None, "leave_course", course_id=course.id).status_code == 401


def test_whom_an_admin_put_out_stays_out(academy: Academy, enrolled: Person, course: Course) -> None:
    admin = academy.member("admin")
    academy.sql(
        "update public.enrolments set status = 'cancelled', cancelled_by = %s, cancellation_reason = 'Rude'"
        " where student_id = %s",
        admin.id,
        enrolled.id,
    )
    refused(academy.rpc(enrolled, "enrol", course_id=course.id), 403, "enrolment_cancelled")
    assert access(academy, enrolled, course) == (False, "cancelled", False)
    refused(academy.rpc(enrolled, "leave_course", course_id=course.id), 403, "not_enrolled")
    (row,) = rows(academy.call(enrolled, "GET", f"/rest/v1/enrolments?student_id=eq.{enrolled.id}"))
    assert row["cancellation_reason"] == "Rude"


def test_leaving_and_coming_back_at_once_ends_in_one_of_both(academy: Academy, student: Person, course: Course) -> None:
    enrol(academy, student, course)
    names = ["leave_course", "enrol"] * 8
    answers = together(len(names), lambda n: academy.rpc(student, names[n], course_id=course.id))
    assert {answer.status_code for answer in answers} <= {200, 403}, [answer.text for answer in answers]
    [(status, taken)] = academy.sql(
        "select e.status::text, s.enrolment_count from public.enrolments as e"
        " join public.user_stats as s on s.user_id = e.student_id where e.student_id = %s",
        student.id,
    )
    assert (status, taken) in {("active", 1), ("cancelled", 0)}
