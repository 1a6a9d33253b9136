"""Ordered lists: positions are set from a list of ids, and close up after deletions."""

import uuid

import psycopg
import pytest

A, B, C, D = (str(uuid.UUID(int=number)) for number in range(1, 5))


@pytest.fixture
def items(db: psycopg.Connection) -> psycopg.Connection:
    """A table of three items of one parent and one of another."""
    db.execute("create table private.items (id uuid, parent_id uuid, position integer)")
    for id_, parent, position in ((A, B, 1), (B, B, 2), (C, B, 3), (D, A, 5)):
        db.execute("insert into private.items values (%s, %s, %s)", [id_, parent, position])
    return db


def positions(items: psycopg.Connection) -> dict[str, int]:
    return dict(items.execute("select id::text, position from private.items").fetchall())


def test_gaps_close_in_the_named_parents_only(items: psycopg.Connection) -> None:
    items.execute("delete from private.items where id = %s", [B])
    items.execute("select private.close_position_gaps('private.items', 'parent_id', %s::uuid[])", [[B]])
    assert positions(items) == {A: 1, C: 2, D: 5}


def test_positions_follow_the_list(items: psycopg.Connection) -> None:
    items.execute("select private.set_positions('private.items', %s::uuid[])", [[C, A, B]])
    assert positions(items) == {C: 1, A: 2, B: 3, D: 5}


@pytest.mark.parametrize(("ids", "listed"), [([A, B], [B, A]), ([], [])])
def test_the_same_ids_in_any_order_are_accepted(db: psycopg.Connection, ids: list[str], listed: list[str]) -> None:
    db.execute("select private.require_same_ids(%s::uuid[], %s::uuid[])", [ids, listed])


@pytest.mark.parametrize("listed", [[A], [A, B, C], [A, A, B], [A, A], [], None, [A, None]])
def test_another_list_is_refused(db: psycopg.Connection, listed: list[str | None] | None) -> None:
    with pytest.raises(psycopg.Error, match="sequence_incomplete") as refused:
        db.execute("select private.require_same_ids(%s::uuid[], %s::uuid[])", [[A, B], listed])
    assert refused.value.sqlstate == "PT409"


def test_codes_differ_and_have_one_form(db: psycopg.Connection) -> None:
    codes = {code for (code,) in db.execute("select private.new_code() from generate_series(1, 100)").fetchall()}
    assert len(codes) == 100
    assert db.execute(
        "select bool_and(c ~ '^([0-9A-F]{4}-){4}[0-9A-F]{4}$') from unnest(%s::text[]) as c", [list(codes)]
    ).fetchone() == (True,)
