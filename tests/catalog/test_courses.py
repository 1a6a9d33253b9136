"""Courses: everybody finds published ones, teachers write their own."""

import uuid
from typing import Any

import httpx
import pytest

from tests.people import Academy, Course, Person, concurrently, refused, rows

SHOWN = {"prefer": "return=representation"}
DETAIL = "select=*,creator:profiles(handle,display_name,avatar_path),category:categories(slug,name)"


def word() -> str:
    """A word that no course has yet."""
    return f"w{uuid.uuid4().hex[:12]}"


def lacking(answer: Any) -> set[str]:
    """The items that publishing names as missing."""
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
    topic, category = word(), academy.insert(admin, "categories", slug=f"category-{word()}", name="Shelf")
    for number, level in enumerate(("beginner", "beginner", "advanced", "beginner")):
        course = academy.course(teacher, published=number < 3)
        change = {"title": f"About {topic}", "level": level, "category_id": category["id"]}
        assert academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", change).status_code == 204
    listing = "/rest/v1/courses?select=title,level,category:categories!inner(slug),creator:profiles(display_name)"
    asked = f"{listing}&search=wfts(simple).{topic}&category.slug=eq.{category['slug']}"
    page = academy.call(None, "GET", f"{asked}&level=eq.beginner&limit=1&offset=1", prefer="count=exact")
    assert page.headers["content-range"] == "1-1/2"
    assert page.json() == [
        {
            "title": f"About {topic}",
            "level": "beginner",
            "category": {"slug": category["slug"]},
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
def test_only_the_creator_reads_a_draft(
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
def test_a_creator_publishes_and_unpublishes_a_draft(academy: Academy, stranger: Person) -> None:
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
    # A published course cannot be deleted directly.
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
    topic, category = word(), academy.insert(admin, "categories", slug=f"category-{word()}", name="Shelf")
    change = {"title": f"About {topic}", "category_id": category["id"], "level": "advanced"}
    assert academy.call(teacher, "PATCH", f"/rest/v1/courses?id=eq.{draft.id}", change).status_code == 204
    path = (
        f"/rest/v1/courses?{DETAIL}&search=wfts(simple).{topic}&category_id=eq.{category['id']}&status=eq.draft"
        "&level=eq.advanced&is_featured=is.false&limit=10&offset=0"
    )
    (course,) = rows(academy.call(admin, "GET", path))
    assert (course["id"], course["creator"]["display_name"], course["category"]["slug"]) == (
        draft.id,
        "Ines",
        category["slug"],
    )
    assert rows(academy.call(stranger, "GET", path)) == []


@pytest.mark.parametrize("column", ["id", "creator_id", "status", "is_featured", "published_at", "created_at"])
def test_clients_cannot_write_columns_of_functions(
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
        ("  --Dashes   and  spaces-- {0}", "dashes-and-spaces-{0}"),
        ("{0} 🎹 piano 🎹", "{0}-piano"),
        ("Пейзаж маслом {0}", "peyzazh-maslom-{0}"),
        ("Ψυχή {0}", "psychi-{0}"),
        ("كتاب {0}", "ktb-{0}"),
        ("שלום {0}", "slvm-{0}"),
        ("हिन्दी {0}", "hindi-{0}"),
        ("陶芸入門 {0}", "tao-yun-ru-men-{0}"),
        ("한국어 {0}", "hangugeo-{0}"),
        ("ภาษาไทย {0}", "phasaaithy-{0}"),
        ("ქართული {0}", "kartuli-{0}"),
        ("አማርኛ {0}", "amarnya-{0}"),
        ("བོད {0}", "bod-{0}"),
        ("İSTANBUL & Łódź {0}", "istanbul-lodz-{0}"),
        ("Ｆｕｌｌ x² ½ {0}", "full-x2-1-2-{0}"),  # noqa: RUF001
        ("photo\u00adgraphy {0}", "photography-{0}"),
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


def test_concurrent_courses_with_one_title_get_different_slugs(academy: Academy, teacher: Person) -> None:
    topic = word()
    made = concurrently(8, lambda _: academy.call(teacher, "POST", "/rest/v1/courses", {"title": topic}, **SHOWN))
    assert len({rows(answer)[0]["slug"] for answer in made}) == 8


def test_a_given_slug_is_kept_and_unique(academy: Academy, teacher: Person) -> None:
    slug = word()
    course = academy.insert(teacher, "courses", title="Something else", slug=slug)
    assert course["slug"] == slug
    again = academy.call(teacher, "POST", "/rest/v1/courses", {"title": "Third", "slug": slug})
    assert (again.status_code, again.json()["code"]) == (409, "23505"), again.text
    assert "courses_slug_key" in again.json()["message"]


def test_publishing_names_what_a_course_lacks(academy: Academy, teacher: Person) -> None:
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


def by_slug(academy: Academy, who: Person | None, slug: str, select: str = "id,slug") -> list[dict[str, Any]]:
    return rows(academy.call(who, "GET", f"/rest/v1/rpc/course_by_slug?slug={slug}&select={select}"))


def change_slug(academy: Academy, course: Course, slug: str) -> httpx.Response:
    return academy.call(course.teacher, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", {"slug": slug})


def test_an_old_slug_leads_to_the_new(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    slugs = [course.slug, word(), word()]
    for slug in slugs[1:]:
        assert change_slug(academy, course, slug).status_code == 204
    for slug in slugs:
        assert by_slug(academy, None, slug) == [{"id": course.id, "slug": slugs[-1]}]
    assert by_slug(academy, None, slugs[0].upper()) == [{"id": course.id, "slug": slugs[-1]}]
    embedded = by_slug(academy, None, slugs[0], "slug,modules(lessons(id))")
    assert len(embedded[0]["modules"][0]["lessons"]) == len(course.lesson_ids)
    assert by_slug(academy, None, word()) == []
    # The creator may return to it.
    assert change_slug(academy, course, slugs[0]).status_code == 204
    assert by_slug(academy, None, slugs[-1]) == [{"id": course.id, "slug": slugs[0]}]


def test_nobody_takes_over_the_slug_of_another_course(academy: Academy, teacher: Person) -> None:
    course, title = academy.course(teacher), word()
    assert change_slug(academy, course, title).status_code == 204
    assert change_slug(academy, course, word()).status_code == 204
    thief = academy.course(academy.member("teacher"), published=False)
    refused(change_slug(academy, thief, title), 409, "slug_taken")
    refused(
        academy.call(thief.teacher, "POST", "/rest/v1/courses", {"title": "Mine", "slug": title}), 409, "slug_taken"
    )
    # A title that would give the slug gets another one.
    made = academy.insert(thief.teacher, "courses", title=title)
    assert made["slug"].startswith(f"{title}-")
    assert len(by_slug(academy, None, title)) == 1


def test_the_slug_of_a_course_that_was_published_and_deleted_stays_retired(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    assert academy.rpc(teacher, "delete_course", course_id=course.id).status_code in {200, 204}
    assert by_slug(academy, None, course.slug) == []
    answer = academy.call(academy.member("teacher"), "POST", "/rest/v1/courses", {"title": "A", "slug": course.slug})
    assert answer.status_code == 409, answer.text


def test_an_upsert_by_slug_changes_the_course_that_has_it(academy: Academy, teacher: Person) -> None:
    course = academy.course(teacher)
    row = {"slug": course.slug, "title": "Changed"}
    path, prefer = "/rest/v1/courses?on_conflict=slug", "resolution=merge-duplicates,return=representation"
    (changed,) = rows(academy.call(teacher, "POST", path, row, prefer=prefer))
    assert (changed["id"], changed["title"]) == (course.id, "Changed")


def test_the_slug_of_a_draft_is_free_again(academy: Academy, teacher: Person) -> None:
    draft = academy.course(teacher, published=False)
    assert change_slug(academy, draft, word()).status_code == 204
    assert academy.insert(teacher, "courses", title="Another", slug=draft.slug)["slug"] == draft.slug


def test_an_old_slug_shows_no_hidden_course(academy: Academy, teacher: Person, stranger: Person) -> None:
    course = academy.course(teacher)
    assert change_slug(academy, course, word()).status_code == 204
    assert academy.rpc(teacher, "archive_course", course_id=course.id).status_code == 200
    for who in (None, stranger):
        assert by_slug(academy, who, course.slug) == []
    assert len(by_slug(academy, teacher, course.slug)) == 1
