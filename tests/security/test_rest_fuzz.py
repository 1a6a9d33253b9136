"""Ten thousand generated requests to PostgREST: none makes the server fail, and none leaks.

A failure prints the seed, the number of the request and a curl command that repeats it. GUILDHALL_FUZZ_SEED and
GUILDHALL_FUZZ_COUNT choose other requests and their number.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psycopg
import pytest

from stack.tools.policies import POLICIES
from tests.databases import Databases
from tests.security.access_probe import ProbeDatabase
from tests.security.grammar import PEOPLE, Grammar
from tests.security.probe_database import probe_database
from tests.security.secret_words import SecretWords, filled, plant
from tests.security.wire import Answer, Request

SEED = int(os.environ.get("GUILDHALL_FUZZ_SEED", "20261123"))
COUNT = int(os.environ.get("GUILDHALL_FUZZ_COUNT", "10000"))
ENOUGH = 60
"""Requests about one table or function that are enough to find a hole in it."""
READERS = 3
LEAST_SUCCESS = 0.25
"""The share of requests that must succeed, so that the fuzz reaches more than the parser."""
INTERNALS = re.compile(
    r"pgrst_source|\b(?i:select .+ from|insert into|delete from|update .+ set .+ (where|=)) |/[a-z]+/[a-z]+/|\.hs\b"
    r"|CallStack|PL/pgSQL|127\.0\.0\.1|postgresql:"
)
"""Internals that an error must not mention: statements, files, hosts."""


class Findings(msgspec.Struct, kw_only=True):
    """The results of many requests."""

    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    wrong: list[str] = msgspec.field(default_factory=list)
    not_text: int = 0
    """Requests whose bytes are not text, which PostgREST itself answers with 500."""

    def __str__(self) -> str:
        return "\n\n".join([f"seed {SEED}: {len(self.wrong)} of {self.statuses.total()}", *self.wrong[:20]])


@pytest.fixture(scope="module")
def settings(databases: Databases) -> set[str]:
    """The tables that migrations fill, whose rows are public in the project's files."""
    with databases.cloned() as bare, psycopg.connect(databases.url(bare), autocommit=True) as connection:
        return filled(connection)


@pytest.fixture(scope="module")
def world(databases: Databases, stack_data: Path, settings: set[str]) -> Iterator[ProbeDatabase]:
    """The test world with a unique word in every text."""

    def prepare(connection: psycopg.Connection) -> None:
        assert plant(connection, filled(connection) - settings) > 20

    with probe_database(databases, stack_data, prepare=prepare) as target:
        yield target


@pytest.fixture(scope="module")
def secrets(world: ProbeDatabase, databases: Databases, settings: set[str]) -> SecretWords:
    """The words that each person may know."""
    known = SecretWords(world, databases, PEOPLE, settings)
    for person in PEOPLE:
        hidden = known.hidden_from(person)
        assert sum(word.startswith("planted") for word in hidden) > 5, f"{person} can read nearly everything"
    return known


def judge(secrets: SecretWords, person: str, answer: Answer) -> Iterator[str]:
    """The problems of an answer."""
    if answer.status >= 500:
        yield "a server error"
    if secrets.overcounted(person, answer):
        yield "more rows than a select shows"
    leaked = secrets.leaked(person, answer)
    if leaked:
        yield f"leaks {sorted(leaked)[:5]}"
    if answer.status >= 400 and answer.request.method != "HEAD":
        if not has_the_shape_of_an_error(answer):
            yield "not an error as PostgREST writes it"
        sent = answer.request.target + (answer.request.body or b"").decode("utf-8", "replace")
        if any(found[0] not in sent for found in INTERNALS.finditer(answer.text)):
            yield "mentions internals"
    if "plan" in answer.headers.get("content-type", ""):
        yield "shows a plan"


def has_the_shape_of_an_error(answer: Answer) -> bool:
    """Whether an error is PostgREST's JSON object; for a path of no table or function it is an empty object."""
    try:
        body = answer.json()
    except ValueError:
        return False
    return set(body) == {"code", "details", "hint", "message"} or (answer.status == 404 and body == {})


def is_postgrests_own(answer: Answer) -> bool:
    """Whether an answer is PostgREST 12's own 500 to bytes that are not text, which leaks nothing."""
    return (answer.status, answer.text) == (500, "Something went wrong")


