"""Attacks every route of the edge, auth and storage over real HTTP, and compares the edge's with the reviewed list.

The routes are read from the applications. Whatever is sent, no answer is a 5xx or shows internals, and no route serves
a caller that it is not for.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import get
from litestar.params import FromPath

from edge.app import create_app
from stack.keys import Keys
from stack.ports import Ports
from stack.state import Folder
from stack.tools.project import GUILDHALL
from tests.conftest import Stack
from tests.edge.support import NOWHERE, settings_for
from tests.people import Academy
from tests.security import routes
from tests.security.conftest import Review
from tests.security.reviewed import EDGE_ROUTES
from tests.security.routes import Route
from tests.security.wire import Answer, Request, Wire

INTERNALS = re.compile(
    r"Traceback|\.py\b|/site-packages/|/usr/|/tmp/|\b(?i:select|insert|update|delete) .+ (?i:from|into|set)\b"
    r"|psycopg|postgresql://|127\.0\.0\.1|localhost:|litestar|0x[0-9a-f]{8}"
)
"""Internals that an error must not mention: files, statements and addresses."""
STRANGE_VALUES = {
    "long": "x" * 4000,
    "nul": "%00",
    "unicode": "%C3%A9%F0%9F%99%82",
    "no text": "%ff%fe",
    "dots": "..",
    "encoded dots": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "backslash": "..%5c..%5cx",
    "quote": "%27%22%3B--",
    "markup": "%3Cscript%3E",
    "negative": "-1",
    "huge": "9" * 40,
    "template": "%7B%7B7*7%7D%7D%24%7B7*7%7D",
    "line break": "x%0d%0aSet-Cookie:%20a=b",
}
BROKEN_BODIES = {
    "nothing": b"",
    "half": b'{"a": ',
    "null": b"null",
    "number": b"7",
    "list": b"[]",
    "nested": b"[" * 3000,
    "no text": b'{"a": "\xff"}',
    "nul": b'{"a": "\\u0000"}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "huge number": b'{"a": 1e9999}',
    "twice": b'{"a": 1, "a": 2}',
    "prototype": b'{"__proto__": {"role": "admin"}, "role": "admin"}',
}
NO_OBJECTS = {"half", "null", "number", "list", "nested"}
KINDS = (
    "text/plain",
    "text/html",
    "application/xml",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "\xff",
)
JSON = {"Content-Type": "application/json"}
ALL = [*routes.edge(), *routes.auth(), *routes.storage()]
OF_EDGE = [route for route in ALL if route.server == "edge"]
OF_USERS = [route for route in OF_EDGE if route.who == "user"]


@pytest.fixture(scope="module")
def wires(stack: Stack, stack_data: Any) -> Iterator[dict[str, Wire]]:
    """A connection to each server, past the gateway, which would normalise the requests."""
    ports: Ports = Folder(stack_data).state().ports
    edge_port = GUILDHALL.port(ports.base, "edge")
    assert stack.edge_url.endswith(str(edge_port))
    with Wire(edge_port) as edge, Wire(ports.auth) as auth, Wire(ports.storage) as storage:
        yield {"edge": edge, "auth": auth, "storage": storage}


@pytest.fixture(scope="module")
def users_token(academy: Academy) -> str:
    """The token of a user without roles or rows."""
    return academy.member().token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def attack(
    wires: dict[str, Wire],
    route: Route,
    target: str | None = None,
    *,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    method: str | None = None,
) -> Answer:
    """Send one request, and check what must hold for every answer."""
    content = b"{}" if body is None and route.writes else body
    sent = {**(JSON if content is not None else {}), **(headers or {})}
    request = Request(method=method or route.method, target=target or route.at(), headers=sent, body=content)
    answer = wires[route.server].send(request)
    assert answer.status < 500, str(answer)
    if answer.status >= 400 and request.method != "HEAD":
        assert is_error(route.server, answer), str(answer)
        assert not INTERNALS.search(answer.text), str(answer)
    assert "set-cookie" not in answer.headers, str(answer)
    assert not {"server", "x-powered-by"} & set(answer.headers), str(answer)
    assert answer.headers["x-content-type-options"] == "nosniff", str(answer)
    return answer


def is_error(server: str, answer: Answer) -> bool:
    """Whether an answer is an error in the form of its server."""
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return False
    body = answer.json()
    match server:
        case "edge":
            return list(body) == ["code", "message", "details", "hint"] and "x-request-id" in answer.headers
        case "auth":
            return {"code", "error_code", "msg"} <= set(body) and "x-sb-error-code" in answer.headers
    return {"statusCode", "error", "message"} <= set(body)


def test_routes_of_the_edge_are_those_reviewed(review: Review) -> None:
    review(EDGE_ROUTES, {route.line for route in OF_EDGE})


def test_there_are_routes_to_attack() -> None:
    assert {"edge", "auth", "storage"} == {route.server for route in ALL}
    assert OF_USERS
    assert len(ALL) > 60


# Callers


def expired(keys: Keys, user_id: str, issuer: str) -> str:
    then = int(time.time()) - 60
    claims = {"iss": issuer, "aud": "authenticated", "role": "authenticated", "sub": user_id, "exp": then}
    return keys.sign(claims)


@pytest.mark.parametrize("route", OF_USERS, ids=str)
def test_route_of_users_is_for_users(
    route: Route, wires: dict[str, Wire], academy: Academy, stack: Stack, users_token: str
) -> None:
    issuer = f"{stack.api_url}/auth/v1"
    person = academy.member()
    header, claims, _ = users_token.split(".")
    forgeries = [
        "",
        "garbage",
        "a.b.c",
        f"{header}.{claims}.",
        expired(academy.keys, person.id, issuer),
        Keys.generate().sign({"iss": issuer, "aud": "authenticated", "role": "authenticated", "sub": person.id}),
        academy.keys.anon,
        academy.keys.service_role,
        academy.publishable_key,
        academy.secret_key,
    ]
    for headers in ({}, *(bearer(token) for token in forgeries), {"Authorization": f"Basic {users_token}"}):
        answer = attack(wires, route, headers=headers)
        assert (answer.status, answer.json()["message"]) == (401, "sign_in_required"), str(answer)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert attack(wires, route, headers=bearer(users_token)).status != 401


@pytest.mark.parametrize("route", OF_USERS, ids=str)
def test_suspended_user_changes_nothing(route: Route, wires: dict[str, Wire], academy: Academy) -> None:
    person = academy.member()
    academy.suspend(person)
    answer = attack(wires, route, headers=bearer(person.token))
    assert not (route.writes and answer.is_success), str(answer)


@pytest.mark.parametrize("route", [route for route in OF_EDGE if route.who == "webhook"], ids=str)
def test_webhook_accepts_only_its_provider(route: Route, wires: dict[str, Wire], users_token: str) -> None:
    now = str(int(time.time()))
    forged: tuple[dict[str, str], ...] = (
        {},
        bearer(users_token),
        {"svix-id": "msg_1", "svix-timestamp": now, "svix-signature": "v1,AAAA"},
        {"stripe-signature": f"t={now},v1={'0' * 64}"},
    )
    for headers in forged:
        for body in (b"{}", b'{"type": "user.deleted", "data": {"id": "x"}}', *BROKEN_BODIES.values()):
            assert attack(wires, route, headers=headers, body=body).status in {400, 401, 413}


# Requests


@pytest.mark.parametrize("route", ALL, ids=str)
def test_unexpected_methods_are_refused(route: Route, wires: dict[str, Wire], users_token: str) -> None:
    taken = {other.method for other in ALL if other.server == route.server and other.path == route.path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "TRACE"} - taken:
        answer = attack(wires, route, method=method, headers=bearer(users_token), body=b"{}")
        assert 400 <= answer.status < 500, str(answer)
        if route.server == "edge":
            assert answer.status in {404, 405}, str(answer)


@pytest.mark.parametrize("route", [route for route in ALL if route.writes], ids=str)
def test_broken_bodies_are_refused(route: Route, wires: dict[str, Wire], users_token: str) -> None:
    for name, body in BROKEN_BODIES.items():
        answer = attack(wires, route, headers=bearer(users_token), body=body)
        assert name not in NO_OBJECTS or answer.status >= 400, str(answer)
    for kind in KINDS:
        attack(wires, route, headers={**bearer(users_token), "Content-Type": kind}, body=b"a=b")


@pytest.mark.parametrize("route", [route for route in OF_EDGE if route.writes], ids=str)
def test_oversize_body_is_refused_before_it_is_read(route: Route, wires: dict[str, Wire], users_token: str) -> None:
    headers = {**bearer(users_token), "Content-Length": str(route.largest + 1), "Connection": "close"}
    assert attack(wires, route, headers=headers, body=b"{").status >= 400


@pytest.mark.parametrize("route", [route for route in ALL if route.has_parameters], ids=str)
def test_strange_path_parameters_cause_no_error(route: Route, wires: dict[str, Wire], users_token: str) -> None:
    for value in STRANGE_VALUES.values():
        for headers in ({}, bearer(users_token)):
            attack(wires, route, route.at(value), headers=headers)


@pytest.mark.parametrize("route", ALL, ids=str)
def test_strange_queries_and_headers_cause_no_error(route: Route, wires: dict[str, Wire], users_token: str) -> None:
    for query in ("?%00", "?a[]=1&a[]=2", "?%ff=%ff", "?" + "a=1&" * 1000, "?limit=1e9&offset=-1&page=0&per_page=x"):
        attack(wires, route, route.at() + query, headers=bearer(users_token))
    for headers in (
        {"X-Request-Id": "a" * 5000},
        {"X-Request-Id": "\xff{{7*7}}"},
        {"X-Forwarded-For": "' or 1=1 --", "X-Forwarded-Host": "evil.test", "Host": "evil.test"},
        {"Accept": "text/html;q=0.9,*/*;q=2,,,;"},
        {"Accept-Encoding": "identity;q=0", "Accept-Language": "x" * 2000, "Range": "bytes=0-0,1-1", "If-Match": "*"},
        {"Cookie": "a=b; session=1", "Content-Encoding": "gzip"},
        {"Expect": "200-ok"},
    ):
        answer = attack(wires, route, headers={**bearer(users_token), **headers})
        assert "evil.test" not in str(answer.headers) + answer.text, str(answer)


# The check itself


def test_route_without_a_line_is_found() -> None:
    app = create_app(settings_for(NOWHERE))
    app.register(planted)
    problems = EDGE_ROUTES.problems({route.line for route in routes.of_edge(app)})
    assert "add the line\n    GET /planted/{number:int} public strict" in problems


@get("/planted/{number:int}", opt={"tier": "strict"})
async def planted(number: FromPath[int]) -> int:
    return number
