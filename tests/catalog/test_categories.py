"""The shelves of the catalogue: everybody reads them, admins write them."""

import uuid

import pytest

from tests.people import Academy, Course, Person, rows

SHOWN = {"prefer": "return=representation"}


def slug() -> str:
    """A slug that nobody has."""
    return f"shelf-{uuid.uuid4().hex[:10]}"


@pytest.mark.route("PL-183", call="POST /rest/v1/categories")
@pytest.mark.route("PL-184", call="PATCH /rest/v1/categories?id=eq.{category_id}")
@pytest.mark.route("PL-185", call="DELETE /rest/v1/categories?id=eq.{category_id}")
@pytest.mark.route("PL-042", call="GET /rest/v1/categories", public=True)
def test_admins_keep_the_shelves(academy: Academy, admin: Person, teacher: Person, published: Course) -> None:
    new = {"slug": slug(), "name": "Craft", "description": "Things made by hand", "position": 7}
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
def test_a_shelf_counts_the_courses_that_one_may_see(academy: Academy, admin: Person, teacher: Person) -> None:
    shelf = academy.insert(admin, "categories", slug=slug(), name="Counted")
    for course in (academy.course(teacher), academy.course(teacher, published=False)):
        change = {"category_id": shelf["id"]}
        assert academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", change).status_code == 204
    path = f"/rest/v1/categories?id=eq.{shelf['id']}&select=*,courses(count)"
    for who, expected in ((admin, 2), (None, 1)):
        (listed,) = rows(academy.call(who, "GET", path))
        assert listed["courses"] == [{"count": expected}]


@pytest.mark.route("PL-186", call="POST /rest/v1/categories?on_conflict=slug")
def test_admins_reorder_them_in_one_request(academy: Academy, admin: Person, student: Person) -> None:
    shelves = [academy.insert(admin, "categories", slug=slug(), name=name, position=1) for name in ("A", "B", "C")]
    order = [
        {"slug": shelf["slug"], "name": shelf["name"], "position": position}
        for position, shelf in enumerate(reversed(shelves))
    ]
    reorder = {"prefer": "resolution=merge-duplicates,return=representation"}
    path = "/rest/v1/categories?on_conflict=slug"
    assert academy.call(student, "POST", path, order, **reorder).status_code == 403
    assert len(rows(academy.call(admin, "POST", path, order, **reorder))) == 3
    ids = ",".join(shelf["id"] for shelf in shelves)
    listed = rows(academy.call(None, "GET", f"/rest/v1/categories?id=in.({ids})&order=position&select=name"))
    assert [shelf["name"] for shelf in listed] == ["C", "B", "A"]


@pytest.mark.parametrize(
    ("change", "status", "constraint"),
    [
        ({"slug": "With Space"}, 400, "categories_slug_check"),
        ({"slug": "-dash"}, 400, "categories_slug_check"),
        ({"name": " "}, 400, "categories_name_check"),
        ({"description": "x" * 501}, 400, "categories_description_check"),
    ],
)
def test_a_shelf_out_of_bounds_names_the_constraint(
    academy: Academy, admin: Person, change: dict[str, str], status: int, constraint: str
) -> None:
    answer = academy.call(admin, "POST", "/rest/v1/categories", {"slug": slug(), "name": "Fine"} | change)
    assert (answer.status_code, answer.json()["code"]) == (status, "23514"), answer.text
    assert constraint in answer.json()["message"]


def test_a_slug_is_one_shelfs(academy: Academy, admin: Person) -> None:
    shelf = {"slug": slug(), "name": "One"}
    assert academy.call(admin, "POST", "/rest/v1/categories", shelf).status_code == 201
    again = academy.call(admin, "POST", "/rest/v1/categories", shelf)
    assert (again.status_code, again.json()["code"]) == (409, "23505"), again.text
