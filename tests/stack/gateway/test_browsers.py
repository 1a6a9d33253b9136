"""Preflights and CORS headers."""

import json
from urllib.parse import quote

import pytest

from tests.stack.gateway.support import Gateway, Upstream, answer_of, assert_refused, headers_of


@pytest.mark.parametrize("origin", ["https://site.example", "http://localhost:3000", "null", "https://evil.example"])
def test_the_gateway_answers_preflights(gateway: Gateway, upstream: Upstream, origin: str) -> None:
    before = upstream.requests["echo"]
    for path in ("/rest/v1/x", "/auth/v1/token", "/storage/v1/object/a/b", "/functions/v1/metrics", "/nowhere"):
        sent = {
            "Origin": origin,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "apikey,authorization,prefer,x-client-info,x-new",
        }
        answer = gateway.http.options(path, headers=sent)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["access-control-allow-headers"] == sent["Access-Control-Request-Headers"]
        assert {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} <= set(
            answer.headers["access-control-allow-methods"].split(", ")
        )
    assert upstream.requests["echo"] == before


def test_the_edge_answers_its_own_preflights(gateway: Gateway) -> None:
    sent = {
        "Origin": "https://site.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "apikey,authorization",
    }
    echo = gateway.http.options("/functions/v1/x", headers=sent)
    assert (echo.json()["part"], echo.json()["method"]) == ("edge", "OPTIONS")
    assert {name.lower(): value for name, value in sent.items()}.items() <= headers_of(echo).items()
    assert not [name for name in echo.headers if name.startswith("access-control-")]


def test_other_options_reach_the_part(gateway: Gateway) -> None:
    echo = gateway.http.options("/rest/v1/courses", headers=gateway.publishable)
    assert (echo.json()["method"], echo.json()["part"]) == ("OPTIONS", "rest")


OWN_CORS = [
    ["Access-Control-Allow-Origin", "https://site.example"],
    ["Access-Control-Allow-Credentials", "true"],
    ["Access-Control-Expose-Headers", "X-Other"],
    ["Vary", "Origin"],
]


def test_cors_headers_of_the_edge_pass(gateway: Gateway) -> None:
    for sent in (OWN_CORS, OWN_CORS[3:]):
        got = gateway.http.get(f"/functions/v1/test/answer?as={quote(json.dumps({'headers': sent}))}")
        passed = [[name.title(), value] for name, value in got.headers.items() if name.startswith("access-control-")]
        assert passed == sent[:-1]
        assert got.headers["vary"] == "Origin"
    # A page of any origin can read the gateway's own errors.
    assert_refused(gateway.http.get("/functions/v1/x", headers={"apikey": "wrong"}), 401, "invalid_api_key")
    assert_refused(gateway.http.get("/functions/v1/test/drop"), 502, "upstream_broken")


def test_every_other_answer_has_the_gateways_cors_headers(gateway: Gateway) -> None:
    for answer in (
        answer_of(gateway, {"headers": OWN_CORS}),
        gateway.http.get("/rest/v1/x"),
        gateway.http.get("/nowhere"),
    ):
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
        exposed = {name.lower() for name in answer.headers["access-control-expose-headers"].split(", ")}
        assert exposed >= {
            *("content-range", "x-sb-error-code", "x-total-count", "link", "location", "retry-after", "x-request-id"),
        }
