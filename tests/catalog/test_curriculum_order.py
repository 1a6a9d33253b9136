"""The order of modules, lessons and questions: written in one call, and 1, 2, 3 ... after concurrent changes."""

import random
import uuid
from typing import Any

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows


def listed(academy: Academy, who: Person, table: str, parent: str) -> list[str]:
    """The ids in a course, module or quiz, in order; fails where their positions are not 1, 2, 3 ..."""
    found = rows(academy.call(who, "GET", f"/rest/v1/{table}?{parent}&select=id,position&order=position"))
    assert [row["position"] for row in found] == list(range(1, len(found) + 1))
    return [row["id"] for row in found]


def modules(academy: Academy, course: Course, number: int) -> list[str]:
    """More modules, and the ids of all that the course then has, in order."""
    for place in range(number):
        academy.insert(course.teacher, "modules", course_id=course.id, title=f"More {place}")
    return listed(academy, course.teacher, "modules", f"course_id=eq.{course.id}")


def lessons(academy: Academy, course: Course, number: int, module_id: str | None = None) -> list[str]:
    """More lessons in a module, the first if none is named, and the ids of all that it then has, in order."""
    module_id = module_id or course.module_id
    for place in range(number):
        academy.insert(course.teacher, "lessons", module_id=module_id, title=f"More {place}")
    return listed(academy, course.teacher, "lessons", f"module_id=eq.{module_id}")


def questions(academy: Academy, course: Course, number: int) -> list[str]:
    """More questions in the course's quiz, and the ids of all that it then has, in order."""
    for place in range(number):
        asked = {"quiz_id": course.quiz_id, "kind": "true_false", "prompt": f"{place}?", "answer": True}
        assert academy.rpc(course.teacher, "save_quiz_question", **asked).status_code == 200
    return listed(academy, course.teacher, "quiz_questions", f"quiz_id=eq.{course.quiz_id}")


@pytest.mark.route("PL-040", call="POST /rest/v1/rpc/reorder_modules")
def test_a_creator_orders_modules(
    academy: Academy, stranger: Person, student: Person, admin: Person, draft: Course
) -> None:
    teacher = draft.teacher
    before = modules(academy, draft, 3)
    after = [before[2], before[0], before[3], before[1]]
    for other in (stranger, student):
        refused(academy.rpc(other, "reorder_modules", course_id=draft.id, module_ids=after), 404, "course_not_found")
    assert academy.rpc(None, "reorder_modules", course_id=draft.id, module_ids=after).status_code == 401
    assert listed(academy, teacher, "modules", f"course_id=eq.{draft.id}") == before
    for who, order in ((teacher, after), (teacher, after), (admin, before)):
        answer = academy.rpc(who, "reorder_modules", course_id=draft.id, module_ids=order)
        assert [(row["id"], row["position"]) for row in rows(answer)] == [
            (module_id, place) for place, module_id in enumerate(order, 1)
        ]
        assert listed(academy, teacher, "modules", f"course_id=eq.{draft.id}") == order


def test_a_creator_orders_lessons(academy: Academy, teacher: Person, stranger: Person, draft: Course) -> None:
    before = lessons(academy, draft, 2)
    after = before[::-1]
    refused(
        academy.rpc(stranger, "reorder_lessons", module_id=draft.module_id, lesson_ids=after), 404, "course_not_found"
    )
    answer = academy.rpc(teacher, "reorder_lessons", module_id=draft.module_id, lesson_ids=after)
    assert [row["id"] for row in rows(answer)] == after
    assert listed(academy, teacher, "lessons", f"module_id=eq.{draft.module_id}") == after


def test_reordering_moves_lessons_from_other_modules(academy: Academy, teacher: Person, draft: Course) -> None:
    first = lessons(academy, draft, 2)
    module_id = modules(academy, draft, 1)[1]
    second = lessons(academy, draft, 2, module_id)
    order = [first[2], second[1], first[0], second[0]]
    answer = academy.rpc(teacher, "reorder_lessons", module_id=module_id, lesson_ids=order)
    assert [row["id"] for row in rows(answer)] == order
    assert listed(academy, teacher, "lessons", f"module_id=eq.{module_id}") == order
    assert listed(academy, teacher, "lessons", f"module_id=eq.{draft.module_id}") == [first[1], first[3]]


