"""The parts of the auth server that its routes share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
import structlog
from litestar import Request

from stack.auth import hook, known_networks, pkce, sessions
from stack.auth.background import Background
from stack.auth.caller import Caller, require_admin, require_user
from stack.auth.client import Client
from stack.auth.database import Connection, open_pool
from stack.auth.errors import AuthError
from stack.auth.limits import GuessLimit, Limits, TakenTokens
from stack.auth.mail import Mailer, OutgoingMail, verify_link
from stack.auth.one_time_tokens import OneTimeTokens
from stack.auth.passwords import Hasher
from stack.auth.redirects import Redirects
from stack.auth.requests import Contact, redirect_of
from stack.auth.sessions import Sessions
from stack.auth.settings import Settings
from stack.auth.signing import Signer
from stack.auth.users import User
from stack.keys import KeyFile

log = structlog.get_logger("auth")


class MailRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a request for a mail, besides the address."""

    client: Client
    challenge: pkce.Challenge | None
    redirect_to: str
    """Where the link redirects in the end."""


class Auth:
    """The parts of one auth server."""

    def __init__(self, settings: Settings) -> None:
        """Make the parts; nothing is connected yet."""
        self.settings = settings
        self.signer = Signer(KeyFile(settings.keys_file))
        self.pool = open_pool(settings.db_url)
        self.hasher = Hasher(settings.bcrypt_cost)
        self.mailer = Mailer(host=settings.smtp_host, port=settings.smtp_port, sender=settings.mail_from)
        self.redirects = Redirects(site_url=settings.site_url, globs=settings.redirect_urls)
        self.sessions = Sessions(settings=settings, signer=self.signer)
        self.one_time_tokens = OneTimeTokens(self.signer)
        self.limits = Limits(settings)
        self.background = Background()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the parts running for the duration of the block."""
        await self.pool.open(wait=False)
        try:
            yield
        finally:
            await self.background.close()
            await self.pool.close()
            self.hasher.close()
            self.mailer.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction that commits at the end of the block, or rolls back where it raises."""
        async with self.pool.connection() as connection, connection.transaction():
            yield connection

    def admin(self, request: Request[Any, Any, Any]) -> None:
        """Admit only the holder of the service key. Raises AuthError."""
        require_admin(request, self.signer)

    async def caller(self, request: Request[Any, Any, Any], connection: Connection, *, lock: bool = False) -> Caller:
        """The signed-in user. Raises AuthError where there is none."""
        return await require_user(request, self.signer, connection, issuer=self.settings.external_url, lock=lock)

    async def report_password_attempt(self, user: User | None, *, valid: bool, client: Client) -> None:
        """Report an attempt to sign in with a password to the project's hook.

        The hook gets a wrong password after the answer, so that neither the answer nor its time reveals whether the
        user exists.

        Raises:
            AuthError: the project rejects a correct one.
        """
        call = self._call_password_hook(user, valid=valid, client=client)
        if valid:
            await call
        else:
            self.background.start("password_verification_attempt", call)

    async def _call_password_hook(self, user: User | None, *, valid: bool, client: Client) -> None:
        function = self.settings.hook_password_attempt
        if function is None or user is None:
            return
        try:
            async with self.transaction() as connection:
                verdict = await hook.password_verification_attempt(
                    connection, function, user_id=user.id, valid=valid, client=client
                )
                if verdict.decision == "reject" and verdict.should_logout_user:
                    await sessions.end_by_scope(connection, user_id=user.id, session_id=None, scope="global")
        except (psycopg.Error, msgspec.ValidationError) as error:
            reason = error.diag.message_primary if isinstance(error, psycopg.Error) else str(error)
            log.error("hook_failed", hook=".".join(function), reason=reason)  # noqa: TRY400 (a traceback adds nothing)
            return
        if verdict.decision == "reject":
            raise AuthError(400, "invalid_credentials", verdict.message)

    async def guess_password(self, account: str, client: Client) -> TakenTokens:
        """Count a guess at the password of an account. Raises AuthError `over_request_rate_limit`."""
        return await self._guess(self.limits.passwords, account, client)

    async def guess_code(self, account: str, client: Client) -> TakenTokens:
        """Count a guess at a code that was mailed to an account. Raises AuthError `over_request_rate_limit`."""
        return await self._guess(self.limits.codes, account, client)

    async def guess_factor(self, connection: Connection, user: User, client: Client) -> TakenTokens:
        """Count a guess at a code of a second factor. Raises AuthError `over_request_rate_limit`.

        Here only a network from which a session has used a second factor is known: who has the password can sign in
        from any.
        """
        is_known_network = await sessions.has_second_factor_from(connection, user.id, client)
        return self.limits.factor_codes.take(str(user.id), client, is_known_network=is_known_network)

    async def _guess(self, guesses: GuessLimit, account: str, client: Client) -> TakenTokens:
        async with self.pool.connection() as connection:
            is_known_network = await known_networks.is_known(connection, account, client)
        return guesses.take(account, client, is_known_network=is_known_network)

    def mail_request(self, request: Request[Any, Any, Any], body: Contact) -> MailRequest:
        """The fields of a request for a mail. Raises AuthError for a malformed PKCE challenge."""
        return MailRequest(
            client=Client.of(request),
            challenge=pkce.read_challenge(body.code_challenge, body.code_challenge_method),
            redirect_to=self.redirects.choose(redirect_of(request, body)),
        )

    def link(self, *, token: str, purpose: str, redirect_to: str) -> str:
        """The address in a mail that redeems a token."""
        return verify_link(self.settings.external_url, token=token, purpose=purpose, redirect_to=redirect_to)

    async def mail(self, address: str, outgoing: OutgoingMail) -> None:
        """Send a mail. Raises AuthError."""
        await self.mailer.send(address, outgoing)
