"""Attempts that are begun: the database's clock, questions drawn and shuffled, and what is told afterwards."""

import datetime
import itertools
import time
import uuid
from typing import Any

import pytest

from tests.learning.test_quizzes import OPTIONS, ask, new_quiz
from tests.people import Academy, Course, Person, refused, rows, together


def bank(academy: Academy, course: Course, size: int, **settings: Any) -> tuple[str, list[str]]:
    """A quiz of this many questions whose right answer is true, and their ids in order."""
    quiz_id = new_quiz(academy, course, **settings)
    return quiz_id, [ask(academy, course.teacher, quiz_id, kind="true_false", answer=True) for _ in range(size)]


def start(academy: Academy, who: Person, quiz_id: str) -> dict[str, Any]:
    """Begin an attempt."""
    answer = academy.rpc(who, "start_quiz", quiz_id=quiz_id)
    assert answer.status_code == 200, answer.text
    attempt: dict[str, Any] = answer.json()
    return attempt


def asked(academy: Academy, who: Person, attempt_id: str) -> list[dict[str, Any]]:
    """What an attempt asks."""
    found = rows(academy.call(who, "GET", f"/rest/v1/rpc/attempt_questions?attempt_id={attempt_id}"))
    assert [question["place"] for question in found] == list(range(1, len(found) + 1))
    return found


def told(academy: Academy, who: Person, attempt_id: str) -> list[dict[str, Any]]:
    """What is told of an attempt."""
    return rows(academy.call(who, "GET", f"/rest/v1/rpc/attempt_feedback?attempt_id={attempt_id}"))


def submit(academy: Academy, who: Person, quiz_id: str, answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Hand in, and return what comes back."""
    answer = academy.rpc(who, "submit_quiz", quiz_id=quiz_id, answers=answers, **more)
    assert answer.status_code == 200, answer.text
    attempt: dict[str, Any] = answer.json()
    return attempt


def age(academy: Academy, attempt_id: str, seconds: float) -> None:
    """Let an attempt's time have ended this long ago."""
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


def test_an_attempt_under_way(academy: Academy, enrolled: Person, stranger: Person, course: Course) -> None:
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
    assert (attempt["status"], attempt["attempt_number"], attempt["is_passed"]) == ("under_way", 1, False)
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
        refused(academy.rpc(who, "attempt_feedback", attempt_id=attempt["id"]), 409, "attempt_under_way")
    refused(academy.rpc(enrolled, "attempt_questions", attempt_id=str(uuid.uuid4())), 404, "attempt_not_found")

    done = submit(academy, enrolled, quiz_id, dict.fromkeys(questions, True))
    assert (done["id"], done["status"], done["points"], done["is_passed"]) == (attempt["id"], "submitted", 3, True)
    refused(academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={}), 409, "quiz_not_started")
    second = start(academy, enrolled, quiz_id)
    assert second["attempt_number"] == 2
    submit(academy, enrolled, quiz_id, {})
    refused(academy.rpc(enrolled, "start_quiz", quiz_id=quiz_id), 409, "attempts_exhausted")


def test_a_quiz_that_must_be_begun(academy: Academy, enrolled: Person, course: Course) -> None:
    for settings in ({"time_limit_seconds": 60}, {"question_count": 1}):
        quiz_id, questions = bank(academy, course, 1, **settings)
        answer = academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={questions[0]: True})
        refused(answer, 409, "quiz_not_started")
        assert visible(academy, enrolled, quiz_id) == 0


def test_a_suspended_student_begins_nothing(academy: Academy, course: Course) -> None:
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
    assert [row["points"] for row in told(academy, enrolled, attempt["id"])] == (
        [None, None] if status == "expired" else [1, 1]
    )


def test_a_late_pass_earns_no_certificate(academy: Academy, teacher: Person, student: Person) -> None:
    course = academy.course(teacher)
    academy.call(teacher, "PATCH", f"/rest/v1/quizzes?id=eq.{course.quiz_id}", {"time_limit_seconds": 60})
    academy.enrol(student, course)
    age(academy, start(academy, student, course.quiz_id)["id"], 11)
    assert submit(academy, student, course.quiz_id, course.right_answers)["certificate"] is None
    start(academy, student, course.quiz_id)
    assert submit(academy, student, course.quiz_id, course.right_answers)["certificate"]["status"] == "issued"


