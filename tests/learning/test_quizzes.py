"""Quizzes: only creators read keys, the database grades, and attempts are limited."""

import json
import uuid
from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}
OPTIONS = [{"id": "a", "text": "First"}, {"id": "b", "text": "Second"}, {"id": "c", "text": "Third"}]


def ask(academy: Academy, teacher: Person, quiz_id: str, **question: Any) -> str:
    """Add a question, and return its id."""
    answer = academy.rpc(teacher, "save_quiz_question", quiz_id=quiz_id, prompt="So?", **question)
    assert answer.status_code == 200, answer.text
    question_id: str = answer.json()["id"]
    return question_id


def new_quiz(academy: Academy, course: Course, **settings: Any) -> str:
    """A quiz beside the certifying one, without questions."""
    new = {"course_id": course.id, "title": "Practice", "is_certifying": False} | settings
    quiz_id: str = academy.insert(course.teacher, "quizzes", **new)["id"]
    return quiz_id


@pytest.mark.route("WC-163", call="POST /rest/v1/quizzes")
@pytest.mark.route("WC-165", "WC-166", call="POST /rest/v1/rpc/save_quiz_question")
@pytest.mark.route("WC-164", call="GET /rest/v1/quiz_questions?quiz_id=eq.{quiz_id}")
@pytest.mark.route("WC-164", call="POST /rest/v1/rpc/quiz_answer_keys")
@pytest.mark.route("WC-167", call="DELETE /rest/v1/quiz_questions?id=eq.{question_id}")
def test_a_creator_writes_a_quiz(academy: Academy, teacher: Person, stranger: Person) -> None:
    course = academy.course(teacher, published=False)
    new = {"course_id": course.id, "title": "More", "pass_percent": 80, "attempt_limit": 2, "is_certifying": False}
    assert academy.call(stranger, "POST", "/rest/v1/quizzes", new).status_code == 403
    (quiz,) = rows(academy.call(teacher, "POST", "/rest/v1/quizzes", new, **SHOWN))
    assert {name: quiz[name] for name in new} == new

    question = {"quiz_id": quiz["id"], "kind": "single", "prompt": "So?", "options": OPTIONS, "answer": "b"}
    refused(academy.rpc(stranger, "save_quiz_question", **question), 404, "course_not_found")
    assert academy.rpc(None, "save_quiz_question", **question).status_code == 401
    first = academy.rpc(teacher, "save_quiz_question", **question, points=3, explanation="Because.")
    assert first.status_code == 200, first.text
    assert (first.json()["position"], first.json()["points"], first.json()["options"]) == (1, 3, OPTIONS)
    question_id = first.json()["id"]
    second = ask(academy, teacher, quiz["id"], kind="true_false", answer=True)
    changed = academy.rpc(
        teacher, "save_quiz_question", **question | {"prompt": "Well?", "answer": "c"}, question_id=question_id
    )
    assert (changed.json()["id"], changed.json()["prompt"], changed.json()["position"]) == (question_id, "Well?", 1)

    listed = f"/rest/v1/quiz_questions?quiz_id=eq.{quiz['id']}&order=position"
    assert [row["id"] for row in rows(academy.call(teacher, "GET", listed))] == [question_id, second]
    assert rows(academy.call(stranger, "GET", listed)) == []
    keys = academy.rpc(teacher, "quiz_answer_keys", quiz_id=quiz["id"])
    assert keys.json() == [
        {"question_id": question_id, "answer": "c", "explanation": None},
        {"question_id": second, "answer": True, "explanation": None},
    ]
    refused(academy.rpc(stranger, "quiz_answer_keys", quiz_id=quiz["id"]), 404, "course_not_found")

    path = f"/rest/v1/quiz_questions?id=eq.{question_id}"
    assert rows(academy.call(stranger, "DELETE", path, **SHOWN)) == []
    assert len(rows(academy.call(teacher, "DELETE", path, **SHOWN))) == 1
    assert [row["id"] for row in rows(academy.call(teacher, "GET", listed))] == [second]
    assert academy.sql("select count(*) from private.quiz_answer_keys where question_id = %s", question_id) == [(0,)]


