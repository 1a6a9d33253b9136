"""Modules, lessons and their contents: everybody reads the outline, students read the contents."""

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}


def positions(academy: Academy, who: Person, table: str, parent: str) -> list[int]:
    """The positions in a course or module, in order."""
    answer = academy.call(who, "GET", f"/rest/v1/{table}?{parent}&select=position&order=position")
    return [row["position"] for row in rows(answer)]


@pytest.mark.route("PL-030", call="GET /rest/v1/modules?course_id=eq.{course_id}&order=position", public=True)
@pytest.mark.route("WC-085", call="GET /rest/v1/modules?course_id=eq.{course_id}", public=True)
@pytest.mark.route("WC-086", call="GET /rest/v1/lessons?module_id=eq.{module_id}", public=True)
@pytest.mark.route("CM-077", call="GET /rest/v1/lessons?id=eq.{lesson_id}", public=True)
def test_everybody_reads_titles_and_students_read_content(academy: Academy, published: Course) -> None:
    enrolled = academy.member()
    academy.enrol(enrolled, published)
    intro, paid = published.lesson_ids
    contents = "contents:lesson_contents(body)"
    curriculum = (
        f"/rest/v1/modules?course_id=eq.{published.id}&select=title,lessons(id,title,is_intro,{contents})"
        "&order=position&lessons.order=position"
    )
    for who in (None, academy.member(), enrolled):
        (module,) = rows(academy.call(who, "GET", curriculum))
        assert module["title"] == "First module"
        assert [lesson["title"] for lesson in module["lessons"]] == ["Lesson 1", "Lesson 2"]
        seen = [lesson["contents"] for lesson in module["lessons"]]
        assert seen == [
            {"body": f"The secret of {intro}"},
            {"body": f"The secret of {paid}"} if who is enrolled else None,
        ]

        listed = rows(academy.call(who, "GET", f"/rest/v1/lessons?module_id=eq.{published.module_id}&order=position"))
        assert [lesson["id"] for lesson in listed] == [intro, paid]
        one = f"/rest/v1/lessons?id=eq.{paid}&select=*,module:modules(title,course:courses(title)),{contents}"
        (lesson,) = rows(academy.call(who, "GET", one))
        assert (lesson["module"]["title"], lesson["contents"] is not None) == ("First module", who is enrolled)
        direct = rows(academy.call(who, "GET", f"/rest/v1/lesson_contents?course_id=eq.{published.id}"))
        assert len(direct) == (2 if who is enrolled else 1)


@pytest.mark.route("PL-038", "WC-151", call="POST /rest/v1/modules")
@pytest.mark.route("PL-039", "WC-152", call="PATCH /rest/v1/modules?id=eq.{module_id}")
@pytest.mark.route("PL-041", "WC-153", call="DELETE /rest/v1/modules?id=eq.{module_id}")
def test_a_creator_writes_modules(academy: Academy, teacher: Person, stranger: Person, draft: Course) -> None:
    new = {"course_id": draft.id, "title": "Second", "description": "More"}
    assert academy.call(stranger, "POST", "/rest/v1/modules", new).status_code == 403
    assert academy.call(None, "POST", "/rest/v1/modules", new).status_code == 401
    (module,) = rows(academy.call(teacher, "POST", "/rest/v1/modules", new, **SHOWN))
    assert (module["title"], module["description"], module["position"]) == ("Second", "More", 2)

    path = f"/rest/v1/modules?id=eq.{module['id']}"
    assert rows(academy.call(stranger, "PATCH", path, {"title": "Mine"}, **SHOWN)) == []
    (changed,) = rows(academy.call(teacher, "PATCH", path, {"title": "Then"}, **SHOWN))
    assert changed["title"] == "Then"

    studio = f"/rest/v1/modules?course_id=eq.{draft.id}&select=*,lessons(*,lesson_contents(body))&order=position"
    first, second = rows(academy.call(teacher, "GET", studio))
    assert all(lesson["lesson_contents"] for lesson in first["lessons"])
    assert (second["title"], second["lessons"]) == ("Then", [])
    assert rows(academy.call(stranger, "GET", studio)) == []

    assert rows(academy.call(stranger, "DELETE", path, **SHOWN)) == []
    assert len(rows(academy.call(teacher, "DELETE", path, **SHOWN))) == 1
    assert positions(academy, teacher, "modules", f"course_id=eq.{draft.id}") == [1]


