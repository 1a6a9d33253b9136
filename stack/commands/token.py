"""`token`: print an access token of a user."""

import argparse

import httpx

from stack.commands.waiting import running
from stack.errors import StackError
from stack.parts import base_url
from stack.project import Project
from stack.state import Folder
from stack.terminal import say


def run_token(project: Project, args: argparse.Namespace) -> int:
    """Print an access token of a new session, begun as by a link in a mail."""
    folder = Folder(args.data)
    running(folder)
    state, keys = folder.state(), folder.keys()
    headers = {"authorization": f"Bearer {keys.service_role}", "X-Supabase-Api-Version": "2024-01-01"}
    with httpx.Client(base_url=base_url(state.ports.auth), headers=headers, timeout=20) as auth:
        try:
            # A recovery link: a magic link would make the user where there is none.
            answer = auth.post("/admin/generate_link", json={"type": "recovery", "email": args.email})
            if answer.status_code == httpx.codes.NOT_FOUND:
                known = f": the demo accounts are {', '.join(project.accounts)}" if project.accounts else ""
                raise StackError(f"there is no user {args.email}{known}")
            if answer.is_success:
                answer = auth.post("/verify", json={"type": "recovery", "token_hash": answer.json()["hashed_token"]})
        except httpx.HTTPError as error:
            raise StackError(f"auth does not answer: see {folder.log('auth')}") from error
    if not answer.is_success:
        raise StackError(f"auth refused: {answer.json().get('message', answer.status_code)}")
    say(answer.json()["access_token"])
    return 0
