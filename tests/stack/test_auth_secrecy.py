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
    refused,
    rig_fixture,  # noqa: F401
)

ROUNDS = 12
TOLERANCE = (0.75, 1.33)
TRIES = 4

Errand = Callable[[str], Any]


@pytest.fixture(scope="module", name="slow")
def slow_fixture(rig: Rig) -> Iterator[AuthServer]:
    """A server whose password hashes take a while, as in life, and whose hook of passwords does, too."""
    rig.database.query(
        """
        create or replace function public.slow_hook(event jsonb) returns jsonb language plpgsql as $$
        begin
            perform pg_sleep(0.02);
            return '{"decision": "continue"}'::jsonb;
        end
        $$;
        grant usage on schema public to supabase_auth_admin;
        grant execute on function public.slow_hook(jsonb) to supabase_auth_admin
        """
    )
    server = rig.server(AUTH_BCRYPT_COST="9", AUTH_HOOK_PASSWORD_ATTEMPT="public.slow_hook")
    yield server
    server.close()


def seconds(errand: Errand, email: str, pause: float) -> float:
    began = time.perf_counter()
    errand(email)
    taken = time.perf_counter() - began
    time.sleep(pause)
    return taken


def ratio(errand: Errand, known: list[str], pause: float) -> float:
    """The lower quartile of known against that of unknown addresses, measured in turn.

    What else the machine does makes answers slower, never faster: it spoils the upper part of either side first.
    """
    errand(known[0])  # the first of all is slower
    times = [(seconds(errand, email, pause), seconds(errand, new_address(), pause)) for email in known]
    quartiles: list[float] = [statistics.quantiles(side, n=4)[0] for side in zip(*times, strict=True)]
    return quartiles[0] / quartiles[1]


def assert_alike(errand: Errand, known: list[str], *, pause: float = 0) -> None:
    # The machine can strike one side even so: only what stays different is a difference.
    ratios = []
    for _ in range(TRIES):
        ratios.append(ratio(errand, known, pause))
        if TOLERANCE[0] < ratios[-1] < TOLERANCE[1]:
            return
    raise AssertionError(f"known against unknown: {ratios}")


def test_signing_up(slow: AuthServer) -> None:
    email = slow.create_user()["email"]
    assert_alike(lambda address: slow.post("/signup", email=address, password=PASSWORD), [email] * ROUNDS)


def test_signing_up_with_an_address_that_awaits_its_confirmation(slow: AuthServer) -> None:
    email = slow.create_user(email_confirm=False)["email"]
    assert_alike(lambda address: slow.post("/signup", email=address, password=PASSWORD), [email] * ROUNDS)


@pytest.mark.parametrize("hashed", ["as now", "cheaper", "none"])
def test_signing_in(slow: AuthServer, rig: Rig, hashed: str) -> None:
    match hashed:
        case "as now":
            email = slow.create_user()["email"]
        case "cheaper":
            email = rig.auth.create_user()["email"]  # of cost 4
        case _:
            email = slow.create_user(password="")["email"]

    def sign_in(address: str) -> None:
        refused(
            slow.post("/token?grant_type=password", email=address, password="wrong-horse"), 400, "invalid_credentials"
        )

    assert_alike(sign_in, [email] * ROUNDS)


@pytest.mark.parametrize(
    ("path", "body"), [("/recover", {}), ("/otp", {"create_user": False}), ("/resend", {"type": "signup"})]
)
def test_asking_for_a_mail(slow: AuthServer, path: str, body: dict[str, Any]) -> None:
    known = [slow.create_user(password="", email_confirm=path != "/resend")["email"] for _ in range(4)]
    # The pause lets the work that follows an answer end, which would slow down whoever asks next.
    assert_alike(lambda address: slow.post(path, email=address, **body), known * 6, pause=0.02)
