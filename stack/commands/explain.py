"""`explain`: show what permits a request, and what hides rows."""

import argparse

import msgspec

from stack.explain import as_text, explain
from stack.project import Project
from stack.state import Folder
from stack.terminal import say


def run_explain(project: Project, args: argparse.Namespace) -> int:
    """Print the explanation, for people or for programs."""
    report = explain(project, Folder(args.data), caller=args.caller, method=args.method, path=args.path, body=args.body)
    say(msgspec.json.format(msgspec.json.encode(report)).decode() if args.json else as_text(report))
    return 0
