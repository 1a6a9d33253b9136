"""People of commerce."""

import pytest

from tests.commerce.told import INVENTED
from tests.people import Academy, Person
from tests.stripe_double import StripeDouble


@pytest.fixture(scope="session", autouse=True)
def _deaf(stripe_double: StripeDouble) -> None:
    """Whoever asks Stripe about what tests invent gets no answer, so that the tests alone tell what became of it."""
    for path in ("/v1/refunds", "/v1/transfers", "/v1/subscriptions"):
        stripe_double.post("faults", path=path, contains=INVENTED, status=503, times=None)


@pytest.fixture(scope="session")
def admin(academy: Academy) -> Person:
    """An admin; not to be changed."""
    return academy.member("admin")


@pytest.fixture(scope="session")
def student(academy: Academy) -> Person:
    """A member without a role; not to be changed."""
    return academy.member()
