"""What each word of `./guildhall` does."""

import argparse
import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import httpx
import msgspec
import psycopg

import stack.routes
from stack import database, demo, doctor, explain, policies, processes
from stack.errors import StackError
from stack.keys import Keys
from stack.parts import STRIPE, base_url, jwks_url
from stack.project import ROOT
from stack.state import Folder, Run, State
from stack.supervisor import HEALTHY_WITHIN, Told, end_leftovers, silent_parts, supervise

DEMO_ACCOUNTS = {
    "student@example.com": "takes a course",
    "teacher@example.com": "wrote it",
    "moderator@example.com": "keeps the peace",
    "admin@example.com": "runs the guild",
}
DEMO_PASSWORD = "guildhall-demo"  # noqa: S105 - the seed's, on loopback, printed for everybody
STARTED_WITHIN = 420
"""Seconds that another command's start may take, at worst."""
STOPPED_WITHIN = 90
ALL_TESTS = ("--numprocesses=2", "--dist=loadfile")
"""Two workers, for two cores; each file's tests stay together, for they share what they set up."""
CHECKS: dict[str, list[list[str]]] = {
    "style": [["ruff", "check", ".", "guildhall"], ["ruff", "format", "--check", ".", "guildhall"]],
    "types": [["mypy"]],
    "SQL": [["sqlfluff", "lint", "--processes", "2", "supabase", "policies", "stack/bootstrap"]],
}
"""The steps of `check` that are Python programs of their own: name, and command lines."""


def run(args: argparse.Namespace) -> int:
    """Do what a parsed command line asks; returns the exit status.

    Raises:
        StackError: it could not be done.
    """
    words: dict[str, Callable[[argparse.Namespace], int]] = {
        "up": up,
        "status": status,
        "down": down,
        "token": token,
        "explain": explain_request,
        "reset": reset,
        "doctor": examine,
        "rotate-keys": rotate_keys,
        "demo": play_demo,
        "policies": seal,
        "routes": routes,
        "test": test,
        "check": check,
        "bench": bench,
    }
    return words[args.word](args)


# The stack


def up(args: argparse.Namespace) -> int:
    """Start the stack, here until Ctrl-C or in the background; say so where it runs already."""
    folder = Folder(args.data)
    folder.check()
    running = _wait_for_start(folder)
    if running is not None:
        state = folder.state()
        if args.port not in (None, state.port):
            raise StackError(
                f"this stack already runs, on port {state.port}: ./guildhall down first, or run another with --data"
            )
        say("This stack already runs.\n")
        say(_table(folder))
        return 0
    started = time.monotonic()
    if args.detach:
        _start_detached(args)
        say(_summary(folder, seconds=time.monotonic() - started, stop="./guildhall down stops it."))
        return 0
    supervise(
        folder,
        port=args.port,
        tell=_progress,
        on_ready=lambda: say(_summary(folder, seconds=time.monotonic() - started, stop="Ctrl-C stops it.")),
    )
    say("\nStopped.")
    return 0


def _start_detached(args: argparse.Namespace) -> None:
    """Start the supervisor in a session of its own, and follow it until the stack is ready.

    Raises:
        StackError: as the supervisor reports it.
    """
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "stack.supervisor", "--data", str(args.data), "--report", str(writing)]
    if args.port is not None:
        command += ["--port", str(args.port)]
    background = subprocess.Popen(  # it goes on when we end
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=[writing],
    )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as reports:
            for line in reports:
                told = msgspec.json.decode(line, type=Told)
                if told.kind == "ready":
                    return
                if told.kind == "error":
                    raise StackError(told.text)
                _progress(told.text)
    except KeyboardInterrupt:
        background.terminate()
        background.wait()
        raise
    last_words = background.stderr.read().decode(errors="replace").strip().splitlines() if background.stderr else []
    raise StackError(f"the supervisor ended: {last_words[-1] if last_words else 'it was told to stop, or killed'}")


