"""What row level security leaves of the privileges: everything attacked as everybody, and compared with a reviewed list."""

import time

import pytest

from tests.security import reviewed, siege
from tests.security.conftest import Field


@pytest.fixture(scope="module")
def besieged(field: Field) -> tuple[set[str], list[str]]:
    started = time.monotonic()
    found = siege.lay(field.http, field.tokens, field.world, field.tables, field.functions, field.labels)
    print(time.monotonic() - started)
    return found


def test_every_table_has_rows_to_attack(field: Field) -> None:
    empty = [table.name for table in field.tables if not table.rows]
    assert not empty, f"make rows of several people in tests/security/world.py: {empty}"


def test_outcomes_are_those_reviewed(besieged: tuple[set[str], list[str]]) -> None:
    wrong = reviewed.differences(besieged[0], "behaviour.txt")
    assert not wrong, "\n".join(wrong)


def test_no_way_shows_more_than_a_select(besieged: tuple[set[str], list[str]]) -> None:
    assert besieged[1] == []
