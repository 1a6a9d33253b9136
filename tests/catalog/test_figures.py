"""Counts of a course, and the limit of intro courses."""

from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, rows

FIGURES = "select=lesson_count,duration_seconds"


def figures(academy: Academy, who: Person | None, course_id: str) -> tuple[int, int]:
    """The number of lessons and the duration of a course."""
    (course,) = rows(academy.call(who, "GET", f"/rest/v1/courses?id=eq.{course_id}&{FIGURES}"))
    return course["lesson_count"], course["duration_seconds"]


def test_lessons_are_counted_when_they_change(academy: Academy, teacher: Person) -> None:
    course_id = academy.insert(teacher, "courses", title="Counted")["id"]
    assert figures(academy, teacher, course_id) == (0, 0)
    first, second = (academy.insert(teacher, "modules", course_id=course_id, title="Part")["id"] for _ in range(2))
    lessons = [{"module_id": first, "title": f"Lesson {n}", "duration_seconds": n * 60} for n in range(1, 4)]
    made = rows(academy.call(teacher, "POST", "/rest/v1/lessons", lessons, prefer="return=representation"))
    academy.insert(teacher, "lessons", module_id=second, title="Of no known length")
    assert figures(academy, teacher, course_id) == (4, 360)

    one = f"/rest/v1/lessons?id=eq.{made[0]['id']}"
    assert academy.call(teacher, "PATCH", one, {"duration_seconds": 30, "module_id": second}).status_code == 204
    assert figures(academy, teacher, course_id) == (4, 330)
    assert academy.call(teacher, "DELETE", one).status_code == 204
    assert figures(academy, teacher, course_id) == (3, 300)
    assert academy.call(teacher, "DELETE", f"/rest/v1/modules?id=eq.{first}").status_code == 204
    assert figures(academy, teacher, course_id) == (1, 0)


def test_concurrent_lessons_are_all_counted(academy: Academy, teacher: Person) -> None:
    course_id = academy.insert(teacher, "courses", title="Crowded")["id"]
    modules = [academy.insert(teacher, "modules", course_id=course_id, title="Part")["id"] for _ in range(4)]

    def add(number: int) -> int:
        lesson = {"module_id": modules[number % 4], "title": "Lesson", "duration_seconds": 10}
        return academy.call(teacher, "POST", "/rest/v1/lessons", [lesson, lesson]).status_code

    assert concurrently(12, add) == [201] * 12
    assert figures(academy, teacher, course_id) == (24, 240)


@pytest.mark.parametrize("figure", [{"lesson_count": 9}, {"duration_seconds": 9}])
def test_clients_cannot_write_counts(
    academy: Academy, teacher: Person, admin: Person, published: Course, figure: dict[str, Any]
) -> None:
    for who in (teacher, admin):
        assert academy.call(who, "PATCH", f"/rest/v1/courses?id=eq.{published.id}", figure).status_code == 403


@pytest.mark.route("WC-093", "WC-094", "WC-179", call="GET /rest/v1/rpc/intro_course_limit", public=True)
def test_everybody_reads_the_intro_course_limit(academy: Academy, student: Person) -> None:
    [(limit,)] = academy.sql("select value::integer from private.app_config where key = 'intro_course_limit'")
    for who in (None, student):
        answer = academy.call(who, "GET", "/rest/v1/rpc/intro_course_limit")
        assert (answer.status_code, answer.json()) == (200, limit)


def test_an_intro_course_is_free(academy: Academy, teacher: Person) -> None:
    taster = academy.insert(teacher, "courses", title="Taster", is_intro=True)
    assert taster["is_intro"] is True
    answer = academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{taster['id']}", {"price_amount": 100})
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert "courses_is_intro_check" in answer.json()["message"]
