"""What the edge counts, for Prometheus: `/metrics`, for operators only."""

import hmac
import ipaddress
import time
from collections.abc import Callable, Iterable

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from edge.errors import error
from edge.http.tiers import UNLIMITED
from edge.settings import EdgeSettings

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "none"
"""The route of a request that no route took: its path is whatever the client wrote, and would make endless series."""
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
FRESH_SECONDS = 1.0
"""How old the text may be: making it costs as much as ten requests."""
FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip", "via")
"""Headers by which a proxy says that it forwards a request."""


class Metrics:
    """The counters of one application. Each has a registry of its own, so that several live in one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Pool(self))
        self.pool: Callable[[], dict[str, int]] = dict
        """The statistics of the database pool; none while there is no pool."""
        self.in_flight = 0
        """How many requests are being served."""
        gauge = Gauge("edge_requests_in_flight", "Requests being served.", registry=self._registry)
        gauge.set_function(lambda: self.in_flight)
        self._requests = Counter(
            "edge_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "edge_request_seconds", "Time to answer.", ["route"], buckets=BUCKETS, registry=self._registry
        )
        self._text = b""
        self._text_until = float("-inf")
        # Finding a series by its labels costs more than counting.
        self._found: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one request.

        Args:
            method: as the client wrote it.
            route: the template of the path; None where there is no such route.
            status: of the answer.
            seconds: from the first byte of the request to the end of the answer.
        """
        key = method if method in METHODS else "other", route or NO_ROUTE, status
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._requests.labels(*key), self._seconds.labels(key[1])
        found[0].inc()
        found[1].observe(seconds)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        now = time.monotonic()
        if now >= self._text_until:
            self._text = generate_latest(self._registry)
            self._text_until = now + FRESH_SECONDS
        return self._text


class _Pool(Collector):
    """The database pool, read when Prometheus reads."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """The statistics of this moment."""
        statistics = self._metrics.pool()
        if not statistics:
            return
        size, available = statistics["pool_size"], statistics["pool_available"]
        connections = GaugeMetricFamily(
            "edge_database_connections", "Connections of the role edge to Postgres.", labels=["state"]
        )
        connections.add_metric(["idle"], available)
        connections.add_metric(["in_use"], size - available)
        yield connections
        yield GaugeMetricFamily(
            "edge_database_connections_max", "Connections that there may be.", value=statistics["pool_max"]
        )
        yield GaugeMetricFamily(
            "edge_database_waiting", "Requests that wait for a connection.", value=statistics["requests_waiting"]
        )
        # The library leaves a counter out until it has counted something.
        for name, key, meaning in (
            ("edge_database_checkouts", "requests_num", "Checkouts of a connection."),
            ("edge_database_checkout_failures", "requests_errors", "Checkouts that failed."),
            ("edge_database_connection_failures", "connections_errors", "Attempts to connect that failed."),
        ):
            yield CounterMetricFamily(name, meaning, value=statistics.get(key, 0))


@get("/metrics", include_in_schema=False, opt=UNLIMITED, sync_to_thread=False)
def show_metrics(request: Request[None, None, State]) -> Response[bytes]:
    """Everything counted, for callers with the token; where none is set, for a direct caller on this machine."""
    token = request.app.state.settings[EdgeSettings].metrics_token
    if token is not None:
        sent = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(sent, f"Bearer {token}".encode()):
            raise error("sign_in_required", "Metrics need their own token.")
    elif not _is_direct_and_local(request):
        raise NotFoundException
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _is_direct_and_local(request: Request[None, None, State]) -> bool:
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    return ipaddress.ip_address(request.client.host).is_loopback
