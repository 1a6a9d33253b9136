"""Every kind of question: what its key looks like, what is right, and what is no answer at all."""

from typing import Any

import pytest

from tests.learning.test_quizzes import OPTIONS, ask, new_quiz
from tests.people import Academy, Course, Person, refused


@pytest.fixture(scope="module")
def taken(academy: Academy, course: Course) -> tuple[Course, Person]:
    """A course, and somebody who is enrolled in it."""
    student = academy.member(name="Amara")
    academy.enrol(student, course)
    return course, student


def graded(
    academy: Academy, taken: tuple[Course, Person], question: dict[str, Any], answer: Any, **settings: Any
) -> Any:
    """The points that an answer brings in a quiz of this question alone."""
    course, taker = taken
    quiz_id = new_quiz(academy, course, **settings)
    question_id = ask(academy, course.teacher, quiz_id, **question)
    attempt = academy.rpc(taker, "submit_quiz", quiz_id=quiz_id, answers={question_id: answer})
    assert attempt.status_code == 200, attempt.text
    return attempt.json()["points"]


PI = {"kind": "numeric", "answer": {"value": 3.14, "tolerance": 0.01}}
RANGE = {"kind": "numeric", "answer": {"min": -2, "max": 10.5}}
EXACT = {"kind": "numeric", "answer": 0.3}


@pytest.mark.parametrize(
    ("question", "answer", "points"),
    [
        (PI, 3.14, 1),
        (PI, 3.13, 1),
        (PI, 3.15, 1),
        (PI, 3.15000000001, 0),
        (PI, 3.12999, 0),
        (PI, 3, 0),
        (PI, "3.14", 0),
        (PI, "NaN", 0),
        (PI, "Infinity", 0),
        (PI, True, 0),
        (PI, None, 0),
        (PI, [3.14], 0),
        (PI, {"value": 3.14}, 0),
        (PI, 10**400, 0),
        (PI, -(10**400), 0),
        (RANGE, -2, 1),
        (RANGE, 10.5, 1),
        (RANGE, 0, 1),
        (RANGE, -2.01, 0),
        (RANGE, 10.51, 0),
        (RANGE, 10**400, 0),
        (EXACT, 0.3, 1),
        (EXACT, 0.30000000000000004, 0),
    ],
)
def test_numbers(
    academy: Academy, taken: tuple[Course, Person], question: dict[str, Any], answer: Any, points: int
) -> None:
    assert graded(academy, taken, question, answer) == points


@pytest.mark.parametrize("raw", ["1e400", "-1e400", "1e-400", "1e131071", "1e-16000", "NaN", "Infinity", "1e200000"])
def test_numbers_that_are_hardly_any(academy: Academy, taken: tuple[Course, Person], raw: str) -> None:
    """Wrong, no JSON, or too large for Postgres; never a fault, nor kept as the megabytes that it would be."""
    course, taker = taken
    quiz_id = new_quiz(academy, course)
    question_id = ask(academy, course.teacher, quiz_id, **RANGE)
    for answer in (raw, f"[{raw}]", f'{{"a": [{raw}]}}'):
        sent = academy.http.post(
            "/rest/v1/rpc/submit_quiz",
            content=f'{{"quiz_id": "{quiz_id}", "answers": {{"{question_id}": {answer}}}}}',
            headers={
                "apikey": academy.publishable_key,
                "authorization": f"Bearer {taker.token}",
                "content-type": "application/json",
            },
        )
        if sent.status_code == 200:
            assert sent.json()["points"] == 0
            kept = academy.sql("select answers from public.quiz_attempts where id = %s", sent.json()["id"])
            assert kept == [({},)]
        else:
            assert sent.status_code == 400, sent.text
        keyed = academy.http.post(
            "/rest/v1/rpc/save_quiz_question",
            content=f'{{"quiz_id": "{quiz_id}", "kind": "numeric", "prompt": "?", "answer": {answer}}}',
            headers={
                "apikey": academy.publishable_key,
                "authorization": f"Bearer {course.teacher.token}",
                "content-type": "application/json",
            },
        )
        assert keyed.status_code in {400, 422}, keyed.text


@pytest.mark.parametrize(
    ("accepted", "answer", "points"),
    [
        ("Lisbon", "Lisbon", 1),
        ("Lisbon", "  LISBON ", 1),
        (["Lisbon", "Lisboa"], "lisboa", 1),
        (["Lisbon", "Lisboa"], "Porto", 0),
        ("Lisbon", "", 0),
        ("Lisbon", " ", 0),
        ("Lisbon", None, 0),
        ("Lisbon", ["Lisbon"], 0),
        ("Lisbon", 5, 0),
        ("Vasco da Gama", "vasco \t da\u00a0\u3000gama", 1),
        ("Straße", "STRASSE", 1),
        ("Straße", "strasse", 1),
        ("café", "cafe\u0301", 1),
        ("café", "cafe", 0),
        ("ﬁn", "fin", 1),
        ("ＡＢＣ", "abc", 1),  # noqa: RUF001
        ("ΟΔΥΣΣΕΥΣ", "Οδυσσευς", 1),
        ("Москва", "МОСКВА", 1),  # noqa: RUF001
        ("القاهرة", "\u200fالقاهرة\u200e", 1),  # noqa: RUF001
        ("القاهرة", "القاهره", 0),
        ("ירושלים", "\u202bירושלים\u202c", 1),  # noqa: RUF001
        ("東京", "東京", 1),
        ("東京", "京都", 0),
        ("ｶﾞ", "ガ", 1),
        ("दिल्ली", "दिल्ली", 1),
        ("🙂", "🙂", 1),
        ("x" * 200, "x" * 200, 1),
        ("x" * 200, "x" * 1001, 0),
        ("a.*", "abc", 0),
        ("100%", "100x", 0),
    ],
)
def test_short_texts(academy: Academy, taken: tuple[Course, Person], accepted: Any, answer: Any, points: int) -> None:
    assert graded(academy, taken, {"kind": "short_text", "answer": accepted}, answer) == points


