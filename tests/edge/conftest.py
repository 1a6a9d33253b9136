"""Fixtures: one edge and one double for the whole run; the double is reset for each test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.app import create_app
from stack.state import Folder
from tests.edge.shop import Shop
from tests.edge.support import Refused, Upstream, claims, listening, serving, settings_for
from tests.people import Academy, Person
from tests.stripe_double import StripeDouble


@pytest.fixture(scope="session")
def _upstream() -> Iterator[Upstream]:
    with listening() as upstream:
        yield upstream


@pytest.fixture
def upstream(_upstream: Upstream) -> Upstream:
    """The double behind `edge`, reset."""
    _upstream.reset()
    return _upstream


@pytest.fixture(scope="session")
def _edge(_upstream: Upstream) -> Iterator[httpx.Client]:
    app = create_app(settings_for(_upstream.url))
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


@pytest.fixture
def edge(_edge: httpx.Client, upstream: Upstream) -> httpx.Client:
    """A client of the edge, not signed in."""
    assert upstream.rows == {}
    _edge.headers.pop("authorization", None)
    return _edge


@pytest.fixture
def token(upstream: Upstream) -> str:
    """A user's access token."""
    return upstream.keys.sign(claims())


@pytest.fixture
def user(edge: httpx.Client, token: str) -> httpx.Client:
    """A client of the edge, signed in."""
    edge.headers["authorization"] = f"Bearer {token}"
    return edge


@pytest.fixture(scope="session")
def refused() -> Refused:
    """Asserts that an answer is an error of our shape with this status and token, and returns its body."""

    def check(response: httpx.Response, status: int, token: str) -> dict[str, Any]:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/json"
        body: dict[str, Any] = response.json()
        assert list(body) == ["code", "message", "details", "hint"]
        assert body["message"] == token
        assert response.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
        return body

    return check


@pytest.fixture(scope="session")
def shop(academy: Academy, stripe_double: StripeDouble, stack_data: Path) -> Shop:
    """The edge and Stripe's double of the run's stack."""
    return Shop(academy, stripe_double, Folder(stack_data).state().double_keys["stripe_webhook_secret"])


@pytest.fixture(scope="session")
def admin(academy: Academy) -> Person:
    """An admin, whom no test changes."""
    return academy.member("admin")
