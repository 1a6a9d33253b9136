"""What a database's catalog says: who may do what, and what everything looks like. As lines that can be compared."""

from pathlib import Path

import psycopg

FOLDER = Path(__file__).parent


def privileges(connection: psycopg.Connection) -> set[str]:
    """Who may do what to our objects: `<kind> <object> <role>: <verbs>`, as it works out, whoever granted it.

    What everybody may do is said once, of `public`. An object that nobody may touch has a line without a role.
    """
    found: dict[str, dict[str, str]] = {}
    for thing, role, verbs in rows(connection, "privileges.sql"):
        roles = found.setdefault(thing, {})
        if role is not None:
            roles[role] = verbs
    lines = {f"role {role}: {powers or 'nothing'}" for role, powers in rows(connection, "roles.sql")}
    for thing, roles in found.items():
        everybody = roles.get("public")
        own = {role: verbs for role, verbs in roles.items() if role == "public" or verbs != everybody}
        lines |= {f"{thing} {role}: {verbs}" for role, verbs in own.items()} or {f"{thing}: nobody"}
    return lines


def shape(connection: psycopg.Connection) -> set[str]:
    """Everything that our migrations make, one line each, privileges among them."""
    return {line for (line,) in rows(connection, "shape.sql")} | privileges(connection)


def rows(connection: psycopg.Connection, file: str) -> list[tuple[str, ...]]:
    """What a query of this folder finds. Names are written with their schemas."""
    connection.execute("set search_path = ''")
    return connection.execute((FOLDER / file).read_bytes()).fetchall()
