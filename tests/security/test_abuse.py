"""What one caller can take from the others (rows, time, connections), and what answers reveal about the servers."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from stack.ports import Ports
from stack.state import Folder
from tests.conftest import Stack, wait_for_mail
from tests.databases import Databases
from tests.people import Academy, refused
from tests.security.access_probe import ProbeDatabase
from tests.security.conftest import School
from tests.security.probe_database import probe_database
from tests.security.wire import Answer, Request, Wire

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
MAX_ROWS = 1000
CROWD = """
set local session_replication_role = replica;
insert into public.categories (slug, name, position)
select 'c-' || g, 'C ' || g, 100 + g from generate_series(1, 1200) as g;
insert into public.courses (creator_id, slug, title, description, status, published_at, category_id)
select p.id, 'crowd-' || g, 'Crowd ' || g, repeat('clay and kiln ', 300), 'published', now(), c.id
from generate_series(1, 1200) as g, public.profiles as p, public.categories as c
where p.display_name = 'Name of creator' and c.slug = 'one';
create function public.sleep(seconds float8) returns text language plpgsql stable set search_path = ''
as $$ begin perform pg_catalog.pg_sleep(sleep.seconds); return 'awake'; end $$;
create view public.endless with (security_invoker = true) as
select g.n from generate_series(1, 100) as g (n)
where pg_catalog.pg_sleep(case when current_user = 'anon' then 1 else 0 end) is not null;
grant execute on function public.sleep(float8) to anon, authenticated;
grant select on public.endless to anon, authenticated;
notify pgrst, 'reload schema';
"""
"""Many rows, and ways to take time without work."""


@pytest.fixture(scope="module")
def crowd(databases: Databases, stack_data: Path) -> Iterator[ProbeDatabase]:
    """A database with more rows than one answer holds."""
    with probe_database(databases, stack_data, planted=CROWD) as target:
        yield target


# Rows


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({}, {}),
        ({"limit": "1000000000"}, {}),
        ({"limit": "999999999999999999999"}, {}),
        ({"limit": "1e9"}, {}),
        ({"limit": "1000000000", "offset": "0"}, {"Prefer": "count=exact"}),
        ({}, {"Range": "0-999999999"}),
        ({}, {"Range-Unit": "items", "Range": "0-99999999999999999999999"}),
        ({}, {"Accept": "text/csv"}),
    ],
)
def test_no_answer_holds_more_rows_than_one_may(
    crowd: ProbeDatabase, query: dict[str, str], headers: dict[str, str]
) -> None:
    answer = crowd.wire.ask("GET", "/categories", query=query, headers=headers)
    assert answer.status in {200, 206}
    held = len(answer.text.splitlines()) - 1 if "Accept" in headers else len(answer.json())
    assert held == MAX_ROWS


def test_no_embedded_list_holds_more(crowd: ProbeDatabase) -> None:
    query = {"select": "courses(id)", "slug": "eq.one", "courses.limit": "1000000000"}
    [category] = crowd.wire.ask("GET", "/categories", query=query).json()
    assert len(category["courses"]) == MAX_ROWS


def test_exact_count_of_many_rows_is_answered(crowd: ProbeDatabase) -> None:
    counted = crowd.wire.ask("GET", "/courses", query={"limit": "0"}, headers={"Prefer": "count=exact"})
    assert int(counted.headers["content-range"].partition("/")[2]) >= 1200


# Time


def in_time(answer: Answer) -> bool:
    """Whether a request was answered, or ended by the statement timeout."""
    return answer.status < 500 or (answer.status, answer.json()["code"]) == (500, "57014")


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "((((a{1,100}){1,100}){1,100}))",
        "(.*)*(.*)*(.*)*x$",
        r"^(.+)+\1\1\1z$",
        r"\y(.*)\1(.*)\2(.*)\3z",
        "(clay|kiln|and| )*z",
        "(?=a)" * 100,
    ],
)
@pytest.mark.parametrize("operator", ["match", "imatch"])
def test_no_pattern_outlasts_the_timeout(crowd: ProbeDatabase, pattern: str, operator: str) -> None:
    for headers in ({}, {"Prefer": "count=exact"}):
        query = {"description": f"{operator}.{pattern}", "select": "id", "limit": "5"}
        assert in_time(crowd.wire.ask("GET", "/courses", query=query, headers=headers))


@pytest.mark.parametrize("depth", [10, 60])
def test_deep_and_wide_selects_are_borne(crowd: ProbeDatabase, depth: int) -> None:
    inner = "id"
    for level in range(depth):
        inner = f"{('modules', 'courses')[level % 2]}!modules_course_id_fkey({inner})"
    wide = ",".join(f"a{number}:modules(id)" for number in range(depth))
    tree = "id.is.null"
    for _ in range(depth):
        tree = f"and({tree},not.or({tree[:40]}))" if tree == "id.is.null" else f"and({tree},id.is.null)"
    for start, query in (
        ("courses" if depth % 2 else "categories", {"or": f"({tree})"}),
        ("courses", {"select": wide}),
    ):
        assert in_time(crowd.wire.ask("GET", f"/{start}", query={**query, "limit": "5"}))
    assert in_time(crowd.wire.ask("GET", "/courses", query={"select": f"id,{inner}", "limit": "5"}))


def test_statement_timeouts_are_shorter_for_strangers(live: psycopg.Connection) -> None:
    found: dict[str, str] = dict(
        live.execute(
            "select r.rolname, s.setting from pg_catalog.pg_roles as r"
            " cross join unnest(r.rolconfig) as s (setting) where s.setting like 'statement_timeout=%'"
        ).fetchall()
    )
    assert found["anon"] == "statement_timeout=1s"
    assert found["authenticated"] == found["authenticator"] == found["edge"] == "statement_timeout=8s"


def test_slow_calls_end_and_others_are_answered_meanwhile(crowd: ProbeDatabase, databases: Databases) -> None:
    """Ten callers wait as long as they can; the others are answered meanwhile."""
    member = {"Authorization": f"Bearer {crowd.tokens['student']}"}
    calls = [
        *((("GET", "/endless", {"Prefer": "count=exact"}),) * 4),
        *((("GET", "/rpc/sleep?seconds=100", {}),) * 5),
        ("GET", "/rpc/sleep?seconds=100", member),
    ]

    def call(method: str, path: str, headers: dict[str, str]) -> tuple[Answer, float]:
        began = time.monotonic()
        path, _, seconds = path.partition("?seconds=")
        answer = crowd.wire.ask(method, path, query={"seconds": seconds} if seconds else None, headers=headers)
        return answer, time.monotonic() - began

    with ThreadPoolExecutor(len(calls)) as threads:
        slow: list[Future[tuple[Answer, float]]] = [threads.submit(call, *each) for each in calls]
        until = time.monotonic() + 10
        while sleeping(databases, crowd) < len(calls):
            assert time.monotonic() < until, "not all slow calls began"
        for headers in ({}, member) * 10:
            assert crowd.wire.ask("GET", "/courses", query={"limit": "1"}, headers=headers).status == 200
        assert not any(each.done() for each in slow), "the others were answered only afterwards"
        ended = [each.result() for each in slow]
    assert [(answer.status, answer.json()["code"]) for answer, _ in ended] == [(500, "57014")] * len(calls)
    # Only the member's call lasted longer.
    assert max(seconds for _, seconds in ended[:-1]) < ended[-1][1]


def sleeping(databases: Databases, target: ProbeDatabase) -> int:
    """The number of statements in pg_sleep."""
    with psycopg.connect(databases.url(target.database)) as connection:
        row = connection.execute(
            "select count(*) from pg_catalog.pg_stat_activity where datname = %s and wait_event = 'PgSleep'",
            [target.database],
        ).fetchone()
    return row[0] if row else 0


# Hosts and headers


LOOKALIKES = ["evil.test", "127.0.0.1.evil.test", "localhost:1", "127.0.0.1@evil.test", "evil.test#127.0.0.1", "[::1]"]


@pytest.mark.parametrize("host", LOOKALIKES)
def test_host_header_is_ignored(stack_data: Path, academy: Academy, host: str) -> None:
    """No link or address in an answer comes from a header of the caller."""
    ports: Ports = Folder(stack_data).state().ports
    headers = {"Host": host, "X-Forwarded-Host": host, "X-Forwarded-Proto": "https", "apikey": academy.publishable_key}
    with Wire(ports.api) as wire:
        for target in (
            "/",
            "/rest/v1/courses",
            "/rest/v1/nowhere",
            "/auth/v1/settings",
            "/auth/v1/verify?token=x&type=signup",
            "/storage/v1/bucket",
            "/functions/v1/health",
        ):
            answer = wire.send(Request(method="GET", target=target, headers=headers))
            assert answer.status in {200, 303, 400, 404}, str(answer)
            assert host not in f"{answer.headers} {answer.text}", str(answer)


def test_links_in_mails_lead_to_our_origin(stack: Stack, academy: Academy) -> None:
    person = academy.person()
    headers = {"apikey": academy.publishable_key, "X-Forwarded-Host": "evil.test", "Origin": "https://evil.test"}
    with httpx.Client(base_url=stack.api_url, headers={**headers, "Host": "evil.test"}) as http:
        asked = http.post("/auth/v1/recover?redirect_to=https://evil.test", json={"email": person.email})
    assert asked.status_code == 200
    mail = httpx.get(f"{stack.mail_url}/api/messages/{wait_for_mail(stack, person.email)['id']}").text
    assert f"{stack.api_url}/auth/v1/verify" in mail
    assert "evil.test" not in mail


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nowhere",
        "/rest/v1/courses",
        "/rest/v1/nowhere",
        "/auth/v1/user",
        "/storage/v1/bucket",
        "/functions/v1/health",
    ],
)
def test_headers_reveal_no_version_and_forbid_sniffing(academy: Academy, path: str) -> None:
    answer = academy.call(None, "GET", path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["server"] == "guildhall"
    assert "x-powered-by" not in answer.headers


# Suspended and banned accounts with a valid token


@pytest.mark.parametrize("status", ["suspended", "banned"])
def test_stopped_account_changes_nothing_anywhere(academy: Academy, school: School, status: str) -> None:
    person = academy.person()
    path = f"/storage/v1/object/avatars/{person.id}/me.png"
    headers = {
        "apikey": academy.publishable_key,
        "Authorization": f"Bearer {person.token}",
        "Content-Type": "image/png",
    }
    assert academy.http.post(path, content=PNG, headers=headers).status_code == 200
    done = academy.rpc(school.moderator, "set_account_status", user_id=person.id, status=status)
    assert done.is_success, done.text
    refused(academy.rpc(person, "enrol", course_id=school.free.id), 403, "account_inactive")
    own = f"/rest/v1/profiles?id=eq.{person.id}"
    assert academy.call(person, "PATCH", own, {"bio": "x"}, prefer="return=representation").json() == []
    for method, where in (("POST", path.replace("me", "other")), ("PUT", path), ("DELETE", path)):
        answer = academy.http.request(method, where, content=PNG, headers=headers)
        assert answer.status_code >= 400, answer.text
    assert academy.http.get(f"/storage/v1/object/public/avatars/{person.id}/me.png").content == PNG


# Files


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("page.png", b"<html><script>alert(1)</script>", "image/png"),
        ("page.png", b"<html><script>alert(1)</script>", "text/html"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "image/svg+xml"),
        ("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/png"),
        ("large.png", PNG + b"\0" * (2 << 20), "image/png"),
        ("nothing.png", b"", "image/png"),
        ("program.png", b"MZ\x90\0", "application/octet-stream"),
    ],
)
def test_files_that_are_not_pictures_are_refused(academy: Academy, name: str, content: bytes, kind: str) -> None:
    person = academy.member()
    headers = {"apikey": academy.publishable_key, "Authorization": f"Bearer {person.token}", "Content-Type": kind}
    answer = academy.http.post(f"/storage/v1/object/avatars/{person.id}/{name}", content=content, headers=headers)
    assert (answer.status_code, answer.json()["statusCode"]) in {(400, "415"), (400, "413"), (413, "413")}, answer.text
    assert academy.http.get(f"/storage/v1/object/public/avatars/{person.id}/{name}").status_code == 400


def test_picture_that_is_also_a_page_is_served_as_a_picture(academy: Academy) -> None:
    person = academy.member()
    polyglot = PNG + b"<html><script>alert(1)</script>"
    headers = {
        "apikey": academy.publishable_key,
        "Authorization": f"Bearer {person.token}",
        "Content-Type": "image/png",
    }
    path = f"avatars/{person.id}/both.png"
    assert academy.http.post(f"/storage/v1/object/{path}", content=polyglot, headers=headers).status_code == 200
    served = academy.http.get(f"/storage/v1/object/public/{path}")
    assert (served.headers["content-type"], served.headers["x-content-type-options"]) == ("image/png", "nosniff")


@pytest.mark.parametrize(
    "name",
    [
        "{other}/me.png",
        "../{other}/me.png",
        "{own}/../{other}/me.png",
        "{own}/%2e%2e/{other}/me.png",
        "{own}%2f..%2f{other}/me.png",
        "{own}/..%5c{other}%5cme.png",
        "{own}/me%00.png",
        "/{other}/me.png",
    ],
)
def test_nobody_writes_into_the_folder_of_another(academy: Academy, stack_data: Path, name: str) -> None:
    person, other = academy.member(), academy.member()
    ports: Ports = Folder(stack_data).state().ports
    path = name.format(own=person.id, other=other.id)
    headers = {
        "apikey": academy.publishable_key,
        "Authorization": f"Bearer {person.token}",
        "Content-Type": "image/png",
    }
    with Wire(ports.api) as wire:  # no other client sends a path untidied
        target = f"/storage/v1/object/avatars/{path}"
        answer = wire.send(Request(method="POST", target=target, headers=headers, body=PNG))
    assert answer.status in {400, 403, 404}, str(answer)
    assert academy.sql("select from storage.objects where name like %s", f"%{other.id}%") == []


def test_nobody_lists_the_folder_of_another(academy: Academy) -> None:
    person, other = academy.member(), academy.member()
    headers = {"apikey": academy.publishable_key, "Authorization": f"Bearer {other.token}", "Content-Type": "image/png"}
    path = f"/storage/v1/object/avatars/{other.id}/me.png"
    assert academy.http.post(path, content=PNG, headers=headers).status_code == 200
    for who in (person, None):
        for prefix in (other.id, "", f"{other.id}/", "../", f"{person.id}/../{other.id}"):
            body = {"prefix": prefix, "limit": 1000}
            listed = academy.call(who, "POST", "/storage/v1/object/list/avatars", body)
            assert other.id not in listed.text.replace(prefix or "-", ""), listed.text
            assert listed.json() == [] or listed.status_code >= 400
    assert academy.call(other, "POST", "/storage/v1/object/list/avatars", {"prefix": other.id}).json()
