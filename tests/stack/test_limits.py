"""The limits of requests in a new stack: through PostgREST, the edge and auth."""

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
from tests.commerce.stripe_events import offer
from tests.people import Academy, Course, Person, refused
from tests.stack.own_stack import OwnStack, seeded_stack

COUNTED_CALL = """
create function public.counted_call() returns void language sql set search_path = '' as $$ select $$;
grant execute on function public.counted_call() to anon, authenticated, service_role;
notify pgrst, 'reload schema';
"""
"""A function that visitors may call and that counts as a write. Guildhall has none."""


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    """A stack with the limits of a new one."""
    with seeded_stack() as own:
        own.up()
        yield own


@pytest.fixture(scope="module")
def academy(own: OwnStack) -> Iterator[Academy]:
    """The people of that stack."""
    password = json.loads((own.data / "stack.json").read_text())["passwords"]["supabase_admin"]
    url = f"postgresql://supabase_admin:{password}@127.0.0.1:{own.ports.database}/postgres"
    keys = Keys.load(own.data / "keys.json")
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{own.ports.api}", timeout=30) as http,
        Academy(keys, url, http) as academy,
    ):
        academy.sql(COUNTED_CALL)
        while academy.rpc(None, "counted_call").status_code == 404:
            pass
        yield academy


@pytest.fixture(autouse=True)
def _empty_buckets(academy: Academy) -> None:
    academy.sql("truncate private.rate_buckets")


@pytest.fixture
def _slow_refill(academy: Academy) -> Iterator[None]:
    """Refill one token a minute, so that none comes back during a test."""
    academy.sql("update private.rate_limits set per_minute = 1 where tier = 'standard'")
    yield
    academy.sql("update private.rate_limits set per_minute = burst")


@pytest.fixture(scope="module")
def member(academy: Academy) -> Person:
    return academy.member()


@pytest.fixture(scope="module")
def course(academy: Academy) -> Course:
    return academy.course(academy.member("teacher"))


def write(academy: Academy, member: Person) -> httpx.Response:
    """Change the member's own profile."""
    return academy.call(member, "PATCH", f"/rest/v1/profiles?id=eq.{member.id}", {"headline": "Here"})


def assert_limited(answer: httpx.Response) -> int:
    """Assert that an answer is 429; returns the seconds to wait."""
    refused(answer, 429, "rate_limited")
    body = answer.json()
    assert body.keys() == {"code", "message", "details", "hint"}
    assert body["code"] == "PT429"
    seconds = answer.headers["retry-after"]
    assert seconds in body["details"]
    return int(seconds)


def assert_limited_after(call: Callable[[], httpx.Response], *, burst: int, seconds: float) -> int:
    """Assert that calls succeed until a bucket is empty; returns the seconds to wait.

    Args:
        call: sends a request.
        burst: the number of tokens in the bucket.
        seconds: the time in which one token comes back.
    """
    began = time.monotonic()
    count = 0
    while (answer := call()).status_code != 429:
        assert answer.status_code < 500, answer.text
        count += 1
    assert burst <= count <= burst + (time.monotonic() - began) / seconds
    return assert_limited(answer)


def leave_tokens(academy: Academy, key: str, tokens: int, tier: str = "standard") -> None:
    """Leave this many tokens in the bucket of a key."""
    academy.sql(
        "insert into private.rate_buckets (tier, key, full_at)"
        " select l.tier, sha256(convert_to(%s, 'UTF8')),"
        " clock_timestamp() + interval '1 minute' / l.per_minute * (l.burst - %s)"
        " from private.rate_limits as l where l.tier = %s"
        " on conflict (tier, key) do update set full_at = excluded.full_at",
        key,
        tokens,
        tier,
    )


# Writing through PostgREST


def test_a_member_can_write_thirty_times_before_waiting(academy: Academy, member: Person) -> None:
    assert assert_limited_after(lambda: write(academy, member), burst=30, seconds=2) <= 2
    assert write(academy, academy.member()).status_code == 204
    academy.sql("update private.rate_buckets set full_at = full_at - interval '2 seconds'")
    assert write(academy, member).status_code == 204
    assert assert_limited(write(academy, member)) <= 2


@pytest.mark.usefixtures("_slow_refill")
def test_two_hundred_concurrent_writes_get_the_thirty_tokens(academy: Academy, member: Person) -> None:
    async def write_concurrently() -> list[int]:
        headers = {"apikey": academy.publishable_key, "Authorization": f"Bearer {member.token}"}
        every = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=academy.http.base_url, headers=headers, limits=every, timeout=60) as http:
            path = f"/rest/v1/profiles?id=eq.{member.id}"
            answers = await asyncio.gather(*(http.patch(path, json={"headline": "Here"}) for _ in range(200)))
        return [answer.status_code for answer in answers]

    assert Counter(asyncio.run(write_concurrently())) == {204: 30, 429: 170}


