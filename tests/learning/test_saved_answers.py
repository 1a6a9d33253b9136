"""Answers that are saved while an attempt runs, and what the clock does with them."""

import uuid
from typing import Any

import pytest

from tests.learning.test_attempts import age, bank, feedback_on, start, submit
from tests.people import Academy, Course, Person, concurrently, refused, rows


def save(academy: Academy, who: Person, attempt_id: str, answers: dict[str, Any]) -> dict[str, Any]:
    """Save answers, and return the attempt."""
    answer = academy.rpc(who, "save_answers", attempt_id=attempt_id, answers=answers)
    assert answer.status_code == 200, answer.text
    attempt: dict[str, Any] = answer.json()
    return attempt


def read(academy: Academy, who: Person, attempt_id: str) -> dict[str, Any]:
    """The row of an attempt as somebody reads it."""
    (attempt,) = rows(academy.call(who, "GET", f"/rest/v1/quiz_attempts?id=eq.{attempt_id}"))
    return attempt


def hand_in_overdue(academy: Academy) -> None:
    """What the worker does each minute."""
    while academy.sql("select private.lapse('lapse__attempts')") != [(0,)]:
        pass


@pytest.mark.parametrize("settings", [{"time_limit_seconds": 600}, {}], ids=["timed", "untimed"])
def test_a_reload_loses_no_answer(
    academy: Academy, enrolled: Person, stranger: Person, course: Course, settings: dict[str, Any]
) -> None:
    quiz_id, (first, second, third) = bank(academy, course, 3, **settings)
    attempt = start(academy, enrolled, quiz_id)
    assert (attempt["answers"], attempt["saved_at"]) == ({}, None)
    save(academy, enrolled, attempt["id"], {first: True, second: False})
    saved = save(academy, enrolled, attempt["id"], {second: None, third: "no answer of this kind"})
    assert saved["answers"] == {first: True, third: "no answer of this kind"}
    assert (saved["status"], saved["points"]) == ("in_progress", None)
    assert start(academy, enrolled, quiz_id) == read(academy, enrolled, attempt["id"]) == saved

    for other in (stranger, course.teacher):
        refused(
            academy.rpc(other, "save_answers", attempt_id=attempt["id"], answers={first: False}),
            404,
            "attempt_not_found",
        )
    assert academy.rpc(None, "save_answers", attempt_id=attempt["id"], answers={}).status_code == 401
    wrongs: list[Any] = [[], {str(uuid.uuid4()): True}, "x"]
    for wrong in wrongs:
        refused(academy.rpc(enrolled, "save_answers", attempt_id=attempt["id"], answers=wrong), 422, "answers_invalid")
    assert read(academy, enrolled, attempt["id"]) == saved

    # What is submitted is laid over what was saved.
    done = academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={second: True, third: None}).json()
    assert (done["id"], done["status"], done["points"]) == (attempt["id"], "submitted", 2)
    assert read(academy, enrolled, attempt["id"])["answers"] == {first: True, second: True}
    refused(
        academy.rpc(enrolled, "save_answers", attempt_id=attempt["id"], answers={third: True}), 409, "attempt_ended"
    )


def test_saved_answers_are_submitted_without_sending_them_again(
    academy: Academy, enrolled: Person, course: Course
) -> None:
    quiz_id, questions = bank(academy, course, 2)
    attempt = start(academy, enrolled, quiz_id)
    save(academy, enrolled, attempt["id"], dict.fromkeys(questions, True))
    done = academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id)
    assert (done.status_code, done.json()["points"]) == (200, 2), done.text


def test_the_clock_hands_in_what_was_saved(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id, (first, second) = bank(academy, course, 2, time_limit_seconds=60, pass_percent=50, attempt_limit=2)
    attempt = start(academy, enrolled, quiz_id)
    save(academy, enrolled, attempt["id"], {first: True, second: False})
    age(academy, attempt["id"], 5)
    save(academy, enrolled, attempt["id"], {second: None})
    hand_in_overdue(academy)
    assert read(academy, enrolled, attempt["id"])["status"] == "in_progress"

    age(academy, attempt["id"], 11)
    refused(
        academy.rpc(enrolled, "save_answers", attempt_id=attempt["id"], answers={second: True}), 409, "attempt_ended"
    )
    # A reader sees the result before the worker has written it.
    judged = [(row["answer"], row["points"]) for row in feedback_on(academy, enrolled, attempt["id"])]
    assert judged == [(True, 1), (None, 0)]
    hand_in_overdue(academy)
    done = read(academy, enrolled, attempt["id"])
    assert (done["points"], done["max_points"], done["is_passed"]) == (1, 2, True)
    assert done["submitted_at"] == done["expires_at"]
    assert [(row["answer"], row["points"]) for row in feedback_on(academy, enrolled, attempt["id"])] == judged

    # A submission that comes later finds the result, once, and begins nothing.
    key = str(uuid.uuid4())
    late = submit(academy, enrolled, quiz_id, {second: True}, submission_key=key)
    assert (late["id"], late["points"]) == (attempt["id"], 1)
    assert submit(academy, enrolled, quiz_id, {}, submission_key=key) == late
    refused(academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={}), 409, "quiz_not_started")


