"""A small test world in which every table holds rows of several people, to be probed from everybody's place.

Each domain has a module here, `worlds/<domain>.py`, with a function `build(builder)` that adds the domain's rows after
those of the earlier domains, and where needed `conclude(builder)` for changes that must come after every domain's rows.
All rows are known, because the world lives in a database of its own. A row is labelled by the people and courses that
it names: `free.student` belongs to the student in the course `free`.
"""

import importlib
import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg

from tests.security.domains import domains


class World:
    """The names of people, courses and the rows that refer to them."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        """The id of each person and course, by name."""
        self._names: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        """The labels of rows, by id, for rows that refer to them and name no person or course."""

    def add(self, name: str) -> str:
        """Name a person or a course; returns its id, which is the same in every run."""
        self.ids[name] = str(UUID(int=(len(self.ids) + 1 << 64) | 0x4000_8000_0000_0000_0000, version=4))
        self._names[self.ids[name]] = name
        return self.ids[name]

    def label(self, row: dict[str, Any]) -> str:
        """The people and courses that a row names; `row` where it names none."""
        values = [str(value) for value in row.values()]
        for known in (self._names, self._labels):
            named = [known[value] for value in values if value in known]
            if named:
                return ".".join(dict.fromkeys(named))
        return "row"

    def learn(self, rows: Iterable[dict[str, Any]]) -> None:
        """Label rows, so that rows that only refer to them get their labels, over any number of references."""
        waiting = [row for row in rows if isinstance(row.get("id"), str) and row["id"] not in self._names]
        while found := {row["id"]: self.label(row) for row in waiting if self.label(row) != "row"}:
            waiting = [row for row in waiting if row["id"] not in found]
            self._labels |= found


class Builder:
    """What a domain's module builds with: the world's names, and a superuser's connection."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.world = World()
        self.ids = self.world.ids
        self._connection = connection

    def run(self, statement: str, *parameters: Any) -> Any:
        """Run a statement as the superuser; returns its first value."""
        return _first(self._connection.execute(statement.encode(), parameters))

    def act(self, person: str, statement: str, *parameters: Any) -> Any:
        """Run a statement as PostgREST would for a person; returns its first value."""
        return act_as(self._connection, self.ids[person], statement, *parameters)


def build_world(connection: psycopg.Connection) -> World:
    """Fill a migrated database, as the superuser; functions derive what only functions may write."""
    builder = Builder(connection)
    modules = [importlib.import_module(f"{__name__}.{domain}") for domain in domains()]
    for module in modules:
        module.build(builder)
    for module in modules:
        if hasattr(module, "conclude"):
            module.conclude(builder)
    return builder.world


def act_as(connection: psycopg.Connection, user_id: str, statement: str, *parameters: Any) -> Any:
    """Run a statement as PostgREST would for a user; returns its first value."""
    with connection.transaction():
        connection.execute("set local role authenticated")
        connection.execute(
            "select set_config('request.jwt.claims', %s, true)",
            [json.dumps({"sub": user_id, "role": "authenticated"})],
        )
        value = _first(connection.execute(statement.encode(), parameters))
        connection.execute("reset role")
    return value


def _first(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None
