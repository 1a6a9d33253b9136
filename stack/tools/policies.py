"""Compiles policies/, the only hand-edited source of authorization, into the last migration, byte for byte."""

from collections.abc import Iterator
from pathlib import Path

from stack.errors import StackError
from stack.findings import Finding, ok, problem
from stack.paths import ROOT

POLICIES = ROOT / "policies"
MIGRATIONS = ROOT / "supabase" / "migrations"
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
    """The files of policies/ in the order in which they are compiled. schemas.sql, which closes everything, is first.

    Raises:
        StackError: a folder there is not a domain.
    """
    unknown = {folder.name for folder in POLICIES.iterdir()} - set(DOMAINS)
    if unknown:
        raise StackError(f"policies/{min(unknown)} is not a domain: use one of {', '.join(DOMAINS)}")
    files = [file for domain in DOMAINS for file in sorted((POLICIES / domain).glob("*.sql"))]
    return sorted(files, key=lambda file: file.name != FIRST)


def compiled() -> bytes:
    """The text of the sealed migration, as the folder is now."""
    parts = [HEADER.encode()]
    for file in sources():
        parts += [f"\n-- policies/{file.relative_to(POLICIES)}\n".encode(), file.read_bytes()]
    return b"".join(parts)


def is_sealed() -> bool:
    """Whether the sealed migration equals the folder."""
    return SEALED.exists() and SEALED.read_bytes() == compiled()


def seal() -> Path:
    """Write the sealed migration; returns its path."""
    SEALED.write_bytes(compiled())
    return SEALED


def findings() -> Iterator[Finding]:
    """What `doctor` says of the policies."""
    if is_sealed():
        yield ok("policies/ is compiled into the last migration")
    else:
        yield problem("policies/ was edited since it was compiled: ./guildhall policies, then ./guildhall reset")
