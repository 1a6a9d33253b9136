"""Guessing passwords and codes, and asking too often, at the limits of a new stack."""

import asyncio
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from stack.auth import limits
from stack.auth.client import Client
from stack.auth.errors import AuthError
from stack.auth.limits import Buckets, Taken
from stack.auth.passwords import LONGEST_QUEUE, Hasher
from tests.stack.auth_server import (
    PASSWORD,
    AuthServer,
    Mailbox,
    Rig,
    bearer,
    fragment,
    mailbox_fixture,  # noqa: F401
    new_address,
    refused,
    rig_fixture,  # noqa: F401
    session,
)

TRIES = 1000
FIVE_MINUTES, HOUR = 300.0, 3600.0


@pytest.fixture(scope="module", name="auth")
def auth_fixture(rig: Rig) -> AuthServer:
    """A server with all its limits."""
    return rig.server(limited=True)


places = (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(1 << 20))
"""Addresses from which nothing has come yet."""


@pytest.fixture
def home() -> str:
    """Where somebody is at home."""
    return next(places)


def post(auth: AuthServer, place: str, path: str, **body: Any) -> httpx.Response:
    """POST from an address. The gateway is the only one who says so in life."""
    return auth.http.post(path, json=body, headers={"X-Forwarded-For": place})


def sign_in(auth: AuthServer, place: str, email: str, password: str = PASSWORD) -> httpx.Response:
    return post(auth, place, "/token?grant_type=password", email=email, password=password)


def too_many(answer: httpx.Response) -> None:
    """See that somebody must wait, and is told how long."""
    refused(answer, 429, "over_request_rate_limit")
    assert 0 < int(answer.headers["retry-after"]) <= HOUR


class Attack:
    """Tries from several threads, while the test goes on."""

    def __init__(self, tries: Callable[[int], httpx.Response]) -> None:
        self.answers: list[httpx.Response] = []
        self._tries = tries
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        while len(self.answers) < TRIES // 10:
            time.sleep(0.001)

    def _run(self) -> None:
        with ThreadPoolExecutor(8) as threads:
            for answer in threads.map(self._tries, range(TRIES)):
                self.answers.append(answer)

    def looked_at(self, *, status: int, at_most: int, seconds: float) -> None:
        """Wait for the end, and see how many tries were compared with the secret.

        Args:
            status: of a try that was compared.
            at_most: how many may have been.
            seconds: in which as many more may be.
        """
        self._thread.join()
        allowed = at_most + (time.monotonic() - self._began) * at_most / seconds
        counted = Counter(answer.status_code for answer in self.answers)
        assert set(counted) == {status, 429}
        assert at_most <= counted[status] <= allowed
        for answer in self.answers:
            if answer.status_code == 429:
                too_many(answer)


# Passwords


@pytest.mark.parametrize("is_known", [True, False], ids=["account", "no-account"])
@pytest.mark.parametrize(
    ("attackers", "at_most", "seconds"), [(1, 10, FIVE_MINUTES), (TRIES, 20, HOUR)], ids=["one-address", "addresses"]
)
def test_a_thousand_passwords_for_one_account(
    auth: AuthServer, home: str, *, is_known: bool, attackers: int, at_most: int, seconds: float
) -> None:
    email = auth.create_user()["email"] if is_known else new_address()
    if is_known:
        session(sign_in(auth, home, email))
    enemies = [next(places) for _ in range(attackers)]
    attack = Attack(lambda number: sign_in(auth, enemies[number % attackers], email, f"wrong-horse-{number}"))
    if is_known:
        session(sign_in(auth, home, email))
    attack.looked_at(status=400, at_most=at_most, seconds=seconds)
    if is_known:
        session(sign_in(auth, home, email))
        too_many(sign_in(auth, enemies[0], email))


def test_a_thousand_accounts_from_one_address(auth: AuthServer, home: str) -> None:
    emails = [auth.create_user()["email"] for _ in range(5)] + [new_address() for _ in range(TRIES)]
    enemy = next(places)
    attack = Attack(lambda number: sign_in(auth, enemy, emails[number], "wrong-horse"))
    session(sign_in(auth, home, emails[0]))
    attack.looked_at(status=400, at_most=30, seconds=FIVE_MINUTES)


def test_the_owner_comes_in_from_a_new_place_by_a_mailed_link(auth: AuthServer, mailbox: Mailbox, home: str) -> None:
    email = auth.create_user()["email"]
    for _ in range(20):
        refused(sign_in(auth, next(places), email, "wrong-horse"), 400, "invalid_credentials")
    too_many(sign_in(auth, home, email))
    assert post(auth, home, "/recover", email=email).status_code == 200
    landed = auth.http.get(mailbox.to(email).link, headers={"X-Forwarded-For": home})
    assert "access_token" in fragment(landed.headers["location"])
    session(sign_in(auth, home, email))
    too_many(sign_in(auth, next(places), email))


def test_a_right_password_costs_nothing_of_the_accounts(auth: AuthServer, home: str) -> None:
    email = auth.create_user()["email"]
    for _ in range(25):
        session(sign_in(auth, home, email))
    session(sign_in(auth, next(places), email))


