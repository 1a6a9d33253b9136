"""What may import what: `common` serves edge and stack, which know nothing of each other."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.paths import ROOT

FORBIDDEN = {
    "common": {"edge", "stack", "tests", "bench"},
    "edge": {"stack", "tests", "bench"},
    "stack": {"edge", "tests", "bench"},
}
WORKER_NEEDS_NONE_OF = {
    "edge.accounts.routes",
    "edge.app",
    "edge.documents.client",
    "edge.identities.client",
    "edge.payments.routes",
    "edge.rest",
    "postgrest",
    "standardwebhooks",
    "typst",
}
"""What only the HTTP half of a package imports."""


def imported(file: Path) -> Iterator[str]:
    """The packages at the top of each import of a file, wherever in it the import stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module)):
                yield module.partition(".")[0]


def crossings(folder: Path, forbidden: set[str]) -> list[str]:
    """The imports in a folder that may not be."""
    return [
        f"{file.relative_to(folder.parent)} imports {name}"
        for file in sorted(folder.rglob("*.py"))
        for name in sorted(set(imported(file)) & forbidden)
    ]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_keep_to_their_side(package: str) -> None:
    found = crossings(ROOT / package, FORBIDDEN[package])
    assert not found, "\n".join(found)


def test_a_crossing_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    (folder / "inner.py").write_text("import edge\n")
    (folder / "outer.py").write_text("def f() -> None:\n    from edge.errors import error\n")
    (folder / "good.py").write_text("import common.edge\nfrom . import edge\n")
    assert crossings(folder, {"edge"}) == ["stack/inner.py imports edge", "stack/outer.py imports edge"]


def loaded(statement: str) -> set[str]:
    """The modules that a new process has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_worker_loads_no_routes() -> None:
    modules = loaded("import edge.worker.__main__; from edge import packages; packages.worker_packages()")
    assert {"edge.payments.tasks", "edge.mail.tasks", "edge.accounts.tasks", "edge.retention.tasks"} <= modules
    assert not modules & WORKER_NEEDS_NONE_OF
    assert not {name for name in modules if name.startswith("edge.") and name.endswith(".routes")}


def test_the_edge_loads_no_tasks() -> None:
    modules = loaded("import edge.__main__; from edge import packages; packages.http_packages()")
    assert {"edge.payments.routes", "edge.documents.client", "edge.rest"} <= modules
    assert "procrastinate" not in modules
    assert not {name for name in modules if name.startswith("edge.") and (".worker" in name or ".tasks" in name)}
