"""Fixtures: one double for the run, whose events one receiver takes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.stack.stripe.official_types import mismatches, stored_objects
from tests.stripe_double import OwnDouble, Receiver, receiving


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Takes every event of the double."""
    with receiving() as running:
        yield running


@pytest.fixture(scope="session")
def double(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnDouble]:
    """A double that logs no error, stops at SIGTERM, and answers and sends what the types of Stripe's package allow."""
    running = OwnDouble(tmp_path_factory.mktemp("double") / "stripe", receiver.url)
    yield running
    assert running.stop() == 0
    assert '"level": "error"' not in running.log.read_text()
    assert mismatches([*stored_objects(running.folder), *running.answers]) == [], "the types refuse"


@pytest.fixture
def customer(double: OwnDouble) -> Any:
    """A customer of the test's own, whose id identifies the events of the test."""
    return double.v1.customers.create({"email": "ann@example.com", "name": "Ann"})