def _wait_for_start(folder: Folder) -> Run | None:
    """The run of a stack that is up, waiting while somebody else starts it; None where none runs."""
    until = time.monotonic() + STARTED_WITHIN
    running = folder.running()
    if running is not None and not running.ready:
        say("Another command is starting this stack ...")
    while running is not None and not running.ready and time.monotonic() < until:
        time.sleep(0.1)
        running = folder.running()
    return running


def status(args: argparse.Namespace) -> int:
    """Print addresses and keys of a running stack."""
    folder = Folder(args.data)
    running = folder.running()
    if running is None or not running.ready:
        if args.json:
            say(json.dumps({"running": False}))
        elif args.env:
            raise StackError(f"nothing runs in {folder.path}: ./guildhall up starts it")
        else:
            say(f"Nothing runs in {folder.path}: ./guildhall up starts it." if running is None else "It is starting.")
        return 1
    if args.json:
        say(json.dumps({"running": True, **_facts(folder)}, indent=2))
    elif args.env:
        say("\n".join(f"export {name}={shlex.quote(value)}" for name, value in _facts(folder).items()))
    else:
        say(_table(folder))
    return 0


def down(args: argparse.Namespace) -> int:
    """Stop the stack, and whatever a killed supervisor left."""
    folder = Folder(args.data)
    running = folder.running()
    if running is None:
        left = end_leftovers(folder)
        say(f"Ended what a killed stack had left: {', '.join(left)}." if left else f"Nothing runs in {folder.path}.")
        return 0
    try:
        processes.send(running.supervisor.pid, signal.SIGTERM)
    except PermissionError as error:
        raise StackError("the stack belongs to another user: run this as that one") from error
    until = time.monotonic() + STOPPED_WITHIN
    while running.supervisor.lives:
        if time.monotonic() > until:
            processes.send(running.supervisor.pid, signal.SIGKILL)
        time.sleep(0.02)
    end_leftovers(folder)
    say("Stopped.")
    return 0


def reset(args: argparse.Namespace) -> int:
    """Make the database anew, and empty files, mail and Stripe's double, of a stack that runs or not."""
    folder = Folder(args.data)
    folder.check()
    state = folder.state()
    started = time.monotonic()
    if _wait_for_start(folder) is None:
        supervise(folder, port=None, tell=_progress, on_ready=_nothing, only_reset=True)
    else:
        with folder.locked("reset.lock") as ours:
            if not ours:
                raise StackError("another reset of this stack is at work: wait for it")
            older = folder.contents()  # listed now: what is stored from the change on belongs to the new database
            try:
                database.make(state, _progress)
            except psycopg.Error as error:
                raise StackError(f"the database could not be made anew: {str(error).splitlines()[0]}") from error
            for file in older:
                file.unlink(missing_ok=True)
            with suppress(httpx.HTTPError):  # it knows its mail by heart
                httpx.delete(f"{base_url(state.ports.mail)}/api/messages")
            if _doubles_stripe(folder):
                with suppress(httpx.HTTPError):
                    headers = {"authorization": f"Bearer {state.double_keys['stripe_api_key']}"}
                    httpx.post(f"{base_url(state.ports.stripe)}/_double/reset", headers=headers)
            _wait_until_healthy(folder)
    say(f"The database is new, in {time.monotonic() - started:.1f} s.")
    return 0


def rotate_keys(args: argparse.Namespace) -> int:
    """Make a new signing key, and refuse the earlier ones at once where that is asked."""
    folder = Folder(args.data)
    folder.check()
    state = folder.state()
    with folder.locked("keys.lock") as ours:
        if not ours:
            raise StackError("another rotation of these keys is at work: wait for it")
        keys = folder.keys().rotated()
        running = folder.running()
        rest = running.parts.get("postgrest") if running else None
        # PostgREST first knows the new key, then auth signs with it: no token is refused in between.
        folder.publish(keys)
        if rest is not None:
            processes.send(rest.pid, signal.SIGUSR2)
            _wait_until_accepted(state, keys)
        keys.save(folder.keys_file)
        if args.revoke:
            keys = keys.revoked()
            keys.save(folder.keys_file)
            folder.publish(keys)
            if rest is not None:
                # It remembers tokens that it has seen. To forget them it must begin anew, which the supervisor sees to.
                processes.send(rest.pid, signal.SIGTERM)
                while rest.lives:
                    time.sleep(0.02)
                _wait_until_healthy(folder)
    older = "those of earlier keys are refused" if args.revoke else "those of earlier keys hold until they expire"
    say(f"New tokens are signed with the key {keys.current.kid}; {older}.")
    say("The publishable and secret keys are as they were; the two legacy keys are new: ./guildhall status")
    return 0


