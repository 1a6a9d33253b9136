"""Courses: found by everybody once published, written by the teacher who made them."""

import uuid
from typing import Any

import pytest

from tests.people import Academy, Course, Person, refused, rows, together

SHOWN = {"prefer": "return=representation"}
DETAIL = "select=*,creator:profiles(handle,display_name,avatar_path),category:categories(slug,name)"


def word() -> str:
    """A word that stands nowhere yet."""
    return f"w{uuid.uuid4().hex[:12]}"


def lacking(answer: Any) -> set[str]:
    """What an incomplete course is said to lack."""
    refused(answer, 422, "course_incomplete")
    return set(answer.json()["details"].rstrip(".").partition(": ")[2].split(", "))


@pytest.mark.route(
    "PL-026",
    "WC-081",
    "WC-178",
    call="GET /rest/v1/courses?search=wfts(simple).{q}&level=eq.{level}&category.slug=eq.{category}&limit&offset",
    public=True,
)
def test_everybody_searches_filters_and_pages_the_catalogue(academy: Academy, admin: Person, teacher: Person) -> None:
    topic, shelf = word(), academy.insert(admin, "categories", slug=f"shelf-{word()}", name="Shelf")
    for number, level in enumerate(("beginner", "beginner", "advanced", "beginner")):
        course = academy.course(teacher, published=number < 3)
        change = {"title": f"About {topic}", "level": level, "category_id": shelf["id"]}
        assert academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", change).status_code == 204
    listing = "/rest/v1/courses?select=title,level,category:categories!inner(slug),creator:profiles(display_name)"
    asked = f"{listing}&search=wfts(simple).{topic}&category.slug=eq.{shelf['slug']}"
    page = academy.call(None, "GET", f"{asked}&level=eq.beginner&limit=1&offset=1", prefer="count=exact")
    assert page.headers["content-range"] == "1-1/2"
    assert page.json() == [
        {
            "title": f"About {topic}",
            "level": "beginner",
            "category": {"slug": shelf["slug"]},
            "creator": {"display_name": "Ines"},
        }
    ]
    assert len(rows(academy.call(None, "GET", asked))) == 3
    assert rows(academy.call(None, "GET", f"{listing}&search=wfts(simple).{word()}")) == []


@pytest.mark.route("PL-028", "WC-101", call="GET /rest/v1/courses?id=eq.{course_id}", public=True)
@pytest.mark.route("PL-029", "WC-100", "CM-013", call="GET /rest/v1/courses?slug=eq.{slug}", public=True)
@pytest.mark.route(
    "WC-082", "WC-083", call="GET /rest/v1/courses?slug=eq.{slug}&select=price_amount,price_currency", public=True
)
def test_everybody_reads_what_a_course_is(academy: Academy, published: Course) -> None:
    outline = f"{DETAIL},modules(title,position,lessons(title,position,is_intro))"
    by_id = rows(academy.call(None, "GET", f"/rest/v1/courses?id=eq.{published.id}&{outline}"))
    by_slug = rows(academy.call(None, "GET", f"/rest/v1/courses?slug=eq.{published.slug}&{outline}"))
    assert by_id == by_slug
    (course,) = by_id
    assert course["status"] == "published"
    assert course["creator"]["display_name"] == "Ines"
    assert {"objectives", "includes", "prerequisites", "target_audience", "tags"} <= course.keys()
    (module,) = course["modules"]
    assert {lesson["title"] for lesson in module["lessons"]} == {"Lesson 1", "Lesson 2"}
    price = f"/rest/v1/courses?slug=eq.{published.slug}&select=price_amount,price_currency"
    assert rows(academy.call(None, "GET", price)) == [{"price_amount": 0, "price_currency": "EUR"}]


@pytest.mark.route("PL-065", call="GET /rest/v1/courses?creator.handle=eq.{handle}", public=True)
@pytest.mark.route("CM-014", call="GET /rest/v1/courses?creator_id=eq.{user_id}", public=True)
def test_everybody_lists_a_creators_courses(academy: Academy) -> None:
    creator = academy.member("teacher")
    course = academy.course(creator)
    academy.course(creator, published=False)
    handle = f"creator_{uuid.uuid4().hex[:8]}"
    own = f"/rest/v1/profiles?id=eq.{creator.id}"
    assert academy.call(creator, "PATCH", own, {"handle": handle}).status_code == 204
    by_handle = f"/rest/v1/courses?select=id,creator:profiles!inner(handle)&creator.handle=eq.{handle}"
    assert rows(academy.call(None, "GET", by_handle)) == [{"id": course.id, "creator": {"handle": handle}}]
    by_id = f"/rest/v1/courses?select=id&creator_id=eq.{creator.id}"
    assert rows(academy.call(None, "GET", by_id)) == [{"id": course.id}]