def test_one_place_in_ipv6_is_a_network(auth: AuthServer) -> None:
    email = auth.create_user()["email"]
    session(sign_in(auth, "2001:db8:1:2::1", email))
    for number in range(10):
        refused(sign_in(auth, f"2001:db8:1:2:3::{number}", email, "wrong-horse"), 400, "invalid_credentials")
    too_many(sign_in(auth, "2001:db8:1:2:ffff::", email))
    session(sign_in(auth, "2001:db8:1:3::1", email))


def test_only_the_last_hop_counts(auth: AuthServer) -> None:
    email, enemy = new_address(), next(places)
    for number in range(10):
        refused(sign_in(auth, f"6.6.6.{number}, {enemy}", email, "wrong-horse"), 400, "invalid_credentials")
    too_many(sign_in(auth, f"7.7.7.7, {enemy}", email, "wrong-horse"))


def test_who_is_signed_in_may_not_guess_his_password_either(auth: AuthServer, home: str) -> None:
    email = auth.create_user()["email"]
    mine = {**bearer(session(sign_in(auth, home, email))["access_token"]), "X-Forwarded-For": home}

    def change(current: str) -> httpx.Response:
        return auth.http.put("/user", json={"password": "new-horse-1", "current_password": current}, headers=mine)

    for number in range(10):
        refused(change(f"wrong-horse-{number}"), 400, "invalid_credentials")
    too_many(change(PASSWORD))


# Codes


@pytest.fixture
def awaited(auth: AuthServer, mailbox: Mailbox, home: str) -> tuple[str, str, str]:
    """An address with a code under way, the code, and one that is wrong."""
    email = auth.create_user()["email"]
    session(sign_in(auth, home, email))
    assert post(auth, home, "/otp", email=email, create_user=False).status_code == 200
    code = mailbox.to(email).otp
    return email, code, f"{(int(code) + 1) % 10**6:06}"


@pytest.mark.parametrize(
    ("attackers", "at_most", "seconds"), [(1, 5, FIVE_MINUTES), (TRIES, 10, HOUR)], ids=["one-address", "addresses"]
)
def test_a_thousand_codes(
    auth: AuthServer, awaited: tuple[str, str, str], home: str, *, attackers: int, at_most: int, seconds: float
) -> None:
    email, code, wrong = awaited
    enemies = [next(places) for _ in range(attackers)]
    attack = Attack(
        lambda number: post(auth, enemies[number % attackers], "/verify", type="email", email=email, token=wrong)
    )
    attack.looked_at(status=403, at_most=at_most, seconds=seconds)
    too_many(post(auth, enemies[0], "/verify", type="email", email=email, token=code))
    session(post(auth, home, "/verify", type="email", email=email, token=code))


def test_another_code_is_no_other_chance(
    auth: AuthServer, mailbox: Mailbox, awaited: tuple[str, str, str], home: str
) -> None:
    email, _, wrong = awaited
    for _ in range(10):
        refused(post(auth, next(places), "/verify", type="email", email=email, token=wrong), 403, "otp_expired")
    assert post(auth, home, "/otp", email=email, create_user=False).status_code == 200
    letter = mailbox.to(email, count=2)
    too_many(post(auth, next(places), "/verify", type="email", email=email, token=letter.otp))
    # But the link in the same mail nobody can guess: it works from everywhere.
    session(post(auth, next(places), "/verify", type="email", token_hash=letter.parameters["token"]))


def test_a_link_cannot_be_made_up_from_a_code(auth: AuthServer, awaited: tuple[str, str, str]) -> None:
    email, code, _ = awaited
    made_up = hashlib.sha224(f"{email}{code}".encode()).hexdigest()
    refused(post(auth, next(places), "/verify", type="email", token_hash=made_up), 403, "otp_expired")


def test_a_nonce(auth: AuthServer, mailbox: Mailbox, home: str) -> None:
    email = auth.create_user()["email"]
    mine = {**bearer(session(sign_in(auth, home, email))["access_token"]), "X-Forwarded-For": home}
    assert auth.http.get("/reauthenticate", headers=mine).status_code == 200
    code = mailbox.to(email).otp

    def change(nonce: str) -> httpx.Response:
        return auth.http.put("/user", json={"password": "new-horse-1", "nonce": nonce}, headers=mine)

    for _ in range(5):
        refused(change(f"{(int(code) + 1) % 10**6:06}"), 422, "reauthentication_not_valid")
    too_many(change(code))


# Asking too often


def mail(path: str, **body: Any) -> Callable[[AuthServer, str], httpx.Response]:
    return lambda auth, place: post(auth, place, path, email=new_address(), **body)