@pytest.mark.parametrize(
    "question",
    [
        pytest.param({"kind": "numeric", "answer": None}, id="no number"),
        pytest.param({"kind": "numeric", "answer": "5"}, id="text for numeric"),
        pytest.param({"kind": "numeric", "answer": {"value": 5}}, id="no tolerance"),
        pytest.param({"kind": "numeric", "answer": {"value": 5, "tolerance": -1}}, id="negative tolerance"),
        pytest.param({"kind": "numeric", "answer": {"value": 5, "tolerance": "1"}}, id="text for tolerance"),
        pytest.param({"kind": "numeric", "answer": {"value": 5, "tolerance": 1, "min": 1}}, id="both forms"),
        pytest.param({"kind": "numeric", "answer": {"min": 2, "max": 1}}, id="empty range"),
        pytest.param({"kind": "numeric", "answer": {"min": 2}}, id="half a range"),
        pytest.param({"kind": "numeric", "answer": {}}, id="empty object"),
        pytest.param({"kind": "numeric", "answer": 10**15}, id="16 digits"),
        pytest.param({"kind": "numeric", "answer": 5, "options": OPTIONS}, id="options for numeric"),
        pytest.param({"kind": "short_text", "answer": None}, id="no text"),
        pytest.param({"kind": "short_text", "answer": []}, id="no texts"),
        pytest.param({"kind": "short_text", "answer": " "}, id="blank"),
        pytest.param({"kind": "short_text", "answer": ["a", "\u200f"]}, id="nothing that is seen"),
        pytest.param({"kind": "short_text", "answer": ["a", 5]}, id="a number among texts"),
        pytest.param({"kind": "short_text", "answer": {"a": "b"}}, id="object for short_text"),
        pytest.param({"kind": "short_text", "answer": "x" * 201}, id="too long"),
        pytest.param({"kind": "short_text", "answer": ["x"] * 51}, id="too many"),
        pytest.param({"kind": "short_text", "answer": "x", "options": OPTIONS}, id="options for short_text"),
    ],
)
def test_a_question_that_cannot_be_asked(academy: Academy, course: Course, question: dict[str, Any]) -> None:
    answer = academy.rpc(course.teacher, "save_quiz_question", quiz_id=course.quiz_id, prompt="So?", **question)
    refused(answer, 422, "question_invalid")


FIVE = [{"id": letter, "text": letter} for letter in "abcde"]
MULTIPLE = {"kind": "multiple", "options": FIVE, "answer": ["a", "b", "c"], "points": 2}


@pytest.mark.parametrize(
    ("answer", "settings", "points"),
    [
        (["a", "b", "c"], {}, 2),
        (["a", "b"], {}, 0),
        (["a", "b", "c"], {"has_partial_credit": True}, 2),
        (["a", "b"], {"has_partial_credit": True}, 1.33),
        (["a", "b", "a", "b"], {"has_partial_credit": True}, 1.33),
        (["a"], {"has_partial_credit": True}, 0.66),
        (["a", "d"], {"has_partial_credit": True}, 0),
        (["a", "b", "d"], {"has_partial_credit": True}, 0.66),
        (["a", "b", "c", "d", "e"], {"has_partial_credit": True}, 0.66),
        (["d", "e"], {"has_partial_credit": True}, 0),
        (["a", "x"], {"has_partial_credit": True}, 0),
        ([], {"has_partial_credit": True}, 0),
    ],
)
def test_partial_credit(
    academy: Academy, taken: tuple[Course, Person], answer: list[str], settings: dict[str, Any], points: float
) -> None:
    assert graded(academy, taken, MULTIPLE, answer, **settings) == points


def test_partial_credit_counts_for_the_pass_mark(academy: Academy, taken: tuple[Course, Person]) -> None:
    course, taker = taken
    for pass_percent, passes in ((66, True), (67, False)):
        quiz_id = new_quiz(academy, course, has_partial_credit=True, pass_percent=pass_percent)
        question_id = ask(academy, course.teacher, quiz_id, **MULTIPLE)
        attempt = academy.rpc(taker, "submit_quiz", quiz_id=quiz_id, answers={question_id: ["a", "b"]}).json()
        assert (attempt["is_passed"], attempt["score_percent"]) == (passes, 66)


@pytest.mark.parametrize(
    ("answers", "points"),
    [
        ((True, True, True), 6),
        ((True, True, None), 4),
        ((True, True, False), 3),
        ((True, False, False), 0),
        ((False, False, False), 0),
        ((True, True, "x"), 4),
    ],
)
def test_wrong_answers_cost(
    academy: Academy, taken: tuple[Course, Person], answers: tuple[Any, ...], points: int
) -> None:
    """Half of what each is worth; no answer, or none of its kind, costs nothing, and nobody ends below zero."""
    course, taker = taken
    quiz_id = new_quiz(academy, course, penalty_percent=50)
    questions = [ask(academy, course.teacher, quiz_id, kind="true_false", answer=True, points=2) for _ in range(3)]
    sent = dict(zip(questions, answers, strict=True))
    attempt = academy.rpc(taker, "submit_quiz", quiz_id=quiz_id, answers=sent).json()
    assert (attempt["points"], attempt["max_points"]) == (points, 6)
