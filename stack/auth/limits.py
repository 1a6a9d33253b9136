"""How often anybody may ask, guess, or have a mail sent.

Buckets of tokens, in this process only: the embedded stack has one auth server, and a restart fills every bucket. They
are kept by what the request says, an address and where it comes from, and asked before anybody looks whether there is
such a user, so that no answer tells.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from stack.auth.client import Client
from stack.auth.errors import AuthError
from stack.auth.settings import Settings

MINUTE = 60.0
HOUR = 3600.0
UNKNOWN = "unknown"
"""The one place from which all requests without an address come."""
LARGEST = 100_000
"""Buckets of one kind remembered at once; those used longest ago are forgotten first."""


class Buckets:
    """One bucket of tokens for each key; a full one takes no room."""

    def __init__(self, tokens: int, seconds: float) -> None:
        """Allow `tokens` at once, and as many again in each `seconds` after; 0 seconds allow everything."""
        # Whole nanoseconds: with fractions, the last token of a full bucket would sometimes be missing.
        self._token = int(seconds * 1e9) // tokens
        self._span = self._token * tokens
        self._full_at: dict[str, int] = {}

    def wait(self, key: str) -> float:
        """Seconds until there is a token; 0 where there is one."""
        now = time.monotonic_ns()
        return max(0, max(self._full_at.get(key, now), now) + self._token - self._span - now) / 1e9

    def take(self, key: str) -> None:
        """Take a token, which `wait` said is there."""
        now = time.monotonic_ns()
        full_at = max(self._full_at.pop(key, now), now) + self._token
        self._forget(now)
        self._full_at[key] = full_at

    def give_back(self, key: str) -> None:
        """Put back a token that was taken."""
        if key in self._full_at:
            self._full_at[key] -= self._token

    def _forget(self, now: int) -> None:
        # A dict keeps the order of insertion, so the first is the one used longest ago.
        while self._full_at:
            oldest = next(iter(self._full_at))
            if self._full_at[oldest] > now and len(self._full_at) < LARGEST:
                return
            del self._full_at[oldest]


class Taken:
    """Tokens taken from several buckets, all or none."""

    def __init__(self, wanted: list[tuple[Buckets, str]]) -> None:
        self._wanted = wanted

    @classmethod
    def of(cls, *wanted: tuple[Buckets, str], code: str, message: str) -> Self:
        """Take a token from each bucket.

        Args:
            wanted: the buckets and their keys.
            code: of the refusal.
            message: of the refusal; `{}` stands for the seconds to wait.

        Raises:
            AuthError: one has none; nothing is taken from the others.
        """
        seconds = math.ceil(max(buckets.wait(key) for buckets, key in wanted))
        if seconds > 0:
            raise AuthError(429, code, message.format(seconds), retry_after=seconds)
        for buckets, key in wanted:
            buckets.take(key)
        return cls(list(wanted))

    def give_back(self) -> None:
        """Put the tokens back."""
        for buckets, key in self._wanted:
            buckets.give_back(key)


class Requests:
    """Requests of one kind from one address."""

    def __init__(self, tokens: int, seconds: float) -> None:
        self._buckets = Buckets(tokens, seconds)

    def take(self, client: Client) -> None:
        """Count one request. Raises AuthError `over_request_rate_limit`."""
        _take_request((self._buckets, client.network or UNKNOWN))


class Guesses:
    """Wrong guesses at a secret of an account.

    Each address has its own count for each account. Addresses from which nobody ever signed in to an account share a
    second one: however many an attacker has, he gets no further, and the owner is not kept out where he is at home.
    """

    def __init__(self, *, here: int, of_strangers: int) -> None:
        """Allow `here` from one address in five minutes, and `of_strangers` in an hour."""
        self._here = Buckets(here, 5 * MINUTE)
        self._of_strangers = Buckets(of_strangers, HOUR)

    def take(self, account: str, client: Client, *, is_familiar: bool) -> Taken:
        """Count one guess, before it is looked at; whoever was right gets it back.

        Args:
            account: the address that the caller names, whether or not there is such an account.
            client: who guesses.
            is_familiar: whether somebody signed in to the account from there before.

        Raises:
            AuthError: `over_request_rate_limit`.
        """
        wanted = [(self._here, f"{account} {client.network or UNKNOWN}")]
        if not is_familiar:
            wanted.append((self._of_strangers, account))
        return _take_request(*wanted)


class Mails:
    """Mails of one kind to one address.

    Each makes the link in the one before void. Without a limit by the hour, whoever asks for them again and again in
    another's name would keep him from ever following one.
    """

    def __init__(self, *, interval: float, hourly: int) -> None:
        """Allow one in `interval` seconds, and `hourly` in an hour."""
        self._spaced = Buckets(1, interval)
        self._hourly = Buckets(hourly, HOUR)

    @contextmanager
    def slot(self, kind: str, address: str) -> Iterator[None]:
        """Take the place of one mail; it is given back where the work inside fails.

        Raises:
            AuthError: `over_email_send_rate_limit`.
        """
        key = f"{kind} {address}"
        taken = Taken.of(
            (self._spaced, key),
            (self._hourly, key),
            code="over_email_send_rate_limit",
            message="For security purposes, you can only request this after {} seconds.",
        )
        try:
            yield
        except BaseException:
            taken.give_back()
            raise


class Limits:
    """Every limit of one auth server."""

    def __init__(self, settings: Settings) -> None:
        """Allow what the settings say."""
        self.sign_ins = Requests(settings.sign_in_sign_ups, 5 * MINUTE)
        """Sign-ins by password, sign-ups, and whatever else has a password hashed."""
        self.mails_asked = Requests(settings.sign_in_sign_ups, 5 * MINUTE)
        """Requests that have a mail sent: apart from sign-ins, so that whoever may not sign in gets his link."""
        self.verifications = Requests(settings.token_verifications, 5 * MINUTE)
        self.refreshes = Requests(settings.token_refresh, 5 * MINUTE)
        self.anonymous = Requests(settings.anonymous_users, HOUR)
        self.passwords = Guesses(here=settings.wrong_passwords, of_strangers=settings.wrong_passwords_of_strangers)
        self.codes = Guesses(here=settings.wrong_codes, of_strangers=settings.wrong_codes_of_strangers)
        self.mails = Mails(interval=settings.max_frequency, hourly=settings.mails_an_hour)


def _take_request(*wanted: tuple[Buckets, str]) -> Taken:
    return Taken.of(*wanted, code="over_request_rate_limit", message="Request rate limit reached")
