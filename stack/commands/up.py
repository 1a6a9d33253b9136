"""`up`: start a stack."""

import argparse
import time

from stack import background
from stack.commands.addresses import addresses, table
from stack.commands.waiting import wait_for_start
from stack.errors import StackError
from stack.project import Project
from stack.state import Folder
from stack.supervisor import supervise
from stack.terminal import report, say


def run_up(project: Project, args: argparse.Namespace) -> int:
    """Start the stack, here until Ctrl-C or in the background; print its addresses where it runs already."""
    folder = Folder(args.data)
    if args.report is not None:
        return background.run(project, folder, args.port, args.report)
    folder.check()
    running = wait_for_start(folder)
    if running is not None:
        state = folder.state()
        if args.port not in (None, state.port):
            raise StackError(
                f"this stack already runs, on port {state.port}: ./guildhall down first, or run another with --data"
            )
        say("This stack already runs.\n")
        say(table(project, folder))
        return 0
    started = args.started_at  # so that the time includes an installation
    if args.detach:
        background.start(args.data, args.port, report)
        say(_summary(project, folder, seconds=time.monotonic() - started, stop="./guildhall down stops it."))
        return 0
    supervise(
        project,
        folder,
        port=args.port,
        report=report,
        on_ready=lambda: say(_summary(project, folder, seconds=time.monotonic() - started, stop="Ctrl-C stops it.")),
    )
    say("\nStopped.")
    return 0


def _summary(project: Project, folder: Folder, *, seconds: float, stop: str) -> str:
    found = addresses(project, folder)
    titles = {
        "API_URL": "API",
        "PUBLISHABLE_KEY": "Publishable key",
        "SECRET_KEY": "Secret key",
        "DB_URL": "Database",
        "MAIL_URL": "Mailbox",
        **{part.address_name: part.title[0].upper() + part.title[1:] for part in project.extra_parts()},
    }
    lines = "\n".join(f"  {title:<16} {found[name]}" for name, title in titles.items() if name in found)
    accounts = "\n".join(f"  {email:<24} {what}" for email, what in project.accounts.items())
    if accounts:
        accounts = f"Demo accounts, all with the password {project.accounts_password}\n\n{accounts}\n\n"
    return (
        f"\n{project.config.project_id.capitalize()} is up, in {seconds:.1f} s.\n\n{lines}\n\n{accounts}"
        f"{stop} Older keys and the rest: ./guildhall status"
    )
