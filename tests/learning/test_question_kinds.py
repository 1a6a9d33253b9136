"""The kinds of questions: their keys, their scores, and answers that do not fit."""

import json
from typing import Any

import psycopg
import pytest

from tests.databases import Databases
from tests.learning.test_quizzes import OPTIONS, ask, new_quiz
from tests.people import Academy, Course, Person, refused, rows


@pytest.fixture(scope="module")
def taken(academy: Academy, course: Course) -> tuple[Course, Person]:
    """A course, and somebody who is enrolled in it."""
    student = academy.member(name="Amara")
    academy.enrol(student, course)
    return course, student


def graded(
    academy: Academy, taken: tuple[Course, Person], question: dict[str, Any], answer: Any, **settings: Any
) -> Any:
    """The points of an answer in a quiz of this question alone."""
    course, taker = taken
    quiz_id = new_quiz(academy, course, **settings)
    question_id = ask(academy, course.teacher, quiz_id, **question)
    attempt = academy.rpc(taker, "submit_quiz", quiz_id=quiz_id, answers={question_id: answer})
    assert attempt.status_code == 200, attempt.text
    return attempt.json()["points"]


PI = {"kind": "numeric", "answer": {"value": 3.14, "tolerance": 0.01}}
RANGE = {"kind": "numeric", "answer": {"min": -2, "max": 10.5}}
EXACT = {"kind": "numeric", "answer": 0.3}
THIRD = {"kind": "numeric", "answer": {"value": 0.333, "tolerance": 0.001}}
AVOGADRO = {"kind": "numeric", "answer": 6.02214076e23}
LARGEST = {"kind": "numeric", "answer": 1.7976931348623157e308}
SMALLEST = {"kind": "numeric", "answer": 5e-324}
DIGITS = {"kind": "numeric", "answer": "3.14159265358979323846"}
BIG = {"kind": "numeric", "answer": 2**64}
THOUSAND = {"kind": "numeric", "answer": 1000}
NEGATIVE = {"kind": "numeric", "answer": -5}


@pytest.mark.parametrize(
    ("question", "answer", "points"),
    [
        (PI, 3.14, 1),
        (PI, 3.13, 1),
        (PI, 3.15, 1),
        (PI, 3.15000000001, 0),
        (PI, 3.12999, 0),
        (PI, 3, 0),
        (PI, "3.14", 1),
        (PI, " +3.14 ", 1),
        (PI, "314e-2", 1),
        (PI, "３．１４", 1),  # noqa: RUF001
        (PI, "3,14", 1),
        (PI, "3.14 cm", 0),
        (PI, "٣", 0),
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
        (THIRD, 0.3333333333333333, 1),
        (THIRD, 0.333, 1),
        (THIRD, 0.34, 0),
        (AVOGADRO, 6.02214076e23, 1),
        (AVOGADRO, "6.02214076E+23", 1),
        (AVOGADRO, 602214076000000000000000, 1),
        (AVOGADRO, 6.02214075e23, 0),
        (LARGEST, 1.7976931348623157e308, 1),
        (LARGEST, -1.7976931348623157e308, 0),
        (SMALLEST, 5e-324, 1),
        (SMALLEST, 0, 0),
        (DIGITS, 3.141592653589793, 1),  # what JavaScript makes of the key
        (DIGITS, 3.1415926535897936, 0),
        (BIG, 18446744073709552000, 1),  # JavaScript's 2 ** 64
        (BIG, "18446744073709551616", 1),
        (BIG, "18446744073709551615", 0),
        (THOUSAND, "1,000", 0),  # a thousand, or one
        (THOUSAND, "1000", 1),
        (THOUSAND, "0,333", 0),
        (THOUSAND, "−5", 0),  # noqa: RUF001
        (NEGATIVE, "−5", 1),  # noqa: RUF001
        (NEGATIVE, "-5.0", 1),
    ],
)
def test_numbers(
    academy: Academy, taken: tuple[Course, Person], question: dict[str, Any], answer: Any, points: int
) -> None:
    assert graded(academy, taken, question, answer) == points


