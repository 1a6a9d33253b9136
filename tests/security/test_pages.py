"""README and docs/ name files, pages, headings and commands that exist."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from stack.paths import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FILE = re.compile(r"`((?:bench|common|docs|edge|policies|stack|supabase|tests)/[a-z0-9_./-]*)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([a-z0-9-]+))?\)")
COMMAND = re.compile(r"\./guildhall ([a-z][a-z-]*)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
EXAMPLES = ("study_plans", "plan_shared")
"""What docs/extending.md adds, as an example."""


def broken_references(page: Path, text: str, words: set[str]) -> Iterator[str]:
    """What a page names and the project lacks."""
    for file in FILE.findall(text):
        if not (ROOT / file).exists() and not any(example in file for example in EXAMPLES):
            yield f"{page.name}: there is no {file}"
    for target, anchor in LINK.findall(text):
        linked = (page.parent / target) if target else page
        if not linked.exists():
            yield f"{page.name}: there is no {target} to link to"
        elif anchor and anchor not in anchors(text if linked == page else linked.read_text()):
            yield f"{page.name}: {linked.name} has no heading #{anchor}"
    for word in COMMAND.findall(text):
        if word not in words:
            yield f"{page.name}: ./guildhall has no word {word}"


def anchors(text: str) -> set[str]:
    """The headings of a page, as links name them."""
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def words_of_the_command_line() -> set[str]:
    """The words that `./guildhall --help` lists."""
    done = subprocess.run(
        [sys.executable, "-m", "stack", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(re.findall(r"^    ([a-z][a-z-]*)(?= |$)", done.stdout, re.MULTILINE))


def test_pages_name_what_exists() -> None:
    words = words_of_the_command_line()
    broken = [each for page in PAGES for each in broken_references(page, page.read_text(), words)]
    assert not broken, "\n".join(broken)


def test_broken_references_are_found() -> None:
    text = (
        "# Page\n`edge/nowhere.py`, [gone](gone.md), [here](#nowhere), ./guildhall fly, [fine](#page), `edge/app.py`\n"
    )
    assert list(broken_references(ROOT / "README.md", text, {"up"})) == [
        "README.md: there is no edge/nowhere.py",
        "README.md: there is no gone.md to link to",
        "README.md: README.md has no heading #nowhere",
        "README.md: ./guildhall has no word fly",
    ]
