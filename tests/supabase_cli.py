"""Runs the Supabase CLI against a database, without network, account or Docker."""

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from stack.paths import ROOT
from stack.postgres import platform_name

BINARY = ROOT / "node_modules" / "@supabase" / f"cli-{platform_name()}" / "bin" / "supabase"
NOWHERE = "http://127.0.0.1:9"
"""A proxy that does not exist: a call to the internet fails at once."""


def supabase(*words: str, url: str, home: Path) -> str:
    """Run one command against a database, in this project; returns what it prints.

    Args:
        words: the command and its flags.
        url: the database.
        home: an empty folder for the tool's own files.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "SUPABASE_HOME": str(home),
        "SUPABASE_TELEMETRY_DISABLED": "1",
        "SUPABASE_NO_UPDATE_NOTIFIER": "1",
        "DO_NOT_TRACK": "1",
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
    }
    run = subprocess.run(
        [BINARY, *words, "--agent", "no", "--yes", "--remote", url],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def supabase_json(*words: str, url: str, home: Path) -> Any:
    """Run one command and decode the JSON that it prints."""
    return msgspec.json.decode(supabase(*words, "--output-format", "json", url=url, home=home))