@pytest.mark.parametrize("raw", ["1e400", "-1e400", "1e-400", "1e131071", "1e-16000", "NaN", "Infinity", "1e200000"])
def test_extreme_numbers(academy: Academy, taken: tuple[Course, Person], raw: str) -> None:
    """Wrong, no JSON, or too large for Postgres: never a server error, and never stored as megabytes."""
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
            ((size,),) = academy.sql(
                "select octet_length(answers::text) from public.quiz_attempts where id = %s", sent.json()["id"]
            )
            assert size < 2_000
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
        ("42", 42, 1),
        ("true", True, 1),
        (["one", 1], "1", 1),
        ("it's", "it’s", 1),  # noqa: RUF001
        ("it’s", "itʼs", 1),  # noqa: RUF001
        ("it's", "it´s", 1),  # noqa: RUF001
        ("it's", "it`s", 1),
        ("it's", "its", 0),
        ("'a'", '"a"', 0),
        ('say "no"', "say „no“", 1),
        ("e-mail", "e\u2011mail", 1),
        ("e-mail", "e\u2013mail", 1),
        ("-5 °C", "\u22125 °C", 1),
        ("e-mail", "email", 0),
        ("photosynthesis", "photo\u00adsyn\u00adthe\u00adsis", 1),
        ("photosynthesis", "\u2063photo\u200bsyn\u3164thesis\ufe0f\U000e0001", 1),
        ("İstanbul", "istanbul", 1),
        ("istanbul", "İSTANBUL", 1),
        ("istanbul", "ıstanbul", 0),  # noqa: RUF001
        ("ﷺ", "صلى الله عليه وسلم", 1),
        ("x²", "x²", 1),
        ("x²", "x2", 0),
        ("25", "2⁵", 0),
        ("H₂O", "H2O", 0),
        ("½", "1/2", 1),
        ("½", "1⁄2", 1),  # noqa: RUF001
        ("1½", "1 1/2", 1),
        ("11/2", "1½", 0),
        ("1", "①", 1),
        ("21", "2①", 0),
        ("XIV", "ⅩⅣ", 1),
        ("cap", "сар", 0),  # noqa: RUF001
        ("o", "ο", 0),  # noqa: RUF001
        ("0", "O", 0),
        ("l", "1", 0),
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
        pytest.param({"kind": "numeric", "answer": "five"}, id="text for numeric"),
        pytest.param({"kind": "numeric", "answer": {"value": 5}}, id="no tolerance"),
        pytest.param({"kind": "numeric", "answer": {"value": 5, "tolerance": -1}}, id="negative tolerance"),
        pytest.param({"kind": "numeric", "answer": {"value": 5, "tolerance": "one"}}, id="text for tolerance"),
        pytest.param({"kind": "numeric", "answer": {"value": 5, "tolerance": 1, "min": 1}}, id="both forms"),
        pytest.param({"kind": "numeric", "answer": {"min": 2, "max": 1}}, id="empty range"),
        pytest.param({"kind": "numeric", "answer": {"min": 2}}, id="half a range"),
        pytest.param({"kind": "numeric", "answer": {}}, id="empty object"),
        pytest.param({"kind": "numeric", "answer": 10**309}, id="more than a double holds"),
        pytest.param({"kind": "numeric", "answer": 5, "options": OPTIONS}, id="options for numeric"),
        pytest.param({"kind": "short_text", "answer": None}, id="no text"),
        pytest.param({"kind": "short_text", "answer": []}, id="no texts"),
        pytest.param({"kind": "short_text", "answer": " "}, id="blank"),
        pytest.param({"kind": "short_text", "answer": ["a", "\u200f"]}, id="nothing that is seen"),
        pytest.param({"kind": "short_text", "answer": ["a", [5]]}, id="a list among texts"),
        pytest.param({"kind": "short_text", "answer": {"a": "b"}}, id="object for short_text"),
        pytest.param({"kind": "short_text", "answer": "x" * 201}, id="too long"),
        pytest.param({"kind": "short_text", "answer": ["x"] * 51}, id="too many"),
        pytest.param({"kind": "short_text", "answer": "x", "options": OPTIONS}, id="options for short_text"),
    ],
)
def test_an_invalid_question_is_refused(academy: Academy, course: Course, question: dict[str, Any]) -> None:
    answer = academy.rpc(course.teacher, "save_quiz_question", quiz_id=course.quiz_id, prompt="So?", **question)
    refused(answer, 422, "question_invalid")