@pytest.mark.parametrize("late_call", ["worker", "start_quiz", "submit_quiz"])
def test_what_the_clock_hands_in_earns_the_certificate(
    academy: Academy, teacher: Person, student: Person, late_call: str
) -> None:
    course = academy.course(teacher)
    academy.call(teacher, "PATCH", f"/rest/v1/quizzes?id=eq.{course.quiz_id}", {"time_limit_seconds": 60})
    academy.enrol(student, course)
    attempt = start(academy, student, course.quiz_id)
    save(academy, student, attempt["id"], course.correct_answers)
    age(academy, attempt["id"], 11)
    match late_call:
        case "worker":
            hand_in_overdue(academy)
        case "start_quiz":
            assert start(academy, student, course.quiz_id)["attempt_number"] == 2
        case "submit_quiz":
            submit(academy, student, course.quiz_id, {})
    done = read(academy, student, attempt["id"])
    assert (done["status"], done["is_passed"], done["points"]) == ("expired", True, 3)
    certificates = rows(academy.call(student, "GET", f"/rest/v1/certificates?student_id=eq.{student.id}"))
    assert [(row["status"], row["attempt_id"]) for row in certificates] == [("issued", attempt["id"])]


@pytest.mark.parametrize(
    "end",
    [
        "update public.enrolments set status = 'cancelled' where student_id = %s",
        "update public.enrolments set access = 'refunded', access_until = now() where student_id = %s",
        "update public.accounts set status = 'banned' where user_id = %s",
    ],
    ids=["cancelled", "refunded", "banned"],
)
def test_the_clock_gives_no_certificate_to_who_is_gone(
    academy: Academy, teacher: Person, student: Person, end: str
) -> None:
    course = academy.course(teacher)
    academy.call(teacher, "PATCH", f"/rest/v1/quizzes?id=eq.{course.quiz_id}", {"time_limit_seconds": 60})
    academy.enrol(student, course)
    attempt = start(academy, student, course.quiz_id)
    save(academy, student, attempt["id"], course.correct_answers)
    age(academy, attempt["id"], 11)
    academy.sql(end, student.id)
    hand_in_overdue(academy)
    assert read(academy, teacher, attempt["id"])["status"] == "expired"
    assert academy.sql("select count(*) from public.certificates where student_id = %s", student.id) == [(0,)]


def test_no_answer_is_saved_from_outside(academy: Academy, teacher: Person, student: Person) -> None:
    course = academy.course(teacher)
    academy.enrol(student, course)
    attempt = start(academy, student, course.quiz_id)
    assert (
        academy.call(student, "PATCH", f"/rest/v1/quiz_attempts?id=eq.{attempt['id']}", {"answers": {}}).status_code
        == 403
    )
    academy.sql("update public.enrolments set access_until = now() where student_id = %s", student.id)
    refused(academy.rpc(student, "save_answers", attempt_id=attempt["id"], answers={}), 403, "not_enrolled")
    academy.suspend(student)
    refused(academy.rpc(student, "save_answers", attempt_id=attempt["id"], answers={}), 403, "account_inactive")


def test_saving_and_handing_in_at_once(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id, questions = bank(academy, course, 8, time_limit_seconds=600)
    attempt = start(academy, enrolled, quiz_id)

    def act(number: int) -> Any:
        if number == 8:
            return academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={})
        return academy.rpc(enrolled, "save_answers", attempt_id=attempt["id"], answers={questions[number]: True})

    *saved, submitted = concurrently(9, act)
    for answer in saved:
        if answer.status_code != 200:
            refused(answer, 409, "attempt_ended")
    # Every answer that was taken counts, and none that was refused.
    taken = [answer.status_code for answer in saved].count(200)
    assert (submitted.status_code, submitted.json()["points"]) == (200, taken)
    assert len(read(academy, enrolled, attempt["id"])["answers"]) == taken