@pytest.mark.route("WC-098", call="GET /rest/v1/quiz_questions?quiz_id=eq.{quiz_id}")
def test_students_read_questions_and_nobody_reads_keys(
    academy: Academy, enrolled: Person, stranger: Person, course: Course
) -> None:
    path = f"/rest/v1/quiz_questions?quiz_id=eq.{course.quiz_id}&order=position"
    questions = rows(academy.call(enrolled, "GET", path))
    assert [question["id"] for question in questions] == list(course.correct_answers)
    assert not {"answer", "explanation"} & questions[0].keys()
    assert rows(academy.call(stranger, "GET", path)) == []
    assert rows(academy.call(academy.member(), "GET", path)) == []
    assert academy.call(None, "GET", path).status_code == 401
    refused(academy.rpc(enrolled, "quiz_answer_keys", quiz_id=course.quiz_id), 404, "course_not_found")
    assert academy.call(enrolled, "GET", "/rest/v1/quiz_answer_keys").status_code == 404
    assert academy.call(enrolled, "GET", f"{path}&select=quiz_answer_keys(answer)").status_code == 400
    private = academy.call(enrolled, "GET", "/rest/v1/quiz_answer_keys", accept_profile="private")
    assert private.status_code == 406


@pytest.mark.route("WC-097", call="GET /rest/v1/quizzes?course_id=eq.{course_id}")
def test_a_student_reads_a_quiz_and_whether_they_passed(
    academy: Academy, student: Person, stranger: Person, teacher: Person
) -> None:
    own = academy.course(teacher)
    academy.enrol(student, own)
    assert academy.rpc(teacher, "unpublish_course", course_id=own.id).status_code == 200
    path = (
        f"/rest/v1/quizzes?course_id=eq.{own.id}"
        "&select=id,title,pass_percent,attempt_limit,course:courses(certificates(status)),quiz_attempts(is_passed)"
    )
    expected = {"id": own.quiz_id, "title": "Quiz", "pass_percent": 60, "attempt_limit": None}
    (before,) = rows(academy.call(student, "GET", path))
    assert before == expected | {"course": {"certificates": []}, "quiz_attempts": []}
    assert academy.rpc(student, "submit_quiz", quiz_id=own.quiz_id, answers=own.correct_answers).status_code == 200
    (after,) = rows(academy.call(student, "GET", path))
    assert after == expected | {
        "course": {"certificates": [{"status": "issued"}]},
        "quiz_attempts": [{"is_passed": True}],
    }
    assert rows(academy.call(stranger, "GET", path)) == []


