"""A database of a test's own, to which the test adds what a later migration would add."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.databases import Databases
from tests.people import Academy, Person


class Extended:
    """A migrated database with additions. It has no API: statements run as PostgREST would run them for a person."""

    def __init__(self, academy: Academy) -> None:
        self._academy = academy
        self.url = academy.admin_db_url
        """As the superuser."""

    def member(self, *roles: str) -> Person:
        """A new user with these roles."""
        return self._academy.member(*roles)

    def act(self, who: Person, statement: str, *parameters: Any) -> Any:
        """Run a statement as a person; returns the first value."""
        with psycopg.connect(self.url) as connection:
            claims = json.dumps({"sub": who.id, "role": "authenticated"})
            connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
            connection.execute("set local role authenticated")
            row = connection.execute(statement.encode(), parameters).fetchone()
        return row and row[0]

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser; returns its rows."""
        return self._academy.sql(statement, *parameters)

    def execute(self, statement: str) -> None:
        """Run a statement without rows as the superuser."""
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode())

    def webhook(self, provider: str, type_: str, payload: dict[str, Any]) -> str:
        """Have the database receive an event; returns its status."""
        ((status,),) = self.sql(
            "select private.receive_webhook(%s, gen_random_uuid()::text, %s, %s)::text",
            provider, type_, json.dumps(payload),
        )  # fmt: skip
        return str(status)


@contextmanager
def extended(academy: Academy, databases: Databases, migration: str) -> Iterator[Extended]:
    """A migrated database after one more migration, dropped afterwards."""
    with databases.cloned() as name:
        with psycopg.connect(databases.url(name, "postgres"), autocommit=True) as connection:
            connection.execute(migration.encode())
        with Academy(academy.keys, databases.url(name), academy.http) as other:
            yield Extended(other)
