"""Runs sqlfluff over the SQL files that changed since they last passed: `python -m stack.tools.sql_lint`.

A file passes for as long as its text, sqlfluff's configuration and its version stay the same. With `CI` in the
environment all files are linted.
"""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from stack.paths import CACHE, ROOT

LINTED = ("supabase", "policies", "stack/bootstrap")
PASSED = CACHE / "sql-lint.json"
"""The digests of the files that passed."""


def main() -> int:
    """Lint, and print each violation as `<file>:<line>:<column> <rule> <what is wrong>`; returns the exit status."""
    rules = _rules()
    digests = {file: hashlib.sha256(f"{rules}\0{file}\0{file.read_text()}".encode()).hexdigest() for file in files()}
    passed = set() if "CI" in os.environ else _passed()
    changed = [file for file, digest in digests.items() if digest not in passed]
    violations = lint(changed) if changed else {}
    for file, found in violations.items():
        for each in found:
            position = f"{file}:{each['start_line_no']}:{each['start_line_pos']}"
            sys.stdout.write(f"{position} {each['code']} {each['description']}\n")
    PASSED.parent.mkdir(exist_ok=True)
    clean = [digest for file, digest in digests.items() if str(file.relative_to(ROOT)) not in violations]
    PASSED.write_text(json.dumps(clean))
    return 1 if violations else 0


def files() -> list[Path]:
    """Every SQL file of the project that sqlfluff does not ignore."""
    lines = (ROOT / ".sqlfluffignore").read_text().splitlines()
    ignored = {ROOT / line for line in lines if line and not line.startswith("#")}
    return [file for folder in LINTED for file in sorted((ROOT / folder).rglob("*.sql")) if file not in ignored]


def lint(changed: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """The violations of each file that has any.

    Raises:
        SystemExit: sqlfluff failed otherwise; the message is its own.
    """
    names = [str(file.relative_to(ROOT)) for file in changed]
    command = [sys.executable, "-m", "sqlfluff", "lint", "--format", "json", "--processes", "0", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        results = json.loads(done.stdout)
    except ValueError:
        sys.exit(f"sqlfluff failed: {done.stderr or done.stdout}")
    return {result["filepath"]: result["violations"] for result in results if result["violations"]}


def _rules() -> str:
    """The version and configuration of sqlfluff."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["sqlfluff"]
    return metadata.version("sqlfluff") + json.dumps(configuration)


def _passed() -> set[str]:
    try:
        return set(json.loads(PASSED.read_text()))
    except (FileNotFoundError, ValueError):
        return set()


if __name__ == "__main__":
    sys.exit(main())
