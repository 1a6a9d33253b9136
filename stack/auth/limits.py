"""Limits on requests, guesses and mails.

They are token buckets in this process: the embedded stack has one auth server, and a restart fills every bucket. A
bucket's key is the email address in the request and the client's network. The limit is checked before the user is
looked up, so that no answer reveals whether the user exists.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from stack.auth.client import Client
from stack.auth.errors import AuthError
from stack.auth.settings import Settings
from stack.buckets import Buckets

MINUTE = 60.0
HOUR = 3600.0
UNKNOWN = "unknown"
"""The network of all requests without an address."""


class TakenTokens:
    """Tokens taken from several buckets, all or none."""

    def __init__(self, needed: list[tuple[Buckets, str]]) -> None:
        self._needed = needed

    @classmethod
    def of(cls, *needed: tuple[Buckets, str], code: str, message: str) -> Self:
        """Take a token from each bucket.

        Args:
            needed: the buckets and their keys.
            code: of the refusal.
            message: of the refusal; `{}` stands for the seconds to wait.

        Raises:
            AuthError: one bucket is empty; nothing is taken from the others.
        """
        seconds = math.ceil(max(buckets.wait(key) for buckets, key in needed))
        if seconds > 0:
            raise AuthError(429, code, message.format(seconds), retry_after=seconds)
        for buckets, key in needed:
            buckets.take(key)
        return cls(list(needed))

    def give_back(self) -> None:
        """Put the tokens back."""
        for buckets, key in self._needed:
            buckets.give_back(key)


class RequestLimit:
    """A limit on requests of one kind from one network."""

    def __init__(self, tokens: int, seconds: float) -> None:
        self._buckets = Buckets(tokens, seconds)

    def take(self, client: Client) -> None:
        """Count one request. Raises AuthError `over_request_rate_limit`."""
        take_request((self._buckets, client.network or UNKNOWN))


class GuessLimit:
    """A limit on wrong guesses at a secret of an account.

    Each network has its own count for each account. All networks from which the account has no sign-in share a
    second count. So more addresses give an attacker no more guesses, and the owner can still sign in from a known
    network.
    """

    def __init__(self, *, from_network: int, from_unknown_networks: int) -> None:
        """Allow so many from one network in five minutes, and so many from all unknown networks in an hour."""
        self._from_network = Buckets(from_network, 5 * MINUTE)
        self._from_unknown_networks = Buckets(from_unknown_networks, HOUR)

    def take(self, account: str, client: Client, *, is_known_network: bool) -> TakenTokens:
        """Count one guess, before it is checked. A correct one is given back.

        Args:
            account: the address in the request, whether or not there is such an account.
            client: who guesses.
            is_known_network: whether the account has a sign-in from this network.

        Raises:
            AuthError: `over_request_rate_limit`.
        """
        needed = [(self._from_network, f"{account} {client.network or UNKNOWN}")]
        if not is_known_network:
            needed.append((self._from_unknown_networks, account))
        return take_request(*needed)


class MailLimit:
    """A limit on mails of one kind to one address.

    Each mail invalidates the link in the one before. Without an hourly limit, repeated requests in another user's name
    would keep that user from ever following a link.
    """

    def __init__(self, *, interval: float, hourly: int) -> None:
        """Allow one in `interval` seconds, and `hourly` in an hour."""
        self._spaced = Buckets(1, interval)
        self._hourly = Buckets(hourly, HOUR)

    @contextmanager
    def slot(self, kind: str, *recipients: str) -> Iterator[None]:
        """Reserve one mail to each recipient for the duration of the block; a failure gives them back.

        Raises:
            AuthError: `over_email_send_rate_limit`.
        """
        taken = TakenTokens.of(
            *((self._spaced, f"{kind} {recipient}") for recipient in recipients),
            *((self._hourly, f"{kind} {mailbox}") for mailbox in {mailbox_of(recipient) for recipient in recipients}),
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
        """Set the limits of the settings."""
        self.sign_ins = RequestLimit(settings.sign_in_sign_ups, 5 * MINUTE)
        """Sign-ins by password, sign-ups, and everything else that hashes a password."""
        self.mail_requests = RequestLimit(settings.sign_in_sign_ups, 5 * MINUTE)
        """Requests that send a mail: apart from sign-ins, so that a user who may not sign in can get a link."""
        self.verifications = RequestLimit(settings.token_verifications, 5 * MINUTE)
        self.refreshes = RequestLimit(settings.token_refresh, 5 * MINUTE)
        self.anonymous = RequestLimit(settings.anonymous_users, HOUR)
        self.passwords = GuessLimit(
            from_network=settings.wrong_passwords, from_unknown_networks=settings.wrong_passwords_from_unknown_networks
        )
        self.codes = GuessLimit(
            from_network=settings.wrong_codes, from_unknown_networks=settings.wrong_codes_from_unknown_networks
        )
        self.factors = RequestLimit(settings.mfa_requests, MINUTE)
        """Enrolments, challenges and verifications of second factors."""
        self.factor_codes = GuessLimit(
            from_network=settings.wrong_codes, from_unknown_networks=settings.wrong_codes_from_unknown_networks
        )
        self.updates = Buckets(settings.user_updates, 5 * MINUTE)
        """Changes of a user by themselves, by the user's id."""
        self.mails = MailLimit(interval=settings.max_frequency, hourly=settings.mails_an_hour)


def mailbox_of(recipient: str) -> str:
    """The address without what follows a plus sign, which most servers deliver to the same mailbox."""
    local, at, domain = recipient.rpartition("@")
    return f"{local.partition('+')[0]}{at}{domain}"


def take_request(*needed: tuple[Buckets, str]) -> TakenTokens:
    """Count one request in several buckets. Raises AuthError `over_request_rate_limit`."""
    return TakenTokens.of(*needed, code="over_request_rate_limit", message="Request rate limit reached")
