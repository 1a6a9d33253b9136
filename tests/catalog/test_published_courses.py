"""What publishing checks stays: a published course is not emptied afterwards."""

from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows

# The table, the filter of what is deleted, and the item that the course would lack.
LAST = {
    "modules": ("modules?course_id=eq.{id}", "module"),
    "module": ("modules?id=eq.{module_id}", "module"),
    "lessons": ("lessons?course_id=eq.{id}", "lesson"),
    "content": ("lesson_contents?lesson_id=eq.{lesson_id}", "lesson_content"),
    "questions": ("quiz_questions?quiz_id=eq.{quiz_id}", "quiz_question"),
}


def path_of(course: Course, part: str) -> str:
    """The path that deletes the last of a part."""
    names = {"id": course.id, "module_id": course.module_id, "quiz_id": course.quiz_id}
    return "/rest/v1/" + LAST[part][0].format(lesson_id=course.lesson_ids[0], **names)


def refused_for(answer: Any, item: str) -> None:
    """Assert that the answer is the refusal that names this item."""
    refused(answer, 409, "course_published")
    assert item in answer.json()["details"]


def outline(academy: Academy, course: Course) -> list[dict[str, Any]]:
    """Everything that the course has."""
    select = "modules(lessons(id,lesson_contents(body))),quizzes(quiz_questions(id))"
    return rows(academy.call(course.teacher, "GET", f"/rest/v1/courses?id=eq.{course.id}&select=description,{select}"))


@pytest.mark.parametrize("part", LAST)
def test_a_published_course_keeps_the_last_of_each_part(academy: Academy, teacher: Person, part: str) -> None:
    course = academy.course(teacher)
    before = outline(academy, course)
    refused_for(academy.call(teacher, "DELETE", path_of(course, part)), LAST[part][1])
    # Neither while it waits to return to the catalogue.
    for status in ("paused", "suspended"):
        academy.sql("update public.courses set status = %s where id = %s", status, course.id)
        answer = academy.call(teacher, "DELETE", path_of(course, part))
        refused_for(answer, LAST[part][1])
    academy.sql("update public.courses set status = 'published' where id = %s", course.id)
    assert outline(academy, course) == before

    assert academy.rpc(teacher, "unpublish_course", course_id=course.id).status_code == 200
    assert academy.call(teacher, "DELETE", path_of(course, part)).status_code == 204
    refused(academy.rpc(teacher, "publish_course", course_id=course.id), 422, "course_incomplete")


def test_a_published_course_keeps_its_words(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    before = outline(academy, course)
    for blank in (None, "", " \n"):
        path = f"/rest/v1/courses?id=eq.{course.id}"
        refused_for(academy.call(teacher, "PATCH", path, {"description": blank}), "description")
    path = f"/rest/v1/lesson_contents?lesson_id=eq.{course.lesson_ids[1]}"
    refused_for(academy.call(teacher, "PATCH", path, {"body": " "}), "lesson_content")
    assert outline(academy, course) == before
    assert academy.call(teacher, "PATCH", path, {"body": "Better"}).status_code == 204


def test_what_is_not_the_last_goes(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    spare = academy.insert(teacher, "modules", course_id=course.id, title="Spare")
    first, *_ = course.correct_answers
    for part in (
        f"modules?id=eq.{spare['id']}", f"lessons?id=eq.{course.lesson_ids[1]}", f"quiz_questions?id=eq.{first}",
        f"quizzes?id=eq.{course.quiz_id}",
    ):  # fmt: skip
        assert academy.call(teacher, "DELETE", f"/rest/v1/{part}").status_code == 204
    gone = academy.rpc(teacher, "delete_course", course_id=course.id)
    assert gone.status_code == 200, gone.text
    assert academy.sql("select count(*) from public.courses where id = %s", course.id) == [(0,)]


def test_the_last_two_lessons_at_once(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)

    def delete(number: int) -> Any:
        return academy.call(teacher, "DELETE", f"/rest/v1/lessons?id=eq.{course.lesson_ids[number]}")

    answers = concurrently(2, delete)
    assert sorted(answer.status_code for answer in answers) == [204, 409]
    assert academy.sql("select lesson_count from public.courses where id = %s", course.id) == [(1,)]


@pytest.mark.parametrize("part", ["lessons", "content", "questions"])
def test_publishing_and_emptying_at_once(academy: Academy, teacher: Person, part: str) -> None:
    for _ in range(4):
        course = academy.course(teacher, published=False)

        def act(number: int, course: Course = course) -> Any:
            if number:
                return academy.call(teacher, "DELETE", path_of(course, part))
            return academy.rpc(teacher, "publish_course", course_id=course.id)

        published, emptied = concurrently(2, act)
        assert {published.status_code, emptied.status_code} in ({200, 409}, {422, 204}), (published.text, emptied.text)
