"""`./guildhall reference`: pages of docs/ and files of the edge that are generated from the live catalog."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg

from stack.paths import ROOT
from stack.tools.reference import domains, errors, schema, writes
from stack.tools.reference.pages import table, with_block

ARCHITECTURE_PAGE = ROOT / "docs" / "architecture.md"
SCHEMA_PAGE = ROOT / "docs" / "schema.md"
ERRORS_PAGE = ROOT / "docs" / "errors.md"
EDGE_ERRORS = ROOT / "edge" / "http" / "database_errors.json"
"""What the edge knows of the database's errors, for its OpenAPI document."""


def generated(connection: psycopg.Connection) -> Iterator[tuple[Path, str]]:
    """Each generated file, and what it must hold.

    Args:
        connection: to a migrated database, as a role that reads every schema.
    """
    found = errors.database_errors(connection)
    page = with_block(ERRORS_PAGE.read_text(), "errors of the database", _errors_table(found))
    page = with_block(page, "errors of the edge", _edge_table())
    page = with_block(page, "constraints", _constraints_table(errors.constraints(connection)))
    yield ERRORS_PAGE, with_block(page, "writers", _writers_table(writes.writers(connection)))
    yield EDGE_ERRORS, _edge_errors(found, errors.functions_of_role(connection, "edge"))
    owners = domains.read_domains(ROOT / "supabase" / "migrations", ROOT / "policies")
    drawn = domains.diagram(owners, domains.dependencies(connection, owners))
    yield ARCHITECTURE_PAGE, with_block(ARCHITECTURE_PAGE.read_text(), "domains", drawn)
    yield SCHEMA_PAGE, with_block(SCHEMA_PAGE.read_text(), "schema", schema.page(owners, schema.relations(connection)))


def write(connection: psycopg.Connection) -> list[Path]:
    """Bring every generated file up to date; returns those that changed."""
    changed = []
    for path, content in generated(connection):
        if not path.exists() or path.read_text() != content:
            path.write_text(content)
            changed.append(path)
    return changed


def _errors_table(found: list[errors.DatabaseError]) -> str:
    rows = [(str(each.status), f"`{each.token}`", each.meaning, each.hint, _raisers(each)) for each in found]
    return table(("status", "token", "meaning", "what to do", "raised by"), rows)


def _raisers(error: errors.DatabaseError) -> str:
    if error.token in errors.EVERYWHERE:
        return "most functions"
    named = [f"`{name}`" for name in error.functions]
    named += [f"a trigger on `{name}`" for name in error.tables]
    return ", ".join(named)


def _edge_table() -> str:
    # The catalogue as the edge answers it. The stack imports nothing of the edge.
    printed = subprocess.run([sys.executable, "-m", "edge.http.catalogue"], cwd=ROOT, capture_output=True, check=True)
    rows = msgspec.json.decode(printed.stdout, type=list[dict[str, str | int]])
    cells = [(f"{row['status']}", f"`{row['token']}`", f"{row['meaning']}", f"{row['hint']}") for row in rows]
    return table(("status", "token", "meaning", "what to do"), sorted(cells))


def _constraints_table(found: list[tuple[str, str, int, str]]) -> str:
    rows = [(f"`{table_name}`", str(status), f"`{name}`", meaning) for table_name, name, status, meaning in found]
    return table(("table", "status", "constraint", "meaning"), rows)


def _writers_table(found: list[writes.Writers]) -> str:
    rows = [
        (
            f"`{each.table}`",
            ", ".join("its rows" if name == writes.WHOLE_ROW else f"`{name}`" for name in each.columns),
            ", ".join(f"`{name}`" for name in each.functions),
        )
        for each in found
    ]
    return table(("table", "columns", "functions"), rows)


def _edge_errors(found: list[errors.DatabaseError], functions_of_edge: dict[str, frozenset[str]]) -> str:
    functions = {name: list(tokens) for name, tokens in functions_of_edge.items() if tokens}
    for each in found:
        for name in each.functions:
            functions.setdefault(name, []).append(each.token)
    content = {
        "errors": {
            each.token: {"status": each.status, "meaning": each.meaning, "hint": each.hint}
            for each in sorted(found, key=lambda each: each.token)
        },
        "functions": {name: sorted(functions[name]) for name in sorted(functions)},
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"
