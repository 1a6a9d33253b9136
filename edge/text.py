"""Text of people, made safe to set in one line: of a document, of a mail, of a header."""

import unicodedata

LONGEST = 500
"""Letters of one text that are set; the database allows fewer of most."""
JOINERS = "\u200c\u200d"
"""Invisible, but part of how Persian, Hindi and emoji are written."""


def printable(text: str, longest: int = LONGEST) -> str:
    """The text in one line, without controls and without marks that turn the direction of what follows."""
    line = " ".join("".join(_visible(letter) for letter in unicodedata.normalize("NFC", text)).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _visible(letter: str) -> str:
    match unicodedata.category(letter):
        case "Cc":
            return " "
        case "Cf" if letter not in JOINERS:
            return ""
        case _:
            return letter
