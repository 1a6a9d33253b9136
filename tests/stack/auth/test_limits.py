"""Limits of guesses and of requests, with the settings of a new stack."""

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

from stack.auth.client import Client
from stack.auth.errors import AuthError
from stack.auth.limits import MailLimit, TakenTokens
from stack.auth.passwords import MAX_QUEUE, Hasher
from stack.buckets import Buckets
from tests.stack.auth.support import (
    PASSWORD,
    AuthServer,
    Mailbox,
    Rig,
    assert_refused,
    bearer,
    fragment,
    new_email,
    session,
)
from tests.waiting import wait_until

ATTEMPTS = 1000
FIVE_MINUTES, HOUR = 300.0, 3600.0


@pytest.fixture(scope="module", name="auth")
def auth_fixture(rig: Rig) -> AuthServer:
    """A server with the limits of a new stack."""
    return rig.server(limited=True)


new_ips = (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(1 << 20))
"""IP addresses from which no request was sent yet."""


@pytest.fixture
def user_ip() -> str:
    """The IP address of the legitimate user."""
    return next(new_ips)


def post(auth: AuthServer, ip: str, path: str, **body: Any) -> httpx.Response:
    """POST from an IP address, which otherwise the gateway sets."""
    return auth.http.post(path, json=body, headers={"X-Forwarded-For": ip})


def sign_in(auth: AuthServer, ip: str, email: str, password: str = PASSWORD) -> httpx.Response:
    return post(auth, ip, "/token?grant_type=password", email=email, password=password)


def assert_too_many(answer: httpx.Response) -> None:
    """Assert that an answer is 429 with a time to wait."""
    assert_refused(answer, 429, "over_request_rate_limit")
    assert 0 < int(answer.headers["retry-after"]) <= HOUR


class Attack:
    """Attempts from several threads, which run while the test continues."""

    def __init__(self, attempt: Callable[[int], httpx.Response]) -> None:
        self.answers: list[httpx.Response] = []
        self._attempt = attempt
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        while len(self.answers) < ATTEMPTS // 10:
            time.sleep(0.001)

    def _run(self) -> None:
        with ThreadPoolExecutor(8) as threads:
            for answer in threads.map(self._attempt, range(ATTEMPTS)):
                self.answers.append(answer)

    def assert_compared(self, *, status: int, at_most: int, seconds: float) -> None:
        """Wait for the end, and assert how many attempts were compared with the secret.

        Args:
            status: the answer to an attempt that was compared.
            at_most: how many may be compared at once.
            seconds: the time in which as many more may be compared.
        """
        self._thread.join()
        allowed = at_most + (time.monotonic() - self._began) * at_most / seconds
        counted = Counter(answer.status_code for answer in self.answers)
        assert set(counted) == {status, 429}
        assert at_most <= counted[status] <= allowed
        for answer in self.answers:
            if answer.status_code == 429:
                assert_too_many(answer)


# Passwords


@pytest.mark.parametrize("is_known", [True, False], ids=["account", "no-account"])
@pytest.mark.parametrize(
    ("attackers", "at_most", "seconds"), [(1, 10, FIVE_MINUTES), (ATTEMPTS, 20, HOUR)], ids=["one-address", "addresses"]
)
def test_a_thousand_passwords_for_one_account(
    auth: AuthServer, user_ip: str, *, is_known: bool, attackers: int, at_most: int, seconds: float
) -> None:
    email = auth.create_user()["email"] if is_known else new_email()
    if is_known:
        session(sign_in(auth, user_ip, email))
    attacker_ips = [next(new_ips) for _ in range(attackers)]
    attack = Attack(lambda number: sign_in(auth, attacker_ips[number % attackers], email, f"wrong-horse-{number}"))
    if is_known:
        session(sign_in(auth, user_ip, email))
    attack.assert_compared(status=400, at_most=at_most, seconds=seconds)
    if is_known:
        session(sign_in(auth, user_ip, email))
        assert_too_many(sign_in(auth, attacker_ips[0], email))


def test_a_thousand_accounts_from_one_address(auth: AuthServer, user_ip: str) -> None:
    emails = [auth.create_user()["email"] for _ in range(5)] + [new_email() for _ in range(ATTEMPTS)]
    attacker_ip = next(new_ips)
    attack = Attack(lambda number: sign_in(auth, attacker_ip, emails[number], "wrong-horse"))
    session(sign_in(auth, user_ip, emails[0]))
    attack.assert_compared(status=400, at_most=30, seconds=FIVE_MINUTES)


