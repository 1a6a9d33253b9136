"""The course that tests make in SQL is the one that a teacher makes through the API."""

from typing import Any

import psycopg
import pytest

from tests.people import Academy, Course, Person

TABLES = {
    "public.courses": "id",
    "public.modules": "course_id",
    "public.lessons": "course_id",
    "public.lesson_contents": "course_id",
    "public.quizzes": "course_id",
    "public.quiz_questions": "course_id",
    "private.quiz_answer_keys": "question_id",
    "private.course_search": "course_id",
}
"""Every table in which a course has rows, and the column that finds them."""


@pytest.mark.parametrize(("published", "price_amount"), [(True, 0), (True, 4900), (False, 0)])
def test_both_ways_leave_the_same_rows(
    academy: Academy, live: psycopg.Connection, teacher: Person, *, published: bool, price_amount: int
) -> None:
    in_sql = academy.course(teacher, published=published, price_amount=price_amount)
    by_api = academy.course_by_api(teacher, published=published, price_amount=price_amount)
    assert rows_of(live, in_sql) == rows_of(live, by_api)
    assert list(in_sql.correct_answers.values()) == list(by_api.correct_answers.values())


def rows_of(connection: psycopg.Connection, course: Course) -> dict[str, list[dict[str, Any]]]:
    """The rows of a course, without what differs between any two courses: ids, instants and texts made from them."""
    ids = [course.id, *course.correct_answers]
    found = {}
    for table, column in TABLES.items():
        rows = connection.execute(
            f"select to_jsonb(t) from {table} as t where t.{column} = any(%s::uuid[])",  # noqa: S608
            [ids],
        ).fetchall()
        assert rows or table == "private.course_search", table  # a draft is not searched
        found[table] = sorted(({name: comparable(value) for name, value in row.items()} for (row,) in rows), key=str)
    return found


def comparable(value: Any) -> Any:
    """The value, or only its presence where it is an id, an instant or text that contains one."""
    is_fixed = not isinstance(value, str) or not any(character.isdigit() for character in value)
    return value if is_fixed else bool(value)
