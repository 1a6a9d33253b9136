"""Finding courses by what people type."""

import uuid
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from tests.catalog.test_courses import word
from tests.people import Academy, Person, concurrently, rows

SHOWN = {"prefer": "return=representation"}


def search(academy: Academy, q: str | None, who: Person | None = None, **filters: Any) -> list[str]:
    """The titles of the courses found, best match first."""
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
    topic, category = word(), academy.insert(admin, "categories", slug=f"category-{word()}", name="Category")
    free = publish(academy, teacher, f"{topic} for free", level="beginner", category_id=category["id"])
    publish(academy, teacher, f"{topic} dear", level="advanced", price_amount=9900, language="pt-BR")
    publish(academy, teacher, f"{topic} cheap", price_amount=900, price_currency="USD")
    everything = {f"{topic} for free", f"{topic} dear", f"{topic} cheap"}
    assert set(search(academy, topic)) == everything
    for filters, missing in (
        ({"level": "beginner", "category": category["slug"], "limit": 5}, {"dear", "cheap"}),
        ({"level": "advanced"}, {"for free"}),
        ({"category": "no-such-category"}, {"for free", "dear", "cheap"}),
        ({"language": "pt"}, {"for free", "cheap"}),
        ({"max_price": 900}, {"dear"}),
        ({"max_price": 900, "currency": "EUR"}, {"dear", "cheap"}),
        ({"creator_id": admin.id}, {"for free", "dear", "cheap"}),
    ):
        assert set(search(academy, topic, **filters)) == everything - {f"{topic} {name}" for name in missing}, filters
    embedded = f"/rest/v1/rpc/search_courses?q={topic}&level=beginner&select=id,category:categories(slug)"
    assert {"id": free, "category": {"slug": category["slug"]}} in rows(academy.call(None, "GET", embedded))


def test_the_best_match_comes_first(academy: Academy, teacher: Person) -> None:
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


def test_misspelt_words_are_found(academy: Academy, teacher: Person) -> None:
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


def test_courses_are_found_by_the_present_names_of_category_and_creator(academy: Academy, admin: Person) -> None:
    topic, first, second = word(), word(), word()
    creator = academy.member("teacher", name=f"Ines {first}")
    category = academy.insert(admin, "categories", slug=f"category-{word()}", name=f"Category {first}")
    title = f"Found {topic}"
    publish(academy, creator, title, category_id=category["id"])
    assert search(academy, f"{topic} category ines {first}") == [title]
    own = f"/rest/v1/profiles?id=eq.{creator.id}"
    for path, change in (
        (own, {"display_name": f"Zoe {second}"}),
        (f"/rest/v1/categories?id=eq.{category['id']}", {"name": "Box"}),
    ):
        assert academy.call(admin, "PATCH", path, change).status_code == 204
    assert search(academy, f"{topic} box zoe {second}") == [title]
    assert search(academy, first) == []
    # The name of a hidden profile finds nothing.
    assert academy.call(creator, "PATCH", own, {"is_public": False}).status_code == 204
    assert search(academy, second) == []
    assert search(academy, topic) == [title]


def test_concurrent_renames_are_all_found(academy: Academy, admin: Person) -> None:
    creator, topic = academy.member("teacher"), word()
    category = academy.insert(admin, "categories", slug=f"category-{word()}", name="Category")
    courses = [publish(academy, creator, f"{topic} {n}", category_id=category["id"]) for n in range(3)]
    for turn in range(6):
        names = [f"{kind}{turn}{topic}" for kind in ("maker", "category", "title")]
        changes = [
            (f"/rest/v1/profiles?id=eq.{creator.id}", {"display_name": names[0]}),
            (f"/rest/v1/categories?id=eq.{category['id']}", {"name": names[1]}),
            (f"/rest/v1/courses?id=eq.{courses[0]}", {"title": f"{topic} {names[2]}"}),
        ]

        def change(number: int, changes: list[tuple[str, dict[str, str]]] = changes) -> int:
            return academy.call(admin, "PATCH", *changes[number]).status_code

        done = concurrently(3, change)
        assert done == [204] * 3
        assert search(academy, " ".join(names))[0] == f"{topic} {names[2]}"
        assert len(search(academy, f"{names[0]} {names[1]}")) == 3


