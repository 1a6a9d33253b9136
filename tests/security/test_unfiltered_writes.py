"""A write without a filter would take every row that its caller may write: it is refused, as Supabase does."""

import uuid

import psycopg
import pytest

from tests.people import Academy, Person

NOTHING = uuid.UUID(int=0)


def titles(academy: Academy, teacher: Person) -> set[str]:
    return {
        title
        for (title,) in academy.sql(
            "select l.title from public.lessons as l join public.courses as c on c.id = l.course_id"
            " where c.creator_id = %s",
            teacher.id,
        )
    }


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "?select=id,title",
        "?%73elect=id",
        "?columns=title",
        "?on_conflict=id",
        "?id",
        "?&&",
        "?select=id&order=id&limit=1",
        "?select=id,modules(id)&modules.id=not.is.null",
        "?select=id,modules(id)&modules%2Eid=not.is.null",
        "?select=id,modules(id)&modules.or=(id.not.is.null)",
        "?order=id.asc",
        "?apikey={key}",
        "?x;select=id",
        "?select=id,not:modules(id)&not.id=not.is.null",
    ],
)
def test_a_write_without_a_filter_changes_nothing(academy: Academy, teacher: Person, query: str) -> None:
    course = academy.course(teacher, published=False)
    before = titles(academy, teacher)
    assert len(before) >= len(course.lesson_ids)
    path = "/rest/v1/lessons" + query.format(key=academy.publishable_key)
    for method, body in (("DELETE", None), ("PATCH", {"title": "Taken"})):
        answer = academy.call(teacher, method, path, body)
        assert answer.status_code == 400, answer.text
        wanted = {"code": "21000", "message": f"{'UPDATE' if body else method} requires a WHERE clause"}
        assert {name: answer.json()[name] for name in wanted} == wanted
        assert titles(academy, teacher) == before


@pytest.mark.parametrize("query", ["?or=()", "?id=", "?and=(or())", "?not.or=()", "?lessons.id", "?SELECT=id"])
def test_an_empty_filter_changes_nothing(academy: Academy, teacher: Person, query: str) -> None:
    academy.course(teacher, published=False)
    before = titles(academy, teacher)
    for method, body in (("DELETE", None), ("PATCH", {"title": "Taken"})):
        answer = academy.call(teacher, method, f"/rest/v1/lessons{query}", body)
        assert answer.status_code == 400, answer.text
        assert titles(academy, teacher) == before


@pytest.mark.parametrize(
    "query",
    [
        "id=eq.{id}",
        "%69d=eq.{id}",
        "%22id%22=eq.{id}",
        "or=(id.eq.{id})",
        "and=(id.eq.{id})",
        "not.or=(id.neq.{id})",
        "not.and=(id.neq.{id},id.not.is.null)",
        "select=title&id=in.({id})&order=id",
    ],
)
def test_a_write_with_a_filter_takes_what_the_filter_finds(academy: Academy, teacher: Person, query: str) -> None:
    course = academy.course(teacher, published=False)
    one, other = course.lesson_ids
    path = f"/rest/v1/lessons?{query.format(id=one)}"
    assert academy.call(teacher, "PATCH", path, {"title": "Renamed"}).status_code in {200, 204}
    kept = "select id::text, title from public.lessons where course_id = %s"
    assert {each for each, title in academy.sql(kept, course.id) if title == "Renamed"} == {one}
    assert academy.call(teacher, "DELETE", path).status_code in {200, 204}
    assert [each for each, _ in academy.sql(kept, course.id)] == [other]


def test_the_secret_key_needs_a_filter_too(academy: Academy, teacher: Person) -> None:
    academy.course(teacher, published=False)
    before = academy.sql("select count(*) from public.lessons")
    headers = {"apikey": academy.secret_key}
    answer = academy.http.delete("/rest/v1/lessons", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "21000")
    assert academy.sql("select count(*) from public.lessons") == before


def test_a_table_of_a_later_migration_is_protected(academy: Academy, db: psycopg.Connection) -> None:
    name = f"later_{uuid.uuid4().hex[:8]}"
    try:
        db.execute(f"create table public.{name} as select 1 as n".encode())
        db.execute(f"grant all on public.{name} to service_role".encode())
        db.execute("notify pgrst, 'reload schema'")
        db.commit()
        answer = academy.http.delete(f"/rest/v1/{name}", headers={"apikey": academy.secret_key})
        assert (answer.status_code, answer.json()["message"]) == (400, "DELETE requires a WHERE clause")
        assert db.execute(f"table public.{name}".encode()).fetchall() == [(1,)]
    finally:
        db.rollback()
        db.execute(f"drop table if exists public.{name}".encode())
        db.commit()


def test_upserts_need_no_filter(academy: Academy, teacher: Person) -> None:
    row = {"topic": "learning", "by_email": False}
    path = "/rest/v1/notification_preferences?on_conflict=user_id,topic"
    answer = academy.call(teacher, "POST", path, row, prefer="resolution=merge-duplicates")
    assert answer.status_code in {200, 201}, answer.text
