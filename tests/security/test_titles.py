"""Titles are shown, mailed and printed: each is one line, of which something is visible, in its own direction."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.catalog.test_courses import word
from tests.people import Academy, Person

INVISIBLE = (
    "\u200b\u2060",
    "\u3164\u115f",
    "\u2800",
    "\u00ad\u034f",
    "\ufe0f",
    "\U000e0020\U000e007f",
    "\u00a0\u3000",
    "\u180e",
)
TURNED = ("Guitar \u202egnp", "a\u2066b", "\u202dabc")
BROKEN = ("Two\nlines", "Two\u2028lines", "Tab\tbed", "a\u0085b", "bell\u0007", "a\rb")
NO_TITLES = (*INVISIBLE, *TURNED, *BROKEN)
TITLES = (
    "\u200f\u0627\u0644\u0642\u0627\u0647\u0631\u0629",
    "\u0646\u200c\u0645",
    "👩‍🍳 Cooking",
    "C++ & 'C#'",
    "Café\u2013東京",
)


@pytest.fixture(scope="module")
def titled(academy: Academy, teacher: Person) -> dict[str, Callable[[str], Any]]:
    """For each thing with a title: how somebody writes it."""
    course, admin = academy.course(teacher, published=False), academy.member("admin")

    def insert(who: Person, table: str, column: str, **others: Any) -> Callable[[str], Any]:
        return lambda value: academy.call(who, "POST", f"/rest/v1/{table}", {column: value} | others)

    def change(table: str, row_id: str, column: str) -> Callable[[str], Any]:
        return lambda value: academy.call(teacher, "PATCH", f"/rest/v1/{table}?id=eq.{row_id}", {column: value})

    return {
        "courses.title": insert(teacher, "courses", "title"),
        "courses.title, changed": change("courses", course.id, "title"),
        "courses.subtitle": change("courses", course.id, "subtitle"),
        "courses.tags": lambda value: academy.call(
            teacher, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", {"tags": ["clay", value]}
        ),
        "modules.title": insert(teacher, "modules", "title", course_id=course.id),
        "lessons.title": insert(teacher, "lessons", "title", module_id=course.module_id),
        "lessons.title, changed": change("lessons", course.lesson_ids[0], "title"),
        "quizzes.title": change("quizzes", course.quiz_id, "title"),
        "products.title": insert(teacher, "products", "title", kind="beat"),
        "offers.title": insert(teacher, "offers", "title", kind="bundle", price_amount=900, price_currency="EUR"),
        "categories.name": lambda value: academy.call(
            admin, "POST", "/rest/v1/categories", {"name": value, "slug": word()}
        ),
        "profiles.display_name": change("profiles", teacher.id, "display_name"),
        "profiles.headline": change("profiles", teacher.id, "headline"),
        "profiles.location": change("profiles", teacher.id, "location"),
        "user_qualifications.title": insert(teacher, "user_qualifications", "title"),
        "user_qualifications.issuer": insert(teacher, "user_qualifications", "issuer", title="Potter"),
        "user_expertise.topic": insert(teacher, "user_expertise", "topic"),
        "create_workspace": lambda value: academy.rpc(teacher, "create_workspace", name=value),
    }


MAY_BE_BLANK = {"courses.subtitle", "profiles.headline", "profiles.location", "user_qualifications.issuer"}
THINGS = (
    "courses.title",
    "courses.title, changed",
    "courses.subtitle",
    "courses.tags",
    "modules.title",
    "lessons.title",
    "lessons.title, changed",
    "quizzes.title",
    "products.title",
    "offers.title",
    "categories.name",
    "profiles.display_name",
    "profiles.headline",
    "profiles.location",
    "user_qualifications.title",
    "user_qualifications.issuer",
    "user_expertise.topic",
    "create_workspace",
)


@pytest.mark.parametrize("thing", THINGS)
def test_the_rule_of_names_holds(titled: dict[str, Callable[[str], Any]], thing: str) -> None:
    write = titled[thing]
    for value in NO_TITLES:
        if thing in MAY_BE_BLANK and value in INVISIBLE:
            continue
        if thing == "user_expertise.topic" and len(value.split()) > 1 and value in BROKEN:  # becomes one line
            continue
        answer = write(value)
        assert answer.status_code == 400, (value, answer.text)
        assert answer.json()["code"] == "23514", (value, answer.text)
    for value in TITLES:
        assert write(value).status_code in {200, 201, 204}, value


def test_prompts_and_options_show_something(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher, published=False)
    options = [{"id": "a", "text": "First"}, {"id": "b", "text": "Second"}]
    for value in INVISIBLE:
        asked = academy.rpc(
            teacher, "save_quiz_question", quiz_id=course.quiz_id, kind="true_false", prompt=value, answer=True
        )
        assert (asked.status_code, asked.json()["code"]) == (400, "23514"), (value, asked.text)
        chosen = academy.rpc(
            teacher,
            "save_quiz_question",
            quiz_id=course.quiz_id,
            kind="single",
            prompt="So?",
            answer="a",
            options=[*options, {"id": "c", "text": value}],
        )
        assert (chosen.status_code, chosen.json()["message"]) == (422, "question_invalid"), value


COPIES = {
    # Written by functions from columns that have the check.
    "certificate_reissues.course_title",
    "certificate_reissues.holder_name",
    "certificates.course_title",
    "certificates.holder_name",
    "certificates.creator_name",
    "enrolments.student_name",
    "order_courses.title",
    "orders.title",
    "orders.buyer_name",
    "orders.seller_name",
}
WORDS = ("title", "name", "label", "headline", "subtitle")


def test_each_column_that_is_a_title_has_the_check(db: psycopg.Connection) -> None:
    """A new table with a title of its own fails here until it has the check too."""
    found = db.execute(
        """
        select c.relname || '.' || a.attname, coalesce(string_agg(pg_get_constraintdef(k.oid), ' '), '')
        from pg_catalog.pg_class as c
        join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_catalog.pg_constraint as k
            on k.conrelid = c.oid and k.contype = 'c' and k.conkey @> array[a.attnum]
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.atttypid = 'text'::regtype
            and a.attname ~ %s
        group by 1
        """,
        [f"(^|_)({'|'.join(WORDS)})$"],
    ).fetchall()
    without = {column for column, checks in found if "is_name(" not in checks and "is_line(" not in checks}
    assert without == COPIES