Numbered = tuple[int, str, Request]
"""A request's number, its caller and the request."""


@pytest.fixture(scope="module")
def requests(world: ProbeDatabase) -> list[Numbered]:
    """The requests of the seed."""
    grammar = Grammar(world, SEED)
    return [(number, *grammar.request(number)) for number in range(COUNT)]


def send_all(target: ProbeDatabase, secrets: SecretWords, requests: list[Numbered]) -> Findings:
    """Send requests, a few at a time. Writes are sent one after the other, so that they do not wait for locks."""
    reading = [each for each in requests if each[2].method in {"GET", "HEAD"}]
    writing = [each for each in requests if each[2].method not in {"GET", "HEAD"}]
    findings = Findings()

    def send(part: list[Numbered]) -> None:
        for number, person, request in part:
            answer = target.wire.send(request)
            findings.statuses[answer.status] += 1
            if is_postgrests_own(answer):
                findings.not_text += 1
                continue
            for problem in judge(secrets, person, answer):
                findings.wrong.append(f"{problem}: request {number}, as {person}\n{answer}")

    with ThreadPoolExecutor(READERS + 1) as threads:
        for _ in threads.map(send, [writing, *(reading[start::READERS] for start in range(READERS))]):
            pass
    return findings


def test_no_request_fails_or_leaks(world: ProbeDatabase, secrets: SecretWords, requests: list[Numbered]) -> None:
    findings = send_all(world, secrets, requests)
    assert findings.statuses.total() == COUNT
    assert findings.wrong == [], str(findings)
    assert sum(findings.statuses[status] for status in (200, 201, 204, 206)) > LEAST_SUCCESS * COUNT
    assert findings.not_text < COUNT / 200


def test_requests_are_the_same_again(world: ProbeDatabase) -> None:
    one, other = Grammar(world, SEED), Grammar(world, SEED)
    other.request(7)
    assert [one.request(number) for number in range(50)] == [other.request(number) for number in range(50)]


HOLES = {
    "a policy that shows paid lessons": (
        "/lesson_contents",
        "create policy planted on public.lesson_contents for select to anon, authenticated using (true)",
        "leaks",
    ),
    "a policy that shows more rows": (
        "/enrolments",
        "create policy planted on public.enrolments for select to authenticated using (true)",
        "more rows",
    ),
    "a function that finds no row": (
        "/rpc/verify_certificate",
        "create or replace function public.verify_certificate(code text) returns jsonb language plpgsql stable"
        " set search_path = '' as $$ begin raise no_data_found; end $$",
        "a server error",
    ),
    "an error that quotes": (
        "/rpc/verify_certificate",
        "create or replace function public.verify_certificate(code text) returns jsonb language plpgsql stable"
        " set search_path = '' as $$ begin raise sqlstate 'PT400' using message = 'x',"
        " detail = 'select email from auth.users where'; end $$",
        "internals",
    ),
    "a function that returns an address": (
        "/rpc/verify_certificate",
        "create or replace function public.verify_certificate(code text) returns jsonb language sql stable"
        " security definer set search_path = ''"
        " as $$ select to_jsonb(u.email) from auth.users as u order by u.email limit 1 $$",
        "leaks",
    ),
}
"""The path of each hole, the SQL that makes it, and the problem that the fuzz finds."""


@pytest.mark.parametrize("hole", HOLES)
def test_hole_is_found(
    world: ProbeDatabase, secrets: SecretWords, requests: list[Numbered], databases: Databases, hole: str
) -> None:
    path, planted, found = HOLES[hole]
    about = [each for each in requests if each[2].target.startswith(path)][:ENOUGH]
    with psycopg.connect(databases.url(world.database), autocommit=True) as connection:
        [definition] = connection.execute(
            "select pg_get_functiondef('public.verify_certificate(text)'::regprocedure)"
        ).fetchone() or [""]
        connection.execute(planted.encode())
        try:
            findings = send_all(world, secrets, about)
        finally:
            connection.execute(definition.encode())
            connection.execute("set role postgres")
            for file in POLICIES.glob(f"*{path}.sql"):
                connection.execute(file.read_bytes())
    assert [problem for problem in findings.wrong if found in problem.partition(":")[0]]