@pytest.mark.route("PL-027", call="GET /rest/v1/courses?is_featured=is.true", public=True)
def test_everybody_lists_the_featured_courses(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    path = f"/rest/v1/courses?id=eq.{course.id}"
    assert academy.call(teacher, "PATCH", path, {"is_featured": True}).status_code == 403
    featured = f"/rest/v1/courses?is_featured=is.true&creator_id=eq.{teacher.id}&select=id"
    assert rows(academy.call(None, "GET", featured)) == []
    operator = {"apikey": academy.secret_key}
    assert academy.http.patch(path, json={"is_featured": True}, headers=operator).status_code == 204
    assert rows(academy.call(None, "GET", featured)) == [{"id": course.id}]


@pytest.mark.route("PL-032", "WC-127", call="POST /rest/v1/courses")
def test_a_teacher_begins_a_course(academy: Academy, teacher: Person, student: Person) -> None:
    new = {
        "title": "Glaze chemistry",
        "subtitle": "Without tears",
        "description": "Silica, alumina, flux.",
        "level": "intermediate",
        "language": "en-GB",
        "objectives": ["Read a formula"],
        "includes": ["Three lessons"],
        "prerequisites": ["A kiln"],
        "target_audience": ["Potters"],
        "tags": ["glaze"],
        "price_amount": 4900,
        "price_currency": "EUR",
    }
    assert academy.call(student, "POST", "/rest/v1/courses", new).status_code == 403
    assert academy.call(None, "POST", "/rest/v1/courses", new).status_code == 401
    (course,) = rows(academy.call(teacher, "POST", "/rest/v1/courses", new, **SHOWN))
    assert {name: course[name] for name in new} == new
    assert (course["creator_id"], course["status"], course["published_at"]) == (teacher.id, "draft", None)


@pytest.mark.route("PL-033", "WC-147", call="PATCH /rest/v1/courses?id=eq.{course_id}")
@pytest.mark.route("WC-146", call="GET /rest/v1/courses?id=eq.{course_id}")
@pytest.mark.route("WC-148", call="DELETE /rest/v1/courses?id=eq.{course_id}")
def test_a_draft_is_its_creators_alone(
    academy: Academy, teacher: Person, stranger: Person, student: Person, draft: Course
) -> None:
    path = f"/rest/v1/courses?id=eq.{draft.id}"
    assert [row["status"] for row in rows(academy.call(teacher, "GET", path))] == ["draft"]
    (changed,) = rows(academy.call(teacher, "PATCH", path, {"title": "Better", "tags": ["clay"]}, **SHOWN))
    assert (changed["title"], changed["tags"], changed["slug"]) == ("Better", ["clay"], draft.slug)
    for who in (stranger, student, None):
        assert rows(academy.call(who, "GET", path)) == []
        counted = academy.call(who, "HEAD", path, prefer="count=exact")
        assert counted.headers["content-range"] == "*/0"
        if who is not None:
            assert rows(academy.call(who, "PATCH", path, {"title": "Mine"}, **SHOWN)) == []
            assert rows(academy.call(who, "DELETE", path, **SHOWN)) == []
        for table in ("modules", "lessons", "lesson_contents", "quizzes", "quiz_questions"):
            assert rows(academy.call(who, "GET", f"/rest/v1/{table}?course_id=eq.{draft.id}")) == [] if who else True
    assert len(rows(academy.call(teacher, "DELETE", path, **SHOWN))) == 1
    assert rows(academy.call(teacher, "GET", path)) == []


@pytest.mark.route("WC-123", "PL-067", call="GET /rest/v1/courses?creator_id=eq.{user_id}")
@pytest.mark.route("CM-079", call="GET /rest/v1/courses?creator_id=eq.{user_id}&status=eq.draft")
@pytest.mark.route("CM-080", "PL-035", call="POST /rest/v1/rpc/publish_course")
@pytest.mark.route("PL-036", call="POST /rest/v1/rpc/unpublish_course")
def test_a_creator_publishes_a_draft_and_takes_it_back(academy: Academy, stranger: Person) -> None:
    creator = academy.member("teacher")
    course = academy.course(creator, published=False)
    own = f"/rest/v1/courses?creator_id=eq.{creator.id}&order=created_at.desc&select=id,status"
    drafts = f"{own}&status=eq.draft"
    assert rows(academy.call(creator, "GET", own)) == [{"id": course.id, "status": "draft"}]
    assert rows(academy.call(stranger, "GET", own)) == []
    assert rows(academy.call(creator, "GET", drafts)) == [{"id": course.id, "status": "draft"}]
    assert rows(academy.call(stranger, "GET", drafts)) == []

    refused(academy.rpc(stranger, "publish_course", course_id=course.id), 404, "course_not_found")
    assert academy.rpc(None, "publish_course", course_id=course.id).status_code == 401
    first = academy.rpc(creator, "publish_course", course_id=course.id)
    assert (first.status_code, first.json()["status"]) == (200, "published"), first.text
    again = academy.rpc(creator, "publish_course", course_id=course.id)
    assert again.json() == first.json()
    assert rows(academy.call(stranger, "GET", own)) == [{"id": course.id, "status": "published"}]
    assert rows(academy.call(creator, "GET", drafts)) == []
    # What is published is not deleted under its students.
    assert rows(academy.call(creator, "DELETE", f"/rest/v1/courses?id=eq.{course.id}", **SHOWN)) == []

    refused(academy.rpc(stranger, "unpublish_course", course_id=course.id), 404, "course_not_found")
    back = academy.rpc(creator, "unpublish_course", course_id=course.id)
    assert (back.status_code, back.json()["status"]) == (200, "draft"), back.text
    assert rows(academy.call(stranger, "GET", own)) == []
    republished = academy.rpc(creator, "publish_course", course_id=course.id)
    assert republished.json()["published_at"] == first.json()["published_at"]


@pytest.mark.route(
    "PL-136", call="GET /rest/v1/courses?search&category_id&status=eq.{status}&level&is_featured&limit&offset"
)
def test_admins_list_the_courses_of_all(
    academy: Academy, admin: Person, stranger: Person, teacher: Person, draft: Course
) -> None:
    topic, shelf = word(), academy.insert(admin, "categories", slug=f"shelf-{word()}", name="Shelf")
    change = {"title": f"About {topic}", "category_id": shelf["id"], "level": "advanced"}
    assert academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{draft.id}", change).status_code == 204
    path = (
        f"/rest/v1/courses?{DETAIL}&search=wfts(simple).{topic}&category_id=eq.{shelf['id']}&status=eq.draft"
        "&level=eq.advanced&is_featured=is.false&limit=10&offset=0"
    )
    (course,) = rows(academy.call(admin, "GET", path))
    assert (course["id"], course["creator"]["display_name"], course["category"]["slug"]) == (
        draft.id,
        "Ines",
        shelf["slug"],
    )
    assert rows(academy.call(stranger, "GET", path)) == []


@pytest.mark.parametrize("column", ["id", "creator_id", "status", "is_featured", "published_at", "created_at"])
def test_what_functions_decide_is_no_clients_to_write(
    academy: Academy, teacher: Person, published: Course, column: str
) -> None:
    changed = academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{published.id}", {column: None})
    made = academy.call(teacher, "POST", "/rest/v1/courses", {"title": "New", column: None})
    assert (changed.status_code, made.status_code) == (403, 403)


@pytest.mark.parametrize(
    ("column", "value", "constraint"),
    [
        ("title", " ", "courses_title_check"),
        ("title", "x" * 161, "courses_title_check"),
        ("slug", "No Good", "courses_slug_check"),
        ("language", "english", "courses_language_check"),
        ("price_amount", -1, "courses_price_amount_check"),
        ("price_currency", "eur", "courses_price_currency_check"),
        ("tags", ["x"] * 51, "courses_lists_check"),
        ("objectives", ["x" * 41_000], "courses_lists_check"),
    ],
)
def test_a_course_out_of_bounds_names_the_constraint(
    academy: Academy, teacher: Person, column: str, value: Any, constraint: str
) -> None:
    answer = academy.call(teacher, "POST", "/rest/v1/courses", {"title": "New"} | {column: value})
    assert (answer.status_code, answer.json()["code"]) == (400, "23514"), answer.text
    assert constraint in answer.json()["message"]


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Élan vital: Straße & Größe {0}", "elan-vital-strasse-grosse-{0}"),
        ("  --Dashes   and\ttabs-- {0}", "dashes-and-tabs-{0}"),
        ("{0} 🎹 piano 🎹", "{0}-piano"),
    ],
)
def test_a_slug_is_made_from_the_title(academy: Academy, teacher: Person, title: str, slug: str) -> None:
    unique = word()
    course = academy.insert(teacher, "courses", title=title.format(unique))
    assert course["slug"] == slug.format(unique)