def test_a_creator_orders_questions(academy: Academy, teacher: Person, stranger: Person, draft: Course) -> None:
    before = questions(academy, draft, 2)
    after = before[::-1]
    new = {"quiz_id": draft.quiz_id, "question_ids": after}
    refused(academy.rpc(stranger, "reorder_quiz_questions", **new), 404, "course_not_found")
    assert [row["id"] for row in rows(academy.rpc(teacher, "reorder_quiz_questions", **new))] == after
    assert listed(academy, teacher, "quiz_questions", f"quiz_id=eq.{draft.quiz_id}") == after


@pytest.mark.parametrize("kind", ["modules", "lessons", "questions"])
def test_an_order_must_list_every_row_once(
    academy: Academy, teacher: Person, stranger: Person, draft: Course, kind: str
) -> None:
    other, foreign = academy.course(teacher, published=False), academy.course(stranger, published=False)
    name, parent, argument, make = {
        "modules": ("reorder_modules", {"course_id": draft.id}, "module_ids", modules),
        "lessons": ("reorder_lessons", {"module_id": draft.module_id}, "lesson_ids", lessons),
        "questions": ("reorder_quiz_questions", {"quiz_id": draft.quiz_id}, "question_ids", questions),
    }[kind]
    there = make(academy, draft, 2)
    wrong: list[Any] = [
        None,
        [],
        there[:-1],
        [*there, there[0]],
        [*there[:-1], there[0]],
        [*there, None],
        [*there[:-1], None],
        [*there, str(uuid.uuid4())],
        [*there, make(academy, other, 0)[0]],
        [*there, make(academy, foreign, 0)[0]],
        [*there[:-1], make(academy, other, 0)[0]],
    ]
    for order in wrong:
        refused(academy.rpc(teacher, name, **parent, **{argument: order}), 409, "sequence_incomplete")
    answer = academy.rpc(teacher, name, **parent, **{argument: there[::-1]})
    assert [row["id"] for row in rows(answer)] == there[::-1]


def test_an_empty_course_has_an_order(academy: Academy, teacher: Person) -> None:
    course_id = academy.insert(teacher, "courses", title="Nothing yet")["id"]
    assert rows(academy.rpc(teacher, "reorder_modules", course_id=course_id, module_ids=[])) == []
    module_id = academy.insert(teacher, "modules", course_id=course_id, title="Empty")["id"]
    assert rows(academy.rpc(teacher, "reorder_lessons", module_id=module_id, lesson_ids=[])) == []
    for name, parent in (("reorder_modules", "course_id"), ("reorder_lessons", "module_id")):
        arguments = {parent: str(uuid.uuid4()), name.replace("reorder_", "")[:-1] + "_ids": []}
        refused(academy.rpc(teacher, name, **arguments), 404, "course_not_found")


def test_deleting_and_moving_leave_no_gap(academy: Academy, teacher: Person, draft: Course) -> None:
    module_ids = modules(academy, draft, 3)
    academy.call(teacher, "DELETE", f"/rest/v1/modules?id=in.({module_ids[1]},{module_ids[2]})")
    assert listed(academy, teacher, "modules", f"course_id=eq.{draft.id}") == [module_ids[0], module_ids[3]]

    first = lessons(academy, draft, 3)
    academy.call(teacher, "DELETE", f"/rest/v1/lessons?id=eq.{first[0]}")
    assert listed(academy, teacher, "lessons", f"module_id=eq.{draft.module_id}") == first[1:]
    moved = academy.call(
        teacher, "PATCH", f"/rest/v1/lessons?id=in.({first[1]},{first[3]})", {"module_id": module_ids[3]}
    )
    assert moved.status_code == 204, moved.text
    assert listed(academy, teacher, "lessons", f"module_id=eq.{draft.module_id}") == [first[2], first[4]]
    assert set(listed(academy, teacher, "lessons", f"module_id=eq.{module_ids[3]}")) == {first[1], first[3]}

    asked = questions(academy, draft, 3)
    academy.call(teacher, "DELETE", f"/rest/v1/quiz_questions?id=in.({asked[0]},{asked[2]})")
    assert listed(academy, teacher, "quiz_questions", f"quiz_id=eq.{draft.quiz_id}") == [asked[1], *asked[3:]]