ERRANDS: dict[str, tuple[int, Callable[[AuthServer, str], httpx.Response]]] = {
    "sign-up": (30, mail("/signup", password=PASSWORD)),
    "sign-in": (30, lambda auth, place: sign_in(auth, place, new_address())),
    "anonymous": (30, lambda auth, place: post(auth, place, "/signup")),
    "recover": (30, mail("/recover")),
    "otp": (30, mail("/otp", create_user=False)),
    "magiclink": (30, mail("/magiclink", create_user=False)),
    "resend": (30, mail("/resend", type="signup")),
    "verify": (30, lambda auth, place: post(auth, place, "/verify", type="email", token_hash="f" * 56)),
    "link": (
        30,
        lambda auth, place: auth.http.get(
            f"/verify?token={'f' * 56}&type=recovery", headers={"X-Forwarded-For": place}
        ),
    ),
    "refresh": (
        150,
        lambda auth, place: post(auth, place, "/token?grant_type=refresh_token", refresh_token="x" * 12),
    ),
    "pkce": (
        150,
        lambda auth, place: post(auth, place, "/token?grant_type=pkce", auth_code="x", code_verifier="x" * 43),
    ),
}


@pytest.mark.parametrize("errand", ERRANDS)
def test_one_address_may_ask_so_often(auth: AuthServer, home: str, errand: str) -> None:
    at_most, ask = ERRANDS[errand]
    began = time.monotonic()
    answers = [ask(auth, home) for _ in range(at_most + 20)]
    served = [answer for answer in answers if answer.status_code != 429]
    assert at_most <= len(served) <= at_most + (time.monotonic() - began) * at_most / FIVE_MINUTES
    too_many(answers[-1])
    assert ask(auth, next(places)).status_code == served[0].status_code


def test_who_may_not_sign_in_gets_his_link(auth: AuthServer, home: str) -> None:
    for _ in range(30):
        sign_in(auth, home, new_address())
    too_many(sign_in(auth, home, new_address()))
    assert post(auth, home, "/recover", email=new_address()).status_code == 200


def test_a_change_of_address_counts_as_a_mail(auth: AuthServer, home: str) -> None:
    mine = {**bearer(auth.signed_in()["access_token"]), "X-Forwarded-For": home}
    for _ in range(30):
        assert post(auth, home, "/recover", email=new_address()).status_code == 200
    too_many(auth.http.put("/user", json={"email": new_address()}, headers=mine))


def test_admins_are_not_limited(auth: AuthServer) -> None:
    for _ in range(40):
        auth.create_user()


def test_the_refusal_as_older_clients_know_it(auth: AuthServer, home: str) -> None:
    for _ in range(30):
        sign_in(auth, home, new_address())
    with httpx.Client(base_url=auth.url) as older:
        answer = older.post(
            "/token?grant_type=password",
            json={"email": new_address(), "password": PASSWORD},
            headers={"X-Forwarded-For": home},
        )
    assert (answer.status_code, answer.headers["x-sb-error-code"]) == (429, "over_request_rate_limit")
    assert answer.json() == {
        "code": 429,
        "error_code": "over_request_rate_limit",
        "msg": "Request rate limit reached",
    }


# The parts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time of the buckets, in nanoseconds, which stands still."""
    now = [10**9]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now[0])
    return now


def test_a_bucket_fills_again(clock: list[int]) -> None:
    buckets = Buckets(3, 10)
    for _ in range(3):
        assert buckets.wait("a") == 0
        buckets.take("a")
    assert buckets.wait("a") == pytest.approx(10 / 3)
    assert buckets.wait("b") == 0
    clock[0] += int(10e9 / 3) + 1
    buckets.take("a")
    assert buckets.wait("a") > 0
    buckets.give_back("a")
    assert buckets.wait("a") == 0
    clock[0] += 10**12
    for _ in range(3):
        assert buckets.wait("a") == 0
        buckets.take("a")
    assert buckets.wait("a") > 0


@pytest.mark.usefixtures("clock")
def test_all_tokens_are_taken_or_none() -> None:
    one, two = Buckets(1, 10), Buckets(2, 10)
    Taken.of((one, "a"), (two, "a"), code="x", message="")
    with pytest.raises(AuthError) as wait:
        Taken.of((one, "a"), (two, "a"), code="over_request_rate_limit", message="{} s")
    assert (wait.value.status, wait.value.retry_after, wait.value.message) == (429, 10, "10 s")
    assert two.wait("a") == 0


def test_what_is_remembered_is_bounded(clock: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LARGEST", 3)
    buckets = Buckets(1, 10)
    for key in "abcd":
        buckets.take(key)
    assert [buckets.wait(key) > 0 for key in "abcd"] == [False, True, True, True]
    clock[0] += 11 * 10**9
    buckets.take("e")
    assert list(buckets._full_at) == ["e"]


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, None),
    ],
)
def test_networks(ip: str | None, network: str | None) -> None:
    assert Client(ip=ip, user_agent=None).network == network


def test_hashing_does_not_pile_up() -> None:
    async def run() -> list[Any]:
        hasher = Hasher(4)
        try:
            return await asyncio.gather(
                *(hasher.matches("x", None) for _ in range(LONGEST_QUEUE + 10)), return_exceptions=True
            )
        finally:
            hasher.close()

    results = asyncio.run(run())
    assert results.count(False) == LONGEST_QUEUE
    overflow = [error for error in results if isinstance(error, AuthError)]
    assert [(error.status, error.code) for error in overflow] == [(429, "over_request_rate_limit")] * 10
