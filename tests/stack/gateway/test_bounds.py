"""What one caller may take from the others: bytes, time, connections, and requests at once."""

import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import quote

import httpx
import pytest

from stack.gateway.bounds import is_costly
from stack.keys import Keys
from stack.ports import LOOPBACK
from tests.stack.gateway.support import MIB, WAIT_SECONDS, Gateway, Upstream


@pytest.fixture(scope="module")
def small(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with small bounds."""
    bounds = {
        "HEADERS_SECONDS": "0.5",
        "BODY_SECONDS": "0.5",
        "REST_BODY": "1000",
        "AUTH_BODY": "1000",
        "FUNCTIONS_BODY": "1000",
        "STORAGE_BODY": "100000",
        "REST_PLACES": "8",
        "COSTLY_PLACES": "2",
        "WAITING": "3",
        "WAITING_SECONDS": "1",
        "SLOW_SECONDS": "3.5",
        "NETWORK_CONNECTIONS": "20",
        "REFUSALS": "5",
    }
    urls = {part: upstream.url(part) for part in upstream.ports.values()}
    running = Gateway(
        tmp_path_factory.mktemp("bounds"), urls, **{f"GATEWAY_{name}": value for name, value in bounds.items()}
    )
    yield running
    running.stop()


class Answer(NamedTuple):
    """What a test reads of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    gateway: Gateway, path: str, *, method: str = "GET", source: str = LOOPBACK, token: str | None = None
) -> Answer:
    """Make a request from an address of its own. httpx would take longer than the bounds of these tests."""
    connection = HTTPConnection(LOOPBACK, gateway.port, timeout=30, source_address=(source, 0))
    sent = gateway.publishable if token is None else {**gateway.publishable, "Authorization": f"Bearer {token}"}
    with contextlib.closing(connection):
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, answer.read())


def statuses(gateway: Gateway, path: str, times: int, **caller: str) -> Counter[int]:
    """The statuses of so many requests at once."""
    with ThreadPoolExecutor(times) as pool:
        return Counter(pool.map(lambda _: ask(gateway, path, **caller).status, range(times)))


# Bytes


@pytest.mark.parametrize(
    ("path", "size", "fields"),
    [
        ("/rest/v1/rows", 1000, {"code", "message", "details", "hint"}),
        ("/auth/v1/user", 1000, {"code", "error_code", "msg"}),
        ("/functions/v1/checkout", 1000, {"code", "message", "details", "hint"}),
        ("/storage/v1/object/a/b", 100_000, {"statusCode", "error", "code", "message"}),
    ],
)
def test_a_large_body_is_refused_in_the_form_of_its_part(
    small: Gateway, path: str, size: int, fields: set[str]
) -> None:
    for content in (b"x" * (size + 1), iter([b"x" * size, b"x"])):
        answer = small.http.post(path, headers=small.publishable, content=content)
        assert (answer.status_code, set(answer.json())) == (413, fields)
        assert "body_too_large" in answer.json().values()
    assert small.http.post(path, headers=small.publishable, content=b"x" * size).status_code == 200


def test_large_bodies_take_no_memory(small: Gateway) -> None:
    before = small.peak_memory()
    with ThreadPoolExecutor(4) as pool:
        content = bytes(40 * MIB)
        answers = pool.map(
            lambda _: small.http.post("/rest/v1/rows", headers=small.publishable, content=content), "1234"
        )
        assert [answer.status_code for answer in answers] == [413] * 4
    assert small.peak_memory() - before < 8 * MIB