def test_a_mailed_link_signs_in_from_a_new_address_after_many_guesses(
    auth: AuthServer, mailbox: Mailbox, user_ip: str
) -> None:
    email = auth.create_user()["email"]
    for _ in range(20):
        assert_refused(sign_in(auth, next(new_ips), email, "wrong-horse"), 400, "invalid_credentials")
    assert_too_many(sign_in(auth, user_ip, email))
    assert post(auth, user_ip, "/recover", email=email).status_code == 200
    landed = auth.http.get(mailbox.to(email).link, headers={"X-Forwarded-For": user_ip})
    assert "access_token" in fragment(landed.headers["location"])
    session(sign_in(auth, user_ip, email))
    assert_too_many(sign_in(auth, next(new_ips), email))


def test_correct_passwords_do_not_count_as_guesses(auth: AuthServer, user_ip: str) -> None:
    email = auth.create_user()["email"]
    for _ in range(25):
        session(sign_in(auth, user_ip, email))
    session(sign_in(auth, next(new_ips), email))


def test_an_ipv6_network_counts_as_one_address(auth: AuthServer) -> None:
    email = auth.create_user()["email"]
    session(sign_in(auth, "2001:db8:1:2::1", email))
    for number in range(10):
        assert_refused(sign_in(auth, f"2001:db8:1:2:3::{number}", email, "wrong-horse"), 400, "invalid_credentials")
    assert_too_many(sign_in(auth, "2001:db8:1:2:ffff::", email))
    session(sign_in(auth, "2001:db8:1:3::1", email))


def test_only_the_last_forwarded_address_counts(auth: AuthServer) -> None:
    email, attacker_ip = new_email(), next(new_ips)
    for number in range(10):
        assert_refused(
            sign_in(auth, f"6.6.6.{number}, {attacker_ip}", email, "wrong-horse"), 400, "invalid_credentials"
        )
    assert_too_many(sign_in(auth, f"7.7.7.7, {attacker_ip}", email, "wrong-horse"))


def test_guesses_of_the_current_password_are_limited(auth: AuthServer, user_ip: str) -> None:
    email = auth.create_user()["email"]
    headers = {**bearer(session(sign_in(auth, user_ip, email))["access_token"]), "X-Forwarded-For": user_ip}

    def change(current: str) -> httpx.Response:
        return auth.http.put("/user", json={"password": "new-horse-1", "current_password": current}, headers=headers)

    for number in range(10):
        assert_refused(change(f"wrong-horse-{number}"), 400, "invalid_credentials")
    assert_too_many(change(PASSWORD))


# Codes


@pytest.fixture
def sent_code(auth: AuthServer, mailbox: Mailbox, user_ip: str) -> tuple[str, str, str]:
    """An email address to which a code was sent, the code, and a wrong one."""
    email = auth.create_user()["email"]
    session(sign_in(auth, user_ip, email))
    assert post(auth, user_ip, "/otp", email=email, create_user=False).status_code == 200
    code = mailbox.to(email).otp
    return email, code, f"{(int(code) + 1) % 10**6:06}"


@pytest.mark.parametrize(
    ("attackers", "at_most", "seconds"), [(1, 5, FIVE_MINUTES), (ATTEMPTS, 10, HOUR)], ids=["one-address", "addresses"]
)
def test_a_thousand_codes_for_one_account(
    auth: AuthServer, sent_code: tuple[str, str, str], user_ip: str, *, attackers: int, at_most: int, seconds: float
) -> None:
    email, code, wrong = sent_code
    attacker_ips = [next(new_ips) for _ in range(attackers)]
    attack = Attack(
        lambda number: post(auth, attacker_ips[number % attackers], "/verify", type="email", email=email, token=wrong)
    )
    attack.assert_compared(status=403, at_most=at_most, seconds=seconds)
    assert_too_many(post(auth, attacker_ips[0], "/verify", type="email", email=email, token=code))
    session(post(auth, user_ip, "/verify", type="email", email=email, token=code))


def test_a_new_code_allows_no_more_guesses(
    auth: AuthServer, mailbox: Mailbox, sent_code: tuple[str, str, str], user_ip: str
) -> None:
    email, _, wrong = sent_code
    for _ in range(10):
        assert_refused(post(auth, next(new_ips), "/verify", type="email", email=email, token=wrong), 403, "otp_expired")
    assert post(auth, user_ip, "/otp", email=email, create_user=False).status_code == 200
    mail = mailbox.to(email, count=2)
    assert_too_many(post(auth, next(new_ips), "/verify", type="email", email=email, token=mail.otp))
    # The link in the same mail cannot be guessed: it works from everywhere.
    session(post(auth, next(new_ips), "/verify", type="email", token_hash=mail.parameters["token"]))


def test_a_link_cannot_be_computed_from_a_code(auth: AuthServer, sent_code: tuple[str, str, str]) -> None:
    email, code, _ = sent_code
    made_up = hashlib.sha224(f"{email}{code}".encode()).hexdigest()
    assert_refused(post(auth, next(new_ips), "/verify", type="email", token_hash=made_up), 403, "otp_expired")