def _wait_until_accepted(state: State, keys: Keys) -> None:
    """Wait until PostgREST knows the current signing key."""
    now = int(time.time())
    probe = keys.sign({"role": "anon", "aud": "authenticated", "iat": now, "exp": now + HEALTHY_WITHIN})
    for _ in range(HEALTHY_WITHIN * 20):
        with suppress(httpx.HTTPError):
            if httpx.head(base_url(state.ports.rest), headers={"authorization": f"Bearer {probe}"}).status_code < 400:
                return
        time.sleep(0.05)
    raise StackError("PostgREST does not take up the new key, which was not put in use: ./guildhall down, then up")


def _wait_until_healthy(folder: Folder) -> None:
    run = folder.run()
    silent = asyncio.run(silent_parts(folder.state().ports, run.parts if run else (), within=HEALTHY_WITHIN))
    if silent:
        raise StackError(f"{silent[0]} does not answer: its log is {folder.log(silent[0])}")


def token(args: argparse.Namespace) -> int:
    """Print an access token: of a new session, begun as by a link in a mail."""
    folder = Folder(args.data)
    if folder.running() is None:
        raise StackError("nothing runs: ./guildhall up starts it")
    state, keys = folder.state(), folder.keys()
    headers = {"authorization": f"Bearer {keys.service_role}", "X-Supabase-Api-Version": "2024-01-01"}
    with httpx.Client(base_url=base_url(state.ports.auth), headers=headers, timeout=20) as auth:
        try:
            # A recovery link, because one of a magic link would make the user where there is none.
            link = auth.post("/admin/generate_link", json={"type": "recovery", "email": args.email})
            if link.status_code == httpx.codes.NOT_FOUND:
                raise StackError(f"there is no user {args.email}: the demo accounts are {', '.join(DEMO_ACCOUNTS)}")
            if link.is_success:
                link = auth.post("/verify", json={"type": "recovery", "token_hash": link.json()["hashed_token"]})
        except httpx.HTTPError as error:
            raise StackError(f"auth does not answer: see {folder.log('auth')}") from error
    if not link.is_success:
        raise StackError(f"auth refused: {link.json().get('message', link.status_code)}")
    say(link.json()["access_token"])
    return 0


def play_demo(args: argparse.Namespace) -> int:
    """Play the story of the demo academy."""
    folder = Folder(args.data)
    if folder.running() is None:
        raise StackError("nothing runs: ./guildhall up starts it")
    facts = _facts(folder)
    with httpx.Client(base_url=facts["API_URL"], timeout=30) as http:
        try:
            demo.play(demo.Stage(http, facts["PUBLISHABLE_KEY"], say, whole=args.whole), DEMO_PASSWORD)
        except httpx.HTTPError as error:
            raise StackError(f"the stack does not answer: {error}") from error
    return 0


def explain_request(args: argparse.Namespace) -> int:
    """Print what lets a request through, and what hides rows of it."""
    report = explain.explain(Folder(args.data), who=args.who, method=args.method, path=args.path, body=args.body)
    say(msgspec.json.format(msgspec.json.encode(report)).decode() if args.json else explain.written(report))
    return 0


def examine(args: argparse.Namespace) -> int:
    """Print one line for each thing that can be wrong."""
    findings = doctor.examine(Folder(args.data))
    for finding in findings:
        say(finding.line())
    return 0 if all(finding.well for finding in findings) else 1


# The project


