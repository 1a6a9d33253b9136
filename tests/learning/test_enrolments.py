"""Enrolling, progress, and completion, which the database derives."""

import uuid
from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}


def status(academy: Academy, student: Person, course: Course) -> str:
    """The status of a student's enrolment."""
    answer = academy.call(student, "GET", f"/rest/v1/enrolments?course_id=eq.{course.id}&student_id=eq.{student.id}")
    found: str = rows(answer)[0]["status"]
    return found


def finish_lessons(academy: Academy, student: Person, course: Course) -> None:
    """Finish every lesson."""
    for lesson in course.lesson_ids:
        assert academy.rpc(student, "record_progress", lesson_id=lesson, is_completed=True).status_code == 200


def pass_quiz(academy: Academy, student: Person, course: Course) -> dict[str, Any]:
    """Answer everything correctly."""
    answer = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    assert (answer.status_code, answer.json()["is_passed"]) == (200, True), answer.text
    attempt: dict[str, Any] = answer.json()
    return attempt


@pytest.mark.route("WC-090", "CM-021", call="POST /rest/v1/rpc/enrol")
@pytest.mark.route("WC-089", call="GET /rest/v1/enrolments?course_id=eq.{course_id}&student_id=eq.{user_id}")
def test_a_student_enrols_in_a_free_course_once(
    academy: Academy, student: Person, stranger: Person, course: Course
) -> None:
    assert academy.rpc(None, "enrol", course_id=course.id).status_code == 401
    first = academy.rpc(student, "enrol", course_id=course.id)
    assert first.status_code == 200, first.text
    enrolment = first.json()
    assert (enrolment["student_id"], enrolment["source"], enrolment["status"]) == (student.id, "free", "active")
    assert academy.rpc(student, "enrol", course_id=course.id).json() == enrolment

    path = f"/rest/v1/enrolments?course_id=eq.{course.id}&student_id=eq.{student.id}"
    for who in (student, course.teacher):
        assert rows(academy.call(who, "GET", path)) == [enrolment]
    assert rows(academy.call(stranger, "GET", path)) == []
    assert academy.call(None, "GET", path).status_code == 401


def test_concurrent_enrolments_are_one(academy: Academy, student: Person, course: Course) -> None:
    answers = concurrently(8, lambda _: academy.rpc(student, "enrol", course_id=course.id))
    assert [answer.status_code for answer in answers] == [200] * 8, [answer.text for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_a_paid_course_requires_payment(academy: Academy, student: Person, teacher: Person) -> None:
    paid = academy.course(teacher, price_amount=4900)
    refused(academy.rpc(student, "enrol", course_id=paid.id), 402, "payment_required")
    refused(academy.rpc(student, "record_progress", lesson_id=paid.lesson_ids[0]), 403, "not_enrolled")
    refused(
        academy.rpc(student, "submit_quiz", quiz_id=paid.quiz_id, answers=paid.correct_answers), 403, "not_enrolled"
    )
    assert len(rows(academy.call(student, "GET", f"/rest/v1/lesson_contents?course_id=eq.{paid.id}"))) == 1  # the intro


def test_courses_that_nobody_can_enrol_in(academy: Academy, student: Person, teacher: Person, course: Course) -> None:
    refused(academy.rpc(teacher, "enrol", course_id=course.id), 409, "own_course")
    draft = academy.course(teacher, published=False)
    for course_id in (draft.id, str(uuid.uuid4())):
        refused(academy.rpc(student, "enrol", course_id=course_id), 404, "course_not_found")
    nonsense = academy.rpc(student, "enrol", course_id="nonsense")
    assert (nonsense.status_code, nonsense.json()["code"]) == (400, "22P02"), nonsense.text


def test_a_cancelled_enrolment_closes_the_course_until_the_student_enrols_again(
    academy: Academy, enrolled: Person, course: Course
) -> None:
    contents = f"/rest/v1/lesson_contents?course_id=eq.{course.id}"
    academy.sql("update public.enrolments set status = 'cancelled' where student_id = %s", enrolled.id)
    assert len(rows(academy.call(enrolled, "GET", contents))) == 1
    refused(academy.rpc(enrolled, "record_progress", lesson_id=course.lesson_ids[0]), 403, "not_enrolled")
    refused(academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers={}), 403, "not_enrolled")
    assert academy.rpc(enrolled, "enrol", course_id=course.id).json()["status"] == "active"
    assert len(rows(academy.call(enrolled, "GET", contents))) == 2