NUMBERED = [{"id": str(number), "text": f"Option {number}"} for number in range(3)]


@pytest.mark.parametrize(
    ("question", "answer", "points"),
    [
        ({"kind": "true_false", "answer": True}, "true", 1),
        ({"kind": "true_false", "answer": True}, " TRUE ", 1),
        ({"kind": "true_false", "answer": True}, "false", 0),
        ({"kind": "true_false", "answer": "false"}, False, 1),
        ({"kind": "true_false", "answer": False}, 0, 0),  # a number is neither
        ({"kind": "single", "answer": "1", "options": NUMBERED}, 1, 1),
        ({"kind": "single", "answer": 1, "options": NUMBERED}, "1", 1),
        ({"kind": "single", "answer": "1", "options": NUMBERED}, ["1"], 1),
        ({"kind": "single", "answer": "1", "options": NUMBERED}, 2, 0),
        ({"kind": "single", "answer": "1", "options": NUMBERED}, ["1", "2"], 0),
        ({"kind": "multiple", "answer": ["0", "1"], "options": NUMBERED}, [1, 0], 1),
        ({"kind": "multiple", "answer": [0, 1], "options": NUMBERED}, ["1", "0"], 1),
        ({"kind": "multiple", "answer": ["1"], "options": NUMBERED}, "1", 1),
        ({"kind": "multiple", "answer": 1, "options": NUMBERED}, [1], 1),
        ({"kind": "numeric", "answer": "5"}, 5, 1),
        ({"kind": "numeric", "answer": {"value": "5", "tolerance": "0.5"}}, 5.5, 1),
        ({"kind": "numeric", "answer": {"min": "1", "max": 2}}, "1.5", 1),
    ],
)
def test_what_is_unambiguous_counts_in_another_form(
    academy: Academy, taken: tuple[Course, Person], question: dict[str, Any], answer: Any, points: int
) -> None:
    assert graded(academy, taken, question, answer) == points


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ({"kind": "numeric", "answer": 5}, "five"),
        ({"kind": "numeric", "answer": 5}, [5]),
        ({"kind": "numeric", "answer": 1000}, "1,000"),
        ({"kind": "true_false", "answer": True}, "yes"),
        ({"kind": "single", "answer": "1", "options": NUMBERED}, {"id": "1"}),
        ({"kind": "multiple", "answer": ["1"], "options": NUMBERED}, [None]),
        ({"kind": "short_text", "answer": "a"}, ["a"]),
    ],
)
def test_an_answer_that_is_refused_for_its_form_is_kept_and_said_to_be_so(
    academy: Academy, taken: tuple[Course, Person], question: dict[str, Any], answer: Any
) -> None:
    course, taker = taken
    quiz_id = new_quiz(academy, course, penalty_percent=50, feedback="score")
    asked = [ask(academy, course.teacher, quiz_id, **question) for _ in range(2)]
    attempt = academy.rpc(taker, "submit_quiz", quiz_id=quiz_id, answers={asked[0]: answer})
    assert attempt.status_code == 200, attempt.text
    assert attempt.json()["points"] == 0
    feedback = rows(academy.rpc(taker, "attempt_feedback", attempt_id=attempt.json()["id"]))
    refused_answer, no_answer = ({row["question_id"]: row for row in feedback}[each] for each in asked)
    assert (refused_answer["answer"], refused_answer["is_answer_valid"]) == (answer, False)
    assert (no_answer["answer"], no_answer["is_answer_valid"]) == (None, None)


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
    """A wrong answer costs half of the points; no answer costs nothing, and no attempt ends below zero."""
    course, taker = taken
    quiz_id = new_quiz(academy, course, penalty_percent=50)
    questions = [ask(academy, course.teacher, quiz_id, kind="true_false", answer=True, points=2) for _ in range(3)]
    sent = dict(zip(questions, answers, strict=True))
    attempt = academy.rpc(taker, "submit_quiz", quiz_id=quiz_id, answers=sent).json()
    assert (attempt["points"], attempt["max_points"]) == (points, 6)


