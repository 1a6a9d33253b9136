"""CORS: pages of exactly the listed origins may call, and pages of lookalikes may not."""

from collections.abc import Iterator

import httpx
import pytest

from edge.app import create_app
from stack.tools.project import GUILDHALL
from tests.conftest import Stack
from tests.edge.support import ORIGIN, Refused, Upstream, serving, settings_for

REQUESTED_HEADERS = "authorization, x-client-info, apikey, content-type"
"""What supabase-js sends with functions.invoke."""
LOOKALIKES = [
    "https://evil-app.example.test",
    "https://app.example.test.evil.test",
    "https://evil.test/app.example.test",
    "https://app.example.test@evil.test",
    "https://app-example.test",
    "https://appxexample.test",
    "https://example.test",
    "https://other.app.example.test",
    "http://app.example.test",
    "https://app.example.test:444",
    "https://app.example.test:443",
    "https://app.example.test.",
    "https://app.example.test/",
    "https://APP.example.test",
    "HTTPS://app.example.test",
    "https://app.example.test https://evil.test",
    "https://app.example.test,https://evil.test",
    "app.example.test",
    "//app.example.test",
    "file://",
    "null",
    "*",
    "undefined",
]


def preflight(client: httpx.Client, origin: str, path: str = "/certificates/x/pdf") -> httpx.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": REQUESTED_HEADERS,
    }
    return client.options(path, headers=headers)


def test_pages_of_a_listed_origin_may_call(edge: httpx.Client) -> None:
    for path in ("/certificates/x/pdf", "/nothing"):
        leave = preflight(edge, ORIGIN, path)
        assert (leave.status_code, leave.content) == (204, b"")
        assert leave.headers["access-control-allow-origin"] == ORIGIN
        assert leave.headers["access-control-allow-headers"] == REQUESTED_HEADERS
        assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(
            leave.headers["access-control-allow-methods"].split(", ")
        )
        assert "access-control-allow-credentials" not in leave.headers

    for answer in (edge.get("/health", headers={"origin": ORIGIN}), edge.get("/nothing", headers={"origin": ORIGIN})):
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "Origin" in answer.headers["vary"]
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert set(exposed) == {"content-disposition", "etag", "retry-after", "x-request-id"}


@pytest.mark.parametrize("origin", LOOKALIKES)
def test_pages_of_a_lookalike_origin_may_not_call(origin: str, edge: httpx.Client, refused: Refused) -> None:
    refusal = preflight(edge, origin)
    refused(refusal, 403, "origin_not_allowed")
    answer = edge.get("/health", headers={"origin": origin})
    assert answer.status_code == 200
    for response in (refusal, answer):
        assert "access-control-allow-origin" not in response.headers
        assert "access-control-allow-headers" not in response.headers
        assert "Origin" in response.headers["vary"]


def test_an_options_request_that_is_no_preflight_reaches_the_route(edge: httpx.Client) -> None:
    answer = edge.options("/health", headers={"origin": ORIGIN})
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


def test_strange_names_of_headers_are_not_repeated(edge: httpx.Client) -> None:
    headers = {
        "origin": ORIGIN,
        "access-control-request-method": "GET",
        "access-control-request-headers": "apikey, <script>",
    }
    assert edge.options("/health", headers=headers).headers["access-control-allow-headers"] == "apikey, script"


@pytest.fixture(scope="module")
def open_edge(_upstream: Upstream) -> Iterator[httpx.Client]:
    app = create_app(settings_for(_upstream.url, EDGE_CORS_ORIGINS="*"))
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("origin", [ORIGIN, "https://evil.test", "null"])
def test_every_page_may_call_where_the_operator_allows_all_origins(origin: str, open_edge: httpx.Client) -> None:
    for answer in (preflight(open_edge, origin), open_edge.get("/health", headers={"origin": origin})):
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


HOSTS = [
    "evil.test",
    "127.0.0.1.evil.test",
    "evil.test:80",
    "127.0.0.1@evil.test",
    "localhost",
    "[::1]",
    "evil.test/functions/v1",
    "",
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_answer_repeats_the_host_header(host: str, edge: httpx.Client) -> None:
    forged = {
        "host": host,
        "x-forwarded-host": "evil.test",
        "x-forwarded-proto": "gopher",
        "x-forwarded-prefix": "/evil.test",
        "x-original-url": "/evil.test",
    }
    for path in ("/health", "/schema", "/schema/", "/schema/openapi.json", "/nothing"):
        answer = edge.get(path, headers=forged)
        assert answer.status_code in {200, 400, 404}
        assert not answer.is_redirect
        said = answer.text + "".join(answer.headers.values())
        assert "evil" not in said
        assert "gopher" not in said


def test_the_gateway_leaves_cors_of_the_edge_to_the_edge(stack: Stack) -> None:
    site = GUILDHALL.config.auth.site_url
    paths = ("/functions/v1/health", "/rest/v1/categories", "/auth/v1/settings", "/storage/v1/bucket")
    with httpx.Client(base_url=stack.api_url, headers={"apikey": stack.publishable_key}) as client:
        for path in paths:
            is_edge = path.startswith("/functions")
            leave = preflight(client, site, path)
            assert leave.status_code == 204
            assert leave.headers["access-control-allow-origin"] == (site if is_edge else "*")
            for lookalike in (f"{site}.evil.test", "https://evil.test", "null"):
                assert preflight(client, lookalike, path).status_code == (403 if is_edge else 204)
                allowed = client.get(path, headers={"origin": lookalike}).headers.get("access-control-allow-origin")
                assert allowed == (None if is_edge else "*")
