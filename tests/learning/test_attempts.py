"""Attempts: the clock of the database, drawn and shuffled questions, and feedback."""

import datetime
import itertools
import time
import uuid
from typing import Any

import pytest

from tests.learning.test_quizzes import OPTIONS, ask, new_quiz
from tests.people import Academy, Course, Person, concurrently, refused, rows


def bank(academy: Academy, course: Course, size: int, **settings: Any) -> tuple[str, list[str]]:
    """A quiz of so many questions whose correct answer is true, and their ids in order."""
    quiz_id = new_quiz(academy, course, **settings)
    return quiz_id, [ask(academy, course.teacher, quiz_id, kind="true_false", answer=True) for _ in range(size)]


def start(academy: Academy, who: Person, quiz_id: str) -> dict[str, Any]:
    """Begin an attempt."""
    answer = academy.rpc(who, "start_quiz", quiz_id=quiz_id)
    assert answer.status_code == 200, answer.text
    attempt: dict[str, Any] = answer.json()
    return attempt


def asked(academy: Academy, who: Person, attempt_id: str) -> list[dict[str, Any]]:
    """The questions of an attempt."""
    found = rows(academy.call(who, "GET", f"/rest/v1/rpc/attempt_questions?attempt_id={attempt_id}"))
    assert [question["position"] for question in found] == list(range(1, len(found) + 1))
    return found


def feedback_on(academy: Academy, who: Person, attempt_id: str) -> list[dict[str, Any]]:
    """The feedback on an attempt."""
    return rows(academy.call(who, "GET", f"/rest/v1/rpc/attempt_feedback?attempt_id={attempt_id}"))


