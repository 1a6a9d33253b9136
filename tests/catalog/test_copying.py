"""Copying a course: a draft with everything that it teaches, and nobody and nothing that came of it."""

from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows

OUTLINE = (
    "select=description,level,tags,price_amount,price_currency,is_intro,"
    "modules(title,position,lessons(title,position,is_intro,summary,lesson_contents(body),"
    "lesson_gates!lesson_gates_lesson_id_fkey(after_days,after_quiz_id,after_lesson_id))),"
    "quizzes(title,pass_percent,attempt_limit,is_certifying,quiz_questions(id,kind,prompt,options,points,position))"
    "&modules.order=position&modules.lessons.order=position&quizzes.quiz_questions.order=position"
)


@pytest.fixture
def rich(academy: Academy, teacher: Person) -> Course:
    """A paid course with two modules, gates and a quiz."""
    course = academy.course(teacher, price_amount=4000)
    second = academy.insert(teacher, "modules", course_id=course.id, title="Second", description="More")
    later = academy.insert(teacher, "lessons", module_id=second["id"], title="Later", summary="s", duration_seconds=60)
    academy.insert(teacher, "lesson_contents", lesson_id=later["id"], body="Late words")
    academy.insert(teacher, "lesson_gates", lesson_id=later["id"], after_days=3, after_lesson_id=course.lesson_ids[1])
    academy.insert(teacher, "lesson_gates", lesson_id=course.lesson_ids[1], after_quiz_id=course.quiz_id)
    assert (
        academy.rpc(
            teacher, "reorder_modules", course_id=course.id, module_ids=[second["id"], course.module_id]
        ).status_code
        == 200
    )
    return course


def outline(academy: Academy, who: Person, course_id: str) -> dict[str, Any]:
    """What a course teaches."""
    (found,) = rows(academy.call(who, "GET", f"/rest/v1/courses?id=eq.{course_id}&{OUTLINE}"))
    return found


def without_ids(found: Any) -> Any:
    """The same without ids of its parts."""
    if isinstance(found, dict):
        return {
            name: without_ids(value) if not name.endswith("_id") else value is not None
            for name, value in found.items()
            if name != "id"
        }
    return [without_ids(item) for item in found] if isinstance(found, list) else found


def test_a_copy_teaches_the_same(academy: Academy, rich: Course) -> None:
    teacher = rich.teacher
    student = academy.member()
    academy.sql(
        "insert into public.enrolments (course_id, student_id, source) values (%s, %s, 'manual')", rich.id, student.id
    )
    answer = academy.rpc(teacher, "copy_course", course_id=rich.id)
    assert answer.status_code == 200, answer.text
    copy = answer.json()
    (original,) = rows(academy.call(teacher, "GET", f"/rest/v1/courses?id=eq.{rich.id}"))
    assert (copy["title"], copy["status"]) == (f"{original['title']} (copy)", "draft")
    assert copy["slug"] not in {"", original["slug"]}
    assert (copy["creator_id"], copy["published_at"], copy["is_featured"]) == (teacher.id, None, False)
    assert (copy["lesson_count"], copy["duration_seconds"]) == (3, original["duration_seconds"])
    before, after = (outline(academy, teacher, course_id) for course_id in (rich.id, copy["id"]))
    assert without_ids(after) == without_ids(before)
    assert len(before["modules"]) == 2
    # Gates of the copy name parts of the copy.
    gates = rows(academy.call(teacher, "GET", f"/rest/v1/lesson_gates?course_id=eq.{copy['id']}"))
    lessons = {row["id"] for row in rows(academy.call(teacher, "GET", f"/rest/v1/lessons?course_id=eq.{copy['id']}"))}
    quizzes = rows(academy.call(teacher, "GET", f"/rest/v1/quizzes?course_id=eq.{copy['id']}"))
    assert {gate["lesson_id"] for gate in gates} | {g["after_lesson_id"] for g in gates} - {None} <= lessons
    assert {gate["after_quiz_id"] for gate in gates} - {None} == {quizzes[0]["id"]}
    keys = [
        [
            (key["answer"], key["explanation"])
            for key in academy.rpc(teacher, "quiz_answer_keys", quiz_id=quiz_id).json()
        ]
        for quiz_id in (rich.quiz_id, quizzes[0]["id"])
    ]
    assert keys[0] == keys[1] != []
    # Nobody, and nothing that was sold.
    for table in ("enrolments", "certificates", "quiz_attempts", "offers"):
        count = f"select count(*) from public.{table} where course_id = %s"  # noqa: S608
        assert academy.sql(count, copy["id"]) == [(0,)]
    # It is a course of its own.
    assert academy.rpc(teacher, "publish_course", course_id=copy["id"]).status_code == 200
    assert academy.call(teacher, "DELETE", f"/rest/v1/modules?course_id=eq.{rich.id}&position=eq.1").status_code == 204
    assert without_ids(outline(academy, teacher, copy["id"]))["modules"] == without_ids(before)["modules"]


def test_only_the_creator_copies(academy: Academy, rich: Course, stranger: Person) -> None:
    for who in (stranger, academy.member("teacher"), academy.member("admin"), academy.member("moderator")):
        refused(academy.rpc(who, "copy_course", course_id=rich.id), 404, "course_not_found")
    assert academy.rpc(None, "copy_course", course_id=rich.id).status_code == 401
    named = academy.rpc(rich.teacher, "copy_course", course_id=rich.id, title="Autumn")
    assert (named.status_code, named.json()["title"]) == (200, "Autumn"), named.text
    suspended = academy.rpc(academy.member("moderator"), "suspend_course", course_id=rich.id, reason="Spam")
    assert suspended.status_code == 200
    refused(academy.rpc(rich.teacher, "copy_course", course_id=rich.id), 409, "course_under_suspension")


@pytest.mark.parametrize(
    ("made", "part"),
    [
        (
            "insert into public.lessons (module_id, title) select m.id, 'L' from public.modules as m,"
            " generate_series(1, 2001) where m.course_id = %s",
            "lessons",
        ),
        (
            "with l as (insert into public.lessons (module_id, title) select m.id, 'L' from public.modules as m,"
            " generate_series(1, 51) where m.course_id = %s returning id)"
            " insert into public.lesson_contents (lesson_id, body) select l.id, repeat('x', 200000) from l",
            "bytes",
        ),
        (
            "insert into public.quiz_questions (quiz_id, course_id, kind, prompt, position)"
            " select q.id, q.course_id, 'true_false', '?', i + 2 from public.quizzes as q,"
            " generate_series(1, 10000) as i where q.course_id = %s",
            "questions",
        ),
    ],
    ids=["lessons", "bytes", "questions"],
)
def test_a_copy_is_bounded(academy: Academy, teacher: Person, made: str, part: str) -> None:
    course = academy.course(teacher, published=False)
    academy.sql(made, course.id)
    count = "select count(*) from public.courses where creator_id = %s"
    before = academy.sql(count, teacher.id)
    answer = academy.rpc(teacher, "copy_course", course_id=course.id)
    refused(answer, 422, "course_too_large")
    assert part in answer.json()["details"]
    assert academy.sql(count, teacher.id) == before


def test_copies_at_once_have_slugs_of_their_own(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    copies = [
        answer.json() for answer in concurrently(3, lambda _: academy.rpc(teacher, "copy_course", course_id=course.id))
    ]
    assert len({copy["slug"] for copy in copies}) == 3
