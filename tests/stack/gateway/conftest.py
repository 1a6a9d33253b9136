"""Fixtures of the gateway's tests."""

from collections.abc import Iterator

import pytest

from tests.stack.gateway.support import LARGE, Gateway, Upstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    urls = {part: upstream.url(part) for part in upstream.ports.values()}
    # Some tests send larger files, and more requests at once, than one caller may by default.
    bounds = {"GATEWAY_STORAGE_BODY": str(2 * LARGE), "GATEWAY_FUNCTIONS_PLACES": "400"}
    running = Gateway(tmp_path_factory.mktemp("gateway"), urls, **bounds)
    yield running
    assert running.stop() == 0
