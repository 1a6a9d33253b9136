"""A stranger cannot tell by the clock whether there is an account. What answers say is tested beside each errand."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.stack.auth_server import (
    PASSWORD,
    AuthServer,
    Rig,
    new_address,
    rig_fixture,  # noqa: F401
)

ROUNDS = 12
TOLERANCE = (0.75, 1.33)

Errand = Callable[[str], Any]


@pytest.fixture(scope="module", name="slow")
def slow_fixture(rig: Rig) -> Iterator[AuthServer]:
    """A server whose password hashes take a while, as in life, and users with whom it has dealt before."""
    server = rig.server(AUTH_BCRYPT_COST="9")
    yield server
    server.close()


def seconds(errand: Errand, email: str) -> float:
    began = time.perf_counter()
    errand(email)
    return time.perf_counter() - began


def ratio(errand: Errand, known: Callable[[], str]) -> float:
    """Medians of a known and an unknown address, measured in turn so that the machine's moods strike both."""
    pairs = [(known(), new_address()) for _ in range(ROUNDS)]
    errand(known())  # the first of all is slower
    times = [(seconds(errand, one), seconds(errand, other)) for one, other in pairs]
    return statistics.median(one for one, _ in times) / statistics.median(other for _, other in times)


def assert_alike(errand: Errand, known: Callable[[], str]) -> None:
    # A pause of the machine can strike one side even so: only what stays different is a difference.
    ratios = []
    for _ in range(3):
        ratios.append(ratio(errand, known))
        if TOLERANCE[0] < ratios[-1] < TOLERANCE[1]:
            return
    raise AssertionError(f"known against unknown: {ratios}")


def test_signing_up(slow: AuthServer) -> None:
    email = slow.create_user()["email"]
    assert_alike(lambda address: slow.post("/signup", email=address, password=PASSWORD), lambda: email)


def test_signing_up_with_an_address_that_awaits_its_confirmation(slow: AuthServer) -> None:
    email = slow.create_user(email_confirm=False)["email"]
    assert_alike(lambda address: slow.post("/signup", email=address, password=PASSWORD), lambda: email)


def test_signing_in(slow: AuthServer) -> None:
    email = slow.create_user()["email"]
    errand = lambda address: slow.post("/token?grant_type=password", email=address, password="wrong-horse")  # noqa: E731
    assert_alike(errand, lambda: email)


def test_signing_in_with_a_cheap_hash_or_none(slow: AuthServer, rig: Rig) -> None:
    cheap = rig.auth.create_user()["email"]  # of cost 4
    none = slow.create_user(password="")["email"]
    errand = lambda address: slow.post("/token?grant_type=password", email=address, password="wrong-horse")  # noqa: E731
    for email in (cheap, none):
        assert_alike(errand, lambda email=email: email)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("path", "body"), [("/recover", {}), ("/otp", {"create_user": False}), ("/resend", {"type": "signup"})]
)
def test_asking_for_a_mail(slow: AuthServer, path: str, body: dict[str, Any]) -> None:
    made = [slow.create_user(password="", email_confirm=path != "/resend")["email"] for _ in range(4)]
    turns = iter(made * ROUNDS)

    def ask(email: str) -> None:
        slow.post(path, email=email, **body)
        time.sleep(0)

    assert_alike(ask, lambda: next(turns))