@pytest.mark.usefixtures("_slow_refill")
def test_reads_are_not_limited(academy: Academy, member: Person) -> None:
    leave_tokens(academy, f"rest user {member.id}", 0)
    assert_limited(write(academy, member))
    for _ in range(40):
        assert academy.call(member, "GET", "/rest/v1/profiles?limit=1").status_code == 200
    # Nor are functions that only read, although they are called by POST.
    for _ in range(40):
        refused(academy.rpc(member, "verify_certificate", code="x"), 404, "certificate_not_found")


def test_service_role_is_not_limited(academy: Academy) -> None:
    service = Person(id="", email="", token=academy.keys.service_role)
    for _ in range(40):
        assert academy.rpc(service, "counted_call").status_code == 204
    assert academy.sql("select from private.rate_buckets") == []


@pytest.mark.usefixtures("_slow_refill")
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
def test_a_visitor_cannot_evade_limits_with_headers(academy: Academy, header: str, value: str) -> None:
    leave_tokens(academy, "rest address 127.0.0.1/32", 3)
    answers = [
        academy.call(None, "POST", "/rest/v1/rpc/counted_call", {}, **{header: value.format(number)})
        for number in range(5)
    ]
    assert [answer.status_code for answer in answers] == [204, 204, 204, 429, 429]
    assert_limited(answers[-1])


@pytest.mark.usefixtures("_slow_refill")
def test_a_refused_write_returns_its_token(academy: Academy, member: Person) -> None:
    """Its transaction is rolled back, with the token; docs/architecture.md says why that is safe."""
    leave_tokens(academy, f"rest user {member.id}", 1)
    for _ in range(5):
        refused(academy.rpc(member, "enrol", course_id=str(uuid.uuid4())), 404, "course_not_found")
    assert write(academy, member).status_code == 204
    assert_limited(write(academy, member))


# Guesses


def test_guessed_coupons_count_although_a_refusal_returns_its_token(academy: Academy) -> None:
    seller, buyer = academy.member("teacher"), academy.member()
    made = offer(academy, seller, "service")
    coupon = academy.insert(seller, "coupons", code="R1GHT", percent_off=50)

    def order(who: Person, code: str) -> httpx.Response:
        return academy.rpc(who, "place_order", offer_id=made["id"], coupon=code)

    answers = [order(buyer, f"WR{number:03}") for number in range(100)]
    assert Counter(answer.json()["message"] for answer in answers[:50]) == {"coupon_invalid": 50}
    assert answers[-1].status_code == 429
    assert answers[-1].json()["code"] == "too_many_refusals"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 6
    assert sum(answer.status_code == 422 for answer in answers) < 70
    # The right code is no exception, which would tell it.
    assert order(buyer, coupon["code"]).status_code == 429
    assert order(academy.member(), coupon["code"]).status_code == 200


@pytest.mark.parametrize("function", ["verify_certificate", "verify_licence"])
def test_guessed_codes_of_visitors_count(academy: Academy, function: str) -> None:
    """By GET as well, which takes no token in the database."""
    path = f"/rest/v1/rpc/{function}?code="
    # PostgREST answers a HEAD without calling the function: it tells nothing, and is no way around the count.
    assert [academy.call(None, "HEAD", f"{path}{uuid.uuid4()}").status_code for _ in range(3)] == [200] * 3
    answers = [academy.call(None, "GET", f"{path}{uuid.uuid4()}").status_code for _ in range(60)]
    assert answers[:50] == [404] * 50
    assert answers[-1] == 429
    assert academy.call(None, "HEAD", f"{path}x").status_code == 429


# Time


LONG_TEXT = """
insert into public.courses (creator_id, slug, title, description, status, published_at)
select p.id, 'long-' || g, 'Long ' || g, repeat('clay and kiln ', 300), 'published', now()
from generate_series(1, 50) as g, (select p.id from public.profiles as p limit 1) as p
"""
ENDLESS = r"/rest/v1/courses?select=id&description=match.^(.%2B)(.%2B)(.%2B)\3\1\2\1$"


