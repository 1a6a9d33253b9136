"""Gates: a lesson opens some days after enrolment, after another lesson, or after a quiz, and no sooner."""

import datetime
import uuid
from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}


def gate(academy: Academy, course: Course, lesson_id: str, **waits: Any) -> dict[str, Any]:
    """Gate a lesson."""
    return academy.insert(course.teacher, "lesson_gates", lesson_id=lesson_id, **waits)


def locks(academy: Academy, who: Person, course: Course) -> list[dict[str, Any]]:
    """The lessons of a course that are locked to somebody."""
    path = f"/rest/v1/lesson_locks?course_id=eq.{course.id}&select=lesson_id,opens_at,after_lesson_id,after_quiz_id"
    return rows(academy.call(who, "GET", path))


def contents(academy: Academy, who: Person | None, lesson_id: str) -> int:
    """How many contents of a lesson somebody reads; fails where one way shows more than another."""
    plain = f"/rest/v1/lesson_contents?lesson_id=eq.{lesson_id}"
    seen = len(rows(academy.call(who, "GET", plain)))
    embedded = f"/rest/v1/lessons?id=eq.{lesson_id}&select=id,lesson_contents(body)"
    (lesson,) = rows(academy.call(who, "GET", embedded))
    assert (lesson["lesson_contents"] is not None) == (seen == 1)
    inner = rows(academy.call(who, "GET", f"{embedded}&lesson_contents.body=like.*secret*&lesson_contents=not.is.null"))
    assert len(inner) == seen
    counted = academy.call(who, "GET", f"{plain}&limit=0", prefer="count=exact")
    assert counted.headers["Content-Range"].endswith(f"/{seen}")
    filtered = rows(academy.call(who, "GET", f"{plain}&body=ilike.*secret*&order=body.desc&select=lesson_id"))
    assert len(filtered) == seen
    return seen


@pytest.fixture
def gated(academy: Academy, teacher: Person) -> Course:
    """A course of three lessons of the test's own: the first is an intro."""
    course = academy.course(teacher)
    lesson_id = academy.insert(teacher, "lessons", module_id=course.module_id, title="Third")["id"]
    academy.insert(teacher, "lesson_contents", lesson_id=lesson_id, body=f"The secret of {lesson_id}")
    return Course(
        id=course.id, slug=course.slug, teacher=teacher, module_id=course.module_id,
        lesson_ids=(*course.lesson_ids, lesson_id), quiz_id=course.quiz_id, correct_answers=course.correct_answers,
    )  # fmt: skip


def test_a_creator_writes_gates(academy: Academy, gated: Course, stranger: Person, student: Person) -> None:
    intro, second, third = gated.lesson_ids
    new: dict[str, Any] = {
        "lesson_id": third,
        "after_days": 3,
        "after_lesson_id": second,
        "after_quiz_id": gated.quiz_id,
    }
    for other in (stranger, student):
        assert academy.call(other, "POST", "/rest/v1/lesson_gates", new).status_code == 403
    assert academy.call(None, "POST", "/rest/v1/lesson_gates", new).status_code == 401
    made = gate(academy, gated, **new)
    assert {name: made[name] for name in new} == new
    assert made["course_id"] == gated.id
    outline = f"/rest/v1/lessons?course_id=eq.{gated.id}&select=id,lesson_gates!lesson_gates_lesson_id_fkey(after_days)"
    for who in (None, student, gated.teacher):
        found = {row["id"]: row["lesson_gates"] for row in rows(academy.call(who, "GET", outline))}
        assert found == {intro: None, second: None, third: {"after_days": 3}}
    path = f"/rest/v1/lesson_gates?lesson_id=eq.{third}"
    assert rows(academy.call(stranger, "PATCH", path, {"after_days": 9}, **SHOWN)) == []
    assert rows(academy.call(stranger, "DELETE", path, **SHOWN)) == []
    upsert = {"prefer": "resolution=merge-duplicates,return=representation"}
    (changed,) = rows(academy.call(gated.teacher, "POST", "/rest/v1/lesson_gates", new | {"after_days": 5}, **upsert))
    assert changed["after_days"] == 5
    assert academy.call(stranger, "POST", "/rest/v1/lesson_gates", new, **upsert).status_code == 403
    assert len(rows(academy.call(gated.teacher, "DELETE", path, **SHOWN))) == 1


