"""`python -m stack.mailbox`: settings from MAILBOX_*, until SIGTERM."""

import asyncio

import structlog
from aiohttp import web

from stack.mailbox.app import create_app
from stack.mailbox.settings import Settings
from stack.mailbox.smtp import listen
from stack.mailbox.store import Store
from stack.ports import LOOPBACK
from stack.server import serve_until_stopped

SHUTDOWN_SECONDS = 2.0


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Accept mail and show it until the event is set."""
    store = Store(settings.folder)
    runner = web.AppRunner(create_app(store), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        smtp = await listen(store, settings.smtp_port)
        await web.TCPSite(runner, LOOPBACK, settings.web_port).start()
        log = structlog.get_logger("mailbox")
        log.info("listening", port=settings.web_port, smtp_port=settings.smtp_port, kept=len(store))
        await stop.wait()
        smtp.close()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    # aiosmtpd logs every command with its addresses.
    serve_until_stopped("mailbox", Settings.from_mapping, serve, silent=("mail.log",))
