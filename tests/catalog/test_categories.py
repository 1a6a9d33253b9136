"""Categories: everybody reads them, admins write them."""

import uuid

import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}


def slug() -> str:
    """A slug that nobody has."""
    return f"category-{uuid.uuid4().hex[:10]}"


@pytest.mark.route("PL-183", call="POST /rest/v1/categories")
@pytest.mark.route("PL-184", call="PATCH /rest/v1/categories?id=eq.{category_id}")
@pytest.mark.route("PL-185", call="DELETE /rest/v1/categories?id=eq.{category_id}")
@pytest.mark.route("PL-042", call="GET /rest/v1/categories", public=True)
def test_admins_write_categories(academy: Academy, admin: Person, teacher: Person, published: Course) -> None:
    new = {"slug": slug(), "name": "Craft", "description": "Things made by hand"}
    assert academy.call(teacher, "POST", "/rest/v1/categories", new).status_code == 403
    assert academy.call(None, "POST", "/rest/v1/categories", new).status_code == 401
    (made,) = rows(academy.call(admin, "POST", "/rest/v1/categories", new, **SHOWN))
    path = f"/rest/v1/categories?id=eq.{made['id']}"
    (read,) = rows(academy.call(None, "GET", f"/rest/v1/categories?slug=eq.{new['slug']}&order=position"))
    assert read == made
    assert {name: read[name] for name in new} == new

    assert rows(academy.call(teacher, "PATCH", path, {"name": "Mine"}, **SHOWN)) == []
    (renamed,) = rows(academy.call(admin, "PATCH", path, {"name": "Crafts"}, **SHOWN))
    assert renamed["name"] == "Crafts"

    course = f"/rest/v1/courses?id=eq.{published.id}"
    assert academy.call(teacher, "PATCH", course, {"category_id": made["id"]}).status_code == 204
    assert rows(academy.call(teacher, "DELETE", path, **SHOWN)) == []
    assert len(rows(academy.call(admin, "DELETE", path, **SHOWN))) == 1
    assert rows(academy.call(None, "GET", f"{course}&select=category_id")) == [{"category_id": None}]


@pytest.mark.route("PL-182", call="GET /rest/v1/categories?select=*,courses(count)", public=True)
def test_a_category_counts_the_courses_that_the_caller_reads(academy: Academy, admin: Person, teacher: Person) -> None:
    category = academy.insert(admin, "categories", slug=slug(), name="Counted")
    for course in (academy.course(teacher), academy.course(teacher, published=False)):
        change = {"category_id": category["id"]}
        assert academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", change).status_code == 204
    path = f"/rest/v1/categories?id=eq.{category['id']}&select=*,courses(count)"
    for who, expected in ((admin, 2), (None, 1)):
        (listed,) = rows(academy.call(who, "GET", path))
        assert listed["courses"] == [{"count": expected}]


def order(academy: Academy) -> list[str]:
    """The ids of the categories in their order; fails where the positions are not 1, 2, 3 ..."""
    listed = rows(academy.call(None, "GET", "/rest/v1/categories?order=position&select=id,position"))
    assert [category["position"] for category in listed] == list(range(1, len(listed) + 1))
    return [category["id"] for category in listed]


@pytest.mark.route("PL-186", call="POST /rest/v1/rpc/reorder_categories")
def test_admins_reorder_them_in_one_request(academy: Academy, teacher: Person) -> None:
    admin = academy.member("admin")
    new = [academy.insert(admin, "categories", slug=slug(), name=name)["id"] for name in ("A", "B", "C")]
    refused(academy.rpc(teacher, "reorder_categories", category_ids=order(academy)), 403, "role_required")
    for _ in range(20):  # other tests add and remove some meanwhile
        before = order(academy)
        turned = before[::-1]
        answer = academy.rpc(admin, "reorder_categories", category_ids=turned)
        if answer.status_code == 200:
            break
        refused(answer, 409, "sequence_incomplete")
    assert [category["id"] for category in rows(answer)] == turned
    assert [category for category in order(academy) if category in new] == new[::-1]
    for wrong in (turned[1:], [*turned, turned[0]], [*turned[1:], teacher.id], [], None, [*turned[1:], turned[1]]):
        refused(academy.rpc(admin, "reorder_categories", category_ids=wrong), 409, "sequence_incomplete")
    assert academy.call(admin, "PATCH", f"/rest/v1/categories?id=eq.{new[0]}", {"position": 1}).status_code == 403
    assert [category for category in order(academy) if category in new] == new[::-1]
    [(was, became)] = academy.sql(
        "select before, after from public.audit_log where action = 'category.reorder' and actor_id = %s", admin.id
    )
    assert (was, became) == (before, turned)


