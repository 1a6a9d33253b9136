"""/metrics: what it counts, and who may read it."""

import re
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.app import create_app
from edge.http import metrics
from edge.http.metrics import NO_ROUTE
from tests.conftest import Stack
from tests.edge.support import NOWHERE, Refused, Upstream, serving, settings_for
from tests.waiting import wait_until

TOKEN = "a-token-of-the-operators"
PDF = "/certificates/{certificate_id}/pdf"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(client: httpx.Client, **headers: str) -> Samples:
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 0.0)


@pytest.fixture
def fresh(upstream: Upstream) -> Iterator[httpx.Client]:
    """An edge that has counted nothing yet, without a database."""
    with serving(create_app(settings_for(upstream.url))) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def test_requests_are_counted_by_route_and_status(fresh: httpx.Client, upstream: Upstream, token: str) -> None:
    user = {"authorization": f"Bearer {token}"}
    fresh.get("/health")
    fresh.head("/health")
    fresh.post("/health")
    for path in ("/one", "/two?three", "/certificates/x/pdf"):
        fresh.get(path)
    fresh.request("BREW", "/pot")
    fresh.get(f"/certificates/{upstream.certificate()}/pdf", headers=user)
    fresh.get(f"/certificates/{upstream.certificate()}/pdf")
    limit = {"code": "PT429", "message": "rate_limited", "details": None, "hint": None}
    upstream.refuse(429, limit)
    fresh.get(f"/certificates/{upstream.certificate()}/pdf", headers=user)
    fresh.get("/ready")

    found = samples(fresh)
    counted = {
        ("GET", "/health", "200"): 1,
        ("HEAD", "/health", "200"): 1,
        ("POST", NO_ROUTE, "405"): 1,
        ("GET", NO_ROUTE, "404"): 3,
        ("GET", PDF, "200"): 1,
        ("GET", PDF, "401"): 1,
        ("GET", PDF, "429"): 1,
        ("GET", "/ready", "503"): 1,
    }
    for (method, route, status), times in counted.items():
        assert value(found, "edge_requests_total", method=method, route=route, status=status) == times
        assert value(found, "edge_request_seconds_bucket", route=route, le="+Inf") >= times
    assert value(found, "edge_request_seconds_count", route=PDF) == 3
    assert value(found, "edge_request_seconds_sum", route=PDF) > 0
    assert value(found, "edge_requests_in_flight") == 1
    strange = [dict(labels)["method"] for name, labels in found if name == "edge_requests_total"]
    assert set(strange) <= {"GET", "HEAD", "POST", "other"}


def test_the_database_pool_is_counted(fresh: httpx.Client) -> None:
    assert fresh.get("/ready").status_code == 503
    found = samples(fresh)
    assert value(found, "edge_database_connections_max") == 10
    assert ("edge_database_waiting", frozenset()) in found
    assert value(found, "edge_database_checkouts_total") >= 1
    assert value(found, "edge_database_checkout_failures_total") >= 1
    assert value(found, "process_resident_memory_bytes") > 0


def test_applications_in_one_process_have_their_own_metrics(fresh: httpx.Client, edge: httpx.Client) -> None:
    edge.get("/health")
    assert value(samples(fresh), "edge_requests_total", method="GET", route="/health", status="200") == 0


def test_paths_and_tokens_are_not_shown(fresh: httpx.Client, token: str) -> None:
    fresh.get("/a-secret-path?key=a-secret-key", headers={"authorization": f"Bearer {token}"})
    text = fresh.get("/metrics").text
    assert not re.search("secret|eyJ", text)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_without_a_token_proxies_get_404(header: str, fresh: httpx.Client, refused: Refused) -> None:
    for sender in ("127.0.0.1", "8.8.8.8", ""):
        refused(fresh.get("/metrics", headers={header: sender}), 404, "not_found")


def test_a_metrics_token_is_required_where_one_is_set(upstream: Upstream, token: str, refused: Refused) -> None:
    app = create_app(settings_for(upstream.url, EDGE_METRICS_TOKEN=TOKEN))
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        refused(client.get("/metrics"), 401, "sign_in_required")
        for wrong in (
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            f"Basic {TOKEN}",
            TOKEN,
            f"Bearer {token}",
            "Bearer",
        ):
            refused(client.get("/metrics", headers={"authorization": wrong}), 401, "sign_in_required")
        refused(
            client.get("/metrics", headers=[(b"authorization", f"Bearer {TOKEN}é".encode())]), 401, "sign_in_required"
        )
        assert samples(client, authorization=f"Bearer {TOKEN}")
        # With a token, Prometheus may come through a proxy.
        assert samples(client, authorization=f"Bearer {TOKEN}", x_forwarded_for="8.8.8.8")


def test_the_gateway_hides_the_metrics(stack: Stack) -> None:
    for path in ("metrics", "metrics/", "/metrics", "%6detrics"):
        for key in (stack.publishable_key, stack.secret_key):
            answer = httpx.get(f"{stack.api_url}/functions/v1/{path}", headers={"apikey": key})
            assert answer.status_code == 404
            assert "edge_requests" not in answer.text
    with httpx.Client(base_url=stack.edge_url) as operator:
        operator.get("/ready").raise_for_status()
        wait_until(lambda: value(samples(operator), "edge_requests_total", method="GET", route="/ready", status="200"))
        assert value(samples(operator), "edge_database_connections", state="idle") >= 1


def test_frequent_reads_share_one_text(fresh: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 3600.0)
    assert fresh.get("/metrics").content == fresh.get("/metrics").content


def test_a_pool_that_is_not_open_has_no_metrics() -> None:
    app = create_app(settings_for(NOWHERE))
    assert b"edge_database" not in app.state.metrics.text()
