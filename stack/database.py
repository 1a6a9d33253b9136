"""The stack's database: Supabase's own objects, then the project's migrations, then its seed."""

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from stack.errors import StackError
from stack.paths import BOOTSTRAP
from stack.postgres import DATABASE, MAINTENANCE_DATABASE, SUPERUSER
from stack.project import Project
from stack.state import State

DRAFT = "guildhall_new"
"""The name of a database while it is made."""

FILE_NAME = re.compile(r"(?P<version>\d{14})_(?P<name>[a-z0-9_]+)\.sql")

ATTEMPTS = 4
"""How often a migration that ends in a deadlock is tried."""

HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text not null primary key,
    statements text[],
    name text
);
"""


def is_complete(state: State) -> bool:
    """Whether the stack's database exists and is complete; initdb leaves an empty one of the same name."""
    try:
        with psycopg.connect(state.database_url(SUPERUSER)) as connection:
            history = connection.execute("select to_regnamespace('supabase_migrations') is not null").fetchone()
    except psycopg.OperationalError as error:
        if f'database "{DATABASE}" does not exist' in str(error):
            return False
        raise
    return history == (True,)


def make(project: Project, state: State, report: Callable[[str], None]) -> None:
    """Create the stack's database, in place of an existing one.

    It is made under another name and renamed after the seed. An attempt that fails or is killed leaves the old database
    as it was, and no half-made one that could pass for a complete one.

    Args:
        project: whose migrations and seed to apply.
        state: the stack, whose Postgres runs.
        report: is called with a line for each step.

    Raises:
        StackError: a file of SQL failed.
    """
    draft = sql.Identifier(DRAFT)
    drop = sql.SQL("drop database if exists {} with (force)")
    with psycopg.connect(state.database_url(SUPERUSER, MAINTENANCE_DATABASE), autocommit=True) as connection:
        connection.execute(drop.format(draft))
        connection.execute(sql.SQL("create database {} template template0").format(draft))
        report("making what every Supabase database has")
        bootstrap(state.database_url(SUPERUSER, DRAFT), state.passwords)
        report("applying the migrations")
        migrate(project.migrations, state.database_url("postgres", DRAFT))
        set_passwords(connection, state.passwords)  # of the roles that migrations made
        report("applying the seed")
        seed(project.seeds(), state.database_url("postgres", DRAFT))
        connection.execute(drop.format(sql.Identifier(DATABASE)))
        connection.execute(sql.SQL("alter database {} rename to {}").format(draft, sql.Identifier(DATABASE)))


def bring_up_to_date(project: Project, state: State) -> list[str]:
    """Apply the migrations that the stack's database lacks.

    Returns:
        The names of the files applied.

    Raises:
        StackError: a file failed, or was edited after it was applied.
    """
    fresh = migrate(project.migrations, state.database_url("postgres"))
    if fresh:
        with psycopg.connect(state.database_url(SUPERUSER), autocommit=True) as connection:
            set_passwords(connection, state.passwords)
    return fresh


def bootstrap(url: str, passwords: dict[str, str]) -> None:
    """Make what a Supabase database has before any migration: roles, schemas, auth, storage, realtime.

    Args:
        url: the database, as the superuser.
        passwords: of the login roles.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        for file in sorted(BOOTSTRAP.glob("*.sql")):
            run_file(connection, file)
        set_passwords(connection, passwords)


def set_passwords(connection: psycopg.Connection, passwords: dict[str, str]) -> None:
    """Set the password of each login role that exists."""
    for role, password in passwords.items():
        known = connection.execute("select from pg_catalog.pg_roles where rolname = %s", [role]).fetchone()
        if known is not None:
            connection.execute(
                sql.SQL("alter role {} with login password {}").format(sql.Identifier(role), sql.Literal(password))
            )


def migrate(migrations: Path, url: str) -> list[str]:
    """Apply the migrations that a database lacks, in order, each in a transaction of its own.

    The history is Supabase's own table, so that the stack and `supabase db push` accept each other's migrations.

    Args:
        migrations: the folder.
        url: the database, as the role `postgres`.

    Returns:
        The names of the files applied.

    Raises:
        StackError: a file failed, or was edited after it was applied.
    """
    fresh = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(HISTORY)
        done = applied(url)
        changed = edited(migrations, done)
        if changed:
            raise StackError(
                f"supabase/migrations/{changed[0].name} was edited after this database was made: "
                "run ./guildhall reset to make the database anew"
            )
        for version, file in files(migrations).items():
            if version in done:
                continue
            _apply(connection, version, file)
            fresh.append(file.name)
    return fresh


def _apply(connection: psycopg.Connection, version: str, file: Path) -> None:
    """Apply one migration, again where it and Postgres's own autovacuum waited for each other."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                run_file(connection, file)
                connection.execute(
                    "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
                    [version, file.stem.partition("_")[2], [file.read_text()]],
                )
        except StackError as error:
            if not isinstance(error.__cause__, psycopg.errors.DeadlockDetected) or attempt == ATTEMPTS:
                raise
        else:
            return


def files(migrations: Path) -> dict[str, Path]:
    """The migrations by version, in order.

    Raises:
        StackError: a file is not named like a migration.
    """
    found = {}
    for file in sorted(migrations.glob("*.sql")):
        named = FILE_NAME.fullmatch(file.name)
        if named is None:
            raise StackError(f"supabase/migrations/{file.name} is not named <14 digits>_<name>.sql")
        found[named["version"]] = file
    return found


def applied(url: str) -> dict[str, list[str] | None]:
    """The versions that a database has, each with the recorded statements."""
    with psycopg.connect(url) as connection:
        return dict(
            connection.execute("select version, statements from supabase_migrations.schema_migrations").fetchall()
        )


def edited(migrations: Path, done: dict[str, list[str] | None]) -> list[Path]:
    """The migrations whose text differs from what was applied.

    A history that `supabase db push` wrote holds single statements, which cannot be compared.
    """
    return [
        file
        for version, file in files(migrations).items()
        if len(done.get(version) or []) == 1 and done[version] != [file.read_text()]
    ]


def seed(files: list[Path], url: str) -> None:
    """Run the seed's files in one transaction, as the role `postgres`. Raises StackError."""
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        for file in files:
            run_file(connection, file)


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
