"""policies/ is the only hand-edited source of authorization; here it becomes the last migration, byte for byte."""

from pathlib import Path

from stack.errors import StackError
from stack.project import MIGRATIONS, POLICIES

SEALED = MIGRATIONS / "20991231235959_policies_sealed.sql"
DOMAINS = (
    "foundation",
    "identity",
    "catalog",
    "learning",
    "live",
    "media",
    "commerce",
    "community",
    "growth",
    "ai",
    "deployments",
    "operations",
)
FIRST = "schemas.sql"
HEADER = "-- Compiled from policies/ by ./guildhall policies. Edit the files there, never this one.\n"


def sources() -> list[Path]:
    """The files of policies/ in the order in which they are compiled: the one that closes everything first.

    Raises:
        StackError: a folder there is not a domain.
    """
    strange = {folder.name for folder in POLICIES.iterdir()} - set(DOMAINS)
    if strange:
        raise StackError(f"policies/{min(strange)} is not a domain: use one of {', '.join(DOMAINS)}")
    files = [file for domain in DOMAINS for file in sorted((POLICIES / domain).glob("*.sql"))]
    return sorted(files, key=lambda file: file.name != FIRST)


def compiled() -> bytes:
    """What the sealed migration must hold."""
    parts = [HEADER.encode()]
    for file in sources():
        parts += [f"\n-- policies/{file.relative_to(POLICIES)}\n".encode(), file.read_bytes()]
    return b"".join(parts)


def is_sealed() -> bool:
    """Whether the sealed migration equals the folder."""
    return SEALED.exists() and SEALED.read_bytes() == compiled()


def seal() -> Path:
    """Write the sealed migration, and say where it is."""
    SEALED.write_bytes(compiled())
    return SEALED
