"""Installation of packages, and the versions that constraints.txt fixes."""

import shutil
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stack.errors import StackError
from stack.paths import ROOT
from stack.tools import install


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A separate checkout, with packages installed at the level `run`."""
    for name in ("pyproject.toml", "constraints.txt", "package.json", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(install, "ROOT", tmp_path)
    for name in ("VENV", "PYTHON", "PYTHON_STAMP", "CONSTRAINTS", "NODE_MODULES", "NODE_STAMP"):
        path: Path = getattr(install, name)
        monkeypatch.setattr(install, name, tmp_path / path.relative_to(ROOT))
    install.PYTHON.parent.mkdir(parents=True)
    install.PYTHON.symlink_to(sys.executable)
    install.NODE_MODULES.mkdir()
    return tmp_path


def test_packages_are_installed_once_for_each_change_and_higher_level(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def install_python(level: install.Level) -> None:
        done.append(("python", level))
        install._write_stamp(install.PYTHON_STAMP, install._python_stamp(level))

    def install_node(level: install.Level) -> None:
        done.append(("node", level))
        node = {"node": str(install.PYTHON.parent)}
        install._write_stamp(install.NODE_STAMP, {**install._node_stamp(level), **node})

    monkeypatch.setattr(install, "_install_python", install_python)
    monkeypatch.setattr(install, "_install_node", install_node)
    (install.PYTHON.parent / "node").touch()
    install.install("run")
    assert install.install("run") == str(install.PYTHON.parent)
    assert done == [("python", "run"), ("node", "run")]
    install.install("test")
    install.install("run")
    assert done[2:] == [("python", "test"), ("node", "test")]
    (checkout / "constraints.txt").write_text("")
    install.install("run")
    assert done[4:] == [("python", "test")], "an installed higher level is kept up to date"


def test_a_killed_installation_is_detected_and_a_failed_one_is_not(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), install._interruptible(tmp_path):
        raise KeyboardInterrupt
    assert install._was_interrupted(tmp_path)
    with pytest.raises(StackError), install._interruptible(tmp_path):
        raise StackError("offline")
    assert not install._was_interrupted(tmp_path)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("WARNING: Retrying after NewConnectionError('...')\nERROR: No matching distribution found", "online"),
        ("npm error code ENOTFOUND\nnpm error network request failed", "online"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk"),
        ("Collecting x\nERROR: ResolutionImpossible: x and y\n", "ResolutionImpossible: x and y"),
    ],
)
def test_a_failed_installation_is_reported_in_one_line_with_the_log(output: str, expected: str, tmp_path: Path) -> None:
    log = tmp_path / "install.log"
    log.write_text(output)
    line = install._reason_of_failure("Python packages", log)
    assert expected in line
    assert str(log) in line
    assert "\n" not in line


def test_constraints_pin_every_package_that_is_installed() -> None:
    pinned = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, _, version = line.partition("==")
            pinned[canonicalize_name(name)] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pending = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["test"])]
    seen = set()
    while pending:
        requirement = pending.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        installed = metadata.distribution(requirement.name)
        assert pinned.get(canonicalize_name(requirement.name)) == installed.version, requirement.name
        extras = requirement.extras or {""}
        pending += [
            needed
            for needed in map(Requirement, installed.requires or [])
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    assert len(seen) > 50