def submit(academy: Academy, who: Person, quiz_id: str, answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Submit answers, and return the attempt."""
    answer = academy.rpc(who, "submit_quiz", quiz_id=quiz_id, answers=answers, **more)
    assert answer.status_code == 200, answer.text
    attempt: dict[str, Any] = answer.json()
    return attempt


def age(academy: Academy, attempt_id: str, seconds: float) -> None:
    """Move the end of an attempt this far into the past."""
    academy.sql(
        "update public.quiz_attempts set expires_at = now() - make_interval(secs => %s) where id = %s",
        seconds,
        attempt_id,
    )


def visible(academy: Academy, who: Person, quiz_id: str) -> int:
    """How many questions of a quiz somebody reads; fails where one way shows more than another."""
    plain = f"/rest/v1/quiz_questions?quiz_id=eq.{quiz_id}"
    seen = len(rows(academy.call(who, "GET", plain)))
    (quiz,) = rows(academy.call(who, "GET", f"/rest/v1/quizzes?id=eq.{quiz_id}&select=id,quiz_questions(prompt)"))
    assert len(quiz["quiz_questions"]) == seen
    counted = academy.call(who, "GET", f"{plain}&limit=0", prefer="count=exact")
    assert counted.headers["Content-Range"].endswith(f"/{seen}")
    for more in ("&order=prompt.desc", "&prompt=like.*", "&or=(points.gt.0,position.gt.0)", "&select=id"):
        assert len(rows(academy.call(who, "GET", plain + more))) == seen
    removed = academy.call(who, "PATCH", plain, {"prompt": "x"}, prefer="return=representation")
    assert removed.status_code == 403
    return seen


def test_an_attempt_in_progress(academy: Academy, enrolled: Person, stranger: Person, course: Course) -> None:
    quiz_id, questions = bank(academy, course, 3, time_limit_seconds=600, attempt_limit=2)
    for other in (stranger, course.teacher):
        refused(academy.rpc(other, "start_quiz", quiz_id=quiz_id), 403, "not_enrolled")
    assert academy.rpc(None, "start_quiz", quiz_id=quiz_id).status_code == 401
    assert academy.call(enrolled, "GET", f"/rest/v1/rpc/start_quiz?quiz_id={quiz_id}").status_code == 405
    assert visible(academy, enrolled, quiz_id) == 0
    assert visible(academy, course.teacher, quiz_id) == 3

    attempt = start(academy, enrolled, quiz_id)
    begun, ends = (datetime.datetime.fromisoformat(attempt[name]) for name in ("started_at", "expires_at"))
    assert ends - begun == datetime.timedelta(seconds=600)
    assert (attempt["status"], attempt["attempt_number"], attempt["is_passed"]) == ("in_progress", 1, False)
    assert (attempt["points"], attempt["submitted_at"], attempt["question_ids"]) == (None, None, questions)
    assert start(academy, enrolled, quiz_id) == attempt
    assert visible(academy, enrolled, quiz_id) == 0
    assert [question["question_id"] for question in asked(academy, enrolled, attempt["id"])] == questions
    path = f"/rest/v1/rpc/attempt_questions?attempt_id={attempt['id']}"
    for other in (stranger, academy.member()):
        refused(academy.call(other, "GET", path), 404, "attempt_not_found")
        refused(academy.rpc(other, "attempt_feedback", attempt_id=attempt["id"]), 404, "attempt_not_found")
    assert academy.call(None, "GET", path).status_code == 401
    for who in (enrolled, course.teacher):
        refused(academy.rpc(who, "attempt_feedback", attempt_id=attempt["id"]), 409, "attempt_in_progress")
    refused(academy.rpc(enrolled, "attempt_questions", attempt_id=str(uuid.uuid4())), 404, "attempt_not_found")

    done = submit(academy, enrolled, quiz_id, dict.fromkeys(questions, True))
    assert (done["id"], done["status"], done["points"], done["is_passed"]) == (attempt["id"], "submitted", 3, True)
    refused(academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={}), 409, "quiz_not_started")
    second = start(academy, enrolled, quiz_id)
    assert second["attempt_number"] == 2
    submit(academy, enrolled, quiz_id, {})
    refused(academy.rpc(enrolled, "start_quiz", quiz_id=quiz_id), 409, "attempts_exhausted")


def test_a_timed_quiz_must_be_started(academy: Academy, enrolled: Person, course: Course) -> None:
    for settings in ({"time_limit_seconds": 60}, {"question_count": 1}):
        quiz_id, questions = bank(academy, course, 1, **settings)
        answer = academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={questions[0]: True})
        refused(answer, 409, "quiz_not_started")
        assert visible(academy, enrolled, quiz_id) == 0


def test_a_suspended_student_cannot_start_an_attempt(academy: Academy, course: Course) -> None:
    student = academy.member()
    academy.enrol(student, course)
    academy.suspend(student)
    refused(academy.rpc(student, "start_quiz", quiz_id=course.quiz_id), 403, "account_inactive")


def test_an_attempt_of_a_course_that_closed(academy: Academy, teacher: Person) -> None:
    course, student = academy.course(teacher), academy.member()
    academy.enrol(student, course)
    attempt = start(academy, student, course.quiz_id)
    academy.sql("update public.enrolments set access_until = now() where student_id = %s", student.id)
    for name in ("attempt_questions", "attempt_feedback"):
        refused(academy.rpc(student, name, attempt_id=attempt["id"]), 404, "attempt_not_found")
    refused(academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers={}), 403, "not_enrolled")


@pytest.mark.parametrize(("late", "status"), [(-5, "submitted"), (3, "submitted"), (11, "expired")])
def test_the_deadline(academy: Academy, enrolled: Person, course: Course, late: float, status: str) -> None:
    quiz_id, questions = bank(academy, course, 2, time_limit_seconds=60)
    attempt = start(academy, enrolled, quiz_id)
    age(academy, attempt["id"], late)
    key = str(uuid.uuid4())
    done = submit(academy, enrolled, quiz_id, dict.fromkeys(questions, True), submission_key=key)
    assert (done["id"], done["status"], done["points"]) == (attempt["id"], status, 2 if status == "submitted" else 0)
    assert (done["max_points"], done["is_passed"]) == (2, status == "submitted")
    assert submit(academy, enrolled, quiz_id, {}, submission_key=key) == done
    assert [row["points"] for row in feedback_on(academy, enrolled, attempt["id"])] == (
        [0, 0] if status == "expired" else [1, 1]
    )


def test_a_late_pass_earns_no_certificate(academy: Academy, teacher: Person, student: Person) -> None:
    course = academy.course(teacher)
    academy.call(teacher, "PATCH", f"/rest/v1/quizzes?id=eq.{course.quiz_id}", {"time_limit_seconds": 60})
    academy.enrol(student, course)
    age(academy, start(academy, student, course.quiz_id)["id"], 11)
    assert submit(academy, student, course.quiz_id, course.correct_answers)["certificate"] is None
    start(academy, student, course.quiz_id)
    assert submit(academy, student, course.quiz_id, course.correct_answers)["certificate"]["status"] == "issued"


def test_reading_the_questions_costs_an_attempt(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id, _ = bank(academy, course, 1, time_limit_seconds=60, attempt_limit=2)
    first = start(academy, enrolled, quiz_id)
    age(academy, first["id"], 11)
    second = start(academy, enrolled, quiz_id)
    assert (second["attempt_number"], second["id"] != first["id"]) == (2, True)
    (kept,) = rows(academy.call(enrolled, "GET", f"/rest/v1/quiz_attempts?id=eq.{first['id']}"))
    assert (kept["status"], kept["points"], kept["max_points"], kept["is_passed"]) == ("expired", 0, 1, False)
    age(academy, second["id"], 11)
    refused(academy.rpc(enrolled, "start_quiz", quiz_id=quiz_id), 409, "attempts_exhausted")


def test_an_attempt_keeps_its_deadline_when_the_quiz_changes(
    academy: Academy, enrolled: Person, course: Course
) -> None:
    quiz_id, _ = bank(academy, course, 1, time_limit_seconds=60)
    attempt = start(academy, enrolled, quiz_id)
    changes: list[dict[str, Any]] = [{"time_limit_seconds": 600}, {"time_limit_seconds": None}]
    for change in changes:
        academy.call(course.teacher, "PATCH", f"/rest/v1/quizzes?id=eq.{quiz_id}", change)
        assert start(academy, enrolled, quiz_id)["expires_at"] == attempt["expires_at"]
    changes = [{"expires_at": None}, {"status": "submitted"}, {"question_ids": []}]
    for change in changes:
        path = f"/rest/v1/quiz_attempts?id=eq.{attempt['id']}"
        assert academy.call(enrolled, "PATCH", path, change).status_code == 403


def test_an_untimed_quiz_can_be_started(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id, questions = bank(academy, course, 2)
    attempt = start(academy, enrolled, quiz_id)
    assert (attempt["expires_at"], visible(academy, enrolled, quiz_id)) == (None, 2)
    assert submit(academy, enrolled, quiz_id, {questions[0]: True})["id"] == attempt["id"]
    assert submit(academy, enrolled, quiz_id, {})["attempt_number"] == 2


def test_questions_are_drawn(academy: Academy, course: Course) -> None:
    quiz_id, questions = bank(academy, course, 20, question_count=5)
    draws = []
    for _ in range(4):
        student = academy.member()
        academy.enrol(student, course)
        attempt = start(academy, student, quiz_id)
        drawn = [question["question_id"] for question in asked(academy, student, attempt["id"])]
        assert (len(set(drawn)), set(drawn) <= set(questions)) == (5, True)
        assert drawn == sorted(drawn, key=questions.index) == attempt["question_ids"]
        assert visible(academy, student, quiz_id) == 0
        others = [question for question in questions if question not in drawn]
        # Ids of questions that were not drawn are of no use.
        done = submit(academy, student, quiz_id, dict.fromkeys([*drawn[:3], *others], True))
        assert (done["points"], done["max_points"]) == (3, 5)
        draws.append(frozenset(drawn))
    assert len(set(draws)) > 1


def test_drawing_more_questions_than_the_quiz_has(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id, questions = bank(academy, course, 2, question_count=10)
    assert set(start(academy, enrolled, quiz_id)["question_ids"]) == set(questions)
    empty = new_quiz(academy, course, question_count=10)
    refused(academy.rpc(enrolled, "start_quiz", quiz_id=empty), 409, "quiz_empty")


def test_each_attempt_has_an_order_of_its_own(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id = new_quiz(academy, course, is_shuffled=True)
    many = [{"id": f"o{number}", "text": str(number)} for number in range(10)]
    questions = [
        ask(academy, course.teacher, quiz_id, kind="single", options=many, answer="o7", points=1) for _ in range(8)
    ]
    orders = []
    for _ in range(3):
        attempt = start(academy, enrolled, quiz_id)
        shown = asked(academy, enrolled, attempt["id"])
        assert shown == asked(academy, enrolled, start(academy, enrolled, quiz_id)["id"])
        assert {question["question_id"] for question in shown} == set(questions)
        for question in shown:
            assert sorted(question["options"], key=lambda option: option["text"]) == many
        orders.append(([q["question_id"] for q in shown], [q["options"] for q in shown]))
        assert submit(academy, enrolled, quiz_id, dict.fromkeys(questions, "o7"))["points"] == 8
    assert all(first != second for first, second in itertools.pairwise(orders))
    assert len({str(options) for _, shown in orders for options in shown}) > 8


def test_an_attempt_keeps_what_it_was_asked(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id, questions = bank(academy, course, 3, time_limit_seconds=600, penalty_percent=50)
    attempt = start(academy, enrolled, quiz_id)
    before = asked(academy, enrolled, attempt["id"])
    academy.call(course.teacher, "DELETE", f"/rest/v1/quiz_questions?id=eq.{questions[0]}")
    changes: list[dict[str, Any]] = [
        {"question_id": questions[1], "kind": "true_false", "prompt": "Not?", "answer": False, "points": 7},
        {"question_id": questions[2], "kind": "numeric", "prompt": "How many?", "answer": 1},
    ]
    for change in changes:
        assert academy.rpc(course.teacher, "save_quiz_question", quiz_id=quiz_id, **change).status_code == 200
    path = f"/rest/v1/quizzes?id=eq.{quiz_id}"
    assert academy.call(course.teacher, "PATCH", path, {"penalty_percent": 100}).status_code == 204
    added = ask(academy, course.teacher, quiz_id, kind="true_false", answer=True)
    assert asked(academy, enrolled, attempt["id"]) == before
    answers = {questions[0]: True, questions[1]: True, questions[2]: False, added: True}
    done = submit(academy, enrolled, quiz_id, answers)
    assert (done["points"], done["max_points"]) == (1.5, 3)
    shown = feedback_on(academy, enrolled, attempt["id"])
    assert [row["prompt"] for row in shown] == [question["prompt"] for question in before]
    assert [(row["points"], row["is_correct"]) for row in shown] == [(1, True), (1, True), (-0.5, False)]
    # The next attempt is asked what the quiz asks now.
    assert start(academy, enrolled, quiz_id)["question_ids"] == [questions[1], questions[2], added]


@pytest.mark.parametrize("settings", [{"time_limit_seconds": 600}, {}], ids=["timed", "untimed"])
def test_an_attempt_whose_questions_are_gone_ends(
    academy: Academy, enrolled: Person, course: Course, settings: dict[str, Any]
) -> None:
    draft = academy.course(course.teacher, published=False)
    academy.sql(
        "insert into public.enrolments (course_id, student_id, source) values (%s, %s, 'manual')", draft.id, enrolled.id
    )
    quiz_id, questions = bank(academy, draft, 2, attempt_limit=1, **settings)
    attempt = start(academy, enrolled, quiz_id)
    gone = academy.call(course.teacher, "DELETE", f"/rest/v1/quiz_questions?quiz_id=eq.{quiz_id}")
    assert gone.status_code == 204, gone.text
    assert start(academy, enrolled, quiz_id)["id"] == attempt["id"]
    assert [question["question_id"] for question in asked(academy, enrolled, attempt["id"])] == questions
    done = submit(academy, enrolled, quiz_id, {questions[0]: True})
    assert (done["id"], done["status"], done["points"], done["max_points"]) == (attempt["id"], "submitted", 1, 2)
    refused(academy.rpc(enrolled, "start_quiz", quiz_id=quiz_id), 409, "attempts_exhausted")


# Feedback


@pytest.fixture(scope="module")
def marks(academy: Academy, teacher: Person) -> Course:
    """A course whose quiz, in feedback's tests, asks two questions."""
    return academy.course(teacher)


def feedback_quiz(academy: Academy, course: Course, **settings: Any) -> tuple[str, list[str]]:
    """A quiz of a question that explains its answer and of one that does not."""
    quiz_id = new_quiz(academy, course, pass_percent=100, **settings)
    return quiz_id, [
        ask(academy, course.teacher, quiz_id, kind="single", options=OPTIONS, answer="b", explanation="Because."),
        ask(academy, course.teacher, quiz_id, kind="true_false", answer=True, points=2),
    ]


ANSWERS = [("b", "Because."), (True, None)]
HIDDEN = [(None, None), (None, None)]


def keys(feedback: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    """The correct answers and explanations in the feedback."""
    return [(row["correct_answer"], row["explanation"]) for row in feedback]


@pytest.mark.parametrize("feedback", ["none", "score", "answers", "answers_at_once"])
def test_feedback(academy: Academy, marks: Course, feedback: str) -> None:
    student = academy.member()
    academy.enrol(student, marks)
    quiz_id, questions = feedback_quiz(academy, marks, feedback=feedback)
    wrong = submit(academy, student, quiz_id, {questions[0]: "b"})
    first = feedback_on(academy, student, wrong["id"])
    assert [row["question_id"] for row in first] == questions
    assert [(row["answer"], row["max_points"]) for row in first] == [("b", 1), (None, 2)]
    shown = [(1, True), (0, False)] if feedback != "none" else HIDDEN
    assert [(row["points"], row["is_correct"]) for row in first] == shown
    assert keys(first) == (ANSWERS if feedback == "answers_at_once" else HIDDEN)
    assert keys(feedback_on(academy, marks.teacher, wrong["id"])) == ANSWERS

    right = submit(academy, student, quiz_id, {questions[0]: "b", questions[1]: True})
    assert right["is_passed"] is True
    for attempt in (wrong, right):
        after = feedback_on(academy, student, attempt["id"])
        assert keys(after) == (ANSWERS if feedback in {"answers", "answers_at_once"} else HIDDEN)
    # The attempt keeps the question and the key by which it was graded.
    changed = {"quiz_id": quiz_id, "question_id": questions[1], "kind": "true_false", "prompt": "?", "answer": False}
    assert academy.rpc(marks.teacher, "save_quiz_question", **changed).status_code == 200
    assert feedback_on(academy, student, right["id"]) == after
    (_, later) = feedback_on(academy, marks.teacher, right["id"])
    assert (later["points"], later["is_correct"], later["correct_answer"]) == (2, True, True)
    assert later["prompt"] != "?"


def test_feedback_says_which_answers_do_not_fit(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id = new_quiz(academy, course, feedback="none")
    single, number, text, empty = (
        ask(academy, course.teacher, quiz_id, **question)
        for question in (
            {"kind": "single", "options": OPTIONS, "answer": "b"},
            {"kind": "numeric", "answer": 5},
            {"kind": "short_text", "answer": "x"},
            {"kind": "true_false", "answer": True},
        )
    )
    done = submit(academy, enrolled, quiz_id, {single: ["a", "b"], number: 5, text: "x" * 20_000, empty: None})
    shown = feedback_on(academy, enrolled, done["id"])
    assert [row["is_answer_valid"] for row in shown] == [False, True, False, None]
    assert [row["options"] for row in shown] == [OPTIONS, [], [], []]
    assert [row["kind"] for row in shown] == ["single", "numeric", "short_text", "true_false"]
    assert (shown[0]["answer"], shown[1]["answer"], shown[3]["answer"]) == (["a", "b"], 5, None)
    assert shown[2]["answer"] == '"' + "x" * 999 + "…"


def test_answers_are_shown_after_the_last_attempt(academy: Academy, marks: Course) -> None:
    student = academy.member()
    academy.enrol(student, marks)
    quiz_id, _ = feedback_quiz(academy, marks, feedback="answers", attempt_limit=2, time_limit_seconds=60)
    first = start(academy, student, quiz_id)
    submit(academy, student, quiz_id, {})
    assert keys(feedback_on(academy, student, first["id"])) == HIDDEN
    last = start(academy, student, quiz_id)
    # The limit is reached, but an attempt is in progress, in which the keys would help.
    assert keys(feedback_on(academy, student, first["id"])) == HIDDEN
    age(academy, last["id"], 5)
    assert keys(feedback_on(academy, student, first["id"])) == HIDDEN
    age(academy, last["id"], 11)
    assert keys(feedback_on(academy, student, first["id"])) == ANSWERS
    assert keys(feedback_on(academy, student, last["id"])) == ANSWERS


def test_keys_are_shown_nowhere_else(academy: Academy, marks: Course) -> None:
    student = academy.member()
    academy.enrol(student, marks)
    quiz_id, questions = feedback_quiz(academy, marks, feedback="none", time_limit_seconds=60)
    attempt = start(academy, student, quiz_id)
    submit(academy, student, quiz_id, {questions[0]: "a"})
    for table in ("quiz_answer_keys", "quiz_attempt_records", "quiz_question_versions"):
        assert academy.call(student, "GET", f"/rest/v1/{table}").status_code == 404
        assert academy.call(student, "GET", f"/rest/v1/{table}", accept_profile="private").status_code == 406
        for outer in ("quiz_questions", "quiz_attempts", "quizzes"):
            assert academy.call(student, "GET", f"/rest/v1/{outer}?select=*,{table}(*)").status_code == 400
    for function in ("attempt_feedback", "attempt_questions"):
        path = f"/rest/v1/rpc/{function}?attempt_id={attempt['id']}"
        for more in ("&order=correct_answer", "&correct_answer=not.is.null", "&select=correct_answer,explanation"):
            answer = academy.call(student, "GET", path + more, prefer="count=exact")
            assert "Because" not in answer.text
            assert answer.status_code == 400 or {row.get("correct_answer") for row in rows(answer)} <= {None}
    hidden = academy.call(
        student, "GET", f"/rest/v1/rpc/attempt_feedback?attempt_id={attempt['id']}&correct_answer=eq.%22b%22"
    )
    assert rows(hidden) == []
    upsert = {"id": questions[0], "quiz_id": quiz_id, "prompt": "Mine"}
    for prefer in ("resolution=merge-duplicates,return=representation", "return=representation"):
        assert academy.call(student, "POST", "/rest/v1/quiz_questions", upsert, prefer=prefer).status_code == 403
    for method in ("PATCH", "DELETE"):
        body = {"prompt": "Mine"} if method == "PATCH" else None
        answer = academy.call(
            student, method, f"/rest/v1/quiz_questions?quiz_id=eq.{quiz_id}", body, prefer="return=representation"
        )
        assert answer.status_code == 403 or rows(answer) == []


# At once


def test_twelve_starts_at_once_are_one_attempt(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id, _ = bank(academy, course, 6, question_count=3, is_shuffled=True)
    begun = concurrently(12, lambda _: start(academy, enrolled, quiz_id))
    assert all(attempt == begun[0] for attempt in begun)


def test_twelve_submissions_of_one_attempt_are_one(academy: Academy, teacher: Person, student: Person) -> None:
    course = academy.course(teacher)
    path = f"/rest/v1/quizzes?id=eq.{course.quiz_id}"
    assert academy.call(teacher, "PATCH", path, {"time_limit_seconds": 600, "attempt_limit": 1}).status_code == 204
    academy.enrol(student, course)
    attempt = start(academy, student, course.quiz_id)

    def hand_in(_: int) -> Any:
        return academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.correct_answers)

    answers = concurrently(12, hand_in)
    (accepted,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert (accepted["id"], accepted["is_passed"]) == (attempt["id"], True)
    for answer in answers:
        if answer.status_code != 200:
            refused(answer, 409, "quiz_not_started")
    counts = academy.sql(
        "select (select count(*) from public.quiz_attempts where student_id = %s),"
        " (select count(*) from public.certificates where student_id = %s)",
        *[student.id] * 2,
    )
    assert counts == [(1, 1)]


def test_starting_and_submitting_at_once_keeps_the_limit(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id, questions = bank(academy, course, 1, time_limit_seconds=600, attempt_limit=3)

    def take(number: int) -> Any:
        if number % 2:
            return academy.rpc(enrolled, "start_quiz", quiz_id=quiz_id)
        return academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={questions[0]: False})

    for answer in concurrently(20, take):
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["message"]) in {
                (409, "attempts_exhausted"),
                (409, "quiz_not_started"),
            }
    kept = academy.sql(
        "select attempt_number, status from public.quiz_attempts where quiz_id = %s order by attempt_number", quiz_id
    )
    assert 1 <= len(kept) <= 3
    assert [number for number, _ in kept] == list(range(1, len(kept) + 1))
    assert [status for _, status in kept].count("in_progress") <= 1


# Ten thousand questions


@pytest.fixture(scope="module")
def large(academy: Academy, teacher: Person) -> tuple[Course, str, dict[str, Any]]:
    """A quiz of 10,000 questions of every kind, and all its correct answers."""
    course = academy.course(teacher)
    quiz_id = new_quiz(academy, course, has_partial_credit=True)
    academy.sql(
        """
        with q as (
            insert into public.quiz_questions (quiz_id, course_id, kind, prompt, options, position)
            select %s, %s, k.kind, 'Question ' || i,
                case when k.kind in ('single', 'multiple') then
                    '[{"id": "a", "text": "A"}, {"id": "b", "text": "B"}, {"id": "c", "text": "C"}]'::jsonb
                else '[]' end, i
            from generate_series(1, 10000) as i,
                lateral (select (enum_range(null::public.question_kind))[i %% 5 + 1] as kind) as k
            returning id, kind
        )
        insert into private.quiz_answer_keys (question_id, answer)
        select q.id, case q.kind
            when 'single' then '"b"'::jsonb when 'multiple' then '["a", "c"]' when 'true_false' then 'true'
            when 'numeric' then '{"min": 1, "max": 2}' else '["Lisbon", "Lisboa", "Λισαβόνα"]' end
        from q
        """,
        quiz_id,
        course.id,
    )
    right = {
        "single": "b", "multiple": ["c", "a"], "true_false": True, "numeric": 1.5, "short_text": "ΛΙΣΑΒΌΝΑ",
    }  # fmt: skip
    found = academy.sql("select id, kind from public.quiz_questions where quiz_id = %s", quiz_id)
    return course, quiz_id, {str(question_id): right[kind] for question_id, kind in found}


def test_ten_thousand_questions_are_graded(
    academy: Academy, student: Person, large: tuple[Course, str, dict[str, Any]]
) -> None:
    course, quiz_id, right = large
    academy.enrol(student, course)
    began = time.monotonic()
    done = submit(academy, student, quiz_id, right)
    assert time.monotonic() - began < 4
    assert (done["points"], done["max_points"], done["is_passed"]) == (10_000, 10_000, True)
    began = time.monotonic()
    assert all(row["is_correct"] for row in feedback_on(academy, student, done["id"]))
    assert time.monotonic() - began < 4


def test_a_bank_of_ten_thousand_is_drawn_from(
    academy: Academy, student: Person, large: tuple[Course, str, dict[str, Any]]
) -> None:
    course, quiz_id, right = large
    academy.enrol(student, course)
    path = f"/rest/v1/quizzes?id=eq.{quiz_id}"
    settings = {"question_count": 50, "is_shuffled": True, "time_limit_seconds": 600}
    assert academy.call(course.teacher, "PATCH", path, settings).status_code == 204
    began = time.monotonic()
    attempt = start(academy, student, quiz_id)
    shown = asked(academy, student, attempt["id"])
    done = submit(
        academy, student, quiz_id, {question["question_id"]: right[question["question_id"]] for question in shown}
    )
    assert time.monotonic() - began < 3
    assert (len(shown), done["points"], done["max_points"]) == (50, 50, 50)
    (deleted, *_) = right
    began = time.monotonic()
    assert academy.call(course.teacher, "DELETE", f"/rest/v1/quiz_questions?id=eq.{deleted}").status_code == 204
    assert time.monotonic() - began < 4
    ((last, count),) = academy.sql(
        "select max(position), count(*) from public.quiz_questions where quiz_id = %s", quiz_id
    )
    assert (last, count) == (9_999, 9_999)
