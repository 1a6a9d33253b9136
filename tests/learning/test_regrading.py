"""Regrading: a mended key judges old attempts again, and what was earned or decided stays."""

import uuid
from typing import Any

import pytest

from tests.learning.test_attempts import feedback_on, start, submit
from tests.people import Academy, Course, Person, concurrently, refused, rows
from tests.waiting import wait_until


def answered(
    academy: Academy, course: Course, *right: bool, name: str = "Test Person"
) -> tuple[Person, dict[str, Any]]:
    """A student of the course who answered its two questions so, and the attempt."""
    student = academy.member(name=name)
    academy.enrol(student, course)
    answers = {
        question: answer if is_right else ("a" if isinstance(answer, str) else ["b"])
        for (question, answer), is_right in zip(course.correct_answers.items(), right, strict=True)
    }
    return student, submit(academy, student, course.quiz_id, answers)


def mend(academy: Academy, course: Course, question_id: str, answer: Any, **more: Any) -> None:
    """Change the key of the first question, whose options stay."""
    (row,) = rows(academy.call(course.teacher, "GET", f"/rest/v1/quiz_questions?id=eq.{question_id}"))
    kept = {name: row[name] for name in ("kind", "prompt", "options", "points")}
    saved = academy.rpc(
        course.teacher,
        "save_quiz_question",
        quiz_id=course.quiz_id,
        question_id=question_id,
        **{**kept, "answer": answer, **more},
    )
    assert saved.status_code == 200, saved.text


def regrade(academy: Academy, who: Person, course: Course, question_id: str, **more: Any) -> dict[str, Any]:
    """Regrade a question, and wait until the worker has done it."""
    asked = academy.rpc(
        who, "regrade_question", quiz_id=course.quiz_id, question_id=question_id, reason="Wrong key", **more
    )
    assert asked.status_code == 200, asked.text
    path = f"/rest/v1/quiz_regrades?id=eq.{asked.json()['id']}"

    def done() -> bool:
        return bool(rows(academy.call(course.teacher, "GET", path))[0]["finished_at"])

    wait_until(done)
    (row,) = rows(academy.call(course.teacher, "GET", path))
    return row


def read(academy: Academy, who: Person, attempt: dict[str, Any]) -> dict[str, Any]:
    """The attempt as it is now."""
    (row,) = rows(academy.call(who, "GET", f"/rest/v1/quiz_attempts?id=eq.{attempt['id']}"))
    return row


def test_a_mended_key_is_applied_with_a_record(academy: Academy, teacher: Person, stranger: Person) -> None:
    course = academy.course(teacher)
    first, second = course.correct_answers  # 1 and 2 points; 60 % pass
    gains, gaining = answered(academy, course, False, False)
    loses, losing = answered(academy, course, True, True)
    mend(academy, course, first, "a", points=4)
    # Nothing changes by itself.
    assert [read(academy, who, done)["points"] for who, done in ((gains, gaining), (loses, losing))] == [0, 3]
    for who in (gains, stranger, academy.member("teacher")):
        refused(
            academy.rpc(who, "regrade_question", quiz_id=course.quiz_id, question_id=first, reason="Mine"),
            404,
            "course_not_found",
        )
    refused(
        academy.rpc(teacher, "regrade_question", quiz_id=course.quiz_id, question_id=first, reason=" "),
        422,
        "reason_missing",
    )

    done = regrade(academy, teacher, course, first)
    assert (done["requested_by"], done["reason"], done["question_id"]) == (teacher.id, "Wrong key", first)
    assert (done["attempt_count"], done["changed_count"], done["newly_passed_count"]) == (2, 2, 1)
    # The student who passes now earns the certificate.
    after = read(academy, gains, gaining)
    assert (after["points"], after["max_points"], after["is_passed"], after["status"]) == (4, 6, True, "submitted")
    held = rows(academy.call(gains, "GET", f"/rest/v1/certificates?student_id=eq.{gains.id}"))
    assert [(row["status"], row["attempt_id"]) for row in held] == [("issued", gaining["id"])]
    # The pass and the certificate of the other stay.
    after = read(academy, loses, losing)
    assert (after["points"], after["max_points"], after["score_percent"]) == (2, 6, 33)
    assert (after["is_passed"], after["is_pass_kept"]) == (True, True)
    held = rows(academy.call(loses, "GET", f"/rest/v1/certificates?student_id=eq.{loses.id}"))
    assert [row["status"] for row in held] == ["issued"]
    shown = feedback_on(academy, loses, losing["id"])
    assert [(row["answer"], row["is_correct"], row["correct_answer"], row["max_points"]) for row in shown] == [
        ("b", False, "a", 4),
        (["a", "c"], True, ["a", "c"], 2),
    ]

    changes: dict[str, Any] = {"points_before": 3, "points_after": 2, "max_points_before": 3, "max_points_after": 6}
    changes |= {"is_passed_before": True, "is_passed_after": True, "regrade_id": done["id"], "question_id": first}
    for who in (loses, teacher, academy.member("moderator")):
        (record,) = rows(academy.call(who, "GET", f"/rest/v1/quiz_attempt_regrades?attempt_id=eq.{losing['id']}"))
        assert changes.items() <= record.items()
    for who in (gains, academy.member("teacher")):
        assert rows(academy.call(who, "GET", f"/rest/v1/quiz_attempt_regrades?attempt_id=eq.{losing['id']}")) == []
        assert rows(academy.call(who, "GET", "/rest/v1/quiz_regrades")) == []
    assert second in course.correct_answers


