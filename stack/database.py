"""Turning an empty database into this project's: Supabase's own objects, then our migrations, then the seed."""

import re
from pathlib import Path

import psycopg
from psycopg import sql

from stack.errors import StackError
from stack.project import BOOTSTRAP, MIGRATIONS, SEED

FILE_NAME = re.compile(r"(?P<version>\d{14})_(?P<name>[a-z0-9_]+)\.sql")

HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text not null primary key,
    statements text[],
    name text
);
"""


def bootstrap(url: str, passwords: dict[str, str]) -> None:
    """Make what a Supabase database has before any migration: roles, schemas, auth, storage, realtime.

    Args:
        url: the database, as the superuser.
        passwords: of each login role.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        for file in sorted(BOOTSTRAP.glob("*.sql")):
            run_file(connection, file)
        set_passwords(connection, passwords)


def set_passwords(connection: psycopg.Connection, passwords: dict[str, str]) -> None:
    """Give each login role that exists its password."""
    for role, password in passwords.items():
        known = connection.execute("select from pg_catalog.pg_roles where rolname = %s", [role]).fetchone()
        if known is not None:
            connection.execute(
                sql.SQL("alter role {} with login password {}").format(sql.Identifier(role), sql.Literal(password))
            )


def migrate(url: str) -> list[str]:
    """Apply the migrations that the database lacks, in order, each in a transaction of its own.

    They are recorded where `supabase db push` records them, so that either tool can go on after the other.

    Args:
        url: the database, as the role `postgres`.

    Returns:
        The names of the files applied.

    Raises:
        StackError: a file failed, or one that was applied has been edited since.
    """
    applied = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(HISTORY)
        done = dict(
            connection.execute("select version, statements from supabase_migrations.schema_migrations").fetchall()
        )
        for file in sorted(MIGRATIONS.glob("*.sql")):
            named = FILE_NAME.fullmatch(file.name)
            if named is None:
                raise StackError(f"supabase/migrations/{file.name} is not named <14 digits>_<domain>_<what>.sql")
            if named["version"] in done:
                # A history that `supabase db push` wrote holds single statements, which cannot be compared.
                if len(done[named["version"]]) == 1 and done[named["version"]] != [file.read_text()]:
                    raise StackError(
                        f"supabase/migrations/{file.name} was edited after this database was made: "
                        "run ./guildhall reset to make the database anew"
                    )
                continue
            with connection.transaction():
                run_file(connection, file)
                connection.execute(
                    "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
                    [named["version"], named["name"], [file.read_text()]],
                )
            applied.append(file.name)
    return applied


def seed(url: str) -> None:
    """Fill a new database with the demo academy."""
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        run_file(connection, SEED)


def run_file(connection: psycopg.Connection, file: Path) -> None:
    """Run a whole SQL file.

    Raises:
        StackError: it failed; the message names file and line.
    """
    text = file.read_text()
    try:
        connection.execute(text.encode())
    except psycopg.Error as error:
        position = error.diag.statement_position
        line = text.count("\n", 0, int(position)) + 1 if position else "?"
        raise StackError(f"{file.name}, line {line}: {error.diag.message_primary or error}") from error
