"""Ten thousand requests to PostgREST, made by a grammar: none is a fault of ours, and none tells what it must not.

A failure names the seed, the request's number and a command line that repeats it. GUILDHALL_FUZZ_SEED and
GUILDHALL_FUZZ_COUNT choose other requests and more of them.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import msgspec
import psycopg
import pytest

from stack import policies
from tests.databases import Databases
from tests.security.conftest import battlefield
from tests.security.grammar import PEOPLE, Grammar
from tests.security.secrets import Secrets, filled, plant
from tests.security.siege import Field
from tests.security.wire import Answer, Request

SEED = int(os.environ.get("GUILDHALL_FUZZ_SEED", "20261123"))
COUNT = int(os.environ.get("GUILDHALL_FUZZ_COUNT", "10000"))
FEW = 60
"""Requests about one thing that are enough to find a hole in it."""
READERS = 3
LEAST_SUCCESS = 0.25
"""The share of requests that must succeed: a fuzz that is refused at the door tests the door."""
INSIDES = re.compile(
    r"pgrst_source|\b(?i:select .+ from|insert into|delete from|update .+ set .+ (where|=)) |/[a-z]+/[a-z]+/|\.hs\b"
    r"|CallStack|PL/pgSQL|127\.0\.0\.1|postgresql:"
)
"""What an error must not tell of: statements, files, hosts."""


class Findings(msgspec.Struct, kw_only=True):
    """What came of many requests."""

    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    wrong: list[str] = msgspec.field(default_factory=list)
    not_text: int = 0
    """Requests whose bytes are no text, which PostgREST itself answers with 500."""

    def __str__(self) -> str:
        return "\n\n".join([f"seed {SEED}: {len(self.wrong)} of {self.statuses.total()}", *self.wrong[:20]])


@pytest.fixture(scope="module")
def settings(databases: Databases) -> set[str]:
    """The tables that migrations fill: what is in them everybody reads in the project's own files."""
    with databases.cloned() as bare, psycopg.connect(databases.url(bare), autocommit=True) as connection:
        return filled(connection)


@pytest.fixture(scope="module")
def ground(databases: Databases, stack_data: Path, settings: set[str]) -> Iterator[Field]:
    """A world in which every text has a telling word."""

    def prepare(connection: psycopg.Connection) -> None:
        assert plant(connection, filled(connection) - settings) > 20

    with battlefield(databases, stack_data, prepare=prepare) as field:
        yield field


@pytest.fixture(scope="module")
def secrets(ground: Field, databases: Databases, settings: set[str]) -> Secrets:
    """Who may know what there."""
    known = Secrets(ground, databases, PEOPLE, settings)
    for person in PEOPLE:
        hidden = known.hidden_from(person)
        assert sum(word.startswith("planted") for word in hidden) > 5, f"{person} sees nearly everything"
    return known


def judge(secrets: Secrets, person: str, answer: Answer) -> Iterator[str]:
    """What is wrong with an answer."""
    if answer.status >= 500:
        yield "a fault"
    if secrets.overcounted(person, answer):
        yield "more rows than may be seen"
    leaked = secrets.leaked(person, answer)
    if leaked:
        yield f"tells {sorted(leaked)[:5]}"
    if answer.status >= 400 and answer.request.method != "HEAD":
        if not has_the_shape_of_an_error(answer):
            yield "no error as PostgREST writes them"
        said = answer.request.target + (answer.request.body or b"").decode("utf-8", "replace")
        if any(found[0] not in said for found in INSIDES.finditer(answer.text)):
            yield "tells of our insides"
    if "plan" in answer.headers.get("content-type", ""):
        yield "shows a plan"


def has_the_shape_of_an_error(answer: Answer) -> bool:
    """Whether an error is the one JSON object; at a path that could be nothing, PostgREST answers an empty one."""
    try:
        body = answer.json()
    except ValueError:
        return False
    return set(body) == {"code", "details", "hint", "message"} or (answer.status == 404 and body == {})


def is_postgrests_own(answer: Answer) -> bool:
    """Whether an answer is PostgREST 12's to bytes that are no text: it says nothing, and we cannot mend it."""
    return (answer.status, answer.text) == (500, "Something went wrong")


Shot = tuple[int, str, Request]
"""The number of a request, who sends it, and what."""


def shots(field: Field, about: str = "/") -> Iterator[Shot]:
    """The requests of the seed whose path begins so."""
    grammar = Grammar(field, SEED)
    made = ((number, *grammar.request(number)) for number in range(COUNT))
    return (shot for shot in made if shot[2].target.startswith(about))


def fire(field: Field, secrets: Secrets, made: Iterable[Shot]) -> Findings:
    """Send requests, a few at once. Those that write follow each other: two at once may wait for each other's rows."""
    made = list(made)
    reading = [shot for shot in made if shot[2].method in {"GET", "HEAD"}]
    writing = [shot for shot in made if shot[2].method not in {"GET", "HEAD"}]
    findings = Findings()

    def send(part: list[Shot]) -> None:
        for number, person, request in part:
            answer = field.wire.send(request)
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


def test_no_request_is_a_fault_or_a_leak(ground: Field, secrets: Secrets) -> None:
    findings = fire(ground, secrets, shots(ground))
    assert findings.statuses.total() == COUNT
    assert findings.wrong == [], str(findings)
    assert sum(findings.statuses[status] for status in (200, 201, 204, 206)) > LEAST_SUCCESS * COUNT
    assert findings.not_text < COUNT / 200


def test_requests_are_the_same_again(ground: Field) -> None:
    one, other = Grammar(ground, SEED), Grammar(ground, SEED)
    other.request(7)
    assert [one.request(number) for number in range(50)] == [other.request(number) for number in range(50)]


HOLES = {
    "a policy that shows paid lessons": (
        "/lesson_contents",
        "create policy planted on public.lesson_contents for select to anon, authenticated using (true)",
        "tells",
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
        "a fault",
    ),
    "an error that quotes": (
        "/rpc/verify_certificate",
        "create or replace function public.verify_certificate(code text) returns jsonb language plpgsql stable"
        " set search_path = '' as $$ begin raise sqlstate 'PT400' using message = 'x',"
        " detail = 'select email from auth.users where'; end $$",
        "our insides",
    ),
    "a function that tells an address": (
        "/rpc/verify_certificate",
        "create or replace function public.verify_certificate(code text) returns jsonb language sql stable"
        " security definer set search_path = ''"
        " as $$ select to_jsonb(u.email) from auth.users as u order by u.email limit 1 $$",
        "tells",
    ),
}
"""A hole: where, what makes it, and what the fuzz says of it."""


@pytest.mark.parametrize("hole", HOLES)
def test_hole_is_found(ground: Field, secrets: Secrets, databases: Databases, hole: str) -> None:
    about, planted, found = HOLES[hole]
    with psycopg.connect(databases.url(ground.database), autocommit=True) as connection:
        [definition] = connection.execute(
            "select pg_get_functiondef('public.verify_certificate(text)'::regprocedure)"
        ).fetchone() or [""]
        connection.execute(planted.encode())
        try:
            findings = fire(ground, secrets, islice(shots(ground, about), FEW))
        finally:
            connection.execute(definition.encode())
            connection.execute("set role postgres")
            connection.execute(policies.compiled())
    assert [problem for problem in findings.wrong if found in problem.partition(":")[0]]
