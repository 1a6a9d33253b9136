"""Rate limits of the edge: real buckets in a database of the tests' own, behind a real gateway."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest
from litestar import Litestar, get, post
from litestar.routes import HTTPRoute

from common.addresses import network_of
from edge.app import create_app
from edge.http.tiers import STRICT, TIER, UNLIMITED
from tests.databases import Databases
from tests.edge.support import Refused, Upstream, claims, serving, settings_for
from tests.stack.gateway.support import Gateway

OPEN = {
    "/health",
    "/ready",
    "/metrics",
    "/webhooks/clerk",
    "/webhooks/stripe",
    "/auth/oauth",
    "/courses/{course_id:uuid}/views",
}
"""The routes without a limit, beside the OpenAPI document. A new one is added by hand, after review."""


@get("/undeclared", sync_to_thread=False)
def undeclared() -> str:
    """A route that declares no tier."""
    return "read"


@post("/undeclared", sync_to_thread=False)
def undeclared_writing() -> str:
    """Another one."""
    return "written"


@get("/strict", opt=STRICT, sync_to_thread=False)
def strict() -> str:
    """A route of the tier strict."""
    return "strict"


@post("/hook", opt=UNLIMITED, sync_to_thread=False)
def hook() -> str:
    """A route without a limit."""
    return "taken"


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[str]:
    """The database that counts requests: buckets of 3, 4 and 5 tokens, and one more a minute."""
    with databases.cloned() as name:
        with psycopg.connect(databases.url(name)) as connection:
            connection.execute(
                "update private.rate_limits as l set burst = n.burst, per_minute = 1"
                " from (values ('strict', 3), ('standard', 4), ('generous', 5)) as n (tier, burst)"
                " where n.tier = l.tier"
            )
        yield name


@pytest.fixture(scope="module")
def app(_upstream: Upstream, databases: Databases, database: str) -> Litestar:
    app = create_app(settings_for(_upstream.url, EDGE_DB_URL=databases.url(database, "edge")))
    for handler in (undeclared, undeclared_writing, strict, hook):
        app.register(handler)
    return app


@pytest.fixture(scope="module")
def _address(app: Litestar) -> Iterator[str]:
    with serving(app, counts=True) as url:
        yield url


@pytest.fixture
def client(_address: str, databases: Databases, database: str) -> Iterator[httpx.Client]:
    """A client of an edge that has counted no request yet."""
    with psycopg.connect(databases.url(database)) as connection:
        connection.execute("truncate private.rate_buckets")
    with httpx.Client(base_url=_address, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def gateway(_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway in front of that edge."""
    folder = tmp_path_factory.mktemp("gateway")
    running = Gateway(folder, dict.fromkeys(("rest", "auth", "storage", "edge"), _address))
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize(("method", "path", "tokens"), [
    ("GET", "/undeclared", 5), ("POST", "/undeclared", 4), ("GET", "/strict", 3),
])  # fmt: skip
def test_a_route_has_its_tier_or_that_of_its_method(
    client: httpx.Client, refused: Refused, method: str, path: str, tokens: int
) -> None:
    for _ in range(tokens):
        assert client.request(method, path).is_success
    answer = client.request(method, path)
    body = refused(answer, 429, "rate_limited")
    assert body["code"] == "PT429"
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert answer.headers["retry-after"] in body["details"]


def test_unlimited_routes_are_not_counted(client: httpx.Client) -> None:
    for _ in range(10):
        assert client.post("/hook").is_success
        assert client.get("/health").is_success
    assert client.get("/strict").is_success


def test_each_user_has_a_bucket_and_each_network_too(
    client: httpx.Client, upstream: Upstream, refused: Refused
) -> None:
    path = "/certificates/5eed0000-0000-4000-8000-000000000c01/pdf"
    users = [
        {"authorization": f"Bearer {upstream.keys.sign(claims(sub=f'00000000-0000-4000-8000-00000000000{number}'))}"}
        for number in range(2)
    ]
    for _ in range(4):
        refused(client.get(path, headers=users[0]), 404, "certificate_not_found")
    refused(client.get(path, headers=users[0]), 429, "rate_limited")
    assert len(upstream.requests) == 4
    refused(client.get(path, headers=users[1]), 404, "certificate_not_found")
    # A caller without a token is refused, and takes no token from the bucket of the network.
    for _ in range(10):
        refused(client.get(path), 401, "sign_in_required")
    assert client.post("/undeclared").is_success


@pytest.mark.usefixtures("client")
def test_forged_addresses_share_one_bucket(gateway: Gateway) -> None:
    codes = []
    for number in range(8):
        address = f"203.0.113.{number}"
        forged = {"X-Forwarded-For": address, "X-Real-IP": address, "Forwarded": f"for={address}"}
        answer = gateway.http.get("/functions/v1/strict", headers=gateway.publishable | forged)
        codes.append(answer.status_code)
    assert codes == [200] * 3 + [429] * 5
    assert "retry-after" in answer.headers


def test_addresses_that_a_trusted_proxy_reports_have_their_own_buckets(client: httpx.Client) -> None:
    for place in ("203.0.113.1", "203.0.113.2", "2001:db8:1:1::1", "2001:db8:1:2::1"):
        for number in range(3):
            forwarded = f"2001:db8:1:1::{number}" if place == "2001:db8:1:1::1" else place
            assert client.get("/strict", headers={"X-Forwarded-For": forwarded}).is_success
    for place in ("203.0.113.1", "203.0.113.2", "2001:db8:1:1:ffff::", "2001:db8:1:2:ffff::"):
        assert client.get("/strict", headers={"X-Forwarded-For": place}).status_code == 429
    for _ in range(3):
        assert client.get("/strict", headers={"X-Forwarded-For": "no address"}).is_success
    assert client.get("/strict", headers={"X-Forwarded-For": "nor this"}).status_code == 429


def test_a_request_that_cannot_be_counted_is_503(upstream: Upstream, refused: Refused) -> None:
    app = create_app(settings_for(upstream.url))
    app.register(undeclared)
    with serving(app, counts=True) as url, httpx.Client(base_url=url, trust_env=False) as client:
        refused(client.get("/undeclared"), 503, "database_unavailable")
        assert client.get("/health").is_success


def test_every_route_is_limited_or_reviewed(upstream: Upstream) -> None:
    app = create_app(settings_for(upstream.url))
    unlimited = {
        route.path
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.opt.get(TIER, "by method") is None
    }
    assert {path for path in unlimited if not path.startswith("/schema")} == OPEN


def test_a_text_that_is_not_an_address_has_no_network() -> None:
    for text in ("", "unknown", "203.0.113.1:80"):
        with pytest.raises(ValueError, match="does not appear"):
            network_of(text)
