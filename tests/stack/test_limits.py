"""How often one may call: the true limits, in a stack of the tests' own, through every front door."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle

import httpx
import psycopg
import pytest

from stack.keys import Keys
from tests.people import Academy, Course, Person, refused
from tests.stack.own_stack import OwnStack, own_stack

KNOCK = """
create function public.knock() returns void language sql set search_path = '' as $$ select $$;
grant execute on function public.knock() to anon, authenticated, service_role;
notify pgrst, 'reload schema';
"""
"""A function that anybody may call and that counts as one that writes: of our own, none is a stranger's."""


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    """A stack whose limits nobody raised."""
    with own_stack() as own:
        own.up()
        yield own


@pytest.fixture(scope="module")
def academy(own: OwnStack) -> Iterator[Academy]:
    """People of that stack."""
    password = json.loads((own.data / "stack.json").read_text())["passwords"]["supabase_admin"]
    url = f"postgresql://supabase_admin:{password}@127.0.0.1:{own.ports.database}/postgres"
    with httpx.Client(base_url=f"http://127.0.0.1:{own.ports.api}", timeout=30) as http:
        academy = Academy(Keys.load(own.data / "keys.json"), url, http)
        academy.sql(KNOCK)
        while academy.rpc(None, "knock").status_code == 404:
            pass
        yield academy


@pytest.fixture(autouse=True)
def _nobody_called_yet(academy: Academy) -> None:
    academy.sql("truncate private.rate_buckets")


@pytest.fixture
def _slowly(academy: Academy) -> Iterator[None]:
    """Tokens come back one a minute, so that none does in the middle of a test."""
    academy.sql("update private.rate_limits set per_minute = 1 where tier = 'standard'")
    yield
    academy.sql("update private.rate_limits set per_minute = burst")


@pytest.fixture(scope="module")
def member(academy: Academy) -> Person:
    return academy.member()


@pytest.fixture(scope="module")
def course(academy: Academy) -> Course:
    return academy.course(academy.member("teacher"))


def write(academy: Academy, who: Person) -> httpx.Response:
    """Change one's own profile."""
    return academy.call(who, "PATCH", f"/rest/v1/profiles?id=eq.{who.id}", {"headline": "Here"})


def limited(answer: httpx.Response) -> int:
    """See that somebody must wait; the seconds."""
    refused(answer, 429, "rate_limited")
    body = answer.json()
    assert body.keys() == {"code", "message", "details", "hint"}
    assert body["code"] == "PT429"
    seconds = answer.headers["retry-after"]
    assert seconds in body["details"]
    return int(seconds)


def served(call: Callable[[], httpx.Response], *, burst: int, seconds: float) -> int:
    """See that a call is served as often as a bucket has tokens, and then refused; the seconds to wait.

    Args:
        call: what is tried.
        burst: the tokens.
        seconds: in which one comes back.
    """
    began = time.monotonic()
    count = 0
    while (answer := call()).status_code != 429:
        assert answer.status_code < 500, answer.text
        count += 1
    assert burst <= count <= burst + (time.monotonic() - began) / seconds
    return limited(answer)


def use_up(academy: Academy, who: str, tokens: int, tier: str = "standard") -> None:
    """Have somebody called as often as he may, but for as many tokens."""
    academy.sql(
        "insert into private.rate_buckets (tier, key, full_at)"
        " select l.tier, sha256(convert_to(%s, 'UTF8')),"
        " clock_timestamp() + interval '1 minute' / l.per_minute * (l.burst - %s)"
        " from private.rate_limits as l where l.tier = %s"
        " on conflict (tier, key) do update set full_at = excluded.full_at",
        who,
        tokens,
        tier,
    )


# Writing through PostgREST


def test_a_member_writes_thirty_times_and_then_waits(academy: Academy, member: Person) -> None:
    assert served(lambda: write(academy, member), burst=30, seconds=2) <= 2
    assert write(academy, academy.member()).status_code == 204
    academy.sql("update private.rate_buckets set full_at = full_at - interval '2 seconds'")
    assert write(academy, member).status_code == 204
    assert limited(write(academy, member)) <= 2


@pytest.mark.usefixtures("_slowly")
def test_two_hundred_at_once_get_what_there_is(academy: Academy, member: Person) -> None:
    async def ask() -> list[int]:
        headers = {"apikey": academy.publishable_key, "Authorization": f"Bearer {member.token}"}
        every = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=academy.http.base_url, headers=headers, limits=every, timeout=60) as http:
            path = f"/rest/v1/profiles?id=eq.{member.id}"
            answers = await asyncio.gather(*(http.patch(path, json={"headline": "Here"}) for _ in range(200)))
        return [answer.status_code for answer in answers]

    assert Counter(asyncio.run(ask())) == {204: 30, 429: 170}


@pytest.mark.usefixtures("_slowly")
def test_a_member_may_read_without_end(academy: Academy, member: Person) -> None:
    use_up(academy, f"rest user {member.id}", 0)
    limited(write(academy, member))
    for _ in range(40):
        assert academy.call(member, "GET", "/rest/v1/profiles?limit=1").status_code == 200
    # A function that only reads may be asked by POST as well.
    for _ in range(40):
        refused(academy.rpc(member, "verify_certificate", code="x"), 404, "certificate_not_found")


def test_service_role_is_not_limited(academy: Academy) -> None:
    service = Person(id="", email="", token=academy.keys.service_role)
    for _ in range(40):
        assert academy.rpc(service, "knock").status_code == 204
    assert academy.sql("select from private.rate_buckets") == []