def test_an_attempt_in_progress_is_graded_by_the_mended_key(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    first, _ = course.correct_answers
    student = academy.member()
    academy.enrol(student, course)
    start(academy, student, course.quiz_id)
    mend(academy, course, first, "a")
    regrade(academy, teacher, course, first)
    assert submit(academy, student, course.quiz_id, {first: "a"})["points"] == 1


def test_everybody_gets_the_points_of_a_question_that_was_deleted(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    first, _ = course.correct_answers
    student, attempt = answered(academy, course, False, False)
    assert academy.call(teacher, "DELETE", f"/rest/v1/quiz_questions?id=eq.{first}").status_code == 204
    asked = {"quiz_id": course.quiz_id, "question_id": first, "reason": "Two are right"}
    refused(academy.rpc(teacher, "regrade_question", **asked), 409, "question_deleted")
    refused(
        academy.rpc(teacher, "regrade_question", **{**asked, "question_id": str(uuid.uuid4())}),
        404,
        "question_not_found",
    )
    regrade(academy, teacher, course, first, gives_full_points=True)
    after = read(academy, student, attempt)
    assert (after["points"], after["max_points"]) == (1, 3)
    shown = feedback_on(academy, teacher, attempt["id"])[0]
    assert (shown["points"], shown["is_correct"], shown["correct_answer"]) == (1, True, None)


def test_attempts_that_were_asked_something_else_stay(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    first, second = course.correct_answers
    student, attempt = answered(academy, course, True, True)
    mend(academy, course, first, 1, kind="numeric", options=[])
    other = [{"id": "x", "text": "Other"}, {"id": "a", "text": "First"}]
    mend(academy, course, second, ["x"], options=other)
    for question in (first, second):
        assert regrade(academy, teacher, course, question)["changed_count"] == 0
    after = read(academy, student, attempt)
    assert (after["points"], after["max_points"]) == (3, 3)


@pytest.mark.parametrize("decision", ["revoked", "cancelled"])
def test_a_regrade_overrules_no_person(academy: Academy, teacher: Person, decision: str) -> None:
    course = academy.course(teacher)
    first, second = course.correct_answers
    student, attempt = answered(academy, course, False, False)
    admin = academy.member("admin")
    enrolment = academy.sql("select id::text from public.enrolments where student_id = %s", student.id)[0][0]
    if decision == "revoked":
        awarded = academy.rpc(admin, "award_certificate", enrolment_id=enrolment).json()
        assert (
            academy.rpc(admin, "revoke_certificate", certificate_id=awarded["id"], reason="Bought").status_code == 200
        )
    else:
        assert academy.rpc(admin, "cancel_enrolment", enrolment_id=enrolment, reason="Left").status_code == 200
    mend(academy, course, second, ["b"])
    assert regrade(academy, teacher, course, second)["newly_passed_count"] == 1
    assert read(academy, teacher, attempt)["is_passed"] is True
    kept = academy.sql("select status::text from public.certificates where student_id = %s", student.id)
    assert kept == ([("revoked",)] if decision == "revoked" else [])
    assert first in course.correct_answers


def test_an_admins_regrade_is_audited(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    first, _ = course.correct_answers
    admin = academy.member("admin")
    done = regrade(academy, admin, course, first)
    assert done["changed_count"] == 0
    logged = academy.sql(
        "select actor_id::text from public.audit_log where action = 'quiz.regrade' and target_id = %s", course.quiz_id
    )
    assert logged == [(admin.id,)]


def test_regrades_at_once_agree_with_the_last_key(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    first, second = course.correct_answers
    student, attempt = answered(academy, course, False, False)
    mend(academy, course, first, "a")
    mend(academy, course, second, ["b"])
    concurrently(4, lambda number: regrade(academy, teacher, course, (first, second)[number % 2]))
    after = read(academy, student, attempt)
    assert (after["points"], after["is_passed"]) == (3, True)
