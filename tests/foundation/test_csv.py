"""Cells of files for spreadsheets."""

import psycopg
import pytest


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("Ada", '"Ada"'),
        ("1-2", '"1-2"'),
        ('say "no"', '"say ""no"""'),
        *(
            (f"{hidden}=1+1", f'"\'{hidden}=1+1"')
            for hidden in ("", " ", "\u00a0", "\u200b", "\u00ad", "\u2060", "\u3164")
        ),
        ("\u2800@SUM(A1)", '"\'\u2800@SUM(A1)"'),
        ("\ufe66 1", '"\'\ufe66 1"'),
        ("a;\u00ad=1+1", '"a;\'\u00ad=1+1"'),
    ],
)
def test_no_cell_is_a_formula(db: psycopg.Connection, text: str, cell: str) -> None:
    assert db.execute("select private.csv_cell(%s)", [text]).fetchone() == (cell,)