def test_peeking_costs_an_attempt(academy: Academy, enrolled: Person, course: Course) -> None:
    quiz_id, _ = bank(academy, course, 1, time_limit_seconds=60, attempt_limit=2)
    first = start(academy, enrolled, quiz_id)
    age(academy, first["id"], 11)
    second = start(academy, enrolled, quiz_id)
    assert (second["attempt_number"], second["id"] != first["id"]) == (2, True)
    (kept,) = rows(academy.call(enrolled, "GET", f"/rest/v1/quiz_attempts?id=eq.{first['id']}"))
    assert (kept["status"], kept["points"], kept["max_points"], kept["is_passed"]) == ("expired", 0, 1, False)
    age(academy, second["id"], 11)
    refused(academy.rpc(enrolled, "start_quiz", quiz_id=quiz_id), 409, "attempts_exhausted")


def test_the_deadline_is_kept_when_the_quiz_changes(academy: Academy, enrolled: Person, course: Course) -> None:
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


def test_a_quiz_begun_without_a_clock(academy: Academy, enrolled: Person, course: Course) -> None:
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
        # Whoever knows ids of others gains nothing by them.
        done = submit(academy, student, quiz_id, dict.fromkeys([*drawn[:3], *others], True))
        assert (done["points"], done["max_points"]) == (3, 5)
        draws.append(frozenset(drawn))
    assert len(set(draws)) > 1


def test_more_drawn_than_there_are(academy: Academy, enrolled: Person, course: Course) -> None:
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


def test_questions_that_change_while_an_attempt_is_under_way(
    academy: Academy, enrolled: Person, course: Course
) -> None:
    quiz_id, questions = bank(academy, course, 3, time_limit_seconds=600)
    attempt = start(academy, enrolled, quiz_id)
    academy.call(course.teacher, "DELETE", f"/rest/v1/quiz_questions?id=eq.{questions[0]}")
    changed = {"quiz_id": quiz_id, "question_id": questions[1], "kind": "true_false", "prompt": "Not?", "answer": False}
    assert academy.rpc(course.teacher, "save_quiz_question", **changed).status_code == 200
    added = ask(academy, course.teacher, quiz_id, kind="true_false", answer=True)
    shown = rows(academy.call(enrolled, "GET", f"/rest/v1/rpc/attempt_questions?attempt_id={attempt['id']}"))
    assert [question["question_id"] for question in shown] == questions[1:]
    done = submit(academy, enrolled, quiz_id, dict.fromkeys([*questions, added], True))
    assert (done["points"], done["max_points"]) == (1, 2)
    # Another kind of question, to which the answer given is none.
    attempt = start(academy, enrolled, quiz_id)
    other = {"quiz_id": quiz_id, "question_id": questions[1], "kind": "numeric", "prompt": "How many?", "answer": 1}
    assert academy.rpc(course.teacher, "save_quiz_question", **other).status_code == 200
    done = submit(academy, enrolled, quiz_id, dict.fromkeys(attempt["question_ids"], True))
    assert (done["points"], done["max_points"]) == (2, 3)
    # And none at all.
    attempt = start(academy, enrolled, quiz_id)
    academy.call(course.teacher, "DELETE", f"/rest/v1/quiz_questions?quiz_id=eq.{quiz_id}")
    refused(academy.rpc(enrolled, "submit_quiz", quiz_id=quiz_id, answers={}), 409, "quiz_empty")
    age(academy, attempt["id"], 11)
    refused(academy.rpc(enrolled, "start_quiz", quiz_id=quiz_id), 409, "quiz_empty")


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


