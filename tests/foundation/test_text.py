"""Comparing texts: private.fold_text against Unicode's own tables, for every assigned code point."""

import unicodedata
from collections import defaultdict
from functools import cache

import psycopg
import pytest
import regex  # type: ignore[import-untyped]  # a package of stubs for two calls is too much
from hypothesis import given, settings
from hypothesis import strategies as st

APOSTROPHES = set("'`´ʹʻʼ՚׳ߴߵ‘’‚‛′‵‹›＇｀")  # noqa: RUF001
"""What stands for an apostrophe, apart from Unicode's Quotation_Mark: no table of Unicode has them."""
SEEN_AS_SPACE = {"\u2800"}
SEEN_AS_NOTHING = set("\ufff9\ufffa\ufffb\U0001d159\U00016fe4")
APART = {"<super>", "<sub>"}
"""Decompositions that change what is meant: x² is not x2."""
SPACED = {"<circle>", "<fraction>"}
"""Decompositions that would run into their neighbours: 1½ is not 11/2."""


@pytest.fixture(scope="module")
def codes(admin_db_url: str) -> list[int]:
    """Every code point that both the database and Python know as assigned, without surrogates and private use."""
    with psycopg.connect(admin_db_url) as connection:
        known = connection.execute(
            "select n from generate_series(1, 1114111) as n"
            " where n not between 55296 and 57343 and unicode_assigned(chr(n))"
        ).fetchall()
    return [code for (code,) in known if unicodedata.category(chr(code)) not in {"Cn", "Co", "Cs"}]


def folded(connection: psycopg.Connection, texts: list[str]) -> list[str]:
    return [
        text
        for (text,) in connection.execute(
            "select private.fold_text(t.text) from unnest(%s::text[]) with ordinality as t (text, number)"
            " order by t.number",
            [texts],
        ).fetchall()
    ]


@cache
def kinds(letter: str) -> frozenset[str]:
    """The tags of every decomposition on the way to NFKC."""
    tag, *rest = unicodedata.decomposition(letter).split() or [""]
    found = {tag} if tag.startswith("<") else set()
    for part in rest if found else [tag, *rest]:
        if part:
            found |= kinds(chr(int(part, 16)))
    return frozenset(found)


def reference(text: str) -> str:
    """What fold_text gives, written anew from Unicode's tables: NFKC_Casefold, and the classes of marks."""
    shown = regex.sub(r"\p{Default_Ignorable_Code_Point}", "", text)
    shown = "".join(letter for letter in shown if letter not in SEEN_AS_NOTHING)
    shown = shown.replace("\u00b4", "'").replace("\u1ffd", "'")
    parts = []
    for letter in shown:
        whole = letter if kinds(letter) & APART else unicodedata.normalize("NFKC", letter)
        if kinds(letter) & SPACED:
            whole = f" {whole}" if letter == "\u215f" else f" {whole} "
        parts.append(whole)
    shown = "".join(parts)
    # Without the step of NFKC for those that stay apart; composed anew, since letters were taken one by one.
    shown = unicodedata.normalize("NFC", shown).replace("\u0130", "i").casefold()
    shown = regex.sub("i\u0307+", "i", shown)
    shown = unicodedata.normalize("NFC", "".join(_upper_cherokee(letter) for letter in shown))
    marks = []
    for letter in shown:
        if letter in APOSTROPHES:
            marks.append("'")
        elif letter == "״" or regex.fullmatch(r"\p{Quotation_Mark}", letter):
            marks.append('"')
        elif kinds(letter) & APART:
            marks.append(letter)
        elif regex.fullmatch(r"\p{Dash}", letter):
            marks.append("-")
        elif letter == "\u2044":
            marks.append("/")
        elif letter in SEEN_AS_SPACE or regex.fullmatch(r"[\p{White_Space}\p{Cc}]", letter):
            marks.append(" ")
        else:
            marks.append(letter)
    return " ".join(part for part in "".join(marks).split(" ") if part)