@pytest.mark.parametrize(
    "question",
    [
        pytest.param({"kind": "single", "options": OPTIONS, "answer": "d"}, id="key is no option"),
        pytest.param({"kind": "single", "options": OPTIONS, "answer": ["a", "b"]}, id="two for single"),
        pytest.param({"kind": "single", "options": OPTIONS, "answer": None}, id="no key"),
        pytest.param({"kind": "single", "options": OPTIONS[:1], "answer": "a"}, id="one option"),
        pytest.param({"kind": "single", "options": [OPTIONS[0]] * 2, "answer": "a"}, id="same id twice"),
        pytest.param({"kind": "single", "options": {"a": "b"}, "answer": "a"}, id="options no list"),
        pytest.param({"kind": "single", "options": None, "answer": "a"}, id="options null"),
        pytest.param({"kind": "single", "options": "ab", "answer": "a"}, id="options a text"),
        pytest.param({"kind": "single", "options": ["a", "b"], "answer": "a"}, id="options of texts"),
        pytest.param(
            {"kind": "single", "options": [{"id": 1, "text": "x"}, {"id": 2, "text": "y"}], "answer": 1},
            id="number ids",
        ),
        pytest.param(
            {"kind": "single", "options": [OPTIONS[0] | {"is_correct": True}, OPTIONS[1]], "answer": "a"},
            id="a tell-tale",
        ),
        pytest.param({"kind": "multiple", "options": OPTIONS, "answer": []}, id="nothing right"),
        pytest.param({"kind": "multiple", "options": OPTIONS, "answer": "x"}, id="text that is no option"),
        pytest.param({"kind": "multiple", "options": OPTIONS, "answer": ["a", "x"]}, id="strange id"),
        pytest.param({"kind": "true_false", "answer": "yes"}, id="text for true_false"),
        pytest.param({"kind": "true_false", "answer": None}, id="null for true_false"),
        pytest.param({"kind": "true_false", "options": OPTIONS, "answer": True}, id="options for true_false"),
    ],
)
def test_an_invalid_question_is_refused(academy: Academy, course: Course, question: dict[str, Any]) -> None:
    answer = academy.rpc(course.teacher, "save_quiz_question", quiz_id=course.quiz_id, prompt="So?", **question)
    refused(answer, 422, "question_invalid")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"points": 0}, 400, "23514"),
        ({"points": 1001}, 400, "23514"),
        ({"points": 99_999}, 400, "22003"),
        ({"points": None}, 400, "23502"),
        ({"prompt": " "}, 400, "23514"),
        ({"prompt": None}, 400, "23502"),
        ({"kind": None}, 400, "23502"),
        ({"kind": "essay"}, 400, "22P02"),
        ({"explanation": "x" * 4001}, 400, "23514"),
        ({"question_id": str(uuid.uuid4())}, 404, "PT404"),
        ({"quiz_id": str(uuid.uuid4())}, 404, "PT404"),
        ({"quiz_id": None}, 404, "PT404"),
    ],
)
def test_a_question_out_of_bounds(
    academy: Academy, course: Course, change: dict[str, Any], status: int, code: str
) -> None:
    question = {"quiz_id": course.quiz_id, "kind": "single", "prompt": "So?", "options": OPTIONS, "answer": "a"}
    answer = academy.rpc(course.teacher, "save_quiz_question", **question | change)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_question_of_another_quiz_stays_there(academy: Academy, course: Course, stranger: Person) -> None:
    foreign = academy.course(stranger, published=False)
    question_id = next(iter(course.correct_answers))
    stolen = {
        "quiz_id": foreign.quiz_id,
        "question_id": question_id,
        "kind": "true_false",
        "prompt": "?",
        "answer": True,
    }
    refused(academy.rpc(stranger, "save_quiz_question", **stolen), 404, "question_not_found")
    moved = {"course_id": foreign.id}
    path = f"/rest/v1/quizzes?id=eq.{course.quiz_id}"
    assert academy.call(course.teacher, "PATCH", path, moved).status_code == 403


def test_a_course_has_one_certifying_quiz(academy: Academy, course: Course) -> None:
    second = {"course_id": course.id, "title": "Second"}
    answer = academy.call(course.teacher, "POST", "/rest/v1/quizzes", second)
    assert (answer.status_code, answer.json()["code"]) == (409, "23505"), answer.text
    assert "quizzes_certifying_key" in answer.json()["message"]


@pytest.fixture(scope="module")
def graded(academy: Academy, teacher: Person) -> tuple[Course, str, Person, dict[str, str]]:
    """A course, a quiz in it with a question of each kind, an enrolled student, and the ids of the questions."""
    course = academy.course(teacher)
    quiz_id = new_quiz(academy, course, pass_percent=75)
    questions = {
        "single": ask(academy, teacher, quiz_id, kind="single", options=OPTIONS, answer="b", points=1),
        "multiple": ask(academy, teacher, quiz_id, kind="multiple", options=OPTIONS, answer=["a", "c"], points=2),
        "true_false": ask(academy, teacher, quiz_id, kind="true_false", answer=False, points=1),
    }
    student = academy.member()
    academy.enrol(student, course)
    return course, quiz_id, student, questions