def test_nobody_finds_unpublished_courses(academy: Academy, admin: Person) -> None:
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
        " select c.id, private.rank_terms(w.words, 'A'), private.rank_terms(w.words, 'A') from public.courses as c"
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


@pytest.mark.parametrize(
    ("title", "queries"),
    [
        ("L'art de vivre {0}", ("art {0}", "l'art {0}", "l’art {0}", "lart {0}", "{0} ar")),  # noqa: RUF001
        ("Wi-Fi for all {0}", ("wifi {0}", "wi-fi {0}", "wi fi {0}", "WI‑FI {0}", "fi {0}")),  # noqa: RUF001
        ("WiFi for all {0}", ("wi-fi {0}", "wifi {0}")),
        ("الكتاب الجديد {0}", ("كتاب {0}", "الكتاب {0}", "كتاب جديد {0}", "{0} كتا")),
        ("قراءة كتاب {0}", ("الكتاب {0}", "كتاب {0}", "والكتاب {0}")),
        ("إدارة الأعمال {0}", ("اداره الاعمال {0}", "أعمال {0}")),
        ("Node.js {0}", ("nodejs {0}", "node.js {0}", "node js {0}")),
        ("R&D {0}", ("r&d {0}", "rd {0}")),
        ("C++ {0}", ("c++ {0}", "{0} c++", "c {0}")),
        ("C# {0}", ("c# {0}", "{0} C#", "Ｃ＃ {0}")),  # noqa: RUF001
        ("photo\u00adgraphy {0}", ("photography {0}", "pho\u200btography {0}")),
        ("İstanbul {0}", ("istanbul {0}", "ISTANBUL {0}")),
        ("H₂O and x² {0}", ("h2o x2 {0}", "h₂o x² {0}")),
        ("don't panic {0}", ("dont panic {0}", "don’t {0}")),  # noqa: RUF001
    ],
)
def test_words_are_found_in_other_spellings(
    academy: Academy, teacher: Person, title: str, queries: tuple[str, ...]
) -> None:
    topic = word()
    publish(academy, teacher, title.format(topic))
    for query in queries:
        assert search(academy, query.format(topic)) == [title.format(topic)], query


def test_an_exact_title_comes_first(academy: Academy, teacher: Person) -> None:
    """Although hundreds of other titles begin with the letter, or have the word more often."""
    titles = ("C++", "C#", "R", "C", "F#", ".NET", "Go")
    for title in titles:
        publish(academy, teacher, title)
    academy.sql(
        "insert into public.courses (creator_id, slug, title, status, published_at)"
        " select %s, format('noise-%%s-%%s', t.title, n), format('%%s %%s', t.text, n), 'published', now()"
        " from (values ('r', 'R R Raku'), ('c', 'C C++ C# Cooking'), ('go', 'Go go gopher'), ('f', 'F# f# F'),"
        " ('net', 'net nets .NET')) as t (title, text), generate_series(1, 300) as n returning 1",
        teacher.id,
    )
    for title in titles:
        for query in (title, title.lower(), f" {title} "):
            assert search(academy, query, creator_id=teacher.id)[0] == title, query


def test_a_course_in_c_is_not_one_in_c_plus_plus(academy: Academy, teacher: Person) -> None:
    topic = word()
    for title in (f"C++ {topic}", f"C# {topic}", f"C {topic}"):
        publish(academy, teacher, title)
    assert search(academy, f"c++ {topic}") == [f"C++ {topic}"]
    assert search(academy, f"c# {topic}") == [f"C# {topic}"]
    assert search(academy, f"c {topic}")[0] == f"C {topic}"