def _upper_cherokee(letter: str) -> str:
    """Unicode folds Cherokee to its capitals, and Postgres to its small letters."""
    return letter.lower() if "\u13a0" <= letter <= "\u13f5" else letter


def test_every_code_point_is_folded_as_unicode_says(db: psycopg.Connection, codes: list[int]) -> None:
    letters = [chr(code) for code in codes]
    assert len(letters) > 140_000
    wrong = [
        f"U+{ord(letter):04X} {letter!r}: {given!r}, not {wanted!r}"
        for letter, given in zip(letters, folded(db, letters), strict=True)
        if given != (wanted := reference(letter))
    ]
    assert wrong == []


def test_folding_again_changes_nothing(db: psycopg.Connection, codes: list[int]) -> None:
    letters = [chr(code) for code in codes]
    once = folded(db, letters)
    assert [f"{a!r} {b!r}" for a, b in zip(once, folded(db, once), strict=True) if a != b] == []


DIFFERENT = (
    ("x²", "x2"), ("2⁵", "25"), ("log₂8", "log28"), ("m²", "m2"), ("㎡", "m2"), ("pʰ", "ph"), ("1½", "11/2"),
    ("2①", "21"), ("①②", "12"), ("café", "cafe"), ("sık", "sik"), ("5'", '5"'), ("a-b", "ab"),  # noqa: RUF001
)  # fmt: skip
"""Texts that mean different things."""


def test_only_what_looks_alike_becomes_equal(db: psycopg.Connection, codes: list[int]) -> None:
    """Letters that become equal are one character by case, by a decomposition of look alone, or by a class of marks."""
    alike = defaultdict(list)
    letters = [chr(code) for code in codes]
    for letter, fold in zip(letters, folded(db, letters), strict=True):
        alike[fold].append(letter)
    for fold, members in alike.items():
        if fold == "" or len(members) == 1:
            continue
        for letter in members:
            raised = kinds(letter) & APART
            assert not raised or members == [letter], (fold, members)
    # Letters of different scripts that look alike, and marks that are no letters, stay apart.
    for different in ("aаαɑ", "oоοօ0", "eе", "cс", "iıіΙl1|", "pрρ", "K\u041a\u039a", "ßβ", "x×", "-_~ー", "'\"", "२2"):  # noqa: RUF001
        folds = folded(db, list(different))
        pairs = {
            (a, b)
            for a, fa in zip(different, folds, strict=True)
            for b, fb in zip(different, folds, strict=True)
            if fa == fb
        }
        assert all(a == b or a.casefold() == b.casefold() for a, b in pairs), pairs
    for one, other in DIFFERENT:
        first, second = folded(db, [one, other])
        assert first != second, (one, other)


TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs", "Cn", "Co"], exclude_characters="\0"),
        st.sampled_from("iİıIß ς̇ͅ\u0301½①²´`'\u00ad\u200d⁄ᾳ⅟\u0345-"),  # noqa: RUF001
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXTS, min_size=200, max_size=200))
def test_folding_texts_again_changes_nothing(admin_db_url: str, texts: list[str]) -> None:
    with psycopg.connect(admin_db_url) as connection:
        once = folded(connection, texts)
        assert folded(connection, once) == once


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("summer-10", "SUMMER-10"),
        (" Summer\u201110\u00a0", "SUMMER-10"),
        ("ＳＵＭＭＥＲ－１０", "SUMMER-10"),  # noqa: RUF001
        ("SUM\u200bMER\u2013 10\ufeff", "SUMMER-10"),
        ("a²", "A²"),
    ],
)
def test_codes_are_read_as_they_are_typed(db: psycopg.Connection, typed: str, code: str) -> None:
    assert db.execute("select private.fold_code(%s)", [typed]).fetchone() == (code,)


def test_no_text_is_no_text(db: psycopg.Connection) -> None:
    assert db.execute("select private.fold_text(null), private.fold_code(null), private.is_name(null)").fetchone() == (
        None, None, None,
    )  # fmt: skip
