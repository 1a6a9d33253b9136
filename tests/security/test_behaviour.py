"""What row level security leaves of the privileges: everything attacked as everybody, compared with a reviewed list."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psycopg
import pytest

from stack import policies
from tests.databases import Databases
from tests.security import reviewed, schema, siege
from tests.security.siege import Field, Siege


@pytest.fixture(scope="module")
def besieged(field: Field) -> tuple[set[str], list[str]]:
    """What came of attacking everything as everybody."""
    return siege.lay(field)


def test_every_table_has_rows_to_attack(field: Field) -> None:
    empty = [table.name for table in field.tables.values() if not table.rows]
    assert not empty, f"make rows of several people in tests/security/world.py: {empty}"


def test_outcomes_are_those_reviewed(besieged: tuple[set[str], list[str]]) -> None:
    wrong = reviewed.differences(besieged[0], "behaviour.txt")
    assert not wrong, "\n".join(wrong)


def test_no_way_shows_more_than_a_select(besieged: tuple[set[str], list[str]]) -> None:
    assert besieged[1] == []


@pytest.mark.parametrize("person", ["student", "superadmin"])
def test_functions_bear_anything(field: Field, person: str) -> None:
    attacker = siege.Siege(field, person)
    for function in field.functions.values():
        attacker.fuzz(function)
    assert attacker.leaks == []


HOLES = {
    "quiz_attempts select": (
        "create policy planted on public.quiz_attempts for select to authenticated using (true)",
        "free.student free.suspended",
    ),
    "certificates update": (
        "grant update on public.certificates to authenticated;"
        " create policy planted on public.certificates for all to authenticated using (true)",
        "free.student free.suspended",
    ),
    "courses update": (
        "create policy planted on public.courses for update to authenticated using (true)",
        "unseen*3",
    ),
    "courses delete": (
        "create policy planted on public.courses for delete to authenticated using (true)",
        "paid.creator; refused 23503",
    ),
    "enrolments insert": (
        "grant insert on public.enrolments to authenticated;"
        " create policy planted on public.enrolments for insert to authenticated with check (true)",
        "refused 23505",
    ),
    "lesson_contents upsert": (
        "create policy planted on public.lesson_contents for all to authenticated using (true)",
        "draft free old other paid",
    ),
    "courses move": (
        "grant update (creator_id) on public.courses to authenticated;"
        " create policy planted on public.courses for update to authenticated using (true)",
        "free.creator->stranger",
    ),
}
"""What a hole gives the stranger, by the table and the attack that finds it."""


@contextmanager
def besieger(field: Field, databases: Databases, planted: str) -> Iterator[Siege]:
    """The stranger, who has looked at everything, before a database with a hole in it."""
    with psycopg.connect(databases.url(field.database), autocommit=True) as connection:
        connection.execute(planted.encode())
        try:
            attacker = Siege(msgspec.structs.replace(field, tables=schema.tables(connection)), "stranger")
            for table in attacker.field.tables.values():
                attacker.select(table)
            yield attacker
        finally:
            connection.execute("set role postgres")
            connection.execute(policies.compiled())


@pytest.mark.parametrize("hole", HOLES)
def test_hole_is_found(field: Field, databases: Databases, hole: str) -> None:
    planted, gained = HOLES[hole]
    name, _, attack = hole.partition(" ")
    assert gained not in " ".join(line for line in reviewed.read("behaviour.txt") if line.startswith(f"{hole} members"))
    with besieger(field, databases, planted) as attacker:
        outcome = getattr(attacker, attack)(attacker.field.tables[name])
    assert gained in str(outcome)


@pytest.mark.parametrize(
    ("condition", "way"),
    [
        ("(select current_setting('request.path', true)) <> '/quiz_attempts'", "embed"),
        ("(select current_setting('request.headers', true)) like '%count=exact%'", "count"),
        ("(select current_setting('request.headers', true)) like '%text/csv%'", "csv"),
    ],
)
def test_leak_by_another_way_is_found(field: Field, databases: Databases, condition: str, way: str) -> None:
    planted = f"create policy planted on public.quiz_attempts for select to authenticated using ({condition})"
    with besieger(field, databases, planted) as attacker:
        attacker.read_otherwise(attacker.field.tables["quiz_attempts"])
    assert [leak for leak in attacker.leaks if leak.startswith(f"quiz_attempts: {way}")]