def test_patterns_of_a_visitor_stop_nobody(academy: Academy, own: OwnStack, member: Person) -> None:
    with psycopg.connect(academy.admin_db_url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(LONG_TEXT)
    headers = {"apikey": academy.publishable_key}
    start = time.monotonic()
    answer = httpx.get(f"http://127.0.0.1:{own.ports.rest}{ENDLESS.removeprefix('/rest/v1')}", timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (500, "57014")
    assert time.monotonic() - start < 2.5

    async def attack_and_read() -> list[float]:
        every = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=academy.http.base_url, headers=headers, limits=every, timeout=60) as http:
            attack = [asyncio.create_task(http.get(ENDLESS)) for _ in range(60)]
            await asyncio.sleep(0.5)
            taken = []
            for token in (None, member.token, None):
                begun = time.monotonic()
                more = {} if token is None else {"Authorization": f"Bearer {token}"}
                read = await http.get("/rest/v1/courses?select=id&limit=1", headers=more)
                assert read.status_code == 200
                taken.append(time.monotonic() - begun)
            for task in attack:
                task.cancel()
        return taken

    assert max(asyncio.run(attack_and_read())) < 3


def test_functions_of_admins_have_a_low_limit(academy: Academy, member: Person) -> None:
    admin = academy.member("admin")
    paths = ["grant_role", "grant%5Frole", "%67rant_role", "revoke_role", "set_account_status"]
    bodies = [{"user_id": member.id, "role": "teacher"}] * 4 + [{"user_id": member.id, "status": "active"}]
    calls = cycle(zip(paths, bodies, strict=True))

    def call_next() -> httpx.Response:
        path, body = next(calls)
        return academy.call(admin, "POST", f"/rest/v1/rpc/{path}", body)

    assert assert_limited_after(call_next, burst=5, seconds=12) <= 12
    for _ in paths:
        assert_limited(call_next())
    assert write(academy, admin).status_code == 204


def test_recording_progress_has_a_high_limit(academy: Academy, course: Course) -> None:
    student = academy.member()
    academy.enrol(student, course)
    lesson = course.lesson_ids[0]
    wait = assert_limited_after(
        lambda: academy.rpc(student, "record_progress", lesson_id=lesson), burst=100, seconds=0.6
    )
    assert wait == 1
    assert write(academy, student).status_code == 204


@pytest.mark.parametrize(
    ("token", "statement"),
    [
        ("tier_missing", "update private.rate_limits set tier = translate(tier, 'ao', 'oa') where burst = 30"),
        ("setting_missing", "update private.app_config set key = translate(key, 'ao', 'oa')"),
    ],
)
def test_writes_are_refused_without_the_configuration_of_limits(academy: Academy, token: str, statement: str) -> None:
    def execute() -> None:
        with psycopg.connect(academy.admin_db_url) as connection:
            connection.execute("set session_replication_role = replica")  # no checks of foreign keys
            connection.execute(statement.encode())

    execute()
    try:
        refused(academy.rpc(None, "counted_call"), 500, token)
    finally:
        execute()  # reverts itself
    assert academy.rpc(None, "counted_call").status_code == 204


# The edge


def test_the_edge_counts_failed_requests(academy: Academy, member: Person) -> None:
    path = f"/functions/v1/certificates/{uuid.uuid4()}/pdf"
    assert assert_limited_after(lambda: academy.call(member, "GET", path), burst=30, seconds=2) <= 2
    refused(academy.call(academy.member(), "GET", path), 404, "certificate_not_found")
    # PostgREST counts separately.
    assert write(academy, member).status_code == 204


def test_probes_are_not_limited(academy: Academy, own: OwnStack) -> None:
    for path in ("/health", "/ready", "/schema/openapi.json"):
        for _ in range(5):
            assert httpx.get(f"{own.url('edge')}{path}").status_code == 200
    assert academy.sql("select from private.rate_buckets") == []


# Auth


def test_forwarded_addresses_do_not_evade_the_limits_of_auth(academy: Academy) -> None:
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


@pytest.mark.usefixtures("_slow_refill")
def test_full_buckets_are_purged(academy: Academy, member: Person) -> None:
    leave_tokens(academy, f"rest user {member.id}", 0)
    leave_tokens(academy, "unused", 31)
    assert academy.sql("select private.purge__rate_buckets()") == [(1,)]
    assert_limited(write(academy, member))


def test_the_purge_skips_a_locked_bucket(academy: Academy) -> None:
    leave_tokens(academy, "unused", 31)
    with psycopg.connect(academy.admin_db_url) as busy:
        busy.execute("select private.take_token('standard', 'unused')")
        assert academy.sql("select private.purge__rate_buckets()") == [(0,)]


def test_the_buckets_do_not_show_who_called(academy: Academy, member: Person) -> None:
    assert write(academy, member).status_code == 204
    assert academy.rpc(None, "counted_call").status_code == 204
    [(stored,)] = academy.sql("select string_agg(encode(b.key, 'escape'), ' ') from private.rate_buckets as b")
    assert member.id not in stored
    assert "127.0.0.1" not in stored
