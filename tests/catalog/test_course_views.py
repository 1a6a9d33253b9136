"""Views of courses, which creators and admins read."""

import time
import uuid

from tests.people import Academy, Person, rows

PATH = "/rest/v1/course_views?select=course_id,view_count"


def test_views_are_counted_without_a_write_for_each(
    academy: Academy, stranger: Person, student: Person, admin: Person
) -> None:
    creator = academy.member("teacher")
    course, draft = academy.course(creator), academy.course(creator, published=False)
    for course_id in (course.id, draft.id, str(uuid.uuid4())):
        for _ in range(3):  # all from one address
            assert academy.call(None, "POST", f"/functions/v1/courses/{course_id}/views").status_code == 202
    own = f"{PATH}&course_id=in.({course.id},{draft.id})"
    deadline = time.monotonic() + 15
    while not (found := rows(academy.call(creator, "GET", own))) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found == [{"course_id": course.id, "view_count": 1}]
    assert rows(academy.call(admin, "GET", own)) == found
    for who in (stranger, student):
        assert rows(academy.call(who, "GET", own)) == []
    assert academy.call(None, "GET", own).status_code == 401
    path = f"/rest/v1/course_views?course_id=eq.{course.id}"
    assert academy.call(creator, "PATCH", path, {"view_count": 9}).status_code == 403


def test_sums_add_up_by_day(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    for views in (2, 3):
        academy.sql("select private.add_course_views(jsonb_build_object(%s::text, %s::integer))", course.id, views)
    found = academy.sql(
        "select view_count, day = (now() at time zone 'utc')::date from public.course_views where course_id = %s",
        course.id,
    )
    assert found == [(5, True)]