def test_a_slug_never_fails_a_title(academy: Academy, teacher: Person) -> None:
    long, topic = f"{word()} " + "very " * 28 + "long", word()
    titles = ["🎹🎹🎹", "🎹🎹🎹", long, long, topic, topic, topic]
    slugs = [academy.insert(teacher, "courses", title=title)["slug"] for title in titles]
    assert len(set(slugs)) == len(slugs)
    assert all(slug.startswith("course") for slug in slugs[:2])
    assert all(len(slug) <= 80 for slug in slugs)
    assert slugs[4] == topic
    assert all(slug.startswith(f"{topic}-") for slug in slugs[5:])


def test_titles_that_are_taken_at_the_same_moment_are_no_conflict(academy: Academy, teacher: Person) -> None:
    topic = word()
    made = together(8, lambda _: academy.call(teacher, "POST", "/rest/v1/courses", {"title": topic}, **SHOWN))
    assert len({rows(answer)[0]["slug"] for answer in made}) == 8


def test_a_slug_of_ones_own_is_kept_and_is_one_courses(academy: Academy, teacher: Person) -> None:
    slug = word()
    course = academy.insert(teacher, "courses", title="Something else", slug=slug)
    assert course["slug"] == slug
    again = academy.call(teacher, "POST", "/rest/v1/courses", {"title": "Third", "slug": slug})
    assert (again.status_code, again.json()["code"]) == (409, "23505"), again.text
    assert "courses_slug_key" in again.json()["message"]