def test_many_unfinished_bodies_take_little_memory(gateway: Gateway) -> None:
    before = gateway.peak_memory()
    key = f"apikey: {gateway.keys.publishable}"
    head = f"POST /rest/v1/rows HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: {MIB}\r\n\r\n".encode()
    held = []
    try:
        for _ in range(100):
            connection = socket.socket()
            connection.bind(("127.0.0.30", 0))
            connection.connect((LOOPBACK, gateway.port))
            connection.settimeout(0.02)
            held.append(connection)
            with contextlib.suppress(TimeoutError):
                connection.sendall(head + bytes(MIB - 1))
        # Short ones pass meanwhile, and long ones of others.
        for size in (1000, MIB // 2):
            assert gateway.http.post("/rest/v1/rows", headers=gateway.publishable, content=bytes(size)).is_success
    finally:
        for connection in held:
            connection.close()
    assert gateway.peak_memory() - before < 60 * MIB


def test_a_client_of_auth_reads_the_newer_form(small: Gateway) -> None:
    sent = {**small.publishable, "X-Supabase-Api-Version": "2024-01-01"}
    assert small.http.put("/auth/v1/user", headers=sent, content=bytes(2000)).json()["code"] == "body_too_large"


@pytest.mark.parametrize("select", ["(" * 9 + "id" + ")" * 9, ",".join(f"a{number}:b(id)" for number in range(33))])
def test_a_select_of_too_many_tables_is_refused(small: Gateway, select: str) -> None:
    for query in (f"select={select}", f"id=eq.1&s%65lect={select.replace('(', '%28')}", f"a=b;select={select}"):
        answer = small.http.get(f"/rest/v1/rows?{query}", headers=small.publishable)
        assert (answer.status_code, answer.json()["code"]) == (400, "select_too_deep")
    fitting = "a(b(c(d(e(f(g(h(id))))))))"
    assert small.http.get(f"/rest/v1/rows?select={fitting}", headers=small.publishable).status_code == 200


# Time


@pytest.mark.parametrize("begun", [b"", b"GET /rest/v1/rows HTTP/1.1\r\nHost: x\r\nX-Half: "])
@pytest.mark.parametrize("is_first", [True, False])
def test_headers_that_do_not_arrive_close_the_connection(small: Gateway, begun: bytes, is_first: bool) -> None:
    with socket.create_connection((LOOPBACK, small.port), timeout=WAIT_SECONDS) as connection:
        if not is_first:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(10_000)
        start = time.monotonic()
        connection.sendall(begun)
        while connection.recv(10_000):
            pass
        assert time.monotonic() - start < 3


def test_headers_that_trickle_close_the_connection(small: Gateway) -> None:
    with socket.create_connection((LOOPBACK, small.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(b"GET /rest/v1/rows HTTP/1.1\r\nHost: x\r\n")
        start = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - start < WAIT_SECONDS:
                connection.sendall(b"X-A: b\r\n")
                time.sleep(0.05)
        assert time.monotonic() - start < WAIT_SECONDS


@pytest.mark.parametrize("path", ["/rest/v1/rows", "/auth/v1/user", "/storage/v1/object/a/b", "/functions/v1/checkout"])
def test_a_slow_body_is_refused(small: Gateway, path: str) -> None:
    key = f"apikey: {small.keys.publishable}"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: 500\r\n\r\n"
    with socket.create_connection((LOOPBACK, small.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(head.encode())
        connection.settimeout(0.05)
        start = time.monotonic()
        answer = b""
        while not answer and time.monotonic() - start < WAIT_SECONDS:
            connection.sendall(b"x")
            try:
                answer = connection.recv(10_000)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")


# At once


def test_one_network_has_half_of_the_places(small: Gateway) -> None:
    with ThreadPoolExecutor(1) as pool:
        # Four have places, three wait a second for one.
        flood = pool.submit(statuses, small, "/rest/v1/test/wait?seconds=2.5", 20, source="127.0.0.2")
        time.sleep(0.3)
        start = time.monotonic()
        assert ask(small, "/rest/v1/rows").status == 200
        assert time.monotonic() - start < 1
        assert flood.result() == {200: 4, 429: 16}


def test_a_refusal_says_when_to_retry(small: Gateway) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: ask(small, "/auth/v1/test/wait?seconds=2.5", source="127.0.0.3"), range(12)))
        assert {answer.status for answer in answers} == {200}
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: ask(small, "/rest/v1/test/wait?seconds=2.5", source="127.0.0.3"), range(15)))
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.headers["retry-after"] == "1"
    assert json.loads(refused.body)["code"] == "too_many_requests"


def test_one_token_has_a_quarter_of_the_places(small: Gateway) -> None:
    with ThreadPoolExecutor(1) as pool:
        flood = pool.submit(statuses, small, "/rest/v1/test/wait?seconds=2.5", 12, token="a", source="127.0.0.4")
        time.sleep(0.3)
        assert ask(small, "/rest/v1/rows", token="b", source="127.0.0.5").status == 200
        assert flood.result()[200] == 2
    # The key of older clients is a token too, and no user's.
    assert statuses(small, "/rest/v1/test/wait?seconds=0.2", 4, token=small.keys.anon)[200] == 4


def test_those_who_wait_take_turns(small: Gateway) -> None:
    with ThreadPoolExecutor(3) as pool:
        floods = [
            pool.submit(statuses, small, "/rest/v1/test/wait?seconds=0.3", 7, source=f"127.0.0.{number}")
            for number in (6, 7)
        ]
        time.sleep(0.1)
        start = time.monotonic()
        assert ask(small, "/rest/v1/rows", source="127.0.0.8").status == 200
        assert time.monotonic() - start < 1.5
        assert [flood.result()[200] for flood in floods] == [7, 7]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("title=match.x", True),
        ("title=imatch(any).{x}", True),
        ("or=(a.eq.1,b.not.imatch.x)", True),
        ("a=eq.1&title=m%61tch.x", True),
        ("select=" + "a(b)," * 9, True),
        ("select=a(b(c(d(e(id)))))", True),
        ("select=id,modules(id,lessons(id))&title=ilike.*match*", False),
    ],
)
def test_costly_reads_are_known_by_their_query(query: str, *, expected: bool) -> None:
    assert is_costly(query) is expected


