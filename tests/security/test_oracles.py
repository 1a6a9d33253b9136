"""Hidden and missing rows are answered alike, and no error quotes a row."""

import uuid

import pytest

from tests.people import Academy
from tests.security.asserts import denied, untouched
from tests.security.conftest import School


def test_functions_do_not_tell_hidden_from_missing(academy: Academy, school: School) -> None:
    missing = str(uuid.uuid4())
    for name, hidden, more in (
        ("enrol", {"course_id": school.draft.id}, {}),
        ("publish_course", {"course_id": school.draft.id}, {}),
        ("unpublish_course", {"course_id": school.paid.id}, {}),
        ("quiz_answer_keys", {"quiz_id": school.draft.quiz_id}, {}),
        ("record_progress", {"lesson_id": school.draft.lesson_ids[0]}, {}),
        ("submit_quiz", {"quiz_id": school.draft.quiz_id}, {"answers": {}}),
        ("start_quiz", {"quiz_id": school.draft.quiz_id}, {}),
        ("reorder_modules", {"course_id": school.paid.id}, {"module_ids": [school.paid.module_id]}),
        ("reorder_lessons", {"module_id": school.paid.module_id}, {"lesson_ids": list(school.paid.lesson_ids)}),
        ("reorder_quiz_questions", {"quiz_id": school.draft.quiz_id}, {"question_ids": []}),
        ("save_quiz_questions", {"quiz_id": school.draft.quiz_id}, {"questions": []}),
        ("save_quiz_question", {"quiz_id": school.paid.quiz_id}, {"kind": "single", "prompt": "?", "answer": 1}),
    ):
        for person in (school.stranger, school.rival):
            answers = [
                academy.rpc(person, name, **dict.fromkeys(hidden, value), **more)
                for value in (next(iter(hidden.values())), missing)
            ]
            assert answers[0].text == answers[1].text
            assert answers[0].status_code == answers[1].status_code != 200


def test_foreign_keys_do_not_tell_hidden_from_missing(academy: Academy, school: School) -> None:
    for table, column, hidden, more in (
        ("modules", "course_id", school.draft.id, {"title": "x"}),
        ("quizzes", "course_id", school.draft.id, {"title": "x"}),
        ("lessons", "module_id", school.draft.module_id, {"title": "x"}),
        ("lesson_contents", "lesson_id", school.draft.lesson_ids[0], {"body": "x"}),
        ("lesson_gates", "lesson_id", school.draft.lesson_ids[1], {"after_days": 1}),
    ):
        answers = [
            academy.call(school.rival, "POST", f"/rest/v1/{table}", {column: value, **more})
            for value in (hidden, str(uuid.uuid4()))
        ]
        assert answers[0].text == answers[1].text
        denied(answers[0])
    own = academy.course(school.rival, published=False)
    lesson = f"/rest/v1/lessons?id=eq.{own.lesson_ids[0]}"
    moves = [
        academy.call(school.rival, "PATCH", lesson, {"module_id": value})
        for value in (school.draft.module_id, str(uuid.uuid4()))
    ]
    assert moves[0].text == moves[1].text


def test_keys_that_clash_with_hidden_rows_quote_nothing(academy: Academy, school: School) -> None:
    """A conflict shows that a value is taken, and not whose it is."""
    handle = f"hidden-{uuid.uuid4().hex[:8]}"
    academy.sql("update public.profiles set is_public = false, handle = %s where id = %s", handle, school.stranger.id)
    taken = academy.call(school.rival, "PATCH", f"/rest/v1/profiles?id=eq.{school.rival.id}", {"handle": handle})
    slug = academy.call(school.rival, "POST", "/rest/v1/courses", {"title": "x", "slug": school.draft.slug})
    for answer, constraint in ((taken, "profiles_handle_key"), (slug, "courses_slug_key")):
        assert (answer.status_code, answer.json()["code"]) == (409, "23505")
        assert answer.json()["details"] is None
        assert constraint in answer.json()["message"]


def test_check_constraints_quote_no_row(academy: Academy, school: School) -> None:
    own = f"/rest/v1/profiles?id=eq.{school.rival.id}"
    for answer in (
        academy.call(school.rival, "PATCH", own, {"handle": "!!"}),
        academy.call(school.rival, "PATCH", own, {"avatar_path": f"{school.stranger.id}/stolen.png"}),
        academy.call(school.rival, "POST", "/rest/v1/courses", {"title": "x", "price_amount": -1}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "23514")
        assert answer.json()["details"] is None


def test_upsert_over_a_hidden_row_changes_and_shows_nothing(academy: Academy, school: School) -> None:
    row = {"title": "Taken over", "slug": school.draft.slug}
    for resolution, status in (("merge", 403), ("ignore", 201)):
        prefer = f"resolution={resolution}-duplicates,return=representation"
        answer = academy.call(school.rival, "POST", "/rest/v1/courses?on_conflict=slug", row, prefer=prefer)
        assert answer.status_code == status
        assert school.draft.id not in answer.text
        assert status == 403 or answer.json() == []
    untouched(academy, "courses", school.draft.id, creator_id=school.teacher.id, slug=school.draft.slug)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("prefer", ["return=representation,count=exact", "return=minimal,count=exact"])
def test_write_to_a_hidden_row_counts_nothing(academy: Academy, school: School, method: str, prefer: str) -> None:
    path = f"/rest/v1/courses?id=eq.{school.draft.id}"
    body = {"title": "x"} if method == "PATCH" else None
    answer = academy.call(school.rival, method, path, body, prefer=prefer)
    assert answer.headers["Content-Range"] == "*/0"
    untouched(academy, "courses", school.draft.id, creator_id=school.teacher.id)


def test_rollback_cannot_be_asked_for(academy: Academy, school: School) -> None:
    """Otherwise a client could try a write and read its result without a trace."""
    path = f"/rest/v1/profiles?id=eq.{school.rival.id}"
    answer = academy.call(school.rival, "PATCH", path, {"bio": "Kept"}, prefer="tx=rollback,return=representation")
    assert "rollback" not in answer.headers.get("Preference-Applied", "")
    untouched(academy, "profiles", school.rival.id, bio="Kept")


def test_plans_are_not_shown(academy: Academy, school: School) -> None:
    for kind in ("json", "text"):
        accept = f"application/vnd.pgrst.plan+{kind}"
        assert academy.call(school.stranger, "GET", "/rest/v1/courses", accept=accept).status_code in {406, 415}


def test_head_of_a_function_tells_nothing(academy: Academy, school: School) -> None:
    """PostgREST does not run a read-only function for HEAD that answers one value: see docs/security.md."""
    headers = {"apikey": academy.publishable_key}
    known, unknown = (
        academy.http.head("/rest/v1/rpc/verify_certificate", params={"code": code}, headers=headers)
        for code in (school.certificate["code"], "AAAA-AAAA-AAAA-AAAA-AAAA")
    )
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (200, b"")
    apart = {"date", "x-request-id", "content-location"}
    shown, hidden = (
        {name: value for name, value in answer.headers.items() if name not in apart} for answer in (known, unknown)
    )
    assert shown == hidden