def test_a_lesson_opens_after_days(academy: Academy, gated: Course, student: Person, stranger: Person) -> None:
    third = gated.lesson_ids[2]
    gate(academy, gated, third, after_days=2)
    academy.enrol(student, gated)
    enrolled_at, enrolment_id = academy.sql(
        "select enrolled_at, id from public.enrolments where student_id = %s", student.id
    )[0]
    (lock,) = locks(academy, student, gated)
    assert datetime.datetime.fromisoformat(lock["opens_at"]) == enrolled_at + datetime.timedelta(hours=48)
    assert contents(academy, student, third) == 0
    assert contents(academy, gated.teacher, third) == 1
    assert contents(academy, academy.member("moderator"), third) == 1
    assert contents(academy, stranger, third) == 0
    refused(academy.rpc(student, "record_progress", lesson_id=third), 403, "lesson_locked")
    refused(academy.rpc(student, "record_progress", lesson_id=third, is_completed=True), 403, "lesson_locked")
    refused(academy.rpc(stranger, "record_progress", lesson_id=third), 403, "not_enrolled")
    for hours, is_open in ((47.99, False), (48.01, True)):
        academy.sql(
            "update public.enrolments set enrolled_at = now() - make_interval(secs => %s) where id = %s",
            hours * 3600,
            enrolment_id,
        )
        assert contents(academy, student, third) == int(is_open)
        assert len(locks(academy, student, gated)) == int(not is_open)
    assert academy.rpc(student, "record_progress", lesson_id=third, is_completed=True).status_code == 200


def test_a_lesson_opens_after_another(academy: Academy, gated: Course, student: Person) -> None:
    intro, second, third = gated.lesson_ids
    gate(academy, gated, second, after_lesson_id=intro)
    gate(academy, gated, third, after_lesson_id=second)
    academy.enrol(student, gated)
    waiting = {"opens_at": None, "after_quiz_id": None}
    assert sorted(locks(academy, student, gated), key=lambda lock: gated.lesson_ids.index(lock["lesson_id"])) == [
        {"lesson_id": second, "after_lesson_id": intro} | waiting,
        {"lesson_id": third, "after_lesson_id": second} | waiting,
    ]
    assert academy.rpc(student, "record_progress", lesson_id=intro).status_code == 200  # begun is not finished
    assert contents(academy, student, second) == 0
    assert academy.rpc(student, "record_progress", lesson_id=intro, is_completed=True).status_code == 200
    assert (contents(academy, student, second), contents(academy, student, third)) == (1, 0)
    assert academy.rpc(student, "record_progress", lesson_id=second, is_completed=True).status_code == 200
    assert (contents(academy, student, third), locks(academy, student, gated)) == (1, [])


def test_a_lesson_opens_after_a_quiz(academy: Academy, gated: Course, student: Person) -> None:
    third = gated.lesson_ids[2]
    gate(academy, gated, third, after_quiz_id=gated.quiz_id)
    academy.enrol(student, gated)
    assert academy.rpc(student, "start_quiz", quiz_id=gated.quiz_id).status_code == 200
    assert academy.rpc(student, "submit_quiz", quiz_id=gated.quiz_id, answers={}).json()["is_passed"] is False
    assert contents(academy, student, third) == 0
    (lock,) = locks(academy, student, gated)
    assert lock == {"lesson_id": third, "opens_at": None, "after_lesson_id": None, "after_quiz_id": gated.quiz_id}
    answer = academy.rpc(student, "record_progress", lesson_id=third)
    refused(answer, 403, "lesson_locked")
    assert gated.quiz_id in answer.json()["details"]
    passed = academy.rpc(student, "submit_quiz", quiz_id=gated.quiz_id, answers=gated.correct_answers)
    assert passed.json()["is_passed"] is True
    assert contents(academy, student, third) == 1


def test_a_gate_waits_for_everything_it_names(academy: Academy, gated: Course, student: Person) -> None:
    _, second, third = gated.lesson_ids
    gate(academy, gated, third, after_days=1, after_lesson_id=second, after_quiz_id=gated.quiz_id)
    academy.enrol(student, gated)
    academy.rpc(student, "record_progress", lesson_id=second, is_completed=True)
    academy.rpc(student, "submit_quiz", quiz_id=gated.quiz_id, answers=gated.correct_answers)
    (lock,) = locks(academy, student, gated)
    assert (lock["after_lesson_id"], lock["after_quiz_id"]) == (None, None)
    assert contents(academy, student, third) == 0
    academy.sql("update public.enrolments set enrolled_at = now() - interval '1 day' where student_id = %s", student.id)
    assert contents(academy, student, third) == 1