@pytest.mark.route("WC-154", call="POST /rest/v1/lessons")
@pytest.mark.route("WC-155", "WC-157", call="PATCH /rest/v1/lessons?id=eq.{lesson_id}")
@pytest.mark.route("WC-156", call="DELETE /rest/v1/lessons?id=eq.{lesson_id}")
def test_a_creator_writes_lessons(academy: Academy, teacher: Person, stranger: Person, draft: Course) -> None:
    new = {"module_id": draft.module_id, "title": "Third", "summary": "Short", "duration_seconds": 90}
    assert academy.call(stranger, "POST", "/rest/v1/lessons", new).status_code == 403
    assert academy.call(None, "POST", "/rest/v1/lessons", new).status_code == 401
    (lesson,) = rows(academy.call(teacher, "POST", "/rest/v1/lessons", new, **SHOWN))
    assert {name: lesson[name] for name in new} == new
    assert (lesson["course_id"], lesson["position"], lesson["is_intro"]) == (draft.id, 3, False)

    content = {"lesson_id": lesson["id"], "body": "First words"}
    assert academy.call(stranger, "POST", "/rest/v1/lesson_contents", content).status_code == 403
    upsert = {"prefer": "resolution=merge-duplicates,return=representation"}
    for body in ("First words", "Better words"):
        answer = academy.call(teacher, "POST", "/rest/v1/lesson_contents", content | {"body": body}, **upsert)
        assert [row["body"] for row in rows(answer)] == [body]
    assert academy.call(stranger, "POST", "/rest/v1/lesson_contents", content, **upsert).status_code == 403

    path = f"/rest/v1/lessons?id=eq.{lesson['id']}"
    assert rows(academy.call(stranger, "PATCH", path, {"is_intro": True}, **SHOWN)) == []
    (changed,) = rows(academy.call(teacher, "PATCH", path, {"title": "Open", "is_intro": True}, **SHOWN))
    assert (changed["title"], changed["is_intro"]) == ("Open", True)

    studio = f"/rest/v1/lessons?module_id=eq.{draft.module_id}&select=title,lesson_contents(body)&order=position"
    assert rows(academy.call(teacher, "GET", studio))[2] == {
        "title": "Open",
        "lesson_contents": {"body": "Better words"},
    }
    assert rows(academy.call(stranger, "GET", studio)) == []

    assert rows(academy.call(stranger, "DELETE", path, **SHOWN)) == []
    assert len(rows(academy.call(teacher, "DELETE", path, **SHOWN))) == 1
    assert positions(academy, teacher, "lessons", f"module_id=eq.{draft.module_id}") == [1, 2]


def test_concurrent_inserts_leave_no_gap_in_positions(academy: Academy, teacher: Person) -> None:
    course_id = academy.insert(teacher, "courses", title="Crowded")["id"]

    def add_module(number: int) -> int:
        return academy.call(
            teacher, "POST", "/rest/v1/modules", {"course_id": course_id, "title": f"Module {number}"}
        ).status_code

    assert concurrently(10, add_module) == [201] * 10
    assert positions(academy, teacher, "modules", f"course_id=eq.{course_id}") == list(range(1, 11))
    module_id = rows(academy.call(teacher, "GET", f"/rest/v1/modules?course_id=eq.{course_id}&limit=1"))[0]["id"]

    def add_lesson(number: int) -> int:
        return academy.call(
            teacher, "POST", "/rest/v1/lessons", {"module_id": module_id, "title": f"Lesson {number}"}
        ).status_code

    assert concurrently(10, add_lesson) == [201] * 10
    assert positions(academy, teacher, "lessons", f"module_id=eq.{module_id}") == list(range(1, 11))


