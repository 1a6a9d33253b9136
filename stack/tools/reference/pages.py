"""Writing what is generated into pages whose prose is written by hand, between two comments of Markdown."""

import re
from collections.abc import Sequence

from stack.errors import StackError


def block(name: str) -> re.Pattern[str]:
    """Matches the generated part of a page, its two comments included."""
    return re.compile(rf"(<!-- generated: {re.escape(name)} -->\n).*?(<!-- end of {re.escape(name)} -->)", re.DOTALL)


def with_block(page: str, name: str, content: str) -> str:
    """The page with new content in the block of this name.

    Raises:
        StackError: the page has no such block, or several.
    """
    filled, count = block(name).subn(lambda found: f"{found[1]}\n{content.strip()}\n\n{found[2]}", page)
    if count != 1:
        raise StackError(f"the page has {count} blocks named {name!r}: it must have one")
    return filled


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of Markdown."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