def test_lesson_locks_are_those_of_the_caller(
    academy: Academy, gated: Course, student: Person, stranger: Person
) -> None:
    third = gated.lesson_ids[2]
    gate(academy, gated, third, after_days=1)
    academy.enrol(student, gated)
    assert [lock["lesson_id"] for lock in locks(academy, student, gated)] == [third]
    for other in (stranger, gated.teacher, academy.member("admin")):
        assert locks(academy, other, gated) == []
    assert academy.call(None, "GET", "/rest/v1/lesson_locks").status_code == 401
    embedded = f"/rest/v1/lessons?id=eq.{third}&select=id,lesson_locks(opens_at)"
    assert len(rows(academy.call(student, "GET", embedded))[0]["lesson_locks"]) == 1
    for method in ("POST", "PATCH", "DELETE"):
        body = {"lesson_id": third} if method != "DELETE" else None
        answer = academy.call(student, method, f"/rest/v1/lesson_locks?lesson_id=eq.{third}", body)
        assert answer.status_code in {403, 405}, answer.text
    # A student who left, and somebody who never enrolled, have no locks and no content.
    academy.sql("update public.enrolments set status = 'cancelled' where student_id = %s", student.id)
    assert (locks(academy, student, gated), contents(academy, student, third)) == ([], 0)


def test_gates_close_no_cycle(academy: Academy, gated: Course) -> None:
    teacher = gated.teacher
    _, second, third = gated.lesson_ids
    fourth = academy.insert(teacher, "lessons", module_id=gated.module_id, title="Fourth")["id"]
    new = "/rest/v1/lesson_gates"
    refused(academy.call(teacher, "POST", new, {"lesson_id": second, "after_lesson_id": second}), 409, "gate_cycle")
    gate(academy, gated, third, after_lesson_id=second)
    gate(academy, gated, fourth, after_lesson_id=third)
    refused(academy.call(teacher, "POST", new, {"lesson_id": second, "after_lesson_id": fourth}), 409, "gate_cycle")
    gate(academy, gated, second, after_days=1)
    path = f"{new}?lesson_id=eq.{second}"
    refused(academy.call(teacher, "PATCH", path, {"after_lesson_id": fourth}), 409, "gate_cycle")
    # Nor with two gates in one request.
    assert academy.call(teacher, "DELETE", f"{new}?course_id=eq.{gated.id}").status_code == 204
    both = [{"lesson_id": second, "after_lesson_id": third}, {"lesson_id": third, "after_lesson_id": second}]
    refused(academy.call(teacher, "POST", new, both), 409, "gate_cycle")


def test_concurrent_gates_close_no_cycle(academy: Academy, gated: Course) -> None:
    _, second, third = gated.lesson_ids
    both = [{"lesson_id": second, "after_lesson_id": third}, {"lesson_id": third, "after_lesson_id": second}]

    def write(number: int) -> int:
        # As the system, whose writes do not wait for each other at a bucket.
        return academy.http.post(
            "/rest/v1/lesson_gates",
            json=both[number],
            headers={"apikey": academy.secret_key},
        ).status_code

    for _ in range(5):
        assert sorted(concurrently(2, write)) == [201, 409]
        academy.sql("delete from public.lesson_gates where course_id = %s", gated.id)


def test_a_gate_stays_in_its_course(academy: Academy, gated: Course, teacher: Person, stranger: Person) -> None:
    other, foreign = academy.course(teacher), academy.course(stranger, published=False)
    third = gated.lesson_ids[2]
    for elsewhere in (other, foreign):
        for waits in ({"after_lesson_id": elsewhere.lesson_ids[1]}, {"after_quiz_id": elsewhere.quiz_id}):
            answer = academy.call(teacher, "POST", "/rest/v1/lesson_gates", {"lesson_id": third} | waits)
            assert (answer.status_code, answer.json()["code"]) == (409, "23503"), answer.text
    missing = academy.call(
        teacher, "POST", "/rest/v1/lesson_gates", {"lesson_id": third, "after_quiz_id": str(uuid.uuid4())}
    )
    assert missing.json()["message"] == answer.json()["message"]
    gate(academy, gated, third, after_days=1)
    path = f"/rest/v1/lesson_gates?lesson_id=eq.{third}"
    assert academy.call(teacher, "PATCH", path, {"lesson_id": foreign.lesson_ids[1]}).status_code == 403
    assert academy.call(teacher, "PATCH", path, {"course_id": other.id}).status_code == 403