@pytest.mark.parametrize(
    ("answers", "points"),
    [
        ({}, 0),
        ({"single": "b"}, 1),
        ({"single": "a"}, 0),
        ({"single": ["b"]}, 1),
        ({"single": ["b", "a"]}, 0),
        ({"single": None}, 0),
        ({"single": {"b": "b"}}, 0),
        ({"multiple": ["a", "c"]}, 2),
        ({"multiple": ["c", "a"]}, 2),
        ({"multiple": ["a", "c", "a"]}, 2),
        ({"multiple": ["a"]}, 0),
        ({"multiple": ["a", "b", "c"]}, 0),
        ({"multiple": []}, 0),
        ({"multiple": "a"}, 0),
        ({"multiple": [["a", "c"]]}, 0),
        ({"true_false": False}, 1),
        ({"true_false": True}, 0),
        ({"true_false": "false"}, 1),
        ({"true_false": "no"}, 0),
        ({"true_false": 0}, 0),
        ({"true_false": None}, 0),
        ({"single": "b", "multiple": ["a", "c"]}, 3),
        ({"single": "a", "multiple": ["a", "c"], "true_false": False}, 3),
        ({"single": "b", "true_false": False}, 2),
        ({"single": "b", "multiple": ["a", "c"], "true_false": False}, 4),
    ],
)
def test_grading(
    academy: Academy,
    graded: tuple[Course, str, Person, dict[str, str]],
    answers: dict[str, Any],
    points: int,
) -> None:
    _, quiz_id, student, questions = graded
    sent = {questions[kind]: answer for kind, answer in answers.items()}
    attempt = academy.rpc(student, "submit_quiz", quiz_id=quiz_id, answers=sent).json()
    # The pass mark is 75 percent: three points of four pass.
    assert (attempt["points"], attempt["max_points"], attempt["is_passed"]) == (points, 4, points >= 3)
    assert "answers" not in attempt


@pytest.mark.parametrize(("pass_percent", "passes"), [(66, True), (67, False)])
def test_the_pass_mark_is_not_rounded(
    academy: Academy, enrolled: Person, course: Course, pass_percent: int, passes: bool
) -> None:
    quiz_id = new_quiz(academy, course, pass_percent=pass_percent)
    questions = [ask(academy, course.teacher, quiz_id, kind="true_false", answer=True) for _ in range(3)]
    answers = dict(zip(questions, (True, True, False), strict=True))
    attempt = academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers=answers).json()
    assert (attempt["points"], attempt["max_points"], attempt["is_passed"]) == (2, 3, passes)


@pytest.mark.route("WC-099", call="POST /rest/v1/rpc/submit_quiz")
def test_a_student_submits_a_quiz(academy: Academy, enrolled: Person, stranger: Person, course: Course) -> None:
    handed_in = {"quiz_id": course.quiz_id, "answers": course.correct_answers}
    refused(academy.rpc(stranger, "submit_quiz", **handed_in), 403, "not_enrolled")
    refused(academy.rpc(course.teacher, "submit_quiz", **handed_in), 403, "not_enrolled")
    assert academy.rpc(None, "submit_quiz", **handed_in).status_code == 401
    answer = academy.rpc(enrolled, "submit_quiz", **handed_in)
    assert answer.status_code == 200, answer.text
    attempt = answer.json()
    assert (attempt["points"], attempt["max_points"], attempt["is_passed"]) == (3, 3, True)
    assert (attempt["student_id"], attempt["attempt_number"]) == (enrolled.id, 1)
    assert attempt["certificate"]["status"] == "issued"

    path = f"/rest/v1/quiz_attempts?quiz_id=eq.{course.quiz_id}&student_id=eq.{enrolled.id}"
    for who in (enrolled, course.teacher):
        assert [row["answers"] for row in rows(academy.call(who, "GET", path))] == [course.correct_answers]
    assert rows(academy.call(stranger, "GET", path)) == []


@pytest.mark.parametrize("answers", [None, [], "b", 1, [["a"]], {str(uuid.uuid4()): "a"}, {"": "a"}, {"a' or 1=1": 1}])
def test_invalid_answers_count_as_not_answered(
    academy: Academy, enrolled: Person, course: Course, answers: Any
) -> None:
    refused(academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers=answers), 422, "answers_invalid")


@pytest.mark.parametrize("quiz_id", [None, "00000000-0000-4000-8000-000000000000"])
def test_a_missing_quiz(academy: Academy, enrolled: Person, quiz_id: str | None) -> None:
    refused(academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={}), 403, "not_enrolled")


