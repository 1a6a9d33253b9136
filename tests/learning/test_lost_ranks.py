"""Ranks that were lost: having been a teacher or student-teacher once is not enough."""

import pytest

from tests.people import Academy, Course, Person, refused, rows

RECORDS = (
    "enrolments?course_id=eq.{0}",
    "course_students?course_id=eq.{0}",
    "lesson_progress?course_id=eq.{0}",
    "quiz_attempts?course_id=eq.{0}",
    "certificates?course_id=eq.{0}",
    "enrolment_notes?course_id=eq.{0}",
)
"""What the creator of a course reads of its students."""


@pytest.fixture
def taught(academy: Academy) -> Course:
    """A course with a student who has a record of each kind."""
    course = academy.course(academy.member("teacher"))
    student = academy.member()
    enrolment = academy.enrol(student, course)
    assert academy.rpc(student, "record_progress", lesson_id=course.lesson_ids[0]).status_code == 200
    answered = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    assert answered.status_code == 200, answered.text
    academy.insert(course.teacher, "enrolment_notes", enrolment_id=enrolment, body="Diligent.")
    return course


def seen(academy: Academy, who: Person, course: Course) -> list[int]:
    """How many records of each kind a person reads."""
    return [len(rows(academy.call(who, "GET", "/rest/v1/" + path.format(course.id)))) for path in RECORDS]


def test_a_former_teacher_reads_no_students(academy: Academy, taught: Course) -> None:
    admin, teacher = academy.member("admin"), taught.teacher
    before = seen(academy, teacher, taught)
    assert min(before[:4]) > 0
    assert before[5] > 0
    assert academy.rpc(admin, "revoke_role", user_id=teacher.id, role="teacher").status_code == 204
    assert seen(academy, teacher, taught) == seen(academy, academy.member(), taught)
    lessons = rows(academy.call(teacher, "GET", f"/rest/v1/lesson_contents?course_id=eq.{taught.id}"))
    assert [each["lesson_id"] for each in lessons] == [taught.lesson_ids[0]], "the intro, as everybody"
    refused(academy.rpc(teacher, "search_students", q="Test"), 403, "role_required")
    assert academy.rpc(admin, "grant_role", user_id=teacher.id, role="teacher").status_code == 204
    assert seen(academy, teacher, taught) == before


def test_a_suspended_teacher_reads_and_does_not_write(academy: Academy, taught: Course) -> None:
    """As the status promises: a suspended user signs in and reads."""
    before = seen(academy, taught.teacher, taught)
    academy.suspend(taught.teacher)
    assert seen(academy, taught.teacher, taught) == before
    path = f"/rest/v1/enrolment_notes?course_id=eq.{taught.id}"
    shown = academy.call(taught.teacher, "PATCH", path, {"body": "Changed"}, prefer="return=representation")
    assert rows(shown) == []


def test_a_student_teacher_loses_the_students_with_the_rank(academy: Academy, taught: Course) -> None:
    admin, person, student = academy.member("admin"), academy.member(), academy.member()
    ((row_id,),) = academy.sql(
        "insert into public.student_teachers (course_id, user_id, statement, status, decided_at)"
        " values (%s, %s, 'I help.', 'approved', now()) returning id::text",
        taught.id,
        person.id,
    )
    enrolment = academy.enrol(student, taught)
    assert academy.rpc(student, "choose_student_teacher", student_teacher_id=row_id).status_code == 200
    path = f"/rest/v1/enrolments?id=eq.{enrolment}"
    assert len(rows(academy.call(person, "GET", path))) == 1
    assert academy.rpc(admin, "set_account_status", user_id=person.id, status="banned").status_code == 204
    assert rows(academy.call(person, "GET", path)) == []
    refused(
        academy.rpc(student, "choose_student_teacher", student_teacher_id=row_id), 409, "student_teacher_unavailable"
    )
