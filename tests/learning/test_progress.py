"""How far somebody is: counted, by module, where to go on, and what a course that changes does to it."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows


def finish(academy: Academy, student: Person, *lesson_ids: str) -> None:
    for lesson_id in lesson_ids:
        answer = academy.rpc(student, "record_progress", lesson_id=lesson_id, is_completed=True)
        assert answer.status_code == 200, answer.text


def enrolment(academy: Academy, student: Person, course: Course) -> dict[str, Any]:
    path = f"/rest/v1/enrolments?student_id=eq.{student.id}&course_id=eq.{course.id}"
    (row,) = rows(academy.call(student, "GET", path))
    return row


def unquizzed(academy: Academy, teacher: Person) -> Course:
    """A published course that lessons alone complete."""
    course = academy.course(teacher)
    assert academy.call(teacher, "DELETE", f"/rest/v1/quizzes?id=eq.{course.quiz_id}").status_code == 204
    return course


def add_lesson(academy: Academy, course: Course, module_id: str | None = None) -> str:
    lesson = academy.insert(course.teacher, "lessons", module_id=module_id or course.module_id, title="One more")["id"]
    academy.insert(course.teacher, "lesson_contents", lesson_id=lesson, body="More")
    return str(lesson)


@pytest.mark.route("PL-044", call="GET /rest/v1/module_progress?enrolment_id=eq.{enrolment_id}")
def test_progress_by_module(academy: Academy, student: Person, teacher: Person, stranger: Person) -> None:
    course = academy.course(teacher)
    second = academy.insert(teacher, "modules", course_id=course.id, title="Second module")["id"]
    add_lesson(academy, course, second)
    academy.insert(teacher, "modules", course_id=course.id, title="Empty module")
    enrolment_id = academy.enrol(student, course)
    finish(academy, student, *course.lesson_ids)

    path = f"/rest/v1/module_progress?enrolment_id=eq.{enrolment_id}&order=position"
    for who in (student, teacher, academy.member("moderator")):
        found = rows(academy.call(who, "GET", path))
        assert [
            (row["title"], row["lesson_count"], row["completed_lesson_count"], row["is_completed"]) for row in found
        ] == [("First module", 2, 2, True), ("Second module", 1, 0, False), ("Empty module", 0, 0, False)]
    assert found[0]["last_activity_at"] is not None
    assert found[1]["last_activity_at"] is None
    assert rows(academy.call(stranger, "GET", path)) == []
    assert academy.call(None, "GET", path).status_code == 401
    assert academy.call(student, "PATCH", path, {"completed_lesson_count": 1}).status_code == 403


def resume(academy: Academy, who: Person, course: Course) -> list[tuple[str, int, bool]]:
    answer = academy.call(who, "GET", f"/rest/v1/rpc/resume_point?course_id={course.id}")
    return [(row["lesson_id"], row["position_seconds"], row["is_begun"]) for row in rows(answer)]


@pytest.mark.route("PL-044", call="GET /rest/v1/rpc/resume_point?course_id={course_id}")
def test_resuming_a_course(academy: Academy, student: Person, teacher: Person, stranger: Person) -> None:
    course = academy.course(teacher)
    first, second = course.lesson_ids
    third = add_lesson(academy, course)
    academy.insert(teacher, "lesson_gates", lesson_id=third, after_lesson_id=first)
    academy.enrol(student, course)
    assert resume(academy, student, course) == [(first, 0, False)]
    academy.rpc(student, "record_progress", lesson_id=second, position_seconds=40)
    assert resume(academy, student, course) == [(second, 40, True)]
    academy.rpc(student, "record_progress", lesson_id=first, position_seconds=7)
    assert resume(academy, student, course) == [(first, 7, True)]
    finish(academy, student, second)
    assert resume(academy, student, course) == [(first, 7, True)]
    finish(academy, student, first)
    assert resume(academy, student, course) == [(third, 0, False)]
    # What is locked is passed over.
    academy.call(teacher, "PATCH", f"/rest/v1/lesson_gates?lesson_id=eq.{third}", {"after_days": 3})
    assert resume(academy, student, course) == []
    academy.call(teacher, "DELETE", f"/rest/v1/lesson_gates?lesson_id=eq.{third}")
    finish(academy, student, third)
    assert resume(academy, student, course) == []
    assert resume(academy, stranger, course) == []
    assert academy.call(None, "GET", f"/rest/v1/rpc/resume_point?course_id={course.id}").status_code == 401


def test_a_closed_course_has_no_resume_point(academy: Academy, student: Person, teacher: Person) -> None:
    course = academy.course(teacher)
    academy.enrol(student, course)
    academy.sql("update public.enrolments set access_until = now() where student_id = %s", student.id)
    assert resume(academy, student, course) == []


def test_finished_lessons_and_activity_are_counted(academy: Academy, student: Person, teacher: Person) -> None:
    course = academy.course(teacher)
    academy.enrol(student, course)
    academy.sql("update public.enrolments set last_activity_at = '2020-01-01' where student_id = %s", student.id)
    academy.rpc(student, "record_progress", lesson_id=course.lesson_ids[0], position_seconds=5)
    row = enrolment(academy, student, course)
    assert (row["completed_lesson_count"], row["last_activity_at"][:4]) == (0, row["updated_at"][:4])
    for _ in range(2):
        finish(academy, student, course.lesson_ids[0])
    assert enrolment(academy, student, course)["completed_lesson_count"] == 1
    academy.sql("update public.enrolments set last_activity_at = '2020-01-01' where student_id = %s", student.id)
    academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers={})
    assert enrolment(academy, student, course)["last_activity_at"][:4] != "2020"
    assert academy.call(teacher, "DELETE", f"/rest/v1/lessons?id=eq.{course.lesson_ids[0]}").status_code == 204
    assert enrolment(academy, student, course)["completed_lesson_count"] == 0


def test_deleting_a_lesson_completes_students_who_finished_the_rest(academy: Academy, teacher: Person) -> None:
    course = unquizzed(academy, teacher)
    done, behind, gone = (academy.member() for _ in range(3))
    for student in (done, behind, gone):
        academy.enrol(student, course)
    first, second = course.lesson_ids
    finish(academy, done, first)
    finish(academy, gone, first)
    assert academy.rpc(gone, "leave_course", course_id=course.id).status_code == 200
    assert academy.call(teacher, "DELETE", f"/rest/v1/lessons?id=eq.{second}").status_code == 204
    assert enrolment(academy, done, course)["status"] == "completed"
    assert enrolment(academy, behind, course)["status"] == "active"
    assert enrolment(academy, gone, course)["status"] == "cancelled"
    assert academy.rpc(gone, "enrol", course_id=course.id).json()["status"] == "completed"
    # Without lessons nobody has completed anything.
    assert academy.rpc(teacher, "unpublish_course", course_id=course.id).status_code == 200
    assert academy.call(teacher, "DELETE", f"/rest/v1/modules?id=eq.{course.module_id}").status_code == 204
    assert enrolment(academy, behind, course)["status"] == "active"
    assert enrolment(academy, done, course)["completed_lesson_count"] == 0


def test_removing_the_certifying_quiz_completes_students_who_finished_the_lessons(
    academy: Academy, teacher: Person
) -> None:
    for change in ("PATCH", "DELETE"):
        course, student = academy.course(teacher), academy.member()
        academy.enrol(student, course)
        finish(academy, student, *course.lesson_ids)
        assert enrolment(academy, student, course)["status"] == "active"
        body = {"is_certifying": False} if change == "PATCH" else None
        assert academy.call(teacher, change, f"/rest/v1/quizzes?id=eq.{course.quiz_id}", body).status_code == 204
        assert enrolment(academy, student, course)["status"] == "completed"


def test_a_lesson_deleted_while_students_finish_the_rest(academy: Academy, teacher: Person) -> None:
    """In any order: students who finished all remaining lessons have completed the course, and nothing deadlocks."""
    for _ in range(3):
        course = unquizzed(academy, teacher)
        students = [academy.member() for _ in range(8)]
        for student in students:
            academy.enrol(student, course)
        first, second = course.lesson_ids

        def act(
            number: int,
            course: Course = course,
            students: list[Person] = students,
            ids: tuple[str, ...] = (first, second),
        ) -> int:
            if number == len(students):
                return academy.call(course.teacher, "DELETE", f"/rest/v1/lessons?id=eq.{ids[1]}").status_code
            academy.rpc(students[number], "record_progress", lesson_id=ids[1], is_completed=True)
            answer = academy.rpc(students[number], "record_progress", lesson_id=ids[0], is_completed=True)
            return answer.status_code

        answers = concurrently(len(students) + 1, act)
        assert answers == [200] * len(students) + [204]
        for student in students:
            row = enrolment(academy, student, course)
            assert (row["status"], row["completed_lesson_count"]) == ("completed", 1)


RECOUNT = """
select e.id from public.enrolments as e
where e.completed_lesson_count <> (
    select count(*) from public.lesson_progress as p where p.enrolment_id = e.id and p.completed_at is not null
)
"""
STATS = """
select s.user_id, s.enrolment_count, s.completed_course_count, s.student_count, s.certificate_count
from public.user_stats as s where s.user_id = any(%s::uuid[]) order by s.user_id
"""


def test_counts_equal_a_recount_after_concurrent_writes(academy: Academy) -> None:
    teacher = academy.member("teacher")
    courses = [academy.course(teacher) for _ in range(3)]
    students = [academy.member() for _ in range(4)]

    def storm(number: int) -> list[int]:
        student, statuses = students[number % len(students)], []
        for step in range(8):
            course = courses[(number + step) % len(courses)]
            calls: list[tuple[str, dict[str, Any]]] = [
                ("enrol", {"course_id": course.id}),
                ("record_progress", {"lesson_id": course.lesson_ids[step % 2], "is_completed": bool(step % 3)}),
                ("submit_quiz", {"quiz_id": course.quiz_id, "answers": course.correct_answers}),
                ("leave_course" if step % 4 == 3 else "enrol", {"course_id": course.id}),
            ]
            statuses += [academy.rpc(student, name, **about).status_code for name, about in calls]
        return statuses

    with ThreadPoolExecutor(8) as pool:
        seen = {status for statuses in pool.map(storm, range(8)) for status in statuses}
    assert seen <= {200, 403, 409}
    assert academy.sql(RECOUNT) == []
    people = [teacher.id, *(student.id for student in students)]
    before = academy.sql(STATS, people)
    for person in people:
        academy.sql("select private.recount_user_stats(%s)", person)
    assert academy.sql(STATS, people) == before
    assert len(before) == len(people)


def test_nobody_records_progress_in_a_missing_lesson(academy: Academy, enrolled: Person) -> None:
    answer = academy.rpc(enrolled, "record_progress", lesson_id=str(uuid.uuid4()))
    assert (answer.status_code, answer.json()["message"]) == (403, "not_enrolled")


def test_progress_is_taken_back(academy: Academy, student: Person, stranger: Person, teacher: Person) -> None:
    course = academy.course(teacher)
    enrolment_id, (first, second) = academy.enrol(student, course), course.lesson_ids
    academy.insert(teacher, "lesson_gates", lesson_id=second, after_lesson_id=first)

    def record(lesson_id: str, is_completed: bool | None) -> httpx.Response:
        return academy.rpc(student, "record_progress", lesson_id=lesson_id, is_completed=is_completed)

    def module() -> tuple[int, bool]:
        path = f"/rest/v1/module_progress?enrolment_id=eq.{enrolment_id}"
        (found,) = rows(academy.call(student, "GET", path))
        return found["completed_lesson_count"], found["is_completed"]

    for lesson_id in (first, second):
        assert record(lesson_id, True).json()["completed_at"] is not None
    assert module() == (2, True)
    refused(academy.rpc(stranger, "record_progress", lesson_id=first, is_completed=False), 403, "not_enrolled")

    for _ in range(2):  # the second time changes nothing
        assert record(first, False).json()["completed_at"] is None
        assert (enrolment(academy, student, course)["completed_lesson_count"], module()) == (1, (1, False))
    (resumed,) = rows(academy.call(student, "GET", f"/rest/v1/rpc/resume_point?course_id={course.id}"))
    assert resumed["lesson_id"] == first
    # The gate closes again, behind what was finished: that stays open until it is taken back, too.
    assert record(second, True).status_code == 200
    assert record(second, False).json()["completed_at"] is None
    refused(record(second, False), 403, "lesson_locked")
    assert enrolment(academy, student, course)["completed_lesson_count"] == 0
    assert record(first, True).json()["completed_at"] is not None
    assert record(second, None).json()["completed_at"] is None
    assert (academy.sql(RECOUNT), module()) == ([], (1, False))


def test_what_was_completed_stays_when_progress_is_taken_back(
    academy: Academy, student: Person, teacher: Person
) -> None:
    """A completed course and its certificate are earned: taking a lesson back, or repeating it, does not undo them."""
    course = academy.course(teacher)
    academy.enrol(student, course)
    for lesson_id in course.lesson_ids:
        academy.rpc(student, "record_progress", lesson_id=lesson_id, is_completed=True)
    academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)
    before = enrolment(academy, student, course)
    assert before["status"] == "completed"
    stats = academy.sql(STATS, [student.id])
    for is_completed in (False, True):
        academy.rpc(student, "record_progress", lesson_id=course.lesson_ids[0], is_completed=is_completed)
        now = enrolment(academy, student, course)
        assert (now["status"], now["completed_at"]) == ("completed", before["completed_at"])
        assert now["completed_lesson_count"] == 1 + is_completed
    assert academy.sql(STATS, [student.id]) == stats
    issued = f"/rest/v1/certificates?student_id=eq.{student.id}&course_id=eq.{course.id}&select=status"
    assert rows(academy.call(None, "GET", issued)) == [{"status": "issued"}]


def test_a_lesson_is_taken_back_and_finished_at_once(academy: Academy, student: Person, teacher: Person) -> None:
    course = academy.course(teacher)
    academy.enrol(student, course)
    lesson_id = course.lesson_ids[0]
    for _ in range(5):
        answers = concurrently(
            6,
            lambda number: (
                academy.rpc(student, "record_progress", lesson_id=lesson_id, is_completed=bool(number % 2)).status_code
            ),
        )
        assert answers == [200] * 6
        assert academy.sql(RECOUNT) == []
