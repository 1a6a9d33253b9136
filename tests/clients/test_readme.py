"""The README's tours, command by command, as a newcomer runs them."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from stack.paths import ROOT
from tests.conftest import Stack

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> str:
    """All code blocks of a language, joined in order."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no {language} block"
    return "\n".join(found)


@pytest.fixture
def environment(stack: Stack, stack_data: Path) -> dict[str, str]:
    return {
        **os.environ,
        "GUILDHALL_DATA": str(stack_data),
        "API_URL": stack.api_url,
        "PUBLISHABLE_KEY": stack.publishable_key,
        "MAIL_URL": stack.mail_url,
    }


def test_curl_tour(environment: dict[str, str], tmp_path: Path) -> None:
    script = "set -eu\n" + blocks("sh").replace("/tmp/", f"{tmp_path}/")
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "303\n" in done.stdout
    assert '"is_valid": true' in done.stdout
    assert '"Nadia Rahman"' in done.stdout
    assert '"slug":"pinch-pots"' in done.stdout
    assert (tmp_path / "certificate.pdf").read_bytes().startswith(b"%PDF-")


def test_supabase_js_tour(environment: dict[str, str]) -> None:
    # Beside node_modules, where `import` looks for the client.
    script = ROOT / "node_modules" / ".readme-tour.mjs"
    script.write_text(blocks("js"))
    try:
        done = subprocess.run(
            ["node", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        script.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1] == "Omar Haddad true true"


def test_the_two_commands_are_words_of_the_cli() -> None:
    assert "./guildhall up\n./guildhall test\n" in README