def test_an_intro_has_no_gate(academy: Academy, gated: Course) -> None:
    teacher = gated.teacher
    intro, second, _ = gated.lesson_ids
    answer = academy.call(teacher, "POST", "/rest/v1/lesson_gates", {"lesson_id": intro, "after_days": 1})
    refused(answer, 409, "intro_has_no_gate")
    gate(academy, gated, second, after_days=1)
    path = f"/rest/v1/lessons?id=eq.{second}"
    refused(academy.call(teacher, "PATCH", path, {"is_intro": True}), 409, "intro_has_no_gate")
    assert academy.call(teacher, "PATCH", path, {"title": "Still second", "is_intro": False}).status_code == 204


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_days_of_a_gate_out_of_bounds(academy: Academy, gated: Course, days: int) -> None:
    new = {"lesson_id": gated.lesson_ids[2], "after_days": days}
    answer = academy.call(gated.teacher, "POST", "/rest/v1/lesson_gates", new)
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text


def test_nobody_waits_for_a_deleted_lesson_or_quiz(academy: Academy, gated: Course, student: Person) -> None:
    _, second, third = gated.lesson_ids
    quiz = {"course_id": gated.id, "title": "Practice", "is_certifying": False}
    quiz_id = academy.insert(gated.teacher, "quizzes", **quiz)["id"]
    gate(academy, gated, third, after_lesson_id=second, after_quiz_id=quiz_id)
    academy.enrol(student, gated)
    assert academy.call(gated.teacher, "DELETE", f"/rest/v1/lessons?id=eq.{second}").status_code == 204
    (lock,) = locks(academy, student, gated)
    assert (lock["after_lesson_id"], lock["after_quiz_id"]) == (None, quiz_id)
    assert academy.call(gated.teacher, "DELETE", f"/rest/v1/quizzes?id=eq.{quiz_id}").status_code == 204
    assert (locks(academy, student, gated), contents(academy, student, third)) == ([], 1)


def test_what_a_student_finished_stays_open(academy: Academy, gated: Course, student: Person) -> None:
    third = gated.lesson_ids[2]
    academy.enrol(student, gated)
    assert academy.rpc(student, "record_progress", lesson_id=third, is_completed=True).status_code == 200
    gate(academy, gated, third, after_days=30)
    assert (locks(academy, student, gated), contents(academy, student, third)) == ([], 1)


def test_completion_waits_for_locked_lessons(academy: Academy, gated: Course, student: Person) -> None:
    intro, second, third = gated.lesson_ids
    gate(academy, gated, third, after_days=1)
    academy.enrol(student, gated)
    for lesson_id in (intro, second):
        academy.rpc(student, "record_progress", lesson_id=lesson_id, is_completed=True)
    academy.rpc(student, "submit_quiz", quiz_id=gated.quiz_id, answers=gated.correct_answers)
    read = f"/rest/v1/enrolments?course_id=eq.{gated.id}&select=status"
    assert rows(academy.call(student, "GET", read)) == [{"status": "active"}]
    academy.sql("update public.enrolments set enrolled_at = now() - interval '1 day' where student_id = %s", student.id)
    academy.rpc(student, "record_progress", lesson_id=third, is_completed=True)
    assert rows(academy.call(student, "GET", read)) == [{"status": "completed"}]


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_a_lesson_stays_locked_when_its_course_is_unpublished(
    academy: Academy, gated: Course, student: Person, status: str
) -> None:
    _, second, third = gated.lesson_ids
    gate(academy, gated, third, after_days=1)
    academy.enrol(student, gated)
    academy.sql("update public.courses set status = %s where id = %s", status, gated.id)
    assert (contents(academy, student, second), contents(academy, student, third)) == (1, 0)
    assert [lock["lesson_id"] for lock in locks(academy, student, gated)] == [third]
    refused(academy.rpc(student, "record_progress", lesson_id=third), 403, "lesson_locked")
