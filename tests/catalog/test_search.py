"""Courses are found by what people type."""

import uuid
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from tests.catalog.test_courses import word
from tests.people import Academy, Person, rows

SHOWN = {"prefer": "return=representation"}


def search(academy: Academy, q: str | None, who: Person | None = None, **filters: Any) -> list[str]:
    """The titles of what is found, best first."""
    query = urlencode({"select": "title", **({} if q is None else {"q": q}), **filters})
    return [course["title"] for course in rows(academy.call(who, "GET", f"/rest/v1/rpc/search_courses?{query}"))]


def publish(academy: Academy, creator: Person, title: str, **columns: Any) -> str:
    """A published course of this title; its id."""
    course = academy.course(creator, published=False)
    change = {"title": title, **columns}
    assert academy.call(creator, "PATCH", f"/rest/v1/courses?id=eq.{course.id}", change).status_code == 204
    answer = academy.rpc(creator, "publish_course", course_id=course.id)
    assert answer.status_code == 200, answer.text
    return course.id


@pytest.mark.route(
    "PL-026",
    "WC-081",
    call="GET /rest/v1/rpc/search_courses?q={q}&level={level}&category={category}&limit={limit}",
    public=True,
)
def test_everybody_finds_courses_by_words_and_filters(academy: Academy, admin: Person, teacher: Person) -> None:
    topic, shelf = word(), academy.insert(admin, "categories", slug=f"shelf-{word()}", name="Shelf")
    free = publish(academy, teacher, f"{topic} for free", level="beginner", category_id=shelf["id"])
    publish(academy, teacher, f"{topic} dear", level="advanced", price_amount=9900, language="pt-BR")
    publish(academy, teacher, f"{topic} cheap", price_amount=900, price_currency="USD")
    everything = {f"{topic} for free", f"{topic} dear", f"{topic} cheap"}
    assert set(search(academy, topic)) == everything
    for filters, missing in (
        ({"level": "beginner", "category": shelf["slug"], "limit": 5}, {"dear", "cheap"}),
        ({"level": "advanced"}, {"for free"}),
        ({"category": "no-such-shelf"}, {"for free", "dear", "cheap"}),
        ({"language": "pt"}, {"for free", "cheap"}),
        ({"max_price": 900}, {"dear"}),
        ({"max_price": 900, "currency": "EUR"}, {"dear", "cheap"}),
        ({"creator_id": admin.id}, {"for free", "dear", "cheap"}),
    ):
        assert set(search(academy, topic, **filters)) == everything - {f"{topic} {name}" for name in missing}, filters
    embedded = f"/rest/v1/rpc/search_courses?q={topic}&level=beginner&select=id,category:categories(slug)"
    assert {"id": free, "category": {"slug": shelf["slug"]}} in rows(academy.call(None, "GET", embedded))


def test_what_is_meant_most_comes_first(academy: Academy, teacher: Person) -> None:
    topic = word()
    publish(academy, teacher, "In the description", description=f"All about {topic}.")
    publish(academy, teacher, "In the tags", tags=["wheel", topic])
    publish(academy, teacher, f"{topic} in the title")
    assert search(academy, topic) == [f"{topic} in the title", "In the tags", "In the description"]


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("Élan vital {0}", "elan VITAL {0}"),
        ("Elan vital {0}", "élan vitál {0}"),
        ("O'Keeffe {0}", "okeeffe {0}"),
        ("{0} throwing", "{0} thro"),
        ("Пейзаж {0} маслом", "{0} пейз"),
        ("שָׁלוֹם {0}", "{0} שלום"),
        ("مُقَدِّمَة {0}", "{0} مقدمة"),
        ("陶芸入門 {0}", "{0} 入門"),
        ("陶芸入門 {0}", "{0} 門"),
        ("เครื่องปั้น {0}", "{0} ปั้น"),
        ("한국어 {0}", "{0} 한국"),
        ("{0}🎹piano", "{0} piano 🎹"),
        ("{0} C++ & 'quotes' \\ :* | !", "{0} c++ ' \\ :* | ! & ()"),
    ],
)
def test_every_script_is_found_as_it_is_typed(academy: Academy, teacher: Person, title: str, query: str) -> None:
    topic = word()
    publish(academy, teacher, title.format(topic))
    assert search(academy, query.format(topic)) == [title.format(topic)]


