"""`python -m stack.mailbox`: settings from MAILBOX_*, until SIGTERM."""

import asyncio
import os
import signal
import sys

import structlog
import uvloop
from aiohttp import web

from stack.errors import StackError
from stack.logs import configure_logs
from stack.mailbox.app import create_app
from stack.mailbox.settings import Settings
from stack.mailbox.smtp import listen
from stack.mailbox.store import Store
from stack.ports import LOOPBACK

SHUTDOWN_SECONDS = 2.0


async def serve(settings: Settings) -> None:
    """Take mail and show it until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
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


def main() -> None:
    """Run the mailbox."""
    # aiosmtpd logs every command with its addresses.
    configure_logs(silent=("mail.log",))
    try:
        uvloop.run(serve(Settings.from_mapping(os.environ)))
    except StackError as error:
        sys.exit(f"mailbox: {error}")
    except OSError as error:
        sys.exit(f"mailbox: {error.strerror or error}")


if __name__ == "__main__":
    main()
