"""The time of an answer does not show whether an email address has an account."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Rig,
    assert_refused,
    bearer,
    new_email,
)

ROUNDS = 12
TOLERANCE = (0.75, 1.33)
ATTEMPTS = 8

Request = Callable[[str], Any]


@pytest.fixture(scope="module", name="slow")
def slow_fixture(rig: Rig) -> Iterator[AuthServer]:
    """A server with slow password hashes, as in production, and a slow password verification hook."""
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


def seconds(send: Request, email: str, pause: float) -> float:
    began = time.perf_counter()
    send(email)
    taken = time.perf_counter() - began
    time.sleep(pause)
    return taken


def ratio(send: Request, known: list[str], pause: float) -> float:
    """The ratio of the lower quartiles of known and unknown addresses, measured in turn.

    Other load on the machine only makes answers slower, so lower quartiles vary least.
    """
    send(known[0])  # the first request is slower
    times = [(seconds(send, email, pause), seconds(send, new_email(), pause)) for email in known]
    quartiles: list[float] = [statistics.quantiles(side, n=4)[0] for side in zip(*times, strict=True)]
    return quartiles[0] / quartiles[1]


def assert_same_time(send: Request, known: list[str], *, pause: float = 0) -> None:
    # Load can still slow one side: only a difference in every attempt counts.
    ratios = []
    for _ in range(ATTEMPTS):
        ratios.append(ratio(send, known, pause))
        if TOLERANCE[0] < ratios[-1] < TOLERANCE[1]:
            return
    raise AssertionError(f"known against unknown: {ratios}")


def test_sign_up_of_a_known_address(slow: AuthServer) -> None:
    email = slow.create_user()["email"]
    assert_same_time(lambda address: slow.post("/signup", email=address, password=PASSWORD), [email] * ROUNDS)


def test_sign_up_of_an_unconfirmed_address(slow: AuthServer) -> None:
    email = slow.create_user(email_confirm=False)["email"]
    assert_same_time(lambda address: slow.post("/signup", email=address, password=PASSWORD), [email] * ROUNDS)


def test_a_change_of_email_to_a_known_address(slow: AuthServer) -> None:
    email = slow.create_user()["email"]
    headers = bearer(slow.sign_in_new_user()["access_token"])
    assert_same_time(lambda address: slow.http.put("/user", json={"email": address}, headers=headers), [email] * ROUNDS)


@pytest.mark.parametrize("hashed", ["current cost", "lower cost", "none"])
def test_sign_in_of_a_known_address(slow: AuthServer, rig: Rig, hashed: str) -> None:
    match hashed:
        case "current cost":
            email = slow.create_user()["email"]
        case "lower cost":
            email = rig.auth.create_user()["email"]  # of cost 4
        case _:
            email = slow.create_user(password="")["email"]

    def sign_in(address: str) -> None:
        assert_refused(
            slow.post("/token?grant_type=password", email=address, password="wrong-horse"), 400, "invalid_credentials"
        )

    assert_same_time(sign_in, [email] * ROUNDS)


@pytest.mark.parametrize(("path", "body"), [("/recover", {}), ("/otp", {}), ("/resend", {"type": "signup"})])
def test_request_of_a_mail_to_a_known_address(slow: AuthServer, path: str, body: dict[str, Any]) -> None:
    known = [slow.create_user(password="", email_confirm=path != "/resend")["email"] for _ in range(4)]
    # The pause lets work after an answer end, which would slow down the next request.
    assert_same_time(lambda address: slow.post(path, email=address, **body), known * 6, pause=0.02)
