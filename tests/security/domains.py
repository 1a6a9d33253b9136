"""The domains, and which of them an object of the database belongs to."""

import functools

from stack.tools.policies import MIGRATIONS, POLICIES
from stack.tools.reference.domains import Domains, read_domains

SHARED = "foundation"
"""The domain of what belongs to none: roles, schemas, the job queue."""


@functools.cache
def owners() -> Domains:
    """The domain of each object, from the files of the checkout."""
    return read_domains(MIGRATIONS, POLICIES)


def domains() -> list[str]:
    """The domains in the order of their migrations: each may refer to the earlier ones only."""
    return [domain for domain in owners().names if (POLICIES / domain).is_dir()]


def domain_of(name: str) -> str:
    """The domain that creates a table, view, type, function or sequence, by its name without schema and arguments."""
    found = owners().of(f"public.{name}") or owners().of(f"private.{name}")
    if found is not None:
        return found
    # A sequence is named after its table and column.
    tables = [table.partition(".")[2] for table in owners().owners if name.endswith("_seq")]
    tables = [table for table in tables if name.startswith(f"{table}_")]
    return domain_of(max(tables, key=len)) if tables else SHARED
