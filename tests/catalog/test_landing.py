"""The lists of a landing page: intro courses, popular courses, creators."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.people import Academy, Person, concurrently, rows

SHOWN = {"prefer": "return=representation"}
PLACED = {"prefer": "resolution=merge-duplicates,return=representation"}
PLACEMENTS = "/rest/v1/creator_placements?on_conflict=creator_id"
POPULAR = (
    "/rest/v1/courses?select=id,course_stats!inner(student_count,display_priority)&status=eq.published"
    "&order=course_stats(display_priority),course_stats(student_count).desc,id"
)


@pytest.mark.route(
    "WC-095", call="GET /rest/v1/courses?status=eq.published&order=is_intro.desc,published_at.desc,id", public=True
)
@pytest.mark.route("WC-102", call="GET /rest/v1/courses?is_intro=is.true&status=eq.published", public=True)
def test_intro_courses_come_first(academy: Academy) -> None:
    creator = academy.member("teacher")
    taster, draft, late = (academy.course(creator, published=number != 1) for number in range(3))
    for course in (taster, draft):
        path = f"/rest/v1/courses?id=eq.{course.id}"
        assert academy.call(creator, "PATCH", path, {"is_intro": True}).status_code == 204
    listed = f"/rest/v1/courses?status=eq.published&creator_id=eq.{creator.id}&select=id"
    first = rows(academy.call(None, "GET", f"{listed}&order=is_intro.desc,published_at.desc,id"))
    assert [course["id"] for course in first] == [taster.id, late.id]
    assert rows(academy.call(None, "GET", f"{listed}&is_intro=is.true")) == [{"id": taster.id}]


@pytest.mark.route(
    "WC-103",
    call="GET /rest/v1/courses?select={any}course_stats!inner{any}&status=eq.published"
    "&order=course_stats(display_priority),course_stats(student_count).desc,id",
    public=True,
)
def test_popular_courses_are_ordered_by_priority_and_students(academy: Academy, admin: Person) -> None:
    quiet, loud = academy.member("teacher"), academy.member("teacher")
    first, second, third = academy.course(loud), academy.course(loud), academy.course(quiet)
    students = [academy.member() for _ in range(3)]
    assert concurrently(3, lambda number: academy.enrol(students[number], second)).count("") == 0
    academy.enrol(students[0], third)
    popular = f"{POPULAR}&creator_id=in.({quiet.id},{loud.id})"

    def listed() -> list[tuple[str, int]]:
        return [
            (course["id"], course["course_stats"]["student_count"])
            for course in rows(academy.call(None, "GET", popular))
        ]

    assert listed() == [(second.id, 3), (third.id, 1), (first.id, 0)]
    placement = {"creator_id": quiet.id, "display_priority": 5}
    assert academy.call(quiet, "POST", PLACEMENTS, placement, **PLACED).status_code == 403
    assert academy.call(None, "POST", PLACEMENTS, placement, **PLACED).status_code == 401
    assert len(rows(academy.call(admin, "POST", PLACEMENTS, placement, **PLACED))) == 1
    assert listed() == [(third.id, 1), (second.id, 3), (first.id, 0)]
    new = academy.course(quiet)
    assert [course for course, _ in listed()] == [third.id, new.id, second.id, first.id]
    path = f"/rest/v1/creator_placements?creator_id=eq.{quiet.id}"
    assert rows(academy.call(quiet, "DELETE", path, **SHOWN)) == []
    assert len(rows(academy.call(admin, "DELETE", path, **SHOWN))) == 1
    assert [course for course, _ in listed()][:2] == [second.id, third.id]
    actions = academy.sql(
        "select action, actor_id::text, before, after from public.audit_log"
        " where target_table = 'creator_placements' and target_id = %s order by id",
        quiet.id,
    )
    placed = {"is_featured": False, "display_priority": 5}
    assert actions == [
        ("creator_placement.insert", admin.id, None, placed),
        ("creator_placement.delete", admin.id, placed, None),
    ]


def test_students_are_counted_when_they_enrol_and_leave(academy: Academy, teacher: Person) -> None:
    course, student = academy.course(teacher), academy.member()

    def count() -> int:
        (stats,) = rows(academy.call(None, "GET", f"/rest/v1/course_stats?course_id=eq.{course.id}"))
        return int(stats["student_count"])

    for expected in (1, 0, 1):
        if expected:
            academy.enrol(student, course)
        else:
            assert academy.rpc(student, "leave_course", course_id=course.id).is_success
        assert count() == expected


def test_statistics_of_drafts_are_hidden(academy: Academy, teacher: Person, stranger: Person) -> None:
    draft = academy.course(teacher, published=False)
    path = f"/rest/v1/course_stats?course_id=eq.{draft.id}"
    assert [len(rows(academy.call(who, "GET", path))) for who in (teacher, stranger, None)] == [1, 0, 0]
    assert academy.call(teacher, "PATCH", path, {"student_count": 9}).status_code == 403


def creator(academy: Academy, name: str, *topics: str) -> Person:
    """A creator with this name, a published course and these topics of expertise."""
    made = academy.member("teacher", name=name)
    academy.course(made)
    for topic in topics:
        academy.insert(made, "user_expertise", topic=topic)
    return made


@pytest.mark.route(
    "PL-062",
    "WC-104",
    call="GET /rest/v1/creators?select=*,user_expertise!inner(topic)&user_expertise.topic=eq.{expertise}",
    public=True,
)
@pytest.mark.route("PL-062", call="GET /rest/v1/rpc/search_creators?q={q}", public=True)
def test_everybody_lists_and_searches_creators(academy: Academy) -> None:
    topic = f"topic of {academy.member().id}"
    ines, zoe = creator(academy, "Inès Kiln-Møller", topic), creator(academy, "Zoë Kiln", topic)
    beginner = academy.member("teacher", name="Kiln Beginner")
    academy.insert(beginner, "user_expertise", topic=topic)
    hidden = creator(academy, "Kiln Hidden", topic)
    assert (
        academy.call(hidden, "PATCH", f"/rest/v1/profiles?id=eq.{hidden.id}", {"is_public": False}).status_code == 204
    )
    listed = (
        f"/rest/v1/creators?select=*,user_expertise!inner(topic)&user_expertise.topic=eq.{quote(topic)}"
        "&order=display_priority,student_count.desc,display_name"
    )
    for who in (None, ines, hidden, academy.member("moderator")):
        found = rows(academy.call(who, "GET", listed))
        assert [person["id"] for person in found] == [ines.id, zoe.id]
        assert found[0]["published_course_count"] == 1
        assert found[0]["user_expertise"] == [{"topic": topic}]

    def search(q: str) -> set[str]:
        path = f"/rest/v1/rpc/search_creators?q={quote(q)}&select=id,display_name"
        return {person["id"] for person in rows(academy.call(None, "GET", path))}

    assert search("ines kiln moller") == {ines.id}
    assert {ines.id, zoe.id} <= search("kiln")
    assert {beginner.id, hidden.id}.isdisjoint(search("kiln") | search("kiln hidden") | search("kiln beginner"))
    assert search("") == search("🎹") == set()
    assert academy.call(None, "PATCH", f"/rest/v1/creators?id=eq.{ines.id}", {"bio": "Mine"}).status_code == 401


@pytest.mark.route("PL-063", call="GET /rest/v1/creators?is_featured=is.true", public=True)
def test_admins_place_creators(academy: Academy, admin: Person) -> None:
    first, second, hidden = (creator(academy, name) for name in ("First", "Second", "Hidden"))
    assert (
        academy.call(hidden, "PATCH", f"/rest/v1/profiles?id=eq.{hidden.id}", {"is_public": False}).status_code == 204
    )
    for person, priority in ((first, 20), (second, 10), (hidden, 1)):
        placement: dict[str, Any] = {"creator_id": person.id, "is_featured": True, "display_priority": priority}
        assert academy.call(first, "POST", PLACEMENTS, placement, **PLACED).status_code == 403
        assert academy.call(admin, "POST", PLACEMENTS, placement, **PLACED).status_code in {200, 201}
    ids = f"({first.id},{second.id},{hidden.id})"
    featured = f"/rest/v1/creators?is_featured=is.true&id=in.{ids}&order=display_priority&select=display_name"
    for who in (None, hidden, admin):
        assert rows(academy.call(who, "GET", featured)) == [{"display_name": "Second"}, {"display_name": "First"}]
    placements = f"/rest/v1/creator_placements?creator_id=eq.{hidden.id}"
    assert [len(rows(academy.call(who, "GET", placements))) for who in (None, first, admin)] == [0, 0, 1]
    again = {"creator_id": first.id, "is_featured": False, "display_priority": 20}
    assert academy.call(admin, "POST", PLACEMENTS, again, **PLACED).status_code in {200, 201}
    assert rows(academy.call(None, "GET", featured)) == [{"display_name": "Second"}]
    answer = academy.call(admin, "POST", PLACEMENTS, again | {"display_priority": 0})
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text


@pytest.mark.route(
    "PL-064",
    call="GET /rest/v1/creators?handle=eq.{handle}&select=*,user_qualifications(*),user_stats(*),courses(*)",
    public=True,
)
def test_a_creator_has_a_page(academy: Academy) -> None:
    person = creator(academy, "Ada")
    academy.course(person, published=False)
    academy.insert(person, "user_qualifications", title="Master potter")
    handle = f"ada_{person.id[:8]}"
    own = f"/rest/v1/profiles?id=eq.{person.id}"
    assert academy.call(person, "PATCH", own, {"handle": handle}).status_code == 204
    page = f"/rest/v1/creators?handle=eq.{handle}&select=*,user_qualifications(*),user_stats(*),courses(*)"
    (found,) = rows(academy.call(None, "GET", page))
    assert (found["display_name"], found["user_stats"]["published_course_count"]) == ("Ada", 1)
    assert [qualification["title"] for qualification in found["user_qualifications"]] == ["Master potter"]
    assert [course["status"] for course in found["courses"]] == ["published"]
    assert academy.call(person, "PATCH", own, {"is_public": False}).status_code == 204
    assert rows(academy.call(None, "GET", page)) == rows(academy.call(person, "GET", page)) == []
