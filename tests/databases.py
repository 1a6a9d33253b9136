"""Databases of a test's own, in the cluster of the run's stack: to plant violations in, to replay migrations into."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
from filelock import FileLock
from psycopg import sql
from pytest_postgresql.janitor import DatabaseJanitor

from stack.database import bootstrap, migrate
from stack.ports import LOOPBACK
from stack.postgres import MAINTENANCE_DATABASE, SUPERUSER
from stack.state import State

TEMPLATE = "security_template"
"""What `supabase/migrations` make of a bootstrapped database; made once a run, by whichever worker asks first."""


class Databases(msgspec.Struct, frozen=True, kw_only=True):
    """Makes databases beside the stack's own."""

    state: State
    lock: Path
    """A file that the workers of this run share: bootstrapping alters roles, and roles belong to the cluster."""

    def url(self, database: str, role: str = SUPERUSER) -> str:
        """The address of a database for a role."""
        return self.state.database_url(role, database)

    @contextmanager
    def bootstrapped(self) -> Iterator[str]:
        """A database with what Supabase brings and none of our migrations. Yields its name; dropped afterwards."""
        with self._made("template0") as name:
            with FileLock(self.lock):
                bootstrap(self.url(name), {})
            yield name

    @contextmanager
    def cloned(self) -> Iterator[str]:
        """A database as the migrations make it, without any row. Yields its name; dropped afterwards."""
        with FileLock(self.lock):
            if not self._exists(TEMPLATE):
                self._make_template()
        with self._made(TEMPLATE) as name:
            with psycopg.connect(self.url(name), autocommit=True) as connection:
                # What belongs to a database and not to what is in it, a clone does not get.
                database = sql.Identifier(name)
                connection.execute(sql.SQL("alter database {} set pgrst.db_schemas = 'public'").format(database))
                connection.execute(sql.SQL("revoke temporary on database {} from public").format(database))
            yield name

    def _make_template(self) -> None:
        draft = f"{TEMPLATE}_draft"
        with self._maintenance() as connection:
            connection.execute(f"create database {draft} template template0".encode())
        bootstrap(self.url(draft), {})
        migrate(self.url(draft, "postgres"))
        with self._maintenance() as connection:
            connection.execute(f"alter database {draft} rename to {TEMPLATE}".encode())

    @contextmanager
    def _made(self, template: str) -> Iterator[str]:
        name = f"security_{uuid.uuid4().hex}"
        with DatabaseJanitor(
            user=SUPERUSER,
            password=self.state.passwords[SUPERUSER],
            host=LOOPBACK,
            port=self.state.ports.database,
            dbname=name,
            template_dbname=template,
            maintenance_dbname=MAINTENANCE_DATABASE,
        ):
            with self._maintenance() as connection:
                connection.execute(f"alter database {name} owner to postgres".encode())
            yield name

    def _exists(self, name: str) -> bool:
        with self._maintenance() as connection:
            return connection.execute("select from pg_database where datname = %s", [name]).fetchone() is not None

    def _maintenance(self) -> psycopg.Connection:
        return psycopg.connect(self.url(MAINTENANCE_DATABASE), autocommit=True)