def test_costly_reads_have_few_places(small: Gateway) -> None:
    path = "/rest/v1/test/wait?seconds=2.5&title=match.x"
    with ThreadPoolExecutor(2) as pool:
        floods = [pool.submit(statuses, small, path, 5, source=f"127.0.0.{number}") for number in (9, 10)]
        time.sleep(0.3)
        start = time.monotonic()
        assert ask(small, "/rest/v1/rows", source="127.0.0.9").status == 200
        assert time.monotonic() - start < 1
        assert [flood.result()[200] for flood in floods] == [1, 1]


def test_who_asked_for_much_time_waits(small: Gateway) -> None:
    slow = {"source": "127.0.0.11"}
    assert ask(small, "/rest/v1/test/wait?seconds=4", **slow).status == 200
    assert statuses(small, "/rest/v1/test/wait?seconds=2.5", 4, **slow) == {200: 1, 429: 3}
    assert statuses(small, "/rest/v1/test/wait?seconds=2.5", 4, source="127.0.0.12") == {200: 4}


def test_who_disconnects_keeps_the_place_until_the_part_answers(small: Gateway) -> None:
    head = f"HTTP/1.1\r\nHost: x\r\napikey: {small.keys.publishable}\r\n\r\n"
    for _ in range(4):
        with socket.socket() as connection:
            connection.bind(("127.0.0.13", 0))
            connection.connect((LOOPBACK, small.port))
            connection.sendall(f"GET /rest/v1/test/wait?seconds=2.5 {head}".encode())
            time.sleep(0.05)
    assert ask(small, "/rest/v1/rows", source="127.0.0.13").status == 429
    assert ask(small, "/rest/v1/rows", source="127.0.0.14").status == 200


def test_the_secret_key_is_not_bounded(small: Gateway) -> None:
    def wait(_: int) -> int:
        url = f"http://{LOOPBACK}:{small.port}/rest/v1/test/wait?seconds=2.5"
        return httpx.get(url, headers=small.secret, timeout=30).status_code

    with ThreadPoolExecutor(15) as pool:
        assert set(pool.map(wait, range(15))) == {200}


def test_one_network_has_few_connections(small: Gateway) -> None:
    held = []
    try:
        for _ in range(20):
            connection = socket.socket()
            connection.bind(("127.0.0.15", 0))
            connection.connect((LOOPBACK, small.port))
            held.append(connection)
        with pytest.raises((OSError, HTTPException)):
            ask(small, "/rest/v1/rows", source="127.0.0.15")
        assert ask(small, "/rest/v1/rows", source="127.0.0.16").status == 200
    finally:
        for connection in held:
            connection.close()
    time.sleep(0.1)
    assert ask(small, "/rest/v1/rows", source="127.0.0.15").status == 200


# Guesses


def refusals(gateway: Gateway, path: str, *, status: int = 422, method: str = "GET", **caller: str) -> list[int]:
    """The statuses of ten calls that PostgREST refuses."""
    answer = quote(json.dumps({"status": status}))
    return [ask(gateway, f"{path}?as={answer}", method=method, **caller).status for _ in range(10)]


@pytest.fixture
def _refusing(upstream: Upstream) -> Iterator[None]:
    """Have the upstream answer functions and tables as the parameter `as` says."""
    upstream.answers = True
    yield
    upstream.answers = False


@pytest.mark.usefixtures("_refusing")
@pytest.mark.parametrize("status", [400, 403, 404, 406, 409, 422])
def test_refused_calls_count(small: Gateway, status: int) -> None:
    token = small.keys.sign({"sub": f"user {status}", "exp": time.time() + 60})
    assert refusals(small, "/rest/v1/rpc/a", status=status, token=token) == [status] * 5 + [429] * 5
    # In any spelling, by any method, with another token of the same user, from anywhere.
    other = small.keys.sign({"sub": f"user {status}", "exp": time.time() + 90})
    answer = ask(small, "/rest/v1/rpc/%61?as=%7B%7D", method="POST", source="127.0.0.21", token=other)
    assert answer.status == 429
    assert 50 < int(answer.headers["retry-after"]) <= 60
    # Others, and other functions, are served.
    assert ask(small, "/rest/v1/rpc/b?as=%7B%7D", token=token).status == 200
    assert ask(small, "/rest/v1/rpc/a?as=%7B%7D", source="127.0.0.22").status == 200


@pytest.mark.usefixtures("_refusing")
def test_refused_writes_count_and_reads_do_not(small: Gateway) -> None:
    writes = refusals(small, "/rest/v1/rows", status=409, method="PATCH", source="127.0.0.23")
    assert writes == [409] * 5 + [429] * 5
    assert refusals(small, "/rest/v1/rows", status=406, source="127.0.0.23") == [406] * 10


@pytest.mark.usefixtures("_refusing")
def test_a_forged_token_counts_for_nobody(small: Gateway) -> None:
    """PostgREST answers 401 to it."""
    forged = Keys.generate().sign({"sub": "victim", "exp": time.time() + 60})
    assert refusals(small, "/rest/v1/rpc/a", status=401, token=forged) == [401] * 10
    token = small.keys.sign({"sub": "victim", "exp": time.time() + 60})
    assert ask(small, "/rest/v1/rpc/a?as=%7B%7D", token=token).status == 200