def test_concurrent_changes_leave_no_gap_in_positions(academy: Academy, admin: Person) -> None:
    old = [academy.insert(admin, "categories", slug=slug(), name="Old")["id"] for _ in range(3)]

    def act(number: int) -> int:
        if number % 3 == 0:
            return academy.call(admin, "DELETE", f"/rest/v1/categories?id=eq.{old[number // 3]}").status_code
        if number % 3 == 1:
            return academy.call(admin, "POST", "/rest/v1/categories", {"slug": slug(), "name": "New"}).status_code
        return academy.rpc(admin, "reorder_categories", category_ids=order(academy)[::-1]).status_code

    done = concurrently(9, act)
    assert done[::3] == [204] * 3
    assert done[1::3] == [201] * 3
    assert set(done[2::3]) <= {200, 409}
    order(academy)


@pytest.mark.route("PL-187", call="POST /rest/v1/rpc/merge_categories")
def test_admins_merge_two_categories(academy: Academy, admin: Person, teacher: Person) -> None:
    source, target = (academy.insert(admin, "categories", slug=slug(), name=name)["id"] for name in ("From", "To"))
    courses = [academy.course(teacher, published=number > 0) for number in range(3)]
    for course in courses:
        change = {"category_id": source}
        assert academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", change).status_code == 204
    asked = {"source_id": source, "target_id": target}
    refused(academy.rpc(teacher, "merge_categories", **asked), 403, "role_required")
    for wrong in ({"target_id": source}, {"target_id": teacher.id}, {"source_id": teacher.id}, {"source_id": None}):
        refused(academy.rpc(admin, "merge_categories", **asked | wrong), 404, "category_not_found")
    assert academy.rpc(admin, "merge_categories", **asked).json()["id"] == target
    assert source not in order(academy)
    moved = rows(academy.call(teacher, "GET", f"/rest/v1/courses?category_id=eq.{target}&select=id"))
    assert {course["id"] for course in moved} == {course.id for course in courses}
    [(actor, before, after)] = academy.sql(
        "select actor_id::text, before, after from public.audit_log where action = 'category.merge' and target_id = %s",
        source,
    )
    assert (actor, before["name"], after) == (admin.id, "From", {"id": target, "moved": 3})


def test_a_merge_loses_no_course_that_is_added_meanwhile(academy: Academy, admin: Person) -> None:
    writers = [academy.member("teacher") for _ in range(5)]
    for _ in range(4):
        source, target = (academy.insert(admin, "categories", slug=slug(), name="Shelf")["id"] for _ in range(2))
        for writer in writers:
            for title in ("First", "Second"):
                academy.insert(writer, "courses", title=title, category_id=source)

        def act(number: int, source: str = source, target: str = target) -> list[int]:
            if number == 0:
                return [academy.rpc(admin, "merge_categories", source_id=source, target_id=target).status_code]
            writer, answers = writers[number - 1], []
            for turn in range(6):
                if turn % 2:  # all courses of the creator, in the category or not
                    path = f"/rest/v1/courses?creator_id=eq.{writer.id}"
                    answer = academy.call(writer, "PATCH", path, {"category_id": source})
                else:
                    answer = academy.call(writer, "POST", "/rest/v1/courses", {"title": "New", "category_id": source})
                assert answer.status_code in {201, 204} or answer.json()["code"] == "23503", answer.text
                answers.append(answer.status_code)
            return answers

        (merged,), *written = concurrently(6, act)
        assert merged == 200
        arrived = sum(status == 201 for answers in written for status in answers)
        ids = ",".join(writer.id for writer in writers)
        path = f"/rest/v1/courses?creator_id=in.({ids})&category_id=eq.{target}&select=id"
        counted = academy.call(admin, "HEAD", path, prefer="count=exact").headers["content-range"].partition("/")[2]
        lost = academy.sql(
            "select id from public.courses where category_id is null and creator_id = any(%s::uuid[])",
            [writer.id for writer in writers],
        )
        assert (int(counted) >= 10 + arrived, lost) == (True, [])
        for writer in writers:
            path = f"/rest/v1/courses?creator_id=eq.{writer.id}"
            assert academy.call(writer, "DELETE", path).status_code == 204


@pytest.mark.parametrize(
    ("change", "status", "constraint"),
    [
        ({"slug": "With Space"}, 400, "categories_slug_check"),
        ({"slug": "-dash"}, 400, "categories_slug_check"),
        ({"name": " "}, 400, "categories_name_check"),
        ({"description": "x" * 501}, 400, "categories_description_check"),
    ],
)
def test_a_category_out_of_bounds_names_the_constraint(
    academy: Academy, admin: Person, change: dict[str, str], status: int, constraint: str
) -> None:
    answer = academy.call(admin, "POST", "/rest/v1/categories", {"slug": slug(), "name": "Fine"} | change)
    assert (answer.status_code, answer.json()["code"]) == (status, "23514"), answer.text
    assert constraint in answer.json()["message"]


def test_two_categories_cannot_have_one_slug(academy: Academy, admin: Person) -> None:
    category = {"slug": slug(), "name": "One"}
    assert academy.call(admin, "POST", "/rest/v1/categories", category).status_code == 201
    again = academy.call(admin, "POST", "/rest/v1/categories", category)
    assert (again.status_code, again.json()["code"]) == (409, "23505"), again.text
