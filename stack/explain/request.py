"""A request as PostgREST reads it: the table or function, the filters, and the embedded tables."""

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from stack.errors import StackError

PREFIX = "/rest/v1/"
WINDOW = {"order", "limit", "offset"}
"""Parameters that choose among matching rows, and are no filters."""
AGGREGATE = re.compile(r"(?:^|[.:])(?:count|sum|avg|min|max)\(\)$")
EMBED = re.compile(r"(?:\.\.\.)?(?:(?P<alias>[^:()!]+):)?(?P<target>[^:()!]+)(?P<hints>(?:![^()!]+)*)\((?P<inner>.*)\)")


class Embed(msgspec.Struct, frozen=True, kw_only=True):
    """A table that the answer nests in another table's rows."""

    name: str
    """Its name in the answer."""
    target: str
    """Its name in the request: a table, or the foreign key that leads to one."""
    prefix: str
    """The text before the parenthesis."""
    embeds: tuple["Embed", ...]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request to PostgREST."""

    method: str
    path: str
    """Below /rest/v1, with a slash."""
    query: tuple[tuple[str, str], ...]
    body: Any
    table: str | None
    function: str | None
    embeds: tuple[Embed, ...]

    @property
    def filters(self) -> list[tuple[str, str]]:
        """The query without parameters that only choose columns, or among matching rows."""
        dropped = WINDOW | {"select", "columns", "on_conflict"}
        return [(name, value) for name, value in self.query if name.rpartition(".")[2] not in dropped]

    @property
    def arguments(self) -> set[str]:
        """The names that a call of a function gives values for; those of filters of its rows among them in a GET."""
        named = self.body if isinstance(self.body, dict) else dict(self.filters) if self.method == "GET" else {}
        return set(named)

    @property
    def written_columns(self) -> list[str]:
        """The columns to write, as the body or the query names them."""
        rows = self.body if isinstance(self.body, list) else [self.body]
        named = [column for name, value in self.query if name == "columns" for column in value.split(",")]
        return named or list(dict.fromkeys(column for row in rows if isinstance(row, dict) for column in row))


def read(method: str, path: str, body: str | None) -> Request:
    """Read a request.

    Raises:
        StackError: it does not go to PostgREST, or its body is no JSON.
    """
    url = urlsplit(path)
    resource = unquote(url.path.removeprefix(PREFIX))
    if not url.path.startswith(PREFIX) or not re.fullmatch(r"(?:rpc/)?[^/]+", resource):
        raise StackError(f"what can be explained is {PREFIX}<table>?... and {PREFIX}rpc/<function>")
    is_call = resource.startswith("rpc/")
    if body is not None and method in {"GET", "DELETE"}:
        raise StackError(f"{method} takes no body")
    try:
        content = None if body is None else msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise StackError(f"the body is not JSON: {error}") from error
    query = tuple(parse_qsl(url.query, keep_blank_values=True))
    return Request(
        method=method,
        path=f"/{resource}",
        query=query,
        body=content,
        table=None if is_call else resource,
        function=resource.removeprefix("rpc/") if is_call else None,
        embeds=tuple(embed for name, value in query if name == "select" for embed in _embeds(value)),
    )


def _embeds(select: str) -> tuple[Embed, ...]:
    found = []
    for item in split(select, ","):
        embed = None if AGGREGATE.search(item) else EMBED.fullmatch(item.strip())
        if embed is not None:
            found.append(
                Embed(
                    name=embed["alias"] or embed["target"],
                    target=embed["target"],
                    # A spread is requested as an object, so that its rows can be distinguished.
                    prefix=item.strip()[: embed.start("inner") - 1].removeprefix("..."),
                    embeds=_embeds(embed["inner"]),
                )
            )
    return tuple(found)


def split(text: str, separator: str) -> list[str]:
    """The pieces of a text between separators outside of quotes and parentheses."""
    pieces, start = [], 0
    for index, level in enumerate([0, *levels(text)[:-1]] if text else []):
        if level == 0 and index >= start and text.startswith(separator, index):
            pieces.append(text[start:index])
            start = index + len(separator)
    return [*pieces, text[start:]]


def levels(text: str) -> list[int]:
    """How many quotes and parentheses are open after each character of a text."""
    level, quote, found = 0, "", []
    for character in text:
        if quote:
            if character == quote:
                quote, level = "", level - 1
        elif character in "'\"":
            quote, level = character, level + 1
        else:
            level += (character in "([") - (character in ")]")
        found.append(level)
    return found
