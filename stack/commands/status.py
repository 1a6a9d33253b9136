"""`status`: print the addresses and keys of a stack."""

import argparse
import json
import shlex

from stack.commands.addresses import addresses, table
from stack.errors import StackError
from stack.project import Project
from stack.state import Folder
from stack.terminal import say


def run_status(project: Project, args: argparse.Namespace) -> int:
    """Print addresses and keys for people, shells or programs; 1 where nothing runs."""
    folder = Folder(args.data)
    run = folder.running()
    if run is None or not run.ready:
        if args.json:
            say(json.dumps({"running": False}))
        elif args.env:
            raise StackError(f"nothing runs in {folder.path}: ./guildhall up starts it")
        else:
            say(f"Nothing runs in {folder.path}: ./guildhall up starts it." if run is None else "It is starting.")
        return 1
    found = addresses(project, folder)
    if args.json:
        say(json.dumps({"running": True, **found}, indent=2))
    elif args.env:
        say("\n".join(f"export {name}={shlex.quote(value)}" for name, value in found.items()))
    else:
        say(table(project, folder))
    return 0