def test_a_quiz_with_attempts_cannot_be_deleted(academy: Academy, enrolled: Person, course: Course) -> None:
    assert academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers={}).status_code == 200
    answer = academy.call(course.teacher, "DELETE", f"/rest/v1/quizzes?id=eq.{course.quiz_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "23503"), answer.text
    assert "quiz_attempts_quiz_id_fkey" in answer.json()["message"]


def test_an_answer_that_is_too_long_counts_as_not_answered(academy: Academy, enrolled: Person, course: Course) -> None:
    answers = {next(iter(course.correct_answers)): "x" * 1_000_000}
    answer = academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers=answers)
    assert (answer.status_code, answer.json()["points"]) == (200, 0), answer.text
    stored = academy.sql(
        "select octet_length(answers::text) from public.quiz_attempts where id = %s", answer.json()["id"]
    )
    assert stored[0][0] < 2_000
    many = {question_id: ["x" * 9_000] * 50 for question_id in course.correct_answers}
    sent = academy.rpc(enrolled, "submit_quiz", quiz_id=course.quiz_id, answers=many)
    assert (sent.status_code, sent.json()["points"]) == (200, 0), sent.text


def test_answers_are_bounded_together(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id = new_quiz(academy, course)
    questions = [ask(academy, course.teacher, quiz_id, kind="short_text", answer="x") for _ in range(110)]
    attempt = academy.rpc(enrolled, "start_quiz", quiz_id=quiz_id).json()["id"]
    first, second = (dict.fromkeys(part, "x" * 9_500) for part in (questions[:55], questions[55:]))
    assert academy.rpc(enrolled, "save_answers", attempt_id=attempt, answers=first).status_code == 200
    refused(academy.rpc(enrolled, "save_answers", attempt_id=attempt, answers=second), 413, "answers_too_large")
    refused(academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers=second), 413, "answers_too_large")
    kept = academy.sql(
        "select status::text, answers = %s::jsonb from public.quiz_attempts where id = %s", json.dumps(first), attempt
    )
    assert kept == [("in_progress", True)]


def test_a_quiz_without_questions_cannot_be_submitted(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id = new_quiz(academy, course)
    refused(academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={}), 409, "quiz_empty")


def test_twenty_concurrent_submissions_with_one_key_are_one_attempt(
    academy: Academy, enrolled: Person, course: Course
) -> None:
    handed_in = {"quiz_id": course.quiz_id, "answers": course.correct_answers, "submission_key": str(uuid.uuid4())}
    answers = concurrently(20, lambda _: academy.rpc(enrolled, "submit_quiz", **handed_in))
    assert [answer.status_code for answer in answers] == [200] * 20, [answer.text for answer in answers]
    assert len({answer.text for answer in answers}) == 1
    counts = academy.sql(
        "select (select count(*) from public.quiz_attempts where student_id = %s),"
        " (select count(*) from public.certificates where student_id = %s),"
        " (select count(*) from private.mail_outbox where user_id = %s and template = 'certificate_issued')",
        *[enrolled.id] * 3,
    )
    assert counts == [(1, 1, 1)]
    # The key belongs to the student: another student with the same key has another attempt.
    other = academy.member()
    academy.enrol(other, course)
    assert academy.rpc(other, "submit_quiz", **handed_in).json()["student_id"] == other.id


def test_a_limit_of_three_attempts_holds_for_twelve_at_once(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id = new_quiz(academy, course, attempt_limit=3)
    question = ask(academy, course.teacher, quiz_id, kind="true_false", answer=True)
    keys = [str(uuid.uuid4()) for _ in range(12)]

    def hand_in(number: int) -> Any:
        return academy.rpc(
            enrolled, "submit_quiz", quiz_id=quiz_id, answers={question: False}, submission_key=keys[number]
        )

    answers = concurrently(12, hand_in)
    accepted = [answer for answer in answers if answer.status_code == 200]
    assert sorted(answer.json()["attempt_number"] for answer in accepted) == [1, 2, 3]
    for answer in answers:
        if answer.status_code != 200:
            refused(answer, 409, "attempts_exhausted")
    # A repeated submission still returns its attempt.
    again = academy.rpc(
        enrolled,
        "submit_quiz",
        quiz_id=quiz_id,
        answers={question: True},
        submission_key=accepted[0].json()["submission_key"],
    )
    assert again.json() == accepted[0].json()


def test_a_changed_quiz_leaves_old_attempts_as_they_were(academy: Academy, student: Person, teacher: Person) -> None:
    course = academy.course(teacher)
    academy.enrol(student, course)
    before = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()
    ask(academy, teacher, course.quiz_id, kind="true_false", answer=True, points=100)
    path = f"/rest/v1/quizzes?id=eq.{course.quiz_id}"
    assert academy.call(teacher, "PATCH", path, {"pass_percent": 100}).status_code == 204
    (attempt,) = rows(academy.call(student, "GET", f"/rest/v1/quiz_attempts?id=eq.{before['id']}"))
    assert (attempt["points"], attempt["max_points"], attempt["is_passed"]) == (3, 3, True)
    later = academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers).json()
    assert (later["max_points"], later["is_passed"], later["certificate"]) == (103, False, before["certificate"])


