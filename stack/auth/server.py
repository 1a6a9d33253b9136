"""What every route works with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
import structlog
from litestar import Request

from stack.auth import familiar, hook, pkce, sessions
from stack.auth.background import Background
from stack.auth.caller import Caller, require_admin, require_user
from stack.auth.client import Client
from stack.auth.database import Connection, open_pool
from stack.auth.errors import AuthError
from stack.auth.limits import Guesses, Limits, Taken
from stack.auth.mail import Letter, Mailer, verify_link
from stack.auth.onetime import OneTime
from stack.auth.passwords import Hasher
from stack.auth.redirects import Redirects
from stack.auth.requests import Contact, redirect_of
from stack.auth.sessions import Sessions
from stack.auth.settings import Settings
from stack.auth.signing import Signer
from stack.auth.users import User
from stack.keys import KeyFile

log = structlog.get_logger("auth")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request for a mail brings besides the address."""

    client: Client
    challenge: pkce.Challenge | None
    place: str
    """Where the link leads in the end."""


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
        self.onetime = OneTime(self.signer)
        self.limits = Limits(settings)
        self.background = Background()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the parts running."""
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
        """A connection in a transaction that commits at the end, or rolls back when the work inside raises."""
        async with self.pool.connection() as connection, connection.transaction():
            yield connection

    def admin(self, request: Request[Any, Any, Any]) -> None:
        """Let only the holder of the service key pass. Raises AuthError."""
        require_admin(request, self.signer)

    async def caller(self, request: Request[Any, Any, Any], connection: Connection, *, lock: bool = False) -> Caller:
        """The signed-in user. Raises AuthError where there is none."""
        return await require_user(request, self.signer, connection, issuer=self.settings.external_url, lock=lock)

    async def password_tried(self, user: User | None, *, valid: bool, client: Client) -> None:
        """Tell the project of a password that somebody tried.

        Of a wrong one it hears after the answer, whose time and words so do not tell whether there is such a user.

        Raises:
            AuthError: the project rejects a right one.
        """
        telling = self._tell_of_password(user, valid=valid, client=client)
        if valid:
            await telling
        else:
            self.background.start("password_verification_attempt", telling)

    async def _tell_of_password(self, user: User | None, *, valid: bool, client: Client) -> None:
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
            why = error.diag.message_primary if isinstance(error, psycopg.Error) else str(error)
            log.error("hook_failed", hook=".".join(function), why=why)  # noqa: TRY400 (the stack says nothing here)
            return
        if verdict.decision == "reject":
            raise AuthError(400, "invalid_credentials", verdict.message)

    async def guess_password(self, account: str, client: Client) -> Taken:
        """Count a guess at the password of an account. Raises AuthError `over_request_rate_limit`."""
        return await self._guess(self.limits.passwords, account, client)

    async def guess_code(self, account: str, client: Client) -> Taken:
        """Count a guess at a code that was mailed to an account. Raises AuthError `over_request_rate_limit`."""
        return await self._guess(self.limits.codes, account, client)

    async def _guess(self, guesses: Guesses, account: str, client: Client) -> Taken:
        async with self.pool.connection() as connection:
            is_familiar = await familiar.is_known(connection, account, client)
        return guesses.take(account, client, is_familiar=is_familiar)

    def asked(self, request: Request[Any, Any, Any], body: Contact) -> Asked:
        """What a request for a mail brings. Raises AuthError for a malformed PKCE challenge."""
        return Asked(
            client=Client.of(request),
            challenge=pkce.read_challenge(body.code_challenge, body.code_challenge_method),
            place=self.redirects.choose(redirect_of(request, body)),
        )

    def link(self, *, token: str, purpose: str, redirect_to: str) -> str:
        """The address in a mail that uses up a token."""
        return verify_link(self.settings.external_url, token=token, purpose=purpose, redirect_to=redirect_to)

    async def mail(self, address: str, letter: Letter) -> None:
        """Send a mail. Raises AuthError."""
        await self.mailer.send(address, letter)
