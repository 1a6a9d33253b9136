"""A mail server that keeps the mails of a test, or refuses them."""

import asyncio
import email
import email.policy
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session

from stack.ports import LOOPBACK


class MailServer:
    """The mails that it accepted, and what it answers."""

    def __init__(self) -> None:
        self.port = 0
        self.close: Callable[[], object] = lambda: None
        self.mails: list[EmailMessage] = []
        self.refusals: list[str] = []
        """The answers to the next recipients, one each, instead of accepting them."""
        self.recipients = 0
        """How often a recipient was named."""
        self.delay = 0.0
        """Seconds until it accepts a mail."""
        self.refuses_content = ""
        """The answer to every content."""

    async def handle_RCPT(  # noqa: N802  the name that the library calls
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Accept a recipient, or refuse."""
        self.recipients += 1
        if self.refusals:
            return self.refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Accept a mail, or refuse."""
        assert isinstance(envelope.content, bytes)
        await asyncio.sleep(self.delay)
        if self.refuses_content:
            return self.refuses_content
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@contextmanager
def running_mail_server() -> Iterator[MailServer]:
    """A mail server that listens."""
    mail_server = MailServer()
    listening = threading.Event()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        session = functools.partial(SMTP, mail_server, hostname="localhost", enable_SMTPUTF8=True, loop=loop)
        server = await loop.create_server(session, LOOPBACK, 0)
        mail_server.port = server.sockets[0].getsockname()[1]
        stop = asyncio.Event()
        mail_server.close = functools.partial(loop.call_soon_threadsafe, stop.set)
        listening.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    listening.wait()
    try:
        yield mail_server
    finally:
        mail_server.close()
        thread.join()