def test_concurrent_questions_get_different_positions(academy: Academy, course: Course) -> None:
    quiz_id = new_quiz(academy, course)
    concurrently(8, lambda _: ask(academy, course.teacher, quiz_id, kind="true_false", answer=True))
    path = f"/rest/v1/quiz_questions?quiz_id=eq.{quiz_id}&select=position&order=position"
    assert [row["position"] for row in rows(academy.call(course.teacher, "GET", path))] == list(range(1, 9))


def test_many_questions_are_saved_in_one_call(academy: Academy, course: Course, stranger: Person) -> None:
    quiz_id = new_quiz(academy, course)
    bank = [
        {"kind": "numeric", "prompt": f"{number}?", "answer": number, "points": 2, "explanation": "Count."}
        for number in range(1000)
    ]
    refused(academy.rpc(stranger, "save_quiz_questions", quiz_id=quiz_id, questions=bank), 404, "course_not_found")
    assert academy.rpc(None, "save_quiz_questions", quiz_id=quiz_id, questions=bank).status_code == 401
    saved = rows(academy.rpc(course.teacher, "save_quiz_questions", quiz_id=quiz_id, questions=bank))
    assert [(row["prompt"], row["position"]) for row in saved] == [(f"{n}?", n + 1) for n in range(1000)]
    keys = academy.rpc(course.teacher, "quiz_answer_keys", quiz_id=quiz_id).json()
    assert keys[7] == {"question_id": saved[7]["id"], "answer": {"max": 7, "min": 7}, "explanation": "Count."}
    change = [{"question_id": saved[7]["id"], "kind": "true_false", "prompt": "So?", "answer": True}]
    (changed,) = rows(academy.rpc(course.teacher, "save_quiz_questions", quiz_id=quiz_id, questions=change))
    assert (changed["id"], changed["position"], changed["points"]) == (saved[7]["id"], 8, 1)


@pytest.mark.parametrize(
    ("questions", "status", "code"),
    [
        (None, 422, "PT422"),
        ({}, 422, "PT422"),
        ("x", 422, "PT422"),
        ([1], 422, "PT422"),
        ([None], 422, "PT422"),
        ([[]], 422, "PT422"),
        ([{}], 400, "23502"),
        ([{"kind": "true_false", "prompt": "x", "answer": True}] * 1001, 422, "PT422"),
        ([{"kind": "true_false", "prompt": "x", "answer": "yes"}], 422, "PT422"),
        ([{"kind": "essay", "prompt": "x", "answer": True}], 400, "22P02"),
        ([{"kind": "true_false", "prompt": "x", "answer": True, "points": 99_999}], 400, "22003"),
        ([{"kind": "true_false", "prompt": "x", "answer": True, "question_id": "x"}], 400, "22P02"),
        ([{"kind": "true_false", "prompt": "x", "answer": True, "question_id": str(uuid.uuid4())}], 404, "PT404"),
    ],
)
def test_invalid_lists_of_questions_are_refused(
    academy: Academy, course: Course, questions: Any, status: int, code: str
) -> None:
    quiz_id = new_quiz(academy, course)
    good = [{"kind": "true_false", "prompt": "x", "answer": True}]
    sent = [*good, *questions] if isinstance(questions, list) else questions
    answer = academy.rpc(course.teacher, "save_quiz_questions", quiz_id=quiz_id, questions=sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert academy.sql("select 1 from public.quiz_questions where quiz_id = %s", quiz_id) == []
