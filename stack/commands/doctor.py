"""`doctor`: look for what is wrong."""

import argparse

from stack import doctor
from stack.project import Project
from stack.state import Folder
from stack.terminal import say


def run_doctor(project: Project, args: argparse.Namespace) -> int:
    """Print one line for each thing that can be wrong; 1 where one is."""
    findings = doctor.examine(project, Folder(args.data))
    for finding in findings:
        say(finding.line())
    return 0 if all(finding.is_ok for finding in findings) else 1
