"""Clients write no conclusions and move no rows to another owner.

Functions derive scores, completion, certificates and enrolments from proof.
"""

import uuid
from typing import Any

import pytest

from tests.people import Academy, refused, rows
from tests.security.asserts import denied, untouched
from tests.security.conftest import School


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("quiz_attempts", {"points": 3}),
        ("quiz_attempts", {"is_passed": True}),
        ("quiz_attempts", {"pass_percent": 1}),
        ("quiz_attempts", {"status": "submitted"}),
        ("quiz_attempts", {"expires_at": None}),
        ("quiz_attempts", {"question_ids": []}),
        ("enrolments", {"status": "completed", "completed_at": "2026-01-01T00:00:00Z"}),
        ("enrolments", {"access_until": None}),
        ("enrolments", {"source": "purchase"}),
        ("quiz_attempts", {"score_percent": 100}),
        ("certificates", {"attempt_id": None}),
        ("certificates", {"holder_name": "Somebody Else"}),
        ("certificates", {"status": "issued"}),
        ("lesson_progress", {"completed_at": "2026-01-01T00:00:00Z"}),
    ],
)
def test_student_changes_no_conclusion(academy: Academy, school: School, table: str, columns: dict[str, Any]) -> None:
    path = f"/rest/v1/{table}?student_id=eq.{school.student.id}"
    answer = academy.call(school.student, "PATCH", path, columns)
    assert (answer.status_code, answer.json()["code"]) in {(403, "42501"), (400, "428C9")}
    denied(academy.call(school.student, "DELETE", path))


def test_student_invents_no_conclusion(academy: Academy, school: School) -> None:
    course = {"course_id": school.paid.id, "student_id": school.student.id}
    attempt = {"quiz_id": school.paid.quiz_id, "answers": {}, "points": 1, "max_points": 1}
    enrolment = {"enrolment_id": school.enrolment_id, "lesson_id": school.paid.lesson_ids[1]}
    for table, row in {
        "enrolments": {**course, "source": "purchase"},
        "quiz_attempts": {**course, **attempt},
        "certificates": {**course, **enrolment, "status": "issued"},
        "lesson_progress": {**course, **enrolment},
    }.items():
        for prefer in ("return=minimal", "resolution=merge-duplicates", "resolution=ignore-duplicates"):
            answer = academy.call(school.student, "POST", f"/rest/v1/{table}", row, prefer=prefer)
            assert answer.status_code in {400, 403}, answer.text
    assert academy.sql("select 1 from public.enrolments where course_id = %s", school.paid.id) == []


def test_submission_carries_no_score(academy: Academy, school: School) -> None:
    student = academy.member()
    academy.enrol(student, school.free)
    for extra in ({"points": 3}, {"student_id": school.student.id}, {"is_passed": True}):
        answer = academy.rpc(student, "submit_quiz", quiz_id=school.free.quiz_id, answers={}, **extra)
        assert (answer.status_code, answer.json()["code"]) == (404, "PGRST202")
    wrong = academy.rpc(student, "submit_quiz", quiz_id=school.free.quiz_id, answers={}).json()
    assert (wrong["points"], wrong["is_passed"], wrong["certificate"]) == (0, False, None)


def test_nobody_enrols_in_a_paid_course_without_payment(academy: Academy, school: School) -> None:
    refused(academy.rpc(school.stranger, "enrol", course_id=school.paid.id), 402, "payment_required")
    refused(academy.rpc(school.stranger, "enrol", course_id=school.draft.id), 404, "course_not_found")


