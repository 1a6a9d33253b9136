"""Every error has PostgREST's shape, and reveals nothing of the internals."""

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import get, post
from litestar.params import FromQuery, JSONBody

from edge.app import create_app
from edge.errors import error
from tests.edge.support import NOWHERE, Refused, Upstream, serving, settings_for

SECRET = "a-secret-of-ours"


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a request."""

    seats: int


@post("/orders")
async def take_order(data: JSONBody[Order]) -> Order:
    return data


@get("/crash")
async def crash() -> None:
    raise RuntimeError(SECRET)


@get("/refuse")
async def refuse() -> None:
    raise error("certificate_not_issued", "pending")


@get("/count")
async def count(number: FromQuery[int]) -> int:
    return number


@pytest.fixture(scope="module")
def probe(_upstream: Upstream) -> Iterator[httpx.Client]:
    """An edge with extra routes that fail in every way."""
    app = create_app(settings_for(_upstream.url))
    for handler in (take_order, crash, refuse, count):
        app.register(handler)
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nothing",
        "/certificates",
        "/certificates/7/pdf",
        "/certificates/%00/pdf",
        "/certificates/%ff/pdf",
        "/schema/nothing",
    ],
)
def test_unknown_addresses_are_404(path: str, edge: httpx.Client, refused: Refused) -> None:
    answer = edge.get(httpx.URL(str(edge.base_url)).copy_with(raw_path=path.encode()))
    assert refused(answer, 404, "not_found")["code"] == "PT404"


def test_a_wrong_method_is_405(edge: httpx.Client, refused: Refused) -> None:
    answer = edge.post("/health")
    assert refused(answer, 405, "method_not_allowed")["code"] == "PT405"
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"seats": "two"}', b'{"seats": 2, "price": 0}', b"{}", b'"\xff"', b"[" * 5000]
)
def test_a_wrong_body_is_400(body: bytes, probe: httpx.Client, refused: Refused) -> None:
    answer = probe.post("/orders", content=body, headers={"content-type": "application/json"})
    refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("query", ["", "?number=two", "?number=", "?number=%ff", "?number=1&number=x"])
def test_a_wrong_parameter_is_400(query: str, probe: httpx.Client, refused: Refused) -> None:
    refused(probe.get(f"/count{query}"), 400, "invalid_request")


def test_a_body_of_another_media_type_is_400(probe: httpx.Client, refused: Refused) -> None:
    answer = probe.post("/orders", content=b"seats=2", headers={"content-type": "text/plain"})
    refused(answer, 400, "invalid_request")


def test_a_body_too_large_is_413(probe: httpx.Client, refused: Refused) -> None:
    answer = probe.post("/orders", json={"seats": 1, "more": "x" * (1 << 20)})
    refused(answer, 413, "payload_too_large")


def test_an_unexpected_exception_reveals_nothing(probe: httpx.Client, refused: Refused) -> None:
    answer = probe.get("/crash")
    refused(answer, 500, "internal_error")
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text


def test_an_error_of_the_edge_has_the_shape_of_one_of_sql(probe: httpx.Client, refused: Refused) -> None:
    assert refused(probe.get("/refuse"), 409, "certificate_not_issued") == {
        "code": "PT409",
        "message": "certificate_not_issued",
        "details": "This certificate is pending, not issued.",
        "hint": "Read its status in certificates.",
    }


REFUSALS: dict[str, tuple[int, dict[str, Any]]] = {
    "RLS": (403, {"code": "42501", "message": "permission denied", "details": None, "hint": None}),
    "a rule": (409, {"code": "PT409", "message": "seat_taken", "details": "Taken.", "hint": "Choose another."}),
    "a token": (401, {"code": "PGRST301", "message": "JWT expired", "details": None, "hint": None}),
    "a request": (400, {"code": "PGRST100", "message": "x", "details": ["a"], "hint": None}),
    "a rule with 503": (503, {"code": "PT503", "message": "closed", "details": "Tonight.", "hint": None}),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_of_postgrest_is_passed_on_unchanged(
    name: str, user: httpx.Client, upstream: Upstream, refused: Refused
) -> None:
    status, body = REFUSALS[name]
    upstream.refuse(status, body)
    answer = user.get(f"/certificates/{upstream.certificate()}/pdf")
    assert refused(answer, status, body["message"]) == body


def test_a_rate_limit_of_postgrest_keeps_retry_after(user: httpx.Client, upstream: Upstream, refused: Refused) -> None:
    body = {"code": "PT429", "message": "rate_limited", "details": None, "hint": None}
    upstream.refuse(429, body, **{"Retry-After": "7", "X-Internal": SECRET})
    answer = user.get(f"/certificates/{upstream.certificate()}/pdf")
    refused(answer, 429, "rate_limited")
    assert answer.headers["retry-after"] == "7"
    assert "x-internal" not in answer.headers


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ((500, {"code": "XX000", "message": SECRET, "details": SECRET, "hint": None}), (500, "internal_error")),
        ((503, {"code": "PGRST000", "message": SECRET, "details": SECRET}), (503, "database_unavailable")),
        ((502, f"<html>{SECRET}</html>".encode()), (503, "database_unavailable")),
        ((401, {"message": SECRET}), (503, "database_unavailable")),
        ((404, b""), (503, "database_unavailable")),
        ((200, b'[{"id": 7}]'), (500, "internal_error")),
        ((200, b'[{"id": "x", "code": null}]'), (500, "internal_error")),
    ],
)
def test_a_failure_behind_the_edge_reveals_nothing(
    reply: tuple[int, Any], expected: tuple[int, str], user: httpx.Client, upstream: Upstream, refused: Refused
) -> None:
    upstream.refuse(*reply)
    answer = user.get(f"/certificates/{upstream.certificate()}/pdf")
    refused(answer, *expected)
    assert SECRET not in answer.text


def test_unreachable_postgrest_is_503(upstream: Upstream, token: str, refused: Refused) -> None:
    app = create_app(settings_for(upstream.url, EDGE_REST_URL=f"{NOWHERE}/rest/v1"))
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        path = f"/certificates/{upstream.certificate()}/pdf"
        refused(client.get(path, headers={"authorization": f"Bearer {token}"}), 503, "database_unavailable")