def seal(_args: argparse.Namespace) -> int:
    """Compile policies/ into the last migration."""
    policies.seal()
    say(f"Compiled policies/ into {policies.SEALED.relative_to(ROOT)}.")
    return 0


def routes(args: argparse.Namespace) -> int:
    """List the endpoints and what serves them."""
    return stack.routes.main(json=args.json)


def test(args: argparse.Namespace) -> int:
    """Run the tests: all of them side by side, and then whether docs/routes.md tells what they found; or some."""
    if args.pytest:
        return _python("pytest", *args.pytest)
    failed = subprocess.run([sys.executable, "-m", "pytest", *ALL_TESTS], cwd=ROOT, check=False).returncode
    if failed:
        return failed
    if not stack.routes.is_current():
        raise StackError("docs/routes.md is not what this run found: ./guildhall routes writes it anew")
    return 0


def bench(args: argparse.Namespace) -> int:
    """Measure."""
    if args.commerce:
        return _python("bench.commerce")
    return _python("bench.learning" if args.learning else "bench")


def check(_args: argparse.Namespace) -> int:
    """Run every check, and print what the failing ones said."""
    failed = not policies.is_sealed()
    say(
        "problem  policies/ was edited: ./guildhall policies compiles it"
        if failed
        else "ok       policies are compiled"
    )
    for name, commands in CHECKS.items():
        started = time.monotonic()
        done = [
            subprocess.run(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            for command in commands
        ]
        said = b"".join(each.stdout for each in done if each.returncode != 0).decode(errors="replace")
        failed = failed or any(each.returncode != 0 for each in done)
        say(f"{'problem' if said else 'ok     '}  {name} ({time.monotonic() - started:.0f} s)\n{said}".rstrip())
    return 1 if failed else 0


def _python(module: str, *words: str) -> int:
    """Become another program of the project, so that signals and exit status are its own."""
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", module, *words])  # noqa: S606 - a shell has no part in it


# What is printed


def _facts(folder: Folder) -> dict[str, str]:
    state, keys = folder.state(), folder.keys()
    stripe = {"STRIPE_URL": base_url(state.ports.stripe)} if _doubles_stripe(folder) else {}
    return {
        "API_URL": base_url(state.ports.api),
        "DB_URL": state.database_url("postgres"),
        "PUBLISHABLE_KEY": keys.publishable,
        "SECRET_KEY": keys.secret,
        "ANON_KEY": keys.anon,
        "SERVICE_ROLE_KEY": keys.service_role,
        "JWKS_URL": jwks_url(state.ports.api),
        "MAIL_URL": base_url(state.ports.mail),
        "EDGE_URL": base_url(state.ports.edge),
        **stripe,
    }


def _doubles_stripe(folder: Folder) -> bool:
    """Whether the stack that runs, or ran last, plays Stripe itself."""
    run = folder.run()
    return run is not None and STRIPE in run.parts


def _table(folder: Folder) -> str:
    return "\n".join(f"  {name:<16} {value}" for name, value in _facts(folder).items())


def _summary(folder: Folder, *, seconds: float, stop: str) -> str:
    facts = _facts(folder)
    names = {
        "API": "API_URL",
        "Publishable key": "PUBLISHABLE_KEY",
        "Secret key": "SECRET_KEY",
        "Database": "DB_URL",
        "Mailbox": "MAIL_URL",
        "Edge": "EDGE_URL",
        "Stripe's double": "STRIPE_URL",
    }
    addresses = "\n".join(f"  {name:<16} {facts[key]}" for name, key in names.items() if key in facts)
    people = "\n".join(f"  {email:<24} {what}" for email, what in DEMO_ACCOUNTS.items())
    return (
        f"\nGuildhall is up, in {seconds:.1f} s.\n\n{addresses}\n\n"
        f"Demo accounts, all with the password {DEMO_PASSWORD}\n\n{people}\n\n"
        f"{stop} Older keys and the rest: ./guildhall status"
    )


def _progress(line: str) -> None:
    say(f"  {line}")


def _nothing() -> None:
    """Nobody waits for this stack to be ready."""


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