def test_access_ends_at_access_until(academy: Academy, enrolled: Person, course: Course) -> None:
    academy.sql("update public.enrolments set access_until = now() where student_id = %s", enrolled.id)
    assert len(rows(academy.call(enrolled, "GET", f"/rest/v1/lesson_contents?course_id=eq.{course.id}"))) == 1
    refused(academy.rpc(enrolled, "record_progress", lesson_id=course.lesson_ids[0]), 403, "not_enrolled")
    # The course is free, so the student can enrol again, without an end.
    again = academy.rpc(enrolled, "enrol", course_id=course.id).json()
    assert (again["status"], again["access_until"]) == ("active", None)
    assert academy.rpc(enrolled, "record_progress", lesson_id=course.lesson_ids[0]).status_code == 200


@pytest.mark.route("PL-043", call="GET /rest/v1/enrolments?student_id=eq.{user_id}")
@pytest.mark.route("WC-088", call="GET /rest/v1/courses?enrolments.student_id=eq.{user_id}")
def test_a_student_lists_their_courses(academy: Academy, enrolled: Person, stranger: Person, course: Course) -> None:
    own = (
        f"/rest/v1/enrolments?student_id=eq.{enrolled.id}"
        "&select=status,access,course:courses(title,slug,creator:profiles(display_name)),"
        "student_teacher:student_teachers!enrolments_student_teacher_id_fkey(profiles(display_name))"
    )
    (enrolment,) = rows(academy.call(enrolled, "GET", own))
    assert enrolment["course"]["slug"] == course.slug
    assert enrolment["course"]["creator"] == {"display_name": "Ines"}
    assert (enrolment["status"], enrolment["access"], enrolment["student_teacher"]) == ("active", "open", None)
    assert rows(academy.call(stranger, "GET", own)) == []

    courses = f"/rest/v1/courses?select=id,enrolments!inner(status)&enrolments.student_id=eq.{enrolled.id}"
    assert rows(academy.call(enrolled, "GET", courses)) == [{"id": course.id, "enrolments": [{"status": "active"}]}]
    assert rows(academy.call(stranger, "GET", courses)) == []


@pytest.mark.route("PL-045", call="POST /rest/v1/rpc/record_progress")
@pytest.mark.route("PL-044", call="GET /rest/v1/lesson_progress?enrolment_id=eq.{enrolment_id}")
def test_a_student_records_progress(academy: Academy, student: Person, stranger: Person, course: Course) -> None:
    enrolment_id = academy.enrol(student, course)
    lesson = course.lesson_ids[0]

    def record(**more: Any) -> dict[str, Any]:
        answer = academy.rpc(student, "record_progress", lesson_id=lesson, **more)
        assert answer.status_code == 200, answer.text
        progress: dict[str, Any] = answer.json()
        return progress

    refused(academy.rpc(stranger, "record_progress", lesson_id=lesson), 403, "not_enrolled")
    refused(academy.rpc(student, "record_progress", lesson_id=str(uuid.uuid4())), 403, "not_enrolled")
    assert (record(position_seconds=40)["position_seconds"], record()["completed_at"]) == (40, None)
    done = record(is_completed=True)
    assert (done["position_seconds"], done["completed_at"] is None) == (40, False)
    # A position alone leaves a finished lesson finished.
    assert record(position_seconds=10)["completed_at"] == done["completed_at"]

    path = f"/rest/v1/lesson_progress?enrolment_id=eq.{enrolment_id}&select=position_seconds,lesson:lessons(title)"
    for who in (student, course.teacher):
        assert rows(academy.call(who, "GET", path)) == [{"position_seconds": 10, "lesson": {"title": "Lesson 1"}}]
    assert rows(academy.call(stranger, "GET", path)) == []


