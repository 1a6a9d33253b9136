"""Docs, comments and docstrings say it in the field's words: no word of an old dialect, and nobody is "he"."""

import ast
import io
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.paths import ROOT

WORDS = """
    he him his himself she her hers herself
    told whoever whomever of-whom for-whom by-whom to-whom with-whom from-whom
    desk desks papers brief briefs siege battlefield hopeless
""".split()  # noqa: SIM905  a word a line would be a page
PATTERN = re.compile(rf"\b({'|'.join(word.replace('-', ' ') for word in WORDS)})\b", re.IGNORECASE)
ALLOWED = {
    "docs/schema.md": "the comments of supabase/, which are read there",
    "docs/routes.md": "the purposes of the reference's endpoints, in its words",
}
"""Files that may use the words, and why."""
SQL_COMMENT = re.compile(r"--[^\n]*|\bcomment on [^;']+? is\s+((?:'(?:[^']|'')*'\s*)+)", re.IGNORECASE)
SQL_TEXT = re.compile(r"'(?:[^']|'')*'")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")
Piece = tuple[int, str]
"""The line on which some prose begins, and the prose."""


def prose(file: Path) -> Iterator[Piece]:
    """What a file says to its readers, by line."""
    text = file.read_text()
    if file.suffix == ".md":
        yield from enumerate(_without(FENCE, text).splitlines(), start=1)
    elif file.suffix == ".sql":
        for found in SQL_COMMENT.finditer(_without_strings_of_code(text)):
            yield text.count("\n", 0, found.start()) + 1, found[0]
    else:
        yield from _python_comments(text)
        yield from _python_docstrings(text)


def _without(pattern: re.Pattern[str], text: str) -> str:
    """The text with each match replaced by as many empty lines."""
    return pattern.sub(lambda found: "\n" * found[0].count("\n"), text)


def _without_strings_of_code(text: str) -> str:
    """SQL whose strings hold no `--`, except those of comments: a string is not the start of a comment."""
    return re.sub(r"(?<!is\n)(?<!is )'[^'\n]*--[^'\n]*'", lambda found: found[0].replace("--", "  "), text)


def _python_comments(text: str) -> Iterator[Piece]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _python_docstrings(text: str) -> Iterator[Piece]:
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(said))):
                yield node.lineno, said


def dialect(file: Path) -> list[str]:
    """The words of the list in a file's prose, as `line: word: where`. Code in backquotes may hold them."""
    return [
        f"{start + number}: {found[0]}: {line.strip()}"
        for start, piece in prose(file)
        for number, line in enumerate(CODE.sub("", piece).splitlines())
        for found in PATTERN.finditer(line)
    ]


def tracked() -> list[Path]:
    """The files of the project that have prose."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.sql", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = [name for name in listed.splitlines() if name not in ALLOWED and name != "tests/security/test_words.py"]
    return [ROOT / name for name in names if (ROOT / name).exists() and not name.endswith("_sealed.sql")]


def test_prose_uses_the_words_of_the_field() -> None:
    found = {file.relative_to(ROOT): dialect(file) for file in tracked()}
    counts = Counter({name.parts[0]: 0 for name in found})
    for name, lines in found.items():
        counts[name.parts[0]] += len(lines)
    listed = [f"{name}:{line}" for name, lines in found.items() for line in lines]
    summary = ", ".join(f"{folder} {count}" for folder, count in counts.most_common() if count)
    assert not listed, "say it in other words:\n" + "\n".join(listed) + f"\n\nby folder: {summary}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.md", "# Page\n\nWhoever reads this.\n"),
        ("table.sql", "create table t (); -- what he said\n"),
        ("comment.sql", "comment on table t is\n'What is told\nof it.';\n"),
        ("module.py", '"""Papers."""\n'),
        ("comment.py", "x = 1  # for whom\n"),
        ("attribute.py", 'x = 1\n"""The brief."""\n'),
    ],
)
def test_a_word_of_the_dialect_is_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert len(dialect(tmp_path / name)) == 1


def test_code_may_hold_the_words(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("```\nhis\n```\nThe column `her`.\n")
    (tmp_path / "module.py").write_text('NAME = "his"\n')
    (tmp_path / "query.sql").write_text("select 'told -- by whom';\n")
    assert [dialect(tmp_path / name) for name in ("page.md", "module.py", "query.sql")] == [[], [], []]
