"""Databases of a test's own, in the cluster of the run's stack."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
from filelock import FileLock
from psycopg import sql

from stack.database import bootstrap
from stack.postgres import MAINTENANCE_DATABASE, SUPERUSER
from stack.state import State
from tests.golden import BARE, clone


class Databases(msgspec.Struct, frozen=True, kw_only=True):
    """Makes databases beside the stack's own."""

    state: State
    lock: Path
    """A file that the workers of this run lock, because bootstrapping alters roles, which belong to the cluster."""

    def url(self, database: str, role: str = SUPERUSER) -> str:
        """The address of a database for a role."""
        return self.state.database_url(role, database)

    @contextmanager
    def bootstrapped(self) -> Iterator[str]:
        """A database with what Supabase brings and none of our migrations. Yields its name; dropped afterwards."""
        with self._named() as name:
            with self._maintenance() as connection:
                connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
            with FileLock(self.lock):
                bootstrap(self.url(name), {})
            yield name

    @contextmanager
    def cloned(self) -> Iterator[str]:
        """A database as the migrations make it, without the seed. Yields its name; dropped afterwards."""
        with self._named() as name:
            with self._maintenance() as connection:
                clone(connection, BARE, name)
            yield name

    @contextmanager
    def _named(self) -> Iterator[str]:
        """A name for a database, which is dropped afterwards."""
        name = f"test_{uuid.uuid4().hex}"
        try:
            yield name
        finally:
            with self._maintenance() as connection:
                connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _maintenance(self) -> psycopg.Connection:
        return psycopg.connect(self.url(MAINTENANCE_DATABASE), autocommit=True)