@pytest.mark.parametrize("seconds", [-1, 360_001])
def test_a_position_out_of_bounds_names_the_constraint(
    academy: Academy, enrolled: Person, course: Course, seconds: int
) -> None:
    answer = academy.rpc(enrolled, "record_progress", lesson_id=course.lesson_ids[0], position_seconds=seconds)
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert "lesson_progress_position_seconds_check" in answer.json()["message"]


@pytest.mark.parametrize("quiz_first", [False, True])
def test_completion_requires_every_lesson_and_the_quiz(
    academy: Academy, enrolled: Person, course: Course, quiz_first: bool
) -> None:
    if quiz_first:
        pass_quiz(academy, enrolled, course)
    first, second = course.lesson_ids
    for lesson in (first, first):
        assert academy.rpc(enrolled, "record_progress", lesson_id=lesson, is_completed=True).status_code == 200
    assert academy.rpc(enrolled, "record_progress", lesson_id=second, position_seconds=90).status_code == 200
    assert status(academy, enrolled, course) == "active"
    assert academy.rpc(enrolled, "record_progress", lesson_id=second, is_completed=True).status_code == 200
    if not quiz_first:
        assert status(academy, enrolled, course) == "active"
        failed = academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers={})
        assert not failed.json()["is_passed"]
        assert status(academy, enrolled, course) == "active"
        pass_quiz(academy, enrolled, course)
    assert status(academy, enrolled, course) == "completed"


def test_a_completed_enrolment_stays_completed_when_the_course_grows(
    academy: Academy, student: Person, teacher: Person
) -> None:
    grows = academy.course(teacher)
    academy.enrol(student, grows)
    finish_lessons(academy, student, grows)
    pass_quiz(academy, student, grows)
    academy.insert(teacher, "lessons", module_id=grows.module_id, title="One more")
    assert academy.rpc(student, "record_progress", lesson_id=grows.lesson_ids[0]).status_code == 200
    assert status(academy, student, grows) == "completed"


def test_without_a_certifying_quiz_lessons_complete_a_course(
    academy: Academy, student: Person, teacher: Person
) -> None:
    plain = academy.course(teacher, published=False)
    practice = {"is_certifying": False}
    assert academy.call(teacher, "PATCH", f"/rest/v1/quizzes?id=eq.{plain.quiz_id}", practice).status_code == 204
    assert academy.rpc(teacher, "publish_course", course_id=plain.id).status_code == 200
    academy.enrol(student, plain)
    assert pass_quiz(academy, student, plain)["certificate"] is None
    finish_lessons(academy, student, plain)
    assert status(academy, student, plain) == "completed"
    assert rows(academy.call(student, "GET", f"/rest/v1/certificates?student_id=eq.{student.id}")) == []


@pytest.mark.parametrize("table", ["enrolments", "lesson_progress", "quiz_attempts", "certificates"])
def test_nobody_writes_conclusions(
    academy: Academy, enrolled: Person, teacher: Person, course: Course, table: str
) -> None:
    mine = f"/rest/v1/{table}?student_id=eq.{enrolled.id}"
    for who in (enrolled, teacher, academy.member("admin")):
        row = {"student_id": who.id, "course_id": course.id}
        answers = (
            academy.call(who, "POST", f"/rest/v1/{table}", row),
            academy.call(who, "POST", f"/rest/v1/{table}", row, prefer="resolution=merge-duplicates"),
            academy.call(who, "PATCH", mine, {"course_id": course.id}),
            academy.call(who, "DELETE", mine),
        )
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "42501")] * 4
    claimed = academy.call(
        enrolled, "PATCH", f"/rest/v1/enrolments?student_id=eq.{enrolled.id}", {"status": "completed"}
    )
    assert claimed.status_code == 403
    assert status(academy, enrolled, course) == "active"
