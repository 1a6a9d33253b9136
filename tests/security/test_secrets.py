"""No path shows paid lessons, drafts, answer keys, or the records and addresses of others."""

import uuid

import pytest

from tests.people import Academy, refused, rows
from tests.security.conftest import School

OBJECT = "application/vnd.pgrst.object+json"

LESSON_PATHS = [
    "lesson_contents?course_id=in.({courses})",
    "lesson_contents?course_id=in.({courses})&order=body.desc",
    "lesson_contents?course_id=in.({courses})&body=like.*secret*",
    "lesson_contents?course_id=in.({courses})&select=body,courses!inner(status)&courses.status=eq.draft",
    "lessons?course_id=in.({courses})&select=*,lesson_contents(*)",
    "lessons?course_id=in.({courses})&select=title,lesson_contents!inner(body)&lesson_contents.body=like.*secret*",
    "modules?course_id=in.({courses})&select=*,lessons(*,lesson_contents(*))",
    "courses?id=in.({courses})&select=*,modules(*,lessons(*,lesson_contents(*)))",
    "courses?id=in.({courses})&select=title,lesson_contents(*)",
    "categories?select=*,courses(*,lesson_contents(*))&courses.id=in.({courses})",
    "profiles?id=eq.{teacher}&select=*,courses(*,lesson_contents(*))",
]
"""Paths to lessons, limited to the school's courses: other tests may have made more rows than one answer holds."""


@pytest.mark.parametrize("path", LESSON_PATHS)
@pytest.mark.parametrize("accept", ["application/json", "text/csv", OBJECT])
def test_lessons_are_for_those_who_have_the_course(academy: Academy, school: School, path: str, accept: str) -> None:
    closed = [school.free.lesson_ids[1], school.paid.lesson_ids[1], *school.draft.lesson_ids]
    courses = ",".join((school.free.id, school.paid.id, school.draft.id))
    path = path.format(courses=courses, teacher=school.teacher.id)
    for person in (None, school.stranger, school.rival):
        for prefer in ("", "count=exact", "tx=rollback"):
            shown = academy.call(person, "GET", f"/rest/v1/{path}", accept=accept, prefer=prefer).text
            assert not [lesson for lesson in closed if f"The secret of {lesson}" in shown]
    if accept != OBJECT:
        shown = academy.call(school.teacher, "GET", f"/rest/v1/{path}", accept=accept).text
        assert [lesson for lesson in closed if f"The secret of {lesson}" in shown], "the path shows nothing to anybody"


@pytest.mark.parametrize(
    "path",
    [
        "courses?id=eq.{}",
        "modules?course_id=eq.{}",
        "lessons?course_id=eq.{}",
        "lesson_contents?course_id=eq.{}",
        "quizzes?course_id=eq.{}",
        "quiz_questions?course_id=eq.{}",
        "modules?select=*,courses!inner(*)&courses.id=eq.{}",
        "profiles?select=*,courses!inner(*)&courses.id=eq.{}",
    ],
)
def test_draft_is_for_its_creator_only(academy: Academy, school: School, path: str) -> None:
    path = f"/rest/v1/{path.format(school.draft.id)}"
    for person in (None, school.stranger, school.rival, school.student):
        answer = academy.call(person, "GET", path, prefer="count=exact")
        if person is None and "quiz_questions" in path:
            assert answer.status_code == 401
        else:
            assert rows(answer) == []
            assert answer.headers["Content-Range"] == "*/0"
    assert rows(academy.call(school.teacher, "GET", path))


def test_answer_keys_are_reached_by_no_path(academy: Academy, school: School) -> None:
    for person in (None, school.student, school.stranger, school.rival, school.moderator):
        gone = academy.call(person, "GET", "/rest/v1/quiz_answer_keys")
        assert gone.status_code == 404
        for select in ("*,quiz_answer_keys(*)", "answer", "private.quiz_answer_keys(*)", "quiz_answer_keys"):
            assert academy.call(person, "GET", f"/rest/v1/quiz_questions?select={select}").status_code in {400, 401}
        for name in ("quiz_answer_keys", "save_quiz_question"):
            answer = academy.rpc(person, name, quiz_id=school.free.quiz_id, kind="single", prompt="?", answer="b")
            assert answer.status_code in {401, 404}
    questions = academy.call(school.student, "GET", f"/rest/v1/quiz_questions?quiz_id=eq.{school.free.quiz_id}")
    assert all(set(option) == {"id", "text"} for row in rows(questions) for option in row["options"])


def test_option_cannot_carry_the_answer(academy: Academy, school: School) -> None:
    options = [{"id": "a", "text": "One", "is_correct": True}, {"id": "b", "text": "Two"}]
    asked = {"quiz_id": school.draft.quiz_id, "kind": "single", "prompt": "?", "answer": "a", "options": options}
    refused(academy.rpc(school.teacher, "save_quiz_question", **asked), 422, "question_invalid")


@pytest.mark.parametrize("table", ["quiz_attempts", "enrolments", "lesson_progress", "user_roles", "user_settings"])
def test_others_records_are_hidden(academy: Academy, school: School, table: str) -> None:
    owner = "user_id" if table.startswith("user_") else "student_id"
    others = f"/rest/v1/{table}?{owner}=neq.{{}}"
    assert academy.call(None, "GET", others.format(uuid.uuid4())).status_code == 401
    for person in (school.stranger, school.rival):
        answer = academy.call(person, "GET", others.format(person.id), prefer="count=exact")
        assert (rows(answer), answer.headers["Content-Range"]) == ([], "*/0")


def test_no_answer_shows_the_email_of_another(academy: Academy, school: School) -> None:
    """In no table for anybody, except in the two tables of accounts for moderators."""
    tables = [
        name
        for (name,) in academy.sql(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v')"
        )
    ]
    assert len(tables) > 5
    showing = []
    for person in (None, school.stranger, school.teacher):
        for table in tables:
            text = academy.call(person, "GET", f"/rest/v1/{table}").text
            showing += [table] if "@example.com" in (text.replace(person.email, "") if person else text) else []
    for table in set(tables) - {"accounts", "user_accounts"}:
        showing += [table] if "@example.com" in academy.call(school.moderator, "GET", f"/rest/v1/{table}").text else []
    assert not showing, f"these tables show addresses of others: {showing}"
    for table in ("accounts", "user_accounts"):
        for column, value in (("user_id", school.student.id), ("email", school.student.email)):
            path = f"/rest/v1/{table}?select=email&{column}=eq.{value}"
            assert rows(academy.call(school.stranger, "GET", path)) == []
            assert rows(academy.call(school.moderator, "GET", path)) == [{"email": school.student.email}]
    students = rows(
        academy.call(school.teacher, "GET", f"/rest/v1/enrolments?select=*,profiles(*)&id=eq.{school.enrolment_id}")
    )
    assert students[0]["profiles"]["id"] == school.student.id


def test_certificate_shows_a_verifier_only_these_columns(academy: Academy, school: School) -> None:
    shown = academy.rpc(None, "verify_certificate", code=school.certificate["code"]).json()
    assert set(shown) == {
        "code", "is_valid", "status", "holder_name", "course_title", "creator_name", "issued_at",
        "reissued_at", "revoked_at", "course_slug", "creator_handle",
    }  # fmt: skip
