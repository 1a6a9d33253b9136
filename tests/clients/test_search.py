"""Search functions through the official Python client: rows that are shaped as those of a table."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from supabase import Client, ClientOptions, create_client

from tests.conftest import Stack
from tests.people import Academy, Person

# The client deprecates parameters that it passes itself.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated:DeprecationWarning")


class Found:
    """Somebody of a unique name whom every search finds: a creator, a student of a course, and its graduate."""

    def __init__(self, academy: Academy) -> None:
        self.name = f"Found {uuid.uuid4().hex[:10]}"
        self.person = academy.member("teacher", name=self.name)
        self.academy = academy
        own, foreign = academy.course(self.person), academy.course(academy.member("teacher"))
        academy.sql("update public.courses set title = %s where id = %s", f"{self.name} teaches", own.id)
        self.teacher = foreign.teacher
        academy.enrol(self.person, foreign)
        issued = academy.rpc(
            academy.member("admin"), "award_certificate", enrolment_id=self._enrolment(), note="Well done"
        )
        assert issued.status_code == 200, issued.text

    def _enrolment(self) -> str:
        [[enrolment_id]] = self.academy.sql(
            "select id::text from public.enrolments where student_id = %s", self.person.id
        )
        return str(enrolment_id)


@pytest.fixture(scope="module")
def found(academy: Academy) -> Found:
    return Found(academy)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=20) as client:
        yield client


def connect(stack: Stack, http: httpx.Client, who: Person) -> Client:
    """A client that sends the token of a person."""
    headers = {"Authorization": f"Bearer {who.token}"}
    options = ClientOptions(auto_refresh_token=False, persist_session=False, httpx_client=http, headers=headers)
    return create_client(stack.api_url, stack.publishable_key, options)


# Of each function: who calls it, a selected column, an embed, a filter that keeps a row, and the columns to sort by.
SHAPES: dict[str, tuple[str, str, str, tuple[str, str, str], str]] = {
    "search_courses": ("person", "slug", "creator:profiles(handle)", ("status", "eq", "published"), "published_at"),
    "search_users": ("person", "handle", "user_stats(follower_count)", ("is_public", "is", "true"), "created_at"),
    "search_creators": ("person", "handle", "courses(slug)", ("published_course_count", "eq", "1"), "student_count"),
    "search_accounts": ("moderator", "email", "user_roles!user_id(role)", ("status", "eq", "active"), "created_at"),
    "search_certificates": ("moderator", "code", "course:courses(slug)", ("status", "eq", "issued"), "issued_at"),
    "search_students": ("teacher", "handle", "course:courses(slug)", ("progress_percent", "gte", "0"), "enrolled_at"),
}


def test_every_search_has_a_shape(academy: Academy) -> None:
    names = academy.sql(
        "select p.proname from pg_proc as p"
        " where p.pronamespace = 'public'::regnamespace and starts_with(p.proname, 'search_')"
    )
    assert {name for (name,) in names} == set(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_a_search_is_filtered_and_sorted_by_columns_that_it_leaves_out(
    stack: Stack, academy: Academy, http: httpx.Client, found: Found, name: str
) -> None:
    caller, column, embed, (filtered, operator, value), sorted_by = SHAPES[name]
    who = {"person": found.person, "teacher": found.teacher}.get(caller) or academy.member("moderator")
    client = connect(stack, http, who)

    def search(select: str, *filters: tuple[str, str, str]) -> Any:
        request = client.rpc(name, {"q": found.name}).select(select)
        for filter_column, filter_operator, filter_value in filters:
            request = request.filter(filter_column, filter_operator, filter_value)
        return request.order(sorted_by, desc=True).limit(5).execute().data

    kept = search(column, (filtered, operator, value))
    assert kept
    assert [set(row) for row in kept] == [{column}] * len(kept)
    assert search(column, (filtered, f"not.{operator}", value)) == []

    embedded = embed.partition("(")[0].partition(":")[0].partition("!")[0]
    rows = search(f"{column},{embed}", (filtered, operator, value))
    assert [set(row) for row in rows] == [{column, embedded}] * len(kept)
    assert {row[column] for row in rows} == {row[column] for row in kept}


def test_every_form_of_an_answer_leaves_these_columns_out(academy: Academy, found: Found) -> None:
    path = f"/rest/v1/rpc/search_courses?q={found.name.split()[1]}&select=title&status=eq.published&or=(level.eq.all)"
    title = f"{found.name} teaches"
    one = academy.call(None, "GET", path, accept="application/vnd.pgrst.object+json")
    assert (one.status_code, one.json()) == (200, {"title": title})
    counted = academy.call(None, "GET", path, prefer="count=exact")
    assert (counted.headers["content-range"], counted.json()) == ("0-0/1", [{"title": title}])
    assert academy.call(None, "HEAD", path).status_code == 200
    unknown = academy.call(None, "GET", f"{path}&no_such_column=eq.1")
    assert (unknown.status_code, unknown.json()["code"]) == (400, "42703")
