"""Text that people wrote, made safe to print in one line of a document, a mail or a header."""

import unicodedata

LONGEST = 500
"""Characters of one text; the database allows fewer of most."""
JOINERS = "\u200c\u200d"
"""Invisible, but part of how Persian, Hindi and emoji are written."""


def printable(text: str, longest: int = LONGEST) -> str:
    """The text in one line, without control characters and without marks that reverse the direction of what follows."""
    line = " ".join("".join(_visible(character) for character in unicodedata.normalize("NFC", text)).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _visible(character: str) -> str:
    match unicodedata.category(character):
        case "Cc":
            return " "
        case "Cf" if character not in JOINERS:
            return ""
        case _:
            return character