def test_rows_of_one_request_keep_their_order(academy: Academy, teacher: Person) -> None:
    course_id = academy.insert(teacher, "courses", title="At once")["id"]
    new = [{"course_id": course_id, "title": title} for title in ("A", "B", "C")]
    made = rows(academy.call(teacher, "POST", "/rest/v1/modules", new, **SHOWN))
    assert [(row["title"], row["position"]) for row in made] == [("A", 1), ("B", 2), ("C", 3)]


def test_a_lesson_moves_within_its_course_only(academy: Academy, teacher: Person, stranger: Person) -> None:
    course = academy.course(teacher, published=False)
    other = academy.course(teacher, published=False)
    foreign = academy.course(stranger, published=False)
    module = academy.insert(teacher, "modules", course_id=course.id, title="Second")
    lesson, second = course.lesson_ids
    path = f"/rest/v1/lessons?id=eq.{lesson}"
    (moved,) = rows(academy.call(teacher, "PATCH", path, {"module_id": module["id"]}, **SHOWN))
    assert (moved["module_id"], moved["position"]) == (module["id"], 1)
    (after,) = rows(
        academy.call(teacher, "PATCH", f"/rest/v1/lessons?id=eq.{second}", {"module_id": module["id"]}, **SHOWN)
    )
    assert after["position"] == 2
    for elsewhere in (other, foreign):
        refused(academy.call(teacher, "PATCH", path, {"module_id": elsewhere.module_id}), 409, "lesson_stays_in_course")


@pytest.mark.parametrize("path", ["modules", "lessons"])
@pytest.mark.parametrize("column", ["position", "created_at"])
def test_the_database_sets_positions(
    academy: Academy, teacher: Person, published: Course, path: str, column: str
) -> None:
    answer = academy.call(teacher, "PATCH", f"/rest/v1/{path}?course_id=eq.{published.id}", {column: 5})
    assert (answer.status_code, answer.json()["code"]) == (403, "42501"), answer.text


def test_a_creator_cannot_write_content_of_another_course(academy: Academy, teacher: Person, stranger: Person) -> None:
    mine, theirs = academy.course(teacher, published=False), academy.course(stranger, published=False)
    foreign_lesson = theirs.lesson_ids[0]
    own = f"/rest/v1/lesson_contents?lesson_id=eq.{mine.lesson_ids[0]}"
    moved = academy.call(teacher, "PATCH", own, {"lesson_id": foreign_lesson})
    assert (moved.status_code, moved.json()["code"]) == (403, "42501"), moved.text
    module = academy.call(teacher, "POST", "/rest/v1/lessons", {"module_id": theirs.module_id, "title": "Sneaked in"})
    assert (module.status_code, module.json()["code"]) == (403, "42501"), module.text


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_students_keep_an_unpublished_course(academy: Academy, teacher: Person, status: str) -> None:
    course, student = academy.course(teacher), academy.member()
    academy.enrol(student, course)
    academy.sql("update public.courses set status = %s where id = %s", status, course.id)
    assert len(rows(academy.call(student, "GET", f"/rest/v1/lesson_contents?course_id=eq.{course.id}"))) == 2
    assert rows(academy.call(None, "GET", f"/rest/v1/lessons?course_id=eq.{course.id}")) == []


def test_a_suspended_course_is_closed_to_its_students(academy: Academy, teacher: Person) -> None:
    course, student = academy.course(teacher), academy.member()
    academy.enrol(student, course)
    academy.sql("update public.courses set status = 'suspended' where id = %s", course.id)
    for table in ("lesson_contents", "lessons", "modules", "quiz_questions"):
        assert rows(academy.call(student, "GET", f"/rest/v1/{table}?course_id=eq.{course.id}")) == []
    refused(academy.rpc(student, "record_progress", lesson_id=course.lesson_ids[0]), 403, "not_enrolled")
