"""Lists that people review, and how a live system differs from one."""

from pathlib import Path


def read(name: str) -> set[str]:
    """The lines of a list in this folder, without comments and blank ones."""
    lines = (Path(__file__).parent / name).read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def differences(actual: set[str], name: str) -> list[str]:
    """What to do to the list for it to be true; empty where it is."""
    listed = read(name)
    return [
        *(f"tests/security/{name}: if this is meant, add the line\n    {line}" for line in sorted(actual - listed)),
        *(f"tests/security/{name}: no longer true, remove the line\n    {line}" for line in sorted(listed - actual)),
    ]