def test_nobody_but_its_creator_prices_a_course(academy: Academy, school: School) -> None:
    path = f"/rest/v1/courses?id=eq.{school.paid.id}"
    for person in (school.student, school.stranger, school.rival, school.moderator):
        changed = academy.call(person, "PATCH", path, {"price_amount": 0}, prefer="return=representation")
        assert rows(changed) == []
    untouched(academy, "courses", school.paid.id, price_amount=4900)


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "published"},
        {"is_featured": True},
        {"published_at": "2020-01-01T00:00:00Z"},
        {"creator_id": str(uuid.uuid4())},
        {"id": str(uuid.uuid4())},
        {"created_at": "2020-01-01T00:00:00Z"},
        {"search": "x"},
    ],
)
def test_creator_assigns_no_conclusion(academy: Academy, school: School, columns: dict[str, Any]) -> None:
    path = f"/rest/v1/courses?id=eq.{school.draft.id}"
    for body in (columns, {"title": "New", **columns}):
        assert academy.call(school.teacher, "PATCH", path, body).status_code in {400, 403}
        assert academy.call(school.teacher, "POST", "/rest/v1/courses", {"title": "New", **columns}).status_code in {
            400,
            403,
        }


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("modules", {"position": 7}),
        ("lessons", {"position": 7}),
        ("lessons", {"course_id": str(uuid.uuid4())}),
        ("lesson_contents", {"course_id": str(uuid.uuid4())}),
        ("quiz_questions", {"position": 7}),
        ("quiz_questions", {"prompt": "Asked otherwise"}),
        ("profiles", {"id": str(uuid.uuid4())}),
        ("profiles", {"created_at": "2020-01-01T00:00:00Z"}),
    ],
)
def test_positions_and_keys_are_not_writable(
    academy: Academy, school: School, table: str, columns: dict[str, Any]
) -> None:
    denied(academy.call(school.teacher, "PATCH", f"/rest/v1/{table}?created_at=not.is.null", columns))


def test_course_is_not_given_away(academy: Academy, school: School) -> None:
    path = f"/rest/v1/courses?id=eq.{school.draft.id}"
    denied(academy.call(school.teacher, "PATCH", path, {"creator_id": school.rival.id}))
    untouched(academy, "courses", school.draft.id, creator_id=school.teacher.id)


def test_nothing_is_added_to_the_course_of_another(academy: Academy, school: School) -> None:
    module = {"course_id": school.free.id, "title": "Planted"}
    denied(academy.call(school.rival, "POST", "/rest/v1/modules", module))
    lesson = {"module_id": school.free.module_id, "title": "Planted"}
    denied(academy.call(school.rival, "POST", "/rest/v1/lessons", lesson))
    content = {"lesson_id": school.free.lesson_ids[0], "body": "Planted"}
    for prefer in ("", "resolution=merge-duplicates"):
        denied(academy.call(school.rival, "POST", "/rest/v1/lesson_contents", content, prefer=prefer))
    quiz = {"course_id": school.free.id, "title": "Planted", "is_certifying": False}
    denied(academy.call(school.rival, "POST", "/rest/v1/quizzes", quiz))
    asked = {"quiz_id": school.free.quiz_id, "kind": "true_false", "prompt": "Planted?", "answer": True}
    refused(academy.rpc(school.rival, "save_quiz_question", **asked), 404, "course_not_found")


def test_own_row_is_not_moved_to_the_course_of_another(academy: Academy, school: School) -> None:
    own = academy.course(school.rival, published=False)
    lesson, content = f"/rest/v1/lessons?id=eq.{own.lesson_ids[0]}", {"lesson_id": school.free.lesson_ids[0]}
    moved = academy.call(school.rival, "PATCH", lesson, {"module_id": school.free.module_id})
    refused(moved, 409, "lesson_stays_in_course")
    path = f"/rest/v1/lesson_contents?lesson_id=eq.{own.lesson_ids[0]}"
    denied(academy.call(school.rival, "PATCH", path, content))
    denied(
        academy.call(school.rival, "PATCH", f"/rest/v1/modules?course_id=eq.{own.id}", {"course_id": school.free.id})
    )


def test_question_of_another_quiz_is_not_changed(academy: Academy, school: School) -> None:
    own = academy.course(school.rival, published=False)
    stolen = next(iter(school.free.correct_answers))
    asked = {"quiz_id": own.quiz_id, "question_id": stolen, "kind": "true_false", "prompt": "?", "answer": True}
    refused(academy.rpc(school.rival, "save_quiz_question", **asked), 404, "question_not_found")
