"""Reviewed lists: lines that people have read and agreed to, with which the tests compare the running system.

A list is a text file, or a folder with one file for each domain. Lines that begin with # are comments: the first block
of them describes the file, every other one belongs to the line below it.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

import msgspec

from stack.paths import ROOT
from tests.security.domains import domain_of

FOLDER = Path(__file__).parent
CREATED = re.compile(r"(?:table|view|type|function|sequence) (?:public|private)\.(\w+)")


class ReviewedList(msgspec.Struct, frozen=True, kw_only=True):
    """One list."""

    place: Path
    """The file, or the folder with one file for each domain."""
    test: str
    """The test that compares the list, as pytest names it from the checkout's root."""
    subject: Callable[[str], str]
    """The object that a line is about. Comments belong to it."""
    group: Callable[[str], str]
    """What lines have in common that stand together; a blank line separates groups."""
    domain: Callable[[str], str] | None = None
    """The domain that a line belongs to, where the list is a folder."""

    def lines(self) -> set[str]:
        """All lines, without comments."""
        return {line for file in self._files() for line in _lines(file)}

    def problems(self, actual: set[str]) -> str:
        """How the list differs from what is, with the remedy; empty where it does not."""
        listed = {(line, file) for file in self._files() for line in _lines(file)}
        should = {(line, self._file_of(line)) for line in actual}
        changes = [
            *((file, "if this is meant, add the line", line) for line, file in should - listed),
            *((file, "no longer true here, remove the line", line) for line, file in listed - should),
        ]
        if not changes:
            return ""
        shown = [f"{file.relative_to(ROOT)}: {what}\n    {line}" for file, what, line in sorted(changes)]
        return "\n".join(
            [
                *shown,
                "",
                "This writes all of them, for review with git diff:",
                f"    ./guildhall test {self.test} --update",
            ]
        )

    def update(self, actual: set[str]) -> None:
        """Write what is into the list. Comments stay where their subject does."""
        assert "CI" not in os.environ, "--update changes files for a person to review"
        lines: dict[Path, set[str]] = defaultdict(set)
        for line in actual:
            lines[self._file_of(line)].add(line)
        for file in {*self._files(), *lines}:
            self._write(file, lines[file])

    def _files(self) -> list[Path]:
        return sorted(self.place.glob("*.txt")) if self.place.is_dir() else [self.place]

    def _file_of(self, line: str) -> Path:
        return self.place if self.domain is None else self.place / f"{self.domain(line)}.txt"

    def _write(self, file: Path, lines: Iterable[str]) -> None:
        header, comments = self._comments(file)
        blocks = [header] if header else []
        for _, group in groupby(
            sorted(lines, key=lambda line: (self.group(line), self.subject(line), line)), self.group
        ):
            block = []
            for subject, about in groupby(group, self.subject):
                block += [*comments.get(subject, []), *about]
            blocks.append(block)
        file.write_text("\n\n".join("\n".join(block) for block in blocks) + "\n")

    def _comments(self, file: Path) -> tuple[list[str], dict[str, list[str]]]:
        """The description of a file, and the comments of each subject."""
        header: list[str] = []
        comments: dict[str, list[str]] = {}
        block: list[str] = []
        for number, line in enumerate(file.read_text().splitlines() if file.exists() else []):
            if line.startswith("#"):
                block.append(line)
            elif not line and number == len(block):
                header, block = block, []
            elif line and block:
                comments.setdefault(self.subject(line), []).extend(block)
                block = []
        return header, comments


def _lines(file: Path) -> set[str]:
    return {line for line in file.read_text().splitlines() if line and not line.startswith("#")}


def _object(line: str) -> str:
    """`table public.courses` of a line about privileges."""
    return " ".join(line.split(" ")[:2]).removesuffix(":")


def _domain_of_object(line: str) -> str:
    created = CREATED.match(line)
    return domain_of(created[1] if created else "")


ACCESS_MATRIX = ReviewedList(
    place=FOLDER / "access_matrix",
    test="tests/security/test_access_matrix.py",
    subject=lambda line: line.split(" ")[0],
    group=lambda line: line.split(" ")[0],
    domain=lambda line: domain_of(line.split(" ")[0].removesuffix("()")),
)
"""What each person achieves with each request to each table and function: see access_matrix/README.md."""
PRIVILEGES = ReviewedList(
    place=FOLDER / "privileges",
    test="tests/security/test_privileges.py",
    subject=_object,
    group=lambda line: _object(line).split(".")[0],
    domain=_domain_of_object,
)
"""Which role may do what to which object: see privileges/README.md."""
EDGE_ROUTES = ReviewedList(
    place=FOLDER / "edge_routes.txt",
    test="tests/security/test_routes.py",
    subject=lambda line: line.split(" ")[1],
    group=lambda _: "",
)
"""Every route of the edge."""
