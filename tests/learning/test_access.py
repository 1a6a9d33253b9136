"""Who may enrol, what a student comes back to, and what course_access says."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows


def access(academy: Academy, who: Person, course: Course) -> tuple[bool, str, bool]:
    """What course_access says: whether the course is open, why, and whether the caller can enrol."""
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
    [(value,)] = academy.sql("select private.intro_course_limit()")
    assert isinstance(value, int)
    return value


@pytest.mark.route("WC-090", call="POST /rest/v1/rpc/enrol")
@pytest.mark.route("WC-092", call="GET /rest/v1/rpc/intro_courses_taken")
def test_intro_courses_are_limited(academy: Academy, student: Person, teacher: Person) -> None:
    most = limit(academy)
    tasters = [intro(academy, teacher) for _ in range(most + 1)]
    for taster in tasters[:most]:
        assert enrol(academy, student, taster)["source"] == "intro"
        assert enrol(academy, student, taster)["source"] == "intro"
    last = tasters[-1]
    refused(academy.rpc(student, "enrol", course_id=last.id), 403, "intro_limit_reached")
    assert access(academy, student, last) == (False, "intro_limit_reached", False)
    # Leaving a course does not change the count.
    leave(academy, student, tasters[0])
    refused(academy.rpc(student, "enrol", course_id=last.id), 403, "intro_limit_reached")
    assert enrol(academy, student, tasters[0])["status"] == "active"
    # Other free courses are not counted.
    assert enrol(academy, student, academy.course(teacher))["source"] == "free"

    def taken(who: Person | None) -> Any:
        return academy.call(who, "GET", "/rest/v1/rpc/intro_courses_taken")

    assert taken(student).json() == {"intro_courses_taken": most, "intro_course_limit": most}
    assert taken(teacher).json() == {"intro_courses_taken": 0, "intro_course_limit": most}
    assert taken(None).status_code == 401
    assert academy.rpc(None, "enrol", course_id=last.id).status_code == 401


def test_the_intro_limit_holds_for_concurrent_enrolments(academy: Academy, student: Person, teacher: Person) -> None:
    most = limit(academy)
    tasters = [intro(academy, teacher) for _ in range(most + 3)]
    answers = concurrently(
        2 * len(tasters), lambda n: academy.rpc(student, "enrol", course_id=tasters[n % len(tasters)].id)
    )
    assert {answer.status_code for answer in answers} == {200, 403}, [answer.text for answer in answers]
    assert len({answer.json()["course_id"] for answer in answers if answer.status_code == 200}) == most
    counted = "select count(*) from public.enrolments where student_id = %s and source = 'intro'"
    assert academy.sql(counted, student.id) == [(most,)]


def test_enrolling_twenty_times_at_once_is_one_row_and_one_mail(
    academy: Academy, student: Person, course: Course
) -> None:
    answers = concurrently(20, lambda _: academy.rpc(student, "enrol", course_id=course.id))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1
    leave(academy, student, course)
    enrol(academy, student, course)
    mails = academy.sql("select template from private.mail_outbox where user_id = %s", student.id)
    assert mails == [("enrolment_confirmed",)]
    assert academy.sql("select enrolment_count from public.user_stats where user_id = %s", student.id) == [(1,)]


@pytest.mark.route("WC-096", call="GET /rest/v1/rpc/course_access?course_id={course_id}")
def test_course_access_says_why(academy: Academy, student: Person, teacher: Person, stranger: Person) -> None:
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


def test_a_student_who_left_comes_back_to_the_same_enrolment(
    academy: Academy, student: Person, teacher: Person
) -> None:
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

    # After access_until there is nothing to come back to.
    leave(academy, student, course)
    academy.sql("update public.enrolments set access_until = now() where id = %s", first["id"])
    refused(academy.rpc(student, "enrol", course_id=course.id), 402, "payment_required")


def test_a_completed_course_cannot_be_left(academy: Academy, student: Person, teacher: Person) -> None:
    course = academy.course(teacher)
    enrol(academy, student, course)
    for lesson in course.lesson_ids:
        academy.rpc(student, "record_progress", lesson_id=lesson, is_completed=True)
    academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    refused(academy.rpc(student, "leave_course", course_id=course.id), 409, "enrolment_completed")
    academy.suspend(student)
    refused(academy.rpc(student, "leave_course", course_id=course.id), 403, "account_inactive")
    assert academy.rpc(None, "leave_course", course_id=course.id).status_code == 401


def test_a_student_whom_an_admin_cancelled_cannot_enrol(academy: Academy, enrolled: Person, course: Course) -> None:
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


def test_concurrent_leaving_and_enrolling_end_in_one_of_both(academy: Academy, student: Person, course: Course) -> None:
    enrol(academy, student, course)
    names = ["leave_course", "enrol"] * 8
    answers = concurrently(len(names), lambda n: academy.rpc(student, names[n], course_id=course.id))
    assert {answer.status_code for answer in answers} <= {200, 403}, [answer.text for answer in answers]
    [(status, taken)] = academy.sql(
        "select e.status::text, s.enrolment_count from public.enrolments as e"
        " join public.user_stats as s on s.user_id = e.student_id where e.student_id = %s",
        student.id,
    )
    assert (status, taken) in {("active", 1), ("cancelled", 0)}


def test_a_suspended_course_keeps_its_title_for_its_students(academy: Academy, teacher: Person) -> None:
    """With the reason, and without what is in it, intro lessons included."""
    course = academy.course(teacher)
    student, lapsed, left, stranger, moderator = (
        academy.member(), academy.member(), academy.member(), academy.member(), academy.member("moderator")
    )  # fmt: skip
    for who in (student, lapsed, left):
        enrol(academy, who, course)
    leave(academy, left, course)
    academy.sql("update public.enrolments set access_until = now() - interval '1 day' where student_id = %s", lapsed.id)
    academy.insert(teacher, "lesson_gates", lesson_id=course.lesson_ids[1], after_days=1)
    title = rows(academy.call(None, "GET", f"/rest/v1/courses?id=eq.{course.id}&select=title"))[0]["title"]
    assert academy.rpc(moderator, "suspend_course", course_id=course.id, reason="Copied").status_code == 200

    shown = {"title": title, "status": "suspended", "status_reason": "Copied"}
    path = f"/rest/v1/enrolments?course_id=eq.{course.id}&select=course:courses(title,status,status_reason)"
    for who in (student, lapsed):
        assert rows(academy.call(who, "GET", f"{path}&student_id=eq.{who.id}")) == [{"course": shown}]
        listed = rows(academy.call(who, "GET", f"/rest/v1/courses?id=eq.{course.id}&select=title,status,status_reason"))
        assert listed == [shown]
        assert access(academy, who, course) == (False, "course_suspended", False)
    assert rows(academy.call(left, "GET", path)) == [{"course": None}]
    for outsider in (left, stranger, None):
        assert rows(academy.call(outsider, "GET", f"/rest/v1/courses?id=eq.{course.id}")) == []
    for table in ("modules", "lessons", "lesson_contents", "quizzes", "quiz_questions", "lesson_gates"):
        filtered = f"/rest/v1/{table}?course_id=eq.{course.id}"
        assert [rows(academy.call(who, "GET", filtered)) for who in (student, lapsed, left, stranger)] == [[]] * 4, (
            table
        )
        assert rows(academy.call(teacher, "GET", filtered)), table
        assert rows(academy.call(moderator, "GET", filtered)), table
    assert academy.rpc(moderator, "unsuspend_course", course_id=course.id).status_code == 200
    assert len(rows(academy.call(student, "GET", f"/rest/v1/lessons?course_id=eq.{course.id}"))) == 2


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_a_course_keeps_its_title_when_the_access_has_ended(academy: Academy, teacher: Person, status: str) -> None:
    course, student = academy.course(teacher), academy.member()
    enrol(academy, student, course)
    academy.sql("update public.enrolments set access_until = now() where student_id = %s", student.id)
    set_status(academy, course, status)
    path = f"/rest/v1/enrolments?student_id=eq.{student.id}&select=course:courses(id)"
    assert rows(academy.call(student, "GET", path)) == [{"course": {"id": course.id}}]
    for table in ("modules", "lessons", "lesson_contents", "quizzes", "quiz_questions"):
        assert rows(academy.call(student, "GET", f"/rest/v1/{table}?course_id=eq.{course.id}")) == [], table
