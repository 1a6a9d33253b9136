"""Reads privileges and definitions from the catalog, as lines that can be compared."""

from pathlib import Path

import psycopg

FOLDER = Path(__file__).parent


def privileges(connection: psycopg.Connection) -> set[str]:
    """The effective privileges on our objects: `<kind> <object> <role>: <verbs>`.

    What PUBLIC has is one line; other roles have one where they differ. A closed object has a line without a role.
    """
    found: dict[str, dict[str, str]] = {}
    for name, role, verbs in rows(connection, "privileges.sql"):
        roles = found.setdefault(name, {})
        if role is not None:
            roles[role] = verbs
    lines = {f"role {role}: {powers or 'nothing'}" for role, powers in rows(connection, "roles.sql")}
    for name, roles in found.items():
        everybody = roles.get("public")
        own = {role: verbs for role, verbs in roles.items() if role == "public" or verbs != everybody}
        lines |= {f"{name} {role}: {verbs}" for role, verbs in own.items()} or {f"{name}: nobody"}
    return lines


def shape(connection: psycopg.Connection) -> set[str]:
    """Every object that our migrations make, one line each, with privileges."""
    return {line for (line,) in rows(connection, "shape.sql")} | privileges(connection)


def rows(connection: psycopg.Connection, file: str) -> list[tuple[str, ...]]:
    """The rows of a query in this folder. Names are written with their schemas."""
    connection.execute("set search_path = ''")
    return connection.execute((FOLDER / file).read_bytes()).fetchall()
