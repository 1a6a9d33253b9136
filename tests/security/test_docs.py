"""Every test that docs/security.md names exists."""

import ast
import re

from stack.paths import ROOT

NAMED = re.compile(r"`(tests/[a-z_/]+\.py)(?:::(test_[a-z0-9_]+))?`")


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall((ROOT / "docs" / "security.md").read_text())
    assert len(named) > 50
    missing = [f"{file}::{test}" for file, test in named if not (ROOT / file).exists() or test not in defined(file)]
    assert not missing, "\n".join(["docs/security.md names tests that do not exist; correct or remove:", *missing])


def defined(file: str) -> set[str]:
    """The tests of a file, and the empty name for a file that is named alone."""
    nodes = ast.walk(ast.parse((ROOT / file).read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)} | {""}
