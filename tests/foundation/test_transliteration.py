"""Spelling letters of every script in ASCII."""

import unicodedata

import psycopg
import pytest

from tests.foundation.transliteration import FILE, migration, spelling


def test_the_migration_is_what_the_library_gives(pytestconfig: pytest.Config, db: psycopg.Connection) -> None:
    if pytestconfig.getoption("--update"):
        FILE.write_text(migration())
    if unicodedata.unidata_version == "14.0.0":  # of Python 3.11; later versions have more letters
        assert FILE.read_text() == migration()
    spelled = [
        (block * 256 + offset, letters)
        for block, row in db.execute("select block, letters from private.transliterations").fetchall()
        for offset, letters in enumerate(row)
        if letters
    ]
    assert len(spelled) > 50_000
    assert [code for code, letters in spelled if spelling(code) != letters] == []


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("Привет, мир", "privet, mir"),
        ("Ελλάδα", "ellada"),
        ("שלום", "slvm"),
        ("العربية", "lrbyh"),
        ("हिन्दी", "hindi"),
        ("தமிழ்", "tmil"),
        ("中文", " zhong  wen "),
        ("にほんご", "nihongo"),
        ("한국어", "hangugeo"),
        ("ไทย", "aithy"),
        ("ᠮᠣᠩᠭᠣᠯ", "monggol"),
        ("ދިވެހި", "dhivehi"),
        ("Þórður", "thordur"),
        ("Łódź", "lodz"),
        ("ⅫⅠ ½ ①", "xiii 1/2 1"),
        ("🎹 —", "  -"),
        ("", ""),
    ],
)
def test_letters_of_every_script_are_spelled(db: psycopg.Connection, text: str, spelled: str) -> None:
    assert db.execute("select private.transliterate(%s)", [text]).fetchone() == (spelled,)


def test_every_living_script_is_spelled(db: psycopg.Connection) -> None:
    """A letter of each script in use."""
    letters = "bбβբבبܒހबবਬબବபబಬബබกກཀကბᎠᄀባᠪぁイㄅ中가ꀀ𞤀ខ"  # noqa: RUF001
    nothing = [
        letter
        for letter in letters
        if db.execute("select btrim(private.transliterate(%s)) = ''", [letter]).fetchone() == (True,)
    ]
    assert nothing == []