def test_a_large_course_goes_at_once(academy: Academy, teacher: Person) -> None:
    """Rows that are deleted with their parent close no gaps: 200 modules of 50 lessons take less than the timeout."""
    course_id = academy.insert(teacher, "courses", title="Large")["id"]
    academy.sql(
        "with m as (insert into public.modules (course_id, title, position)"
        " select %s, 'Module', 1 from generate_series(1, 200) returning id)"
        " insert into public.lessons (module_id, title, position) select m.id, 'Lesson', 1"
        " from m, generate_series(1, 50)",
        course_id,
    )
    module_id = listed(academy, teacher, "modules", f"course_id=eq.{course_id}")[99]
    answer = academy.call(teacher, "DELETE", f"/rest/v1/modules?id=eq.{module_id}")
    assert answer.status_code == 204, answer.text
    assert len(listed(academy, teacher, "modules", f"course_id=eq.{course_id}")) == 199
    answer = academy.call(teacher, "DELETE", f"/rest/v1/courses?id=eq.{course_id}")
    assert answer.status_code == 204, answer.text
    assert academy.sql("select 1 from public.lessons where course_id = %s", course_id) == []


def test_concurrent_orders_end_with_one_of_them(academy: Academy, teacher: Person, draft: Course) -> None:
    """The creator and an admin, and the creator twice: one of the orders remains, whole."""
    admin = academy.member("admin")
    module_ids = modules(academy, draft, 5)
    lesson_ids = lessons(academy, draft, 5)
    orders = [random.sample(module_ids, len(module_ids)) for _ in range(12)]
    lesson_orders = [random.sample(lesson_ids, len(lesson_ids)) for _ in range(12)]

    def reorder(number: int) -> list[int]:
        who = admin if number % 2 else teacher
        first = academy.rpc(who, "reorder_modules", course_id=draft.id, module_ids=orders[number])
        second = academy.rpc(who, "reorder_lessons", module_id=draft.module_id, lesson_ids=lesson_orders[number])
        return [first.status_code, second.status_code]

    assert concurrently(12, reorder) == [[200, 200]] * 12
    assert listed(academy, teacher, "modules", f"course_id=eq.{draft.id}") in orders
    assert listed(academy, teacher, "lessons", f"module_id=eq.{draft.module_id}") in lesson_orders


def test_concurrent_changes_keep_the_order(academy: Academy, teacher: Person, draft: Course) -> None:
    """Adding, deleting, moving and ordering, by creator and admin together: no fault, no deadlock, no gap."""
    admin = academy.member("admin")
    second = modules(academy, draft, 1)[1]
    lesson_ids = lessons(academy, draft, 10)
    asked = questions(academy, draft, 6)

    def act(number: int) -> list[int]:
        lesson_id, doomed = random.choice(lesson_ids[6:]), lesson_ids[number % 6]
        answers = [
            academy.call(teacher, "DELETE", f"/rest/v1/lessons?id=eq.{doomed}"),
            academy.rpc(
                admin,
                "reorder_lessons",
                module_id=draft.module_id,
                lesson_ids=[
                    row["id"]
                    for row in rows(
                        academy.call(teacher, "GET", f"/rest/v1/lessons?module_id=eq.{draft.module_id}&order=id")
                    )
                ],
            ),
            academy.call(teacher, "PATCH", f"/rest/v1/lessons?id=eq.{lesson_id}", {"module_id": second}),
            academy.call(teacher, "PATCH", f"/rest/v1/lessons?id=eq.{lesson_id}", {"module_id": draft.module_id}),
            academy.call(teacher, "POST", "/rest/v1/lessons", {"module_id": second, "title": "New"}),
            academy.call(teacher, "DELETE", f"/rest/v1/quiz_questions?id=eq.{asked[number % 6]}"),
            academy.rpc(
                admin,
                "save_quiz_question",
                quiz_id=draft.quiz_id,
                question_id=asked[-1],
                kind="true_false",
                prompt="Again?",
                answer=False,
            ),
        ]
        return [answer.status_code for answer in answers]

    for codes in concurrently(8, act):
        assert set(codes) <= {200, 201, 204, 404, 409}, codes
    for module_id in (draft.module_id, second):
        listed(academy, teacher, "lessons", f"module_id=eq.{module_id}")
    listed(academy, teacher, "quiz_questions", f"quiz_id=eq.{draft.quiz_id}")