ORDERING = """
create function private.question_key__ordering(p_options jsonb, p_answer jsonb, out key jsonb, out problem text)
language plpgsql immutable set search_path = '' as $$
begin
    key := p_answer;
    problem := coalesce(private.options_problem(p_options), case
        when p_answer is null or not (
            select jsonb_agg(o.item -> 'id') from jsonb_array_elements(p_options) as o (item)
        ) <@ p_answer then 'the answer lists the ids of all options'
    end);
end
$$;
create function private.question_score__ordering(p_key jsonb, p_answer jsonb, p_has_partial_credit boolean)
returns numeric
language plpgsql immutable set search_path = '' as $$
begin
    return case when jsonb_typeof(p_answer) = 'array' then (p_key = p_answer)::integer end;
end
$$;
"""


def test_a_kind_is_a_value_and_two_functions(databases: Databases) -> None:
    """A new kind changes no function: questions of it are saved, refused and graded as soon as it has its own two."""
    with databases.cloned() as name, psycopg.connect(databases.url(name), autocommit=True) as connection:
        connection.execute("alter type public.question_kind add value 'ordering'")
        connection.execute(ORDERING)
        teacher, student = (
            connection.execute(
                "insert into auth.users (id, aud, role, email, email_confirmed_at)"
                " values (gen_random_uuid(), 'authenticated', 'authenticated', %s, now()) returning id",
                [f"{who}@example.com"],
            ).fetchone()[0]  # type: ignore[index]
            for who in ("teacher", "student")
        )
        connection.execute("insert into public.user_roles (user_id, role) values (%s, 'teacher')", [teacher])

        def one(who: Any, statement: str, *values: Any) -> Any:
            with connection.transaction():
                claims = json.dumps({"sub": str(who), "role": "authenticated"})
                connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
                connection.execute("set local role authenticated")
                row = connection.execute(statement.encode(), values).fetchone()
                assert row is not None
                return row[0]

        course = one(teacher, "insert into public.courses (title) values ('Order') returning id")
        quiz = one(teacher, "insert into public.quizzes (course_id, title) values (%s, 'Quiz') returning id", course)
        ask = "select (public.save_quiz_question(%s, 'ordering', 'Sort.', %s::jsonb, %s::jsonb)).id"
        question = one(teacher, ask, quiz, json.dumps(["b", "c", "a"]), json.dumps(OPTIONS))
        with pytest.raises(psycopg.Error) as refusal:
            one(teacher, ask, quiz, json.dumps(["b"]), json.dumps(OPTIONS))
        assert refusal.value.diag.message_primary == "question_invalid"
        connection.execute(
            "update public.courses set status = 'published', published_at = now() where id = %s", [course]
        )
        one(student, "select (public.enrol(%s)).id", course)
        submit = "select public.submit_quiz(%s, %s::jsonb) -> 'points'"
        answers = ((["b", "c", "a"], 1), (["a", "b", "c"], 0), ("b", 0))
        for answer, points in answers:
            assert one(student, submit, quiz, json.dumps({str(question): answer})) == points