def test_guesses_of_a_nonce_are_limited(auth: AuthServer, mailbox: Mailbox, user_ip: str) -> None:
    email = auth.create_user()["email"]
    headers = {**bearer(session(sign_in(auth, user_ip, email))["access_token"]), "X-Forwarded-For": user_ip}
    assert auth.http.get("/reauthenticate", headers=headers).status_code == 200
    code = mailbox.to(email).otp

    def change(nonce: str) -> httpx.Response:
        return auth.http.put("/user", json={"password": "new-horse-1", "nonce": nonce}, headers=headers)

    for _ in range(5):
        assert_refused(change(f"{(int(code) + 1) % 10**6:06}"), 422, "reauthentication_not_valid")
    assert_too_many(change(code))


# Too many requests


def request_with_email(path: str, **body: Any) -> Callable[[AuthServer, str], httpx.Response]:
    return lambda auth, ip: post(auth, ip, path, email=new_email(), **body)


REQUESTS: dict[str, tuple[int, Callable[[AuthServer, str], httpx.Response]]] = {
    "sign-up": (30, request_with_email("/signup", password=PASSWORD)),
    "sign-in": (30, lambda auth, ip: sign_in(auth, ip, new_email())),
    "anonymous": (30, lambda auth, ip: post(auth, ip, "/signup")),
    "recover": (30, request_with_email("/recover")),
    "otp": (30, request_with_email("/otp", create_user=False)),
    "magiclink": (30, request_with_email("/magiclink", create_user=False)),
    "resend": (30, request_with_email("/resend", type="signup")),
    "verify": (30, lambda auth, ip: post(auth, ip, "/verify", type="email", token_hash="f" * 56)),
    "link": (
        30,
        lambda auth, ip: auth.http.get(f"/verify?token={'f' * 56}&type=recovery", headers={"X-Forwarded-For": ip}),
    ),
    "refresh": (
        150,
        lambda auth, ip: post(auth, ip, "/token?grant_type=refresh_token", refresh_token="x" * 12),
    ),
    "pkce": (
        150,
        lambda auth, ip: post(auth, ip, "/token?grant_type=pkce", auth_code="x", code_verifier="x" * 43),
    ),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_requests_from_one_address_are_limited(auth: AuthServer, user_ip: str, kind: str) -> None:
    at_most, send = REQUESTS[kind]
    began = time.monotonic()
    answers = [send(auth, user_ip) for _ in range(at_most + 20)]
    served = [answer for answer in answers if answer.status_code != 429]
    assert at_most <= len(served) <= at_most + (time.monotonic() - began) * at_most / FIVE_MINUTES
    assert_too_many(answers[-1])
    assert send(auth, next(new_ips)).status_code == served[0].status_code


def test_recovery_is_limited_separately_from_sign_in(auth: AuthServer, user_ip: str) -> None:
    for _ in range(30):
        sign_in(auth, user_ip, new_email())
    assert_too_many(sign_in(auth, user_ip, new_email()))
    assert post(auth, user_ip, "/recover", email=new_email()).status_code == 200


def test_a_change_of_email_address_counts_as_a_mail(auth: AuthServer, user_ip: str) -> None:
    headers = {**bearer(auth.sign_in_new_user()["access_token"]), "X-Forwarded-For": user_ip}
    for _ in range(30):
        assert post(auth, user_ip, "/recover", email=new_email()).status_code == 200
    assert_too_many(auth.http.put("/user", json={"email": new_email()}, headers=headers))


def from_ip(token: str, ip: str) -> dict[str, str]:
    return {**bearer(token), "X-Forwarded-For": ip}


def test_changes_of_a_user_are_limited(auth: AuthServer) -> None:
    """Also from many addresses, and the refused ones too."""
    token, other = (auth.sign_in_new_user()["access_token"] for _ in range(2))
    answers = [
        auth.http.put("/user", json=body, headers=from_ip(token, next(new_ips)))
        for body in [{"data": {"a": 1}}, {"app_metadata": {}}] * 20
    ]
    assert Counter(answer.status_code for answer in answers) == {200: 15, 403: 15, 429: 10}
    assert_too_many(answers[-1])
    assert auth.http.put("/user", json={"data": {}}, headers=from_ip(other, next(new_ips))).status_code == 200


def test_a_users_own_metadata_is_bounded(auth: AuthServer, user_ip: str) -> None:
    """It goes into each of their tokens, and those into the headers of each request."""
    headers = from_ip(auth.sign_in_new_user()["access_token"], user_ip)
    pieces = [auth.http.put("/user", json={"data": {f"key {n}": "x" * 3000}}, headers=headers) for n in range(6)]
    assert [answer.status_code for answer in pieces] == [200] * 5 + [422]
    assert_refused(pieces[-1], 422, "metadata_too_large")
    assert len(auth.http.get("/user", headers=headers).json()["user_metadata"]) < 16_000
    large = {"x": "x" * 17_000}
    for path, body in [
        ("/signup", {"email": new_email(), "password": PASSWORD}),
        ("/signup", {}),
        ("/otp", {"email": new_email()}),
    ]:
        assert_refused(post(auth, user_ip, path, **body, data=large), 422, "metadata_too_large")


def test_mails_to_the_new_address_of_a_change_are_limited(auth: AuthServer) -> None:
    """Also where each attacker has an account and an address of their own."""
    victim = new_email()
    attackers = [from_ip(auth.sign_in_new_user()["access_token"], next(new_ips)) for _ in range(12)]
    answers = [auth.http.put("/user", json={"email": victim}, headers=headers) for headers in attackers]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
    assert_refused(answers[-1], 429, "over_email_send_rate_limit")


def test_mails_sent_again_to_the_new_address_of_a_change_are_limited(auth: AuthServer, mailbox: Mailbox) -> None:
    victim = new_email()
    for _ in range(2):
        attacker = auth.sign_in_new_user()
        auth.http.put("/user", json={"email": victim}, headers=from_ip(attacker["access_token"], next(new_ips)))
        for _ in range(8):
            post(auth, next(new_ips), "/resend", type="email_change", email=attacker["user"]["email"])
    wait_until(lambda: mailbox.count(victim) >= 10)
    time.sleep(0.5)
    assert mailbox.count(victim) == 10


def test_invitations_of_one_address_are_limited(auth: AuthServer) -> None:
    victim = new_email()
    answers = [auth.http.post("/invite", json={"email": victim}, headers=auth.admin) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert_refused(answers[-1], 429, "over_email_send_rate_limit")


def test_a_mailbox_has_one_limit_in_any_spelling() -> None:
    mails = MailLimit(interval=0, hourly=2)
    for recipient in ("a+1@b.example", "a+2@b.example"):
        with mails.slot("recovery", recipient):
            pass
    for recipient in ("a@b.example", "a+3@b.example"):
        with pytest.raises(AuthError, match="you can only request this"), mails.slot("recovery", recipient):
            pass
    with mails.slot("recovery", "b@b.example"):
        pass


def test_admins_are_not_limited(auth: AuthServer) -> None:
    for _ in range(40):
        auth.create_user()


def test_older_clients_get_the_refusal_in_their_form(auth: AuthServer, user_ip: str) -> None:
    for _ in range(30):
        sign_in(auth, user_ip, new_email())
    with httpx.Client(base_url=auth.url) as older:
        answer = older.post(
            "/token?grant_type=password",
            json={"email": new_email(), "password": PASSWORD},
            headers={"X-Forwarded-For": user_ip},
        )
    assert (answer.status_code, answer.headers["x-sb-error-code"]) == (429, "over_request_rate_limit")
    assert answer.json() == {
        "code": 429,
        "error_code": "over_request_rate_limit",
        "msg": "Request rate limit reached",
    }


# Parts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time of the buckets, in nanoseconds, which only the test advances."""
    now = [10**9]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now[0])
    return now


def test_a_bucket_refills_over_time(clock: list[int]) -> None:
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
def test_tokens_are_taken_from_all_buckets_or_from_none() -> None:
    one, two = Buckets(1, 10), Buckets(2, 10)
    TakenTokens.of((one, "a"), (two, "a"), code="x", message="")
    with pytest.raises(AuthError) as wait:
        TakenTokens.of((one, "a"), (two, "a"), code="over_request_rate_limit", message="{} s")
    assert (wait.value.status, wait.value.retry_after, wait.value.message) == (429, 10, "10 s")
    assert two.wait("a") == 0


def test_the_number_of_buckets_is_bounded(clock: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.buckets.MAX_BUCKETS", 3)
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
def test_the_network_of_a_client(ip: str | None, network: str | None) -> None:
    assert Client(ip=ip, user_agent=None).network == network


def test_the_queue_of_password_hashes_is_bounded() -> None:
    async def run() -> list[Any]:
        hasher = Hasher(4)
        try:
            return await asyncio.gather(
                *(hasher.matches("x", None) for _ in range(MAX_QUEUE + 10)), return_exceptions=True
            )
        finally:
            hasher.close()

    results = asyncio.run(run())
    assert results.count(False) == MAX_QUEUE
    overflow = [error for error in results if isinstance(error, AuthError)]
    assert [(error.status, error.code) for error in overflow] == [(429, "over_request_rate_limit")] * 10