def test_an_incomplete_course_is_told_what_it_lacks(academy: Academy, teacher: Person) -> None:
    course_id = academy.insert(teacher, "courses", title="Begun")["id"]

    def publish() -> Any:
        return academy.rpc(teacher, "publish_course", course_id=course_id)

    assert lacking(publish()) == {"description", "module", "lesson"}
    change = {"description": "What it is about."}
    assert academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{course_id}", change).status_code == 204
    assert lacking(publish()) == {"module", "lesson"}
    module = academy.insert(teacher, "modules", course_id=course_id, title="One")
    assert lacking(publish()) == {"lesson"}
    lesson = academy.insert(teacher, "lessons", module_id=module["id"], title="One")
    assert lacking(publish()) == {"lesson_content"}
    academy.insert(teacher, "lesson_contents", lesson_id=lesson["id"], body="Text")
    quiz = academy.insert(teacher, "quizzes", course_id=course_id, title="Quiz")
    assert lacking(publish()) == {"quiz_question"}
    question = {"quiz_id": quiz["id"], "kind": "true_false", "prompt": "So?", "answer": True}
    assert academy.rpc(teacher, "save_quiz_question", **question).status_code == 200
    assert publish().json()["status"] == "published"


@pytest.mark.parametrize(
    ("status", "call"), [("suspended", "publish"), ("suspended", "unpublish"), ("archived", "unpublish")]
)
def test_a_creator_does_not_overrule_a_status(academy: Academy, teacher: Person, status: str, call: str) -> None:
    course = academy.course(teacher)
    academy.sql("update public.courses set status = %s where id = %s", status, course.id)
    refused(academy.rpc(teacher, f"{call}_course", course_id=course.id), 409, "illegal_transition")


def test_admins_publish_for_others(academy: Academy, admin: Person, draft: Course) -> None:
    answer = academy.rpc(admin, "publish_course", course_id=draft.id)
    assert (answer.status_code, answer.json()["creator_id"]) == (200, draft.teacher.id), answer.text


def test_a_course_with_students_is_not_deleted(academy: Academy, teacher: Person, student: Person) -> None:
    course = academy.course(teacher)
    academy.enrol(student, course)
    assert academy.rpc(teacher, "unpublish_course", course_id=course.id).status_code == 200
    answer = academy.call(teacher, "DELETE", f"/rest/v1/courses?id=eq.{course.id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "23503"), answer.text
