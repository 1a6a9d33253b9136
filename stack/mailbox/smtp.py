"""The SMTP side: it accepts and keeps everything that a local program sends."""

import asyncio
from asyncio import AbstractServer

import structlog
from aiosmtpd import smtp

from stack.mailbox.messages import Envelope
from stack.mailbox.store import Store
from stack.ports import LOOPBACK

log = structlog.get_logger("mailbox")


class Listener(smtp.SMTP):
    """aiosmtpd's server, for programs that do not wrap their lines."""

    line_length_limit = 64 * 1024


class Receiver:
    """Keeps arriving mail."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle_DATA(self, _server: smtp.SMTP, _session: smtp.Session, received: smtp.Envelope) -> str:  # noqa: N802
        """Keep the mail; the answer 250 means that it is on disk."""
        content = received.original_content or b""
        envelope = Envelope(sender=received.mail_from or "", recipients=tuple(received.rcpt_tos))
        try:
            name = self._store.save(envelope, content)
        except OSError as error:
            log.error("not_kept", error=error.strerror)  # noqa: TRY400 -- one line, without the path
            return "452 4.3.1 mailbox_unwritable"
        log.info("received", id=name, bytes=len(content))
        return f"250 2.0.0 kept {name}"


async def listen(store: Store, port: int) -> AbstractServer:
    """Accept mail on a loopback port."""
    loop = asyncio.get_running_loop()
    receiver = Receiver(store)

    def session() -> Listener:
        # A fixed host name: aiosmtpd would ask DNS for this machine's.
        return Listener(receiver, hostname="localhost", enable_SMTPUTF8=True, loop=loop)

    return await loop.create_server(session, LOOPBACK, port)
