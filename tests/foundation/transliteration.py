"""Writes the migration that spells letters of every script in ASCII, from the library anyascii."""

import unicodedata
from importlib.metadata import distribution

from anyascii import anyascii

from stack.paths import ROOT

FILE = ROOT / "supabase" / "migrations" / "20261123000106_foundation_transliteration.sql"
LAST = 0x1FFFF
"""Beyond it there are rare Chinese characters only."""
EXTINCT = (range(0x12000, 0x14700), range(0x17000, 0x18E00))
"""Cuneiform, hieroglyphs and Tangut, with thousands of signs each: nobody titles a course in them."""
WIDTH = 118

HEAD = """\
-- Foundation: how letters of every script are spelled in ASCII, for slugs.
--
-- Generated: ./guildhall test tests/foundation/test_transliteration.py --update
--
-- The data is that of the library AnyAscii, under this licence:
--
{licence}

create table private.transliterations (
    block integer constraint transliterations_pkey primary key,
    letters text[] not null
);
comment on table private.transliterations is
'How letters, marks and digits are spelled in a-z and 0-9, after private.fold_text. A row has the 256 code points of a
block; empty where nothing is spelled. private.transliterate reads it.';
comment on column private.transliterations.block is 'The code points of the block, divided by 256.';
comment on column private.transliterations.letters is 'The spelling of each code point, from the first.';
alter table private.transliterations enable row level security;

insert into private.transliterations (block, letters)
select
    b.block,
    string_to_array(translate(b.letters, E'\\n', ''), ',')
from (
    values
{blocks}
) as b (block, letters);
"""


def spelling(code: int) -> str:
    """The letter in a-z and 0-9; empty for what is no letter, mark or digit, or is folded to another character."""
    letter = chr(code)
    if unicodedata.category(letter)[0] not in "LMN" or any(code in extinct for extinct in EXTINCT):
        return ""
    if unicodedata.normalize("NFKC", letter).lower() != letter:
        return ""
    return "".join(part for part in anyascii(letter).lower() if part.isascii() and part.isalnum())


def migration() -> str:
    """The whole file."""
    blocks = []
    for block in range((LAST >> 8) + 1):
        letters = [spelling(code) if code >= 0x80 else "" for code in range(block << 8, (block + 1) << 8)]
        if any(letters):
            lines = [""]
            for letter in letters:
                if len(lines[-1]) + len(letter) + 1 > WIDTH:
                    lines.append("")
                lines[-1] += f"{letter},"
            text = "\n".join(lines).removesuffix(",")
            blocks.append(f"    ({block}, '\n{text}\n')")
    licence = (distribution("anyascii").read_text("licenses/LICENSE") or "").strip()
    commented = "\n".join(f"-- {line}".rstrip() for line in licence.splitlines())
    return HEAD.format(licence=commented, blocks=",\n".join(blocks))
