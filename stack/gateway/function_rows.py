"""Calls of functions that filter or sort by columns which they do not select.

PostgREST before version 13 reads only the selected columns from a function, so that such a call fails with 42703
(PostgREST/postgrest#3965). As hosted Supabase has a later version, the gateway makes up for it: it selects these
columns, too, under names of its own, and takes them out of the answer.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote

import msgspec

FUNCTIONS = "/rpc/"
ROWS = re.compile(r"(?:\*/\*|application/(?:json|vnd\.pgrst\.(?:object|array)\+json))?(?:[;,].*)?")
"""The media types of rows as JSON."""
PREFIX = "_unselected_"
"""How the names of added columns begin."""

NAME = r'(?:"(?:[^"\\]|\\.)*"|(?:[^\s"().,:!>-]|-(?!>)|(?<=\w) (?=\w))+)'
ITEM = re.compile(rf"(?P<spread>\.\.\.)?(?:(?P<alias>{NAME}):(?!:))?(?P<name>{NAME}|\*)(?P<rest>.*)", re.DOTALL)
"""An item of select: a column, or an embed with its own select in parentheses."""
COLUMN = re.compile(rf"{NAME}(?=->|\.|$)")
"""A column, or the one that a path into JSON begins with."""
BRANCH = re.compile(r"(?:not\.)?(?:and|or)\(")
OPERATORS = "eq|neq|gte|gt|lte|lt|like|ilike|match|imatch|isdistinct|cs|cd|ov|sl|sr|nxr|nxl|adj"
CONDITION = re.compile(
    rf"(?:not\.)?(?:(?:{OPERATORS})(?:\((?:any|all)\))?\.|in\.\(|(?:fts|plfts|phfts|wfts)(?:\([^)]*\))?\."
    r"|is\.(?:not_null|null|true|false|unknown)$)",
    re.IGNORECASE,
)
"""The value of a filter. Any other value of a GET is an argument of the function."""

_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | dict[str, msgspec.Raw])


def select_needed_columns(path: str, query: str, accept: str) -> str:
    """The query of a call with the missing columns added to its select; unchanged where none is missing.

    Args:
        path: as PostgREST sees it.
        query: raw, without the question mark.
        accept: the media types that the client accepts. Only JSON is taken apart again: the first line of CSV names the
            columns as the function does, not as they are selected.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    select = dict(pairs).get("select")
    if not path.startswith(FUNCTIONS) or not select or not ROWS.fullmatch(accept):
        return query
    selected, embeds = _read_select(select)
    needed = {column: None for name, value in pairs for column in _needed_columns(name, value)}
    missing = [column for column in needed if column not in selected and column not in embeds]
    if not missing or "*" in selected:
        return query
    added = quote("".join(f",{PREFIX}{number}:{column}" for number, column in enumerate(missing)), safe=",:")
    return "&".join(pair + added if pair.startswith("select=") else pair for pair in query.split("&"))


def remove_added_columns(body: bytes) -> bytes:
    """The JSON of an answer without the columns that `select_needed_columns` added."""
    try:
        rows = _rows.decode(body)
    except msgspec.ValidationError:  # no rows: the value of a scalar function
        return body
    if isinstance(rows, dict):
        return msgspec.json.encode(_narrowed(rows))
    return msgspec.json.encode([_narrowed(row) for row in rows])


def _read_select(select: str) -> tuple[set[str], set[str]]:
    """The columns, and the names of the embeds, that the items of a select name."""
    selected: set[str] = set()
    embeds: set[str] = set()
    for item in _items(select):
        if read := ITEM.fullmatch(item):
            is_embed = "(" in read["rest"] and not read["rest"].startswith(("->", "::", "."))
            (embeds if is_embed else selected).add(read["alias"] or read["name"] if is_embed else read["name"])
    return selected, embeds


def _needed_columns(name: str, value: str) -> Iterator[str]:
    """The columns that one parameter filters or sorts by. Those of embeds are not columns of the function's rows."""
    if name in {"and", "or", "not.and", "not.or"}:
        yield from _columns_of_logic(value)
    elif name == "order":
        # creator(handle) sorts by a column of an embed
        yield from (found[0] for term in _items(value) if (found := COLUMN.match(term)))
    elif (found := COLUMN.match(name)) and found.end() in {len(name), name.find("->")} and CONDITION.match(value):
        yield found[0]


def _columns_of_logic(tree: str) -> Iterator[str]:
    """The columns in the conditions of a tree such as `(a.eq.1,not.or(b.gt.2,c.is.null))`, in one pass."""
    position = 1
    while position < len(tree):
        if branch := BRANCH.match(tree, position):
            position = branch.end()
            continue
        if found := COLUMN.match(tree, position):
            yield found[0]
        position = _end_of_item(tree, position)
        while tree[position : position + 1] in {",", ")", " "}:
            position += 1


def _items(text: str) -> Iterator[str]:
    start = 0
    while start <= len(text):
        end = _end_of_item(text, start)
        yield text[start:end].strip()
        start = end + 1


def _end_of_item(text: str, start: int) -> int:
    """Where the next comma or closing bracket stands outside brackets and quotes."""
    depth, is_quoted = 0, False
    for position in range(start, len(text)):
        character = text[position]
        if character == '"' and text[position - 1 : position] != "\\":
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif character in ",)}" and depth == 0:
            return position
        else:
            depth += (character in "({") - (character in ")}")
    return len(text)


def _narrowed(row: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    return {name: value for name, value in row.items() if not name.startswith(PREFIX)}