def test_slips_of_the_finger_are_forgiven(academy: Academy, teacher: Person) -> None:
    tail = "".join(chr(ord("a") + int(digit, 16)) for digit in uuid.uuid4().hex[:6])
    title = f"Photography{tail} керамика{tail}"
    publish(academy, teacher, title)
    for typed in (
        f"photografhy{tail}",
        f"fotografy{tail}",
        f"potography{tail}",
        f"кермаика{tail}",
        f"photography{tail} керамка{tail}",
    ):
        assert search(academy, typed) == [title], typed
    assert search(academy, f"gardening{word()}") == []


def test_category_and_creator_are_found_by_their_names_of_today(academy: Academy, admin: Person) -> None:
    topic, first, second = word(), word(), word()
    creator = academy.member("teacher", name=f"Ines {first}")
    shelf = academy.insert(admin, "categories", slug=f"shelf-{word()}", name=f"Shelf {first}")
    title = f"Found {topic}"
    publish(academy, creator, title, category_id=shelf["id"])
    assert search(academy, f"{topic} shelf ines {first}") == [title]
    own = f"/rest/v1/profiles?id=eq.{creator.id}"
    for path, change in (
        (own, {"display_name": f"Zoe {second}"}),
        (f"/rest/v1/categories?id=eq.{shelf['id']}", {"name": "Box"}),
    ):
        assert academy.call(admin, "PATCH", path, change).status_code == 204
    assert search(academy, f"{topic} box zoe {second}") == [title]
    assert search(academy, first) == []
    # Who hides the profile is not found by the name.
    assert academy.call(creator, "PATCH", own, {"is_public": False}).status_code == 204
    assert search(academy, second) == []
    assert search(academy, topic) == [title]


def test_what_is_not_published_is_found_by_nobody(academy: Academy, admin: Person) -> None:
    creator, topic = academy.member("teacher"), word()
    course = publish(academy, creator, topic)
    for call, who in (("unpublish_course", creator), ("publish_course", creator), ("archive_course", creator)):
        assert academy.rpc(who, call, course_id=course).status_code == 200
        found = [topic] if call == "publish_course" else []
        for viewer in (None, creator, admin):
            assert search(academy, topic, viewer) == found
    assert academy.sql("select from private.course_search where course_id = %s", course) == []


def test_odd_queries_behave(academy: Academy, published: Any) -> None:
    for q in ("🎹", " . ", "'", "\\", ":*", "a" * 10_000, "a b " * 2_500, "陶" * 10_000, "!&|()<->", "\u202e"):
        answer = academy.rpc(None, "search_courses", q=q)
        assert (answer.status_code, type(answer.json())) == (200, list), answer.text
    newest = search(academy, None, limit=1)
    assert newest == search(academy, "", limit=1) == search(academy, "  ", limit=1)
    assert len(newest) == 1
    assert published.id


def test_search_reads_no_table_whole(db: psycopg.Connection) -> None:
    """Of 20,000 courses, with a word that all have and one that few have: only indexes are used."""
    db.execute("set local session_replication_role = replica")
    db.execute("insert into public.profiles (id, handle, display_name) values (gen_random_uuid(), 'crowd', 'Crowd')")
    db.execute(
        "insert into public.courses (creator_id, slug, title, status, published_at)"
        " select p.id, 'crowd-' || n, 'Common word' || n % 500, 'published', now()"
        " from public.profiles as p, generate_series(1, 20000) as n where p.handle = 'crowd'"
    )
    db.execute(
        "insert into private.course_search (course_id, title_words, words)"
        " select c.id, private.weigh_words(w.words, 'A'), private.weigh_words(w.words, 'A') from public.courses as c"
        " cross join lateral (select private.course_words_of(c.title) as words) as w where c.slug like 'crowd-%'"
    )
    db.execute(
        "insert into private.course_words (word) select 'word' || n from generate_series(10, 5000) as n"
        " union all select 'common' on conflict do nothing"
    )
    db.execute("analyze public.courses, private.course_search, private.course_words")
    tables = "('courses', 'course_search', 'course_words')"
    scans = f"select sum(seq_tup_read) from pg_catalog.pg_stat_xact_user_tables where relname in {tables}"  # noqa: S608
    (before,) = db.execute(scans.encode()).fetchone() or (0,)
    for q, least in (("common", 200), ("common word77", 40), ("comon word7x", 1), ("word77", 40)):
        found = db.execute(
            "select count(*) from private.search_courses(%s, null, null, null, null, null, null)", [q]
        ).fetchone()
        assert found is not None
        assert found[0] >= least, (q, found)
    (after,) = db.execute(scans.encode()).fetchone() or (0,)
    assert after - before < 1000