def keys(told: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    """The right answers and explanations that were told."""
    return [(row["right_answer"], row["explanation"]) for row in told]


@pytest.mark.parametrize("feedback", ["none", "score", "answers", "answers_at_once"])
def test_feedback(academy: Academy, marks: Course, feedback: str) -> None:
    student = academy.member()
    academy.enrol(student, marks)
    quiz_id, questions = feedback_quiz(academy, marks, feedback=feedback)
    wrong = submit(academy, student, quiz_id, {questions[0]: "b"})
    first = told(academy, student, wrong["id"])
    assert [row["question_id"] for row in first] == questions
    assert [(row["answer"], row["max_points"]) for row in first] == [("b", 1), (None, 2)]
    shown = [(1, True), (0, False)] if feedback != "none" else HIDDEN
    assert [(row["points"], row["is_right"]) for row in first] == shown
    assert keys(first) == (ANSWERS if feedback == "answers_at_once" else HIDDEN)
    assert keys(told(academy, marks.teacher, wrong["id"])) == ANSWERS

    right = submit(academy, student, quiz_id, {questions[0]: "b", questions[1]: True})
    assert right["is_passed"] is True
    for attempt in (wrong, right):
        after = told(academy, student, attempt["id"])
        assert keys(after) == (ANSWERS if feedback in {"answers", "answers_at_once"} else HIDDEN)
    # What was right when it was graded stays so; what is right now is told.
    changed = {"quiz_id": quiz_id, "question_id": questions[1], "kind": "true_false", "prompt": "?", "answer": False}
    assert academy.rpc(marks.teacher, "save_quiz_question", **changed).status_code == 200
    (_, later) = told(academy, marks.teacher, right["id"])
    assert (later["points"], later["is_right"], later["right_answer"]) == (2, True, False)


def test_answers_are_told_after_the_last_attempt(academy: Academy, marks: Course) -> None:
    student = academy.member()
    academy.enrol(student, marks)
    quiz_id, _ = feedback_quiz(academy, marks, feedback="answers", attempt_limit=2, time_limit_seconds=60)
    first = start(academy, student, quiz_id)
    submit(academy, student, quiz_id, {})
    assert keys(told(academy, student, first["id"])) == HIDDEN
    last = start(academy, student, quiz_id)
    # The limit is reached, and yet there is an attempt in which the keys would help.
    assert keys(told(academy, student, first["id"])) == HIDDEN
    age(academy, last["id"], 5)
    assert keys(told(academy, student, first["id"])) == HIDDEN
    age(academy, last["id"], 11)
    assert keys(told(academy, student, first["id"])) == ANSWERS
    assert keys(told(academy, student, last["id"])) == ANSWERS


def test_keys_leave_by_no_other_door(academy: Academy, marks: Course) -> None:
    student = academy.member()
    academy.enrol(student, marks)
    quiz_id, questions = feedback_quiz(academy, marks, feedback="none", time_limit_seconds=60)
    attempt = start(academy, student, quiz_id)
    submit(academy, student, quiz_id, {questions[0]: "a"})
    for table in ("quiz_answer_keys", "quiz_attempt_points"):
        assert academy.call(student, "GET", f"/rest/v1/{table}").status_code == 404
        assert academy.call(student, "GET", f"/rest/v1/{table}", accept_profile="private").status_code == 406
        for outer in ("quiz_questions", "quiz_attempts", "quizzes"):
            assert academy.call(student, "GET", f"/rest/v1/{outer}?select=*,{table}(*)").status_code == 400
    for function in ("attempt_feedback", "attempt_questions"):
        path = f"/rest/v1/rpc/{function}?attempt_id={attempt['id']}"
        for more in ("&order=right_answer", "&right_answer=not.is.null", "&select=right_answer,explanation"):
            answer = academy.call(student, "GET", path + more, prefer="count=exact")
            assert "Because" not in answer.text
            assert answer.status_code == 400 or {row.get("right_answer") for row in rows(answer)} <= {None}
    hidden = academy.call(
        student, "GET", f"/rest/v1/rpc/attempt_feedback?attempt_id={attempt['id']}&right_answer=eq.%22b%22"
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
    begun = together(12, lambda _: start(academy, enrolled, quiz_id))
    assert all(attempt == begun[0] for attempt in begun)


def test_twelve_submissions_of_one_attempt_are_one(academy: Academy, teacher: Person, student: Person) -> None:
    course = academy.course(teacher)
    path = f"/rest/v1/quizzes?id=eq.{course.quiz_id}"
    assert academy.call(teacher, "PATCH", path, {"time_limit_seconds": 600, "attempt_limit": 1}).status_code == 204
    academy.enrol(student, course)
    attempt = start(academy, student, course.quiz_id)

    def hand_in(_: int) -> Any:
        return academy.rpc(student, "submit_quiz", quiz_id=course.quiz_id, answers=course.right_answers)

    answers = together(12, hand_in)
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

    for answer in together(20, take):
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
    assert [status for _, status in kept].count("under_way") <= 1


# Ten thousand questions


@pytest.fixture(scope="module")
def large(academy: Academy, teacher: Person) -> tuple[Course, str, dict[str, Any]]:
    """A quiz of 10,000 questions of every kind, and all its right answers."""
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
    assert all(row["is_right"] for row in told(academy, student, done["id"]))
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
