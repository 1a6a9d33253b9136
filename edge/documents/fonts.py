"""The fonts of documents, and the characters that they have.

`python -m edge.documents.fonts` prints the ranges for the migration `learning_printable`, by which SQL refuses to issue
a certificate with a name that no font has.
"""

import json
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from fontTools.ttLib import TTCollection, TTFont  # type: ignore[import-untyped]

PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
"""Packages of fonts alone: Noto for the scripts of most people. The serif is part of typst.

No font of the machine is used, so that a document looks alike wherever it is printed."""
WEB_FONTS = Path(__file__).parents[2] / "node_modules" / "@fontsource"
"""Noto for further scripts, one npm package a script. They come as WOFF, which typst does not read."""
INVISIBLE = {"Cc", "Cf", "Zl", "Zp", "Zs"}
"""Categories that need no glyph; beyond these blocks no name has any."""
INVISIBLE_BLOCKS = (range(0x3001), range(0xFE00, 0x10000), range(0xE0000, 0xE0080))
IGNORED = (
    range(0xFE00, 0xFE10),
    range(0xE0100, 0xE01F0),
    range(0x180B, 0x1810),
    (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5),
)
"""Further characters that need no glyph: Unicode has them ignored where a font lacks them."""


def folders() -> list[Path]:
    """The folders of fonts that typst reads as they are."""
    return [Path(str(files(name))) for name in PACKAGES]


def web_fonts() -> list[Path]:
    """The WOFF files: the letters of each script, in the regular weight.

    Raises:
        FileNotFoundError: they are not installed.
    """
    found = []
    for package in sorted(WEB_FONTS.glob("noto-*")):
        script = package.name.split("-", 2)[2]
        found.append(package / "files" / f"{package.name}-{script}-400-normal.woff")
    if not found:
        raise FileNotFoundError(f"{WEB_FONTS} has no fonts: run `npm ci --omit=dev`")
    return found


def unwrap(folder: Path) -> None:
    """Write the web fonts into a folder in the form that typst reads."""
    for source in web_fonts():
        with TTFont(source) as font:
            font.flavor = None
            font.save(folder / f"{source.stem}.ttf")


def versions() -> str:
    """The versions of all packages of fonts."""
    npm = [json.loads((font.parents[1] / "package.json").read_bytes())["version"] for font in web_fonts()]
    return " ".join((*(version(name) for name in PACKAGES), *npm))


def printable_ranges() -> list[tuple[int, int]]:
    """The first and the last of each run of characters that a document can show, or that need no glyph."""
    known = {code for font in _fonts() for code in font.getBestCmap()}
    known.update(code for group in IGNORED for code in group)
    known.update(code for block in INVISIBLE_BLOCKS for code in block if unicodedata.category(chr(code)) in INVISIBLE)
    return list(_runs(sorted(known)))


def _fonts() -> Iterator[TTFont]:
    for path in (*(path for folder in folders() for path in sorted(folder.iterdir())), *web_fonts()):
        match path.suffix:
            case ".ttc":
                with TTCollection(path) as collection:
                    yield from collection
            case ".ttf" | ".otf" | ".woff":
                with TTFont(path) as font:
                    yield font


def _runs(codes: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = -2
    for code in codes:
        if code != last + 1:
            if last >= 0:
                yield first, last
            first = code
        last = code
    if last >= 0:
        yield first, last


if __name__ == "__main__":
    ranges = ", ".join(f"[{first},{last}]" for first, last in printable_ranges())
    sys.stdout.write("\n".join(f"    '{line}'" for line in textwrap.wrap(ranges, 112)) + "\n")
