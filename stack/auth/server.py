"""What every route works with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from litestar import Request

from stack.auth import pkce
from stack.auth.background import Background
from stack.auth.caller import Caller, require_admin, require_user
from stack.auth.client import Client
from stack.auth.database import Connection, open_pool
from stack.auth.mail import Letter, Mailer, verify_link
from stack.auth.passwords import Hasher
from stack.auth.redirects import Redirects
from stack.auth.requests import Contact, redirect_of
from stack.auth.sessions import Sessions
from stack.auth.settings import Settings
from stack.auth.signing import Signer
from stack.auth.throttle import Throttle
from stack.keys import KeyFile


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
        self.throttle = Throttle(settings.max_frequency)
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