@pytest.mark.usefixtures("_slowly")
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x_forwarded_for", "203.0.113.{}"),
        ("x_forwarded_for", "2001:db8:{}::1"),
        ("x_real_ip", "203.0.113.{}"),
        ("forwarded", "for=203.0.113.{}"),
        ("cf_connecting_ip", "203.0.113.{}"),
    ],
)
def test_a_stranger_cannot_be_many(academy: Academy, header: str, value: str) -> None:
    use_up(academy, "rest address 127.0.0.1/32", 3)
    answers = [
        academy.call(None, "POST", "/rest/v1/rpc/knock", {}, **{header: value.format(number)}) for number in range(5)
    ]
    assert [answer.status_code for answer in answers] == [204, 204, 204, 429, 429]
    limited(answers[-1])


@pytest.mark.usefixtures("_slowly")
def test_what_is_refused_gives_its_token_back(academy: Academy, member: Person) -> None:
    """Its transaction is rolled back, the token with it: docs/architecture.md says why that does no harm."""
    use_up(academy, f"rest user {member.id}", 1)
    for _ in range(5):
        refused(academy.rpc(member, "enrol", course_id=str(uuid.uuid4())), 404, "course_not_found")
    assert write(academy, member).status_code == 204
    limited(write(academy, member))


def test_admins_work_is_strict(academy: Academy, member: Person) -> None:
    admin = academy.member("admin")
    paths = ["grant_role", "grant%5Frole", "%67rant_role", "revoke_role", "set_account_status"]
    bodies = [{"user_id": member.id, "role": "teacher"}] * 4 + [{"user_id": member.id, "status": "active"}]
    calls = cycle(zip(paths, bodies, strict=True))

    def act() -> httpx.Response:
        path, body = next(calls)
        return academy.call(admin, "POST", f"/rest/v1/rpc/{path}", body)

    assert served(act, burst=5, seconds=12) <= 12
    for _ in paths:
        limited(act())
    assert write(academy, admin).status_code == 204


def test_tracking_is_generous(academy: Academy, course: Course) -> None:
    student = academy.member()
    academy.enrol(student, course)
    lesson = course.lesson_ids[0]
    wait = served(lambda: academy.rpc(student, "record_progress", lesson_id=lesson), burst=100, seconds=0.6)
    assert wait == 1
    assert write(academy, student).status_code == 204


@pytest.mark.parametrize(
    ("token", "statement"),
    [
        ("tier_missing", "update private.rate_limits set tier = translate(tier, 'ao', 'oa') where burst = 30"),
        ("setting_missing", "update private.app_config set key = translate(key, 'ao', 'oa')"),
    ],
)
def test_who_cannot_be_counted_is_not_served(academy: Academy, token: str, statement: str) -> None:
    academy.sql(statement)
    try:
        refused(academy.rpc(None, "knock"), 500, token)
    finally:
        academy.sql(statement)  # which is its own undoing
    assert academy.rpc(None, "knock").status_code == 204


# The edge


def test_the_edge_counts_what_fails_too(academy: Academy, member: Person) -> None:
    path = f"/functions/v1/certificates/{uuid.uuid4()}/pdf"
    assert served(lambda: academy.call(member, "GET", path), burst=30, seconds=2) <= 2
    refused(academy.call(academy.member(), "GET", path), 404, "certificate_not_found")
    # And apart from what PostgREST counts.
    assert write(academy, member).status_code == 204


def test_probes_are_not_limited(academy: Academy, own: OwnStack) -> None:
    for path in ("/health", "/ready", "/schema/openapi.json"):
        for _ in range(5):
            assert httpx.get(f"http://127.0.0.1:{own.ports.edge}{path}").status_code == 200
    assert academy.sql("select from private.rate_buckets") == []


# Auth


def test_signing_in_from_ever_new_addresses_is_from_one(academy: Academy) -> None:
    codes = []
    for number in range(40):
        answer = academy.call(
            None,
            "POST",
            "/auth/v1/token?grant_type=password",
            {"email": f"{uuid.uuid4().hex}@example.com", "password": "wrong-horse"},
            x_forwarded_for=f"203.0.113.{number}",
            x_real_ip=f"203.0.113.{number}",
        )
        codes.append(answer.json()["error_code"])
    assert codes[0] == "invalid_credentials"
    assert 30 <= codes.count("invalid_credentials") < 40
    assert codes[-1] == "over_request_rate_limit"
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


# The buckets


@pytest.mark.usefixtures("_slowly")
def test_full_buckets_are_purged(academy: Academy, member: Person) -> None:
    use_up(academy, f"rest user {member.id}", 0)
    use_up(academy, "long ago", 31)
    assert academy.sql("select private.purge_rate_buckets()") == [(1,)]
    limited(write(academy, member))


def test_the_job_passes_over_a_bucket_in_use(academy: Academy) -> None:
    use_up(academy, "long ago", 31)
    with psycopg.connect(academy.admin_db_url) as busy:
        busy.execute("select private.take_token('standard', 'long ago')")
        assert academy.sql("select private.purge_rate_buckets()") == [(0,)]


def test_the_buckets_tell_nobody_who_called(academy: Academy, member: Person) -> None:
    assert write(academy, member).status_code == 204
    assert academy.rpc(None, "knock").status_code == 204
    [(stored,)] = academy.sql("select string_agg(encode(b.key, 'escape'), ' ') from private.rate_buckets as b")
    assert member.id not in stored
    assert "127.0.0.1" not in stored
